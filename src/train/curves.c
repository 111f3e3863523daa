/* SPDX-License-Identifier: Apache-2.0
 * Drawing curves.svg. Three panels: loss and accuracy over the epochs done, the learning rate over the whole run. Colours
 * are told apart by colour-blind readers too (Okabe and Ito's); every line is named in the legend with its last value. */
#include "train/curves.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define WIDTH 1000
#define HEIGHT 700
#define BLUE "#0072b2"
#define ORANGE "#d55e00"
#define GREEN "#009e73"
#define INK "#24292f"
#define QUIET "#6e7781"
#define RULE "#e4e7eb"

typedef struct panel {
    double left, top, width, height;
    double x0, x1, y0, y1;     /* data range */
    double y_step;
    const char *title, *y_label, *unit; /* unit: behind the numbers of the y axis */
} panel;

typedef struct series {
    const char *name, *colour;
    size_t offset;             /* of a double in gn_epoch_record */
    double factor;
    const char *format;        /* of the last value */
    bool dashed;
} series;

static double px(const panel *p, double x)
{
    return p->left + (x - p->x0) / (p->x1 - p->x0) * p->width;
}

static double py(const panel *p, double y)
{
    double at = p->top + p->height - (y - p->y0) / (p->y1 - p->y0) * p->height;
    return at < p->top ? p->top : at > p->top + p->height ? p->top + p->height : at;
}

/* 1, 2 or 5 times a power of ten, for about `count` steps over a range. */
static double nice_step(double range, int count)
{
    double raw = range / count, power = pow(10, floor(log10(raw))), times = raw / power;
    return (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10) * power;
}

static double value(const gn_curves *c, int i, const series *s)
{
    return s->factor * *(const double *)((const char *)&c->epochs[i] + s->offset);
}

/* Range of all series; false where there is no value at all. */
static bool range(const gn_curves *c, const series *s, int n, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < c->count; i++) {
            double v = value(c, i, &s[k]);
            if (isfinite(v)) {
                *low = v < *low ? v : *low;
                *high = v > *high ? v : *high;
            }
        }
    return *low <= *high;
}

static void text(gn_text *t, double x, double y, int size, const char *anchor, const char *colour, const char *words)
{
    gn_text_add(t, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\" fill=\"%s\">", x, y, size, anchor, colour);
    gn_text_xml(t, words);
    gn_text_add(t, "</text>\n");
}

static void x_axis(gn_text *t, const panel *p)
{
    char number[32];
    double step = nice_step(p->x1 - p->x0, p->width > 600 ? 12 : 7);
    step = step < 1 ? 1 : step;
    for (double x = ceil(p->x0 / step) * step; x <= p->x1 + 1e-9; x += step) {
        gn_text_add(t, "<path d=\"M%.1f %.1fv4\" stroke=\"%s\"/>\n", px(p, x), p->top + p->height, QUIET);
        snprintf(number, sizeof number, "%.0f", x);
        text(t, px(p, x), p->top + p->height + 17, 12, "middle", QUIET, number);
    }
    text(t, p->left + p->width / 2, p->top + p->height + 35, 12, "middle", QUIET, "epoch");
}

static void frame(gn_text *t, const panel *p)
{
    char number[48];
    text(t, p->left, p->top - 14, 15, "start", INK, p->title);
    for (double y = ceil(p->y0 / p->y_step - 1e-9) * p->y_step; y <= p->y1 + p->y_step * 1e-6; y += p->y_step) {
        gn_text_add(t, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"%s\"/>\n", p->left, py(p, y), p->width, RULE);
        snprintf(number, sizeof number, "%.6g%s", fabs(y) < p->y_step * 1e-6 ? 0 : y, p->unit);
        text(t, p->left - 8, py(p, y) + 4, 12, "end", QUIET, number);
    }
    gn_text_add(t, "<path d=\"M%.1f %.1fv%.1fh%.1f\" fill=\"none\" stroke=\"%s\"/>\n", p->left, p->top, p->height, p->width,
                QUIET);
    x_axis(t, p);
    double x = p->left - 50, y = p->top + p->height / 2;
    gn_text_add(t, "<text transform=\"translate(%.1f %.1f) rotate(-90)\" font-size=\"12\" text-anchor=\"middle\" fill=\"%s\">", x,
                y, QUIET);
    gn_text_xml(t, p->y_label);
    gn_text_add(t, "</text>\n");
}

/* A line through the epochs that have a value, dots where there are few. */
static void line(gn_text *t, const panel *p, const gn_curves *c, const series *s)
{
    int points = 0;
    gn_text_add(t, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" stroke-linecap=\"round\"%s d=\"",
                s->colour, s->dashed ? " stroke-dasharray=\"6 4\"" : "");
    for (int i = 0; i < c->count; i++) {
        double v = value(c, i, s);
        if (isfinite(v))
            gn_text_add(t, "%s%.1f %.1f", points++ ? "L" : "M", px(p, c->epochs[i].epoch), py(p, v));
    }
    gn_text_add(t, "\"/>\n");
    for (int i = 0; i < c->count && points <= 30; i++)
        if (isfinite(value(c, i, s)))
            gn_text_add(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", px(p, c->epochs[i].epoch),
                        py(p, value(c, i, s)), s->colour);
}

/* Names with the last value, in the corner where curves of this kind seldom are; lower: at the bottom right. */
static void legend(gn_text *t, const panel *p, const gn_curves *c, const series *s, int n, bool lower)
{
    char words[96], number[32];
    int rows = 0, widest = 0;
    for (int k = 0; k < n; k++) {
        double low, high;
        rows += range(c, &s[k], 1, &low, &high);
        widest = (int)strlen(s[k].name) > widest ? (int)strlen(s[k].name) : widest;
    }
    double width = 52 + 7.0 * (widest + 8), x = p->left + p->width - width - 6;
    double y = lower ? p->top + p->height - 10 - 19 * rows : p->top + 6;
    gn_text_add(t, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"4\" fill=\"#fff\" fill-opacity=\".85\"/>\n", x, y,
                width, 19 * rows + 6);
    for (int k = 0; k < n; k++) {
        double last = NAN;
        for (int i = 0; i < c->count; i++)
            last = isfinite(value(c, i, &s[k])) ? value(c, i, &s[k]) : last;
        if (!isfinite(last))
            continue;
        y += 19;
        gn_text_add(t, "<path d=\"M%.1f %.1fh24\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", x + 8, y - 4, s[k].colour,
                    s[k].dashed ? " stroke-dasharray=\"6 4\"" : "");
        snprintf(number, sizeof number, s[k].format, last);
        snprintf(words, sizeof words, "%s  %s", s[k].name, number);
        text(t, x + 40, y, 12, "start", INK, words);
    }
}

enum { LABEL = 140, BETWEEN = 8 }; /* width of the label; points looked at from one epoch to the next */

/* How much of the curves a line of text meets whose left end is at (left, base). */
static int crossed(const panel *p, const gn_curves *c, const series *s, int count, double left, double base)
{
    int met = 0;
    for (int k = 0; k < count; k++)
        for (int i = 0; i + 1 < c->count; i++)
            for (int j = 0; j <= BETWEEN; j++) {
                double part = (double)j / BETWEEN, v = value(c, i, &s[k]) * (1 - part) + value(c, i + 1, &s[k]) * part;
                double x = px(p, c->epochs[i].epoch * (1 - part) + c->epochs[i + 1].epoch * part);
                met += isfinite(v) && x >= left && x <= left + LABEL && fabs(py(p, v) - (base - 4)) < 11;
            }
    return met;
}

/* Near (x, y) the place for a label that hides least of the curves: its left end. */
static void place_label(const panel *p, const gn_curves *c, const series *s, int count, double *x, double *y)
{
    static const int steps[] = {24, -14, 44, -34, 64, 84};
    const double point_x = *x, point_y = *y;
    int fewest = INT_MAX;
    for (size_t i = 0; i < 2 * (sizeof steps / sizeof steps[0]); i++) {
        double left = i % 2 ? point_x - 6 : point_x + 6 - LABEL, base = point_y + steps[i / 2];
        if (left < p->left || left + LABEL > p->left + p->width + 6 || base < p->top + 12 || base > p->top + p->height - 6)
            continue;
        int met = crossed(p, c, s, count, left, base);
        if (met < fewest) {
            fewest = met;
            *x = left;
            *y = base;
        }
    }
}

/* A ring around the best epoch's accuracy; s: training, validation, average. */
static void mark_best(gn_text *t, const panel *p, const gn_curves *c, const series *s)
{
    int best = -1;
    for (int i = 0; i < c->count; i++)
        if (c->epochs[i].best)
            best = i;
    if (best < 0)
        return;
    double v = isfinite(value(c, best, &s[2])) ? value(c, best, &s[2]) : value(c, best, &s[1]);
    char words[64];
    if (!isfinite(v))
        return;
    double x = px(p, c->epochs[best].epoch), y = py(p, v);
    snprintf(words, sizeof words, "best %.2f %%, epoch %d", v, c->epochs[best].epoch);
    gn_text_add(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", x, y, INK);
    place_label(p, c, s, 3, &x, &y);
    gn_text_add(t, "<g stroke=\"#fff\" stroke-width=\"4\" paint-order=\"stroke\">");
    text(t, x, y, 12, "start", INK, words);
    gn_text_add(t, "</g>\n");
}

/* x axis of the epochs done: it grows, but not from nothing. */
static void epochs_done(const gn_curves *c, panel *p)
{
    int done = c->count ? c->epochs[c->count - 1].epoch : 1;
    int least = c->all_epochs < 5 ? c->all_epochs : 5;
    p->x0 = c->all_epochs > 1 ? 1 : 0;
    p->x1 = done > least ? done : least;
    if (p->x1 <= p->x0)
        p->x1 = p->x0 + 1;
}

static void loss_panel(gn_text *t, const gn_curves *c)
{
    const series s[] = {
        {c->smoothed ? "training (smoothed labels)" : "training", BLUE, offsetof(gn_epoch_record, train_loss), 1, "%.3f", false},
        {"validation", ORANGE, offsetof(gn_epoch_record, val_loss), 1, "%.3f", false},
        {"validation, averaged", GREEN, offsetof(gn_epoch_record, ema_loss), 1, "%.3f", true}};
    panel p = {.left = 80, .top = 120, .width = 390, .height = 290, .title = "Loss", .y_label = "cross entropy", .unit = ""};
    double low, high;
    epochs_done(c, &p);
    if (!range(c, s, 3, &low, &high))
        low = high = 0;
    /* A validation that went off for an epoch (statistics not settled, rate too high) must not flatten everything else. */
    double least, most;
    if (range(c, s, 1, &least, &most) && high > 2 * most) {
        high = 2 * most;
        p.title = "Loss (higher values are cut off)";
    }
    if (high - low < 1e-3)
        high = low + 1e-3;
    p.y_step = nice_step(high - low, 6);
    p.y0 = floor(low / p.y_step) * p.y_step;
    p.y1 = ceil(high / p.y_step) * p.y_step;
    frame(t, &p);
    for (int k = 0; k < 3; k++)
        line(t, &p, c, &s[k]);
    legend(t, &p, c, s, 3, false);
}

static void accuracy_panel(gn_text *t, const gn_curves *c)
{
    const series s[] = {{"training", BLUE, offsetof(gn_epoch_record, train_top1), 100, "%.2f %%", false},
                        {"validation", ORANGE, offsetof(gn_epoch_record, val_top1), 100, "%.2f %%", false},
                        {"validation, averaged", GREEN, offsetof(gn_epoch_record, ema_top1), 100, "%.2f %%", true}};
    panel p = {.left = 570, .top = 120, .width = 390, .height = 290, .title = "Top-1 accuracy", .y_label = "share of images",
               .unit = " %"};
    double low, high;
    epochs_done(c, &p);
    if (!range(c, s, 3, &low, &high))
        high = 100;
    p.y_step = nice_step(high > 1 ? high : 1, 6);
    p.y1 = ceil(high / p.y_step) * p.y_step;
    p.y1 = p.y1 > 100 ? 100 : p.y1 < p.y_step ? p.y_step : p.y1;
    frame(t, &p);
    for (int k = 0; k < 3; k++)
        line(t, &p, c, &s[k]);
    mark_best(t, &p, c, s);
    legend(t, &p, c, s, 3, true);
}

/* The schedule over the whole run, the part behind us drawn strongly. */
static void rate_panel(gn_text *t, const gn_curves *c)
{
    enum { POINTS = 400 };
    panel p = {.left = 80, .top = 510, .width = 880, .height = 110, .title = "Learning rate", .y_label = "rate", .unit = "",
               .x1 = c->all_epochs};
    double most = 0, scale = c->rate_scale;
    int64_t steps = c->schedule->steps > 0 ? c->schedule->steps : 1;
    for (int i = 0; i <= POINTS; i++)
        most = fmax(most, scale * gn_schedule_rate(c->schedule, (steps - 1) * i / POINTS));
    most = most > 0 ? most : 1;
    p.y_step = nice_step(most, 3);
    p.y1 = ceil(most / p.y_step - 1e-9) * p.y_step;
    frame(t, &p);
    double done = c->count ? c->epochs[c->count - 1].epoch : 0;
    for (int part = 0; part < 2; part++) {
        int points = 0;
        gn_text_add(t, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" d=\"", part ? BLUE : "#b6c8d6", part ? "2" : "1.5");
        for (int i = 0; i <= POINTS; i++) {
            int64_t step = (steps - 1) * i / POINTS;
            double epoch = (double)step / (double)c->steps_per_epoch;
            if (part && epoch > done + 1e-9)
                break;
            gn_text_add(t, "%s%.1f %.1f", points++ ? "L" : "M", px(&p, epoch), py(&p, scale * gn_schedule_rate(c->schedule, step)));
        }
        gn_text_add(t, "\"/>\n");
    }
}

genet_status gn_curves_write(const gn_curves *c, const char *path, genet_error *err)
{
    gn_text t = {0};
    gn_text_add(&t, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                    "font-family=\"-apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Helvetica, Arial, sans-serif\">\n"
                    "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    text(&t, 30, 44, 20, "start", INK, c->title);
    text(&t, 30, 68, 13, "start", QUIET, c->subtitle);
    loss_panel(&t, c);
    accuracy_panel(&t, c);
    rate_panel(&t, c);
    gn_text_add(&t, "</svg>\n");
    genet_status status = t.failed ? gn_fail_memory(err, t.length, "curves.svg") : gn_file_write(path, t.data, t.length, err);
    gn_text_free(&t);
    return status;
}
