/* SPDX-License-Identifier: Apache-2.0
 * The table at the start of a training: what will be computed, with what, at what cost. */
#include <string.h>

#include "base/mem.h"
#include "infer/summary.h"
#include "train/run.h"

#define MAX_ROWS 24

typedef struct table {
    const char *names[MAX_ROWS];
    gn_text values[MAX_ROWS];
    size_t count;
} table;

static gn_text *row(table *t, const char *name)
{
    t->names[t->count] = name;
    return &t->values[t->count++];
}

static void network_rows(table *t, const gn_run *r)
{
    char count[32];
    gn_summary_network(row(t, "network"), &r->model->spec);
    gn_text_add(row(t, "form"), "%s", gn_summary_form(r->model->spec.form));
    gn_text_add(row(t, "parameters"), "%s%s", gn_format_count(count, r->model->weights.param_values),
                r->settings->freeze ? " (all but the head frozen)" : "");
    gn_text_add(row(t, "MACs"), "%s an image", gn_format_large(count, (double)r->macs));
    gn_summary_input(row(t, "input"), &r->preprocess);
}

static void machine_rows(table *t, const gn_run *r)
{
    char device[256], a[32], b[32], c[32];
    gn_run_memory m = gn_run_measure(r);
    r->device.backend->describe(r->device.handle, device, sizeof device);
    gn_text_add(row(t, "memory"), "%s at most: activations %s, weights and momentum %s", gn_format_bytes(a, m.total),
                gn_format_bytes(b, m.activations), gn_format_bytes(c, m.weights));
    gn_text_add(row(t, "device"), "%s: %s", r->device.backend->name, device);
    gn_text_add(row(t, "precision"), "%s", r->precision);
    gn_text_add(row(t, "threads"), "%d", r->device.threads);
}

static void put_set(gn_text *t, const gn_dataset *d, const char *path)
{
    char images[32], name[512];
    gn_escape_name(name, sizeof name, path);
    gn_text_add(t, "%s images, %d classes", gn_format_count(images, d->count), d->class_count);
    int64_t before = 0;
    for (int k = 0; k < d->class_count; k++)
        before += d->class_total[k];
    if (before > d->count)
        gn_text_add(t, " (%s before caps and split)", gn_format_count(images, before));
    if (d->ignored)
        gn_text_add(t, ", %lld files ignored", (long long)d->ignored);
    if (d->loose)
        gn_text_add(t, ", %lld files outside class folders skipped", (long long)d->loose);
    if (d->absent)
        gn_text_add(t, ", %lld files absent", (long long)d->absent);
    gn_text_add(t, " in %s", name);
}

static void run_rows(table *t, const gn_run *r)
{
    static const char *const schedules[] = {"cosine", "linear", "linear-cosine", "step", "constant"};
    char a[32], b[32], name[512];
    const gn_settings *s = r->settings;
    put_set(row(t, "data"), r->train, s->data);
    if (r->val)
        put_set(row(t, "validation"), r->val, *s->val ? s->val : s->data);
    else
        gn_text_add(row(t, "validation"), "none");
    gn_text *steps = row(t, "steps");
    gn_text_add(steps, "batch %lld", (long long)s->batch);
    if (s->accumulate > 1)
        gn_text_add(steps, " x %lld", (long long)s->accumulate);
    gn_text_add(steps, ", %s steps an epoch, %lld epochs, %s steps", gn_format_count(a, r->steps_per_epoch),
                (long long)s->epochs, gn_format_count(b, r->total_steps));
    gn_text *schedule = row(t, "schedule");
    gn_text_add(schedule, "%s, peak rate %g", schedules[s->schedule], s->rate);
    if (r->schedule.warmup_steps)
        gn_text_add(schedule, ", warm-up %s steps", gn_format_count(a, r->schedule.warmup_steps));
    gn_text_add(schedule, ", momentum %g%s, weight decay %g", s->momentum, s->nesterov ? " (Nesterov)" : "", s->decay);
    if (s->ema > 0)
        gn_text_add(schedule, ", average %g", s->ema);
    gn_text_add(row(t, "seed"), "%lld", (long long)s->seed);
    gn_escape_name(name, sizeof name, r->folder);
    gn_text_add(row(t, "output"), "%s", name);
}

void gn_run_table(const gn_run *r)
{
    table t = {0};
    const char *values[MAX_ROWS];
    if (!r->callbacks.table)
        return;
    network_rows(&t, r);
    machine_rows(&t, r);
    run_rows(&t, r);
    for (size_t i = 0; i < t.count; i++)
        values[i] = t.values[i].data ? t.values[i].data : "";
    r->callbacks.table(r->callbacks.user, t.names, values, t.count);
    for (size_t i = 0; i < t.count; i++)
        gn_text_free(&t.values[i]);
}
