/* SPDX-License-Identifier: Apache-2.0
 * The images of every class as SVG: bars with names for a few classes, a curve over the classes' ranks for many. Counts
 * are on a logarithmic scale, since the largest class of a shop's photographs may have a thousand times the smallest. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "genet/data.h"

#define MOST_BARS 48
#define WIDTH 960
#define ROW 20
#define AXIS_START 0.7 /* a class of one image still has a bar */
#define NAME_SHOWN 34
#define BEFORE "#b7cde6"
#define AFTER "#2a6db0"
#define TEXT "#222222"
#define FAINT "#d9d9d9"

typedef struct plot {
    gn_text svg;
    const genet_data_stats *stats;
    const genet_data_class **order; /* most images first */
    double left, top, width, height;
    double most;
    int64_t capped;
} plot;

static int by_images(const void *a, const void *b)
{
    const genet_data_class *c = *(genet_data_class *const *)a, *d = *(genet_data_class *const *)b;
    if (c->images != d->images)
        return c->images > d->images ? -1 : 1;
    return strcmp(c->name, d->name);
}

static void add_number(gn_text *t, int64_t n)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    for (int i = 0; i < length; i++)
        gn_text_add(t, "%s%c", i && (length - i) % 3 == 0 ? "," : "", digits[i]);
}

/* Share of the axis, 0..1, at which a count lies. */
static double along(const plot *p, double count)
{
    return count < AXIS_START ? 0 : log(count / AXIS_START) / log(p->most / AXIS_START);
}

static void add_text(plot *p, double x, double y, const char *anchor, int size, const char *text)
{
    gn_text_add(&p->svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\" fill=\"" TEXT "\">", x, y, anchor,
                size);
    gn_text_xml(&p->svg, text);
    gn_text_add(&p->svg, "</text>\n");
}

/* add_text of a built label, which is freed. */
static void add_label(plot *p, double x, double y, const char *anchor, int size, gn_text *label)
{
    p->svg.failed |= label->failed;
    if (!label->failed && label->length)
        add_text(p, x, y, anchor, size, label->data);
    gn_text_free(label);
}

static void add_line(plot *p, double x0, double y0, double x1, double y1, const char *colour)
{
    gn_text_add(&p->svg, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x0, y0, x1, y1, colour);
}

static void add_box(plot *p, double x, double y, double w, double h, const char *colour)
{
    gn_text_add(&p->svg, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, w, h, colour);
}

/* A long name keeps its beginning; the cut never falls into a UTF-8 character. */
static void short_name(const char *name, char to[NAME_SHOWN * 4 + 4])
{
    size_t n = 0, shown = 0;
    while (name[n] && shown < NAME_SHOWN && n < NAME_SHOWN * 4) {
        n++;
        while (((unsigned char)name[n] & 0xc0) == 0x80 && n < NAME_SHOWN * 4)
            n++;
        shown++;
    }
    memcpy(to, name, n);
    strcpy(to + n, name[n] ? "\xe2\x80\xa6" : "");
}

static void add_summary(plot *p)
{
    const genet_data_stats *s = p->stats;
    gn_text line = {0};
    add_number(&line, s->images);
    gn_text_add(&line, " images in ");
    add_number(&line, s->class_count);
    gn_text_add(&line, " classes");
    if (s->empty_classes)
        gn_text_add(&line, " (%d empty)", s->empty_classes);
    gn_text_add(&line, ", largest : smallest = %.3g : 1", s->imbalance_before);
    if (p->capped) {
        gn_text_add(&line, "; after caps ");
        add_number(&line, s->kept);
        gn_text_add(&line, " images, %.3g : 1", s->imbalance_after);
    }
    add_text(p, 24, 34, "start", 20, "Images of every class");
    add_label(p, 24, 56, "start", 14, &line);
    if (p->capped) {
        add_box(p, WIDTH - 262, 22, 14, 14, AFTER);
        add_text(p, WIDTH - 242, 34, "start", 13, "used");
        add_box(p, WIDTH - 192, 22, 14, 14, BEFORE);
        add_text(p, WIDTH - 172, 34, "start", 13, "left out by a cap");
    }
}

/* Lines at 1, 10, 100, ...; also at 2 and 5 where that leaves room. */
static void add_grid(plot *p, bool sideways)
{
    bool fine = p->most < 2000;
    for (double decade = 1; decade <= p->most; decade *= 10)
        for (int step = 0; step < 3; step++) {
            static const double steps[] = {1, 2, 5};
            double count = decade * steps[step];
            if (count > p->most || (step && !fine))
                continue;
            gn_text label = {0};
            add_number(&label, (int64_t)count);
            double at = along(p, count);
            if (sideways) {
                double x = p->left + at * p->width;
                add_line(p, x, p->top, x, p->top + p->height, FAINT);
                add_label(p, x, p->top + p->height + 18, "middle", 12, &label);
            } else {
                double y = p->top + (1 - at) * p->height;
                add_line(p, p->left, y, p->left + p->width, y, FAINT);
                add_label(p, p->left - 8, y + 4, "end", 12, &label);
            }
        }
}

static void add_bars(plot *p)
{
    int n = p->stats->class_count;
    p->left = 280;
    p->top = 84;
    p->width = WIDTH - p->left - 130;
    p->height = (double)n * ROW;
    add_grid(p, true);
    for (int i = 0; i < n; i++) {
        const genet_data_class *c = p->order[i];
        double y = p->top + (double)i * ROW, before = along(p, (double)c->images), after = along(p, (double)c->kept);
        char name[NAME_SHOWN * 4 + 4];
        gn_text label = {0};
        short_name(c->name, name);
        add_text(p, p->left - 10, y + 14, "end", 13, name);
        add_box(p, p->left, y + 3, before * p->width, ROW - 6, BEFORE);
        add_box(p, p->left, y + 3, after * p->width, ROW - 6, AFTER);
        add_number(&label, c->kept);
        if (c->kept != c->images) {
            gn_text_add(&label, " of ");
            add_number(&label, c->images);
        }
        add_label(p, p->left + before * p->width + 6, y + 14, "start", 12, &label);
    }
    add_line(p, p->left, p->top, p->left, p->top + p->height, TEXT);
    add_text(p, p->left + p->width / 2, p->top + p->height + 40, "middle", 14, "images (logarithmic scale)");
}

/* The area under the counts, as steps, one a class. */
static void add_area(plot *p, bool kept, const char *colour)
{
    int n = p->stats->class_count;
    double base = p->top + p->height;
    gn_text_add(&p->svg, "<path fill=\"%s\" d=\"M%.2f %.2f", colour, p->left, base);
    for (int i = 0; i < n; i++) {
        double count = (double)(kept ? p->order[i]->kept : p->order[i]->images);
        double y = p->top + (1 - along(p, count)) * p->height;
        gn_text_add(&p->svg, "L%.2f %.2fL%.2f %.2f", p->left + p->width * i / n, y, p->left + p->width * (i + 1) / n, y);
    }
    gn_text_add(&p->svg, "L%.2f %.2fZ\"/>\n", p->left + p->width, base);
}

/* The largest and the smallest classes by name, in two lines above the curve. */
static void add_ends(plot *p)
{
    int n = p->stats->class_count;
    for (int end = 0; end < 2; end++) {
        gn_text line = {0};
        gn_text_add(&line, end ? "fewest: " : "most: ");
        for (int i = 0; i < 3 && i < n; i++) {
            const genet_data_class *c = p->order[end ? n - 1 - i : i];
            char name[NAME_SHOWN * 4 + 4];
            short_name(c->name, name);
            gn_text_add(&line, "%s%s ", i ? ", " : "", name);
            add_number(&line, c->images);
        }
        add_label(p, 24, 78 + 18 * end, "start", 12, &line);
    }
}

static void add_ranks(plot *p)
{
    int n = p->stats->class_count;
    p->left = 86;
    p->top = 116;
    p->width = WIDTH - p->left - 30;
    p->height = 380;
    add_area(p, false, BEFORE);
    add_area(p, true, AFTER);
    add_grid(p, false);
    double decade = pow(10, floor(log10(n)));
    double step = n / decade < 2 ? decade / 5 : n / decade < 5 ? decade / 2 : decade;
    for (double rank = step; rank <= n; rank += step) {
        gn_text label = {0};
        double x = p->left + p->width * (rank - 0.5) / n;
        add_number(&label, (int64_t)rank);
        add_line(p, x, p->top + p->height, x, p->top + p->height + 5, TEXT);
        add_label(p, x, p->top + p->height + 20, "middle", 12, &label);
    }
    add_line(p, p->left, p->top + p->height, p->left + p->width, p->top + p->height, TEXT);
    add_text(p, p->left + p->width / 2, p->top + p->height + 42, "middle", 14,
             "class, from the one with most images to the one with fewest");
    gn_text_add(&p->svg, "<text transform=\"translate(28 %.1f) rotate(-90)\" text-anchor=\"middle\" font-size=\"14\" fill=\"" TEXT
                "\">images (logarithmic scale)</text>\n", p->top + p->height / 2);
    add_ends(p);
}

static genet_status draw(plot *p, const char *path, genet_error *err)
{
    const genet_data_stats *s = p->stats;
    bool bars = s->class_count <= MOST_BARS;
    double height = bars ? 84 + ROW * (double)s->class_count + 60 : 572;
    gn_text_add(&p->svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
                "font-family=\"Helvetica, Arial, sans-serif\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                WIDTH, height, WIDTH, height);
    add_summary(p);
    if (bars)
        add_bars(p);
    else
        add_ranks(p);
    gn_text_add(&p->svg, "</svg>\n");
    if (p->svg.failed)
        return gn_fail_memory(err, p->svg.length, "a plot");
    return gn_file_write(path, p->svg.data, p->svg.length, err);
}

genet_status genet_data_stats_plot(const genet_data_stats *s, const char *path, genet_error *err)
{
    plot p = {.stats = s, .most = 10};
    p.order = gn_calloc((size_t)s->class_count + 1, sizeof *p.order);
    if (!p.order)
        return gn_fail_memory(err, (size_t)s->class_count * sizeof *p.order, "a plot");
    for (int c = 0; c < s->class_count; c++) {
        p.order[c] = &s->classes[c];
        p.most = fmax(p.most, (double)s->classes[c].images * 1.05);
        p.capped += s->classes[c].images - s->classes[c].kept;
    }
    qsort(p.order, (size_t)s->class_count, sizeof *p.order, by_images);
    genet_status status = draw(&p, path, err);
    gn_text_free(&p.svg);
    gn_free(p.order);
    return status;
}
