/* SPDX-License-Identifier: Apache-2.0
 * Metrics files. */
#include "train/metrics.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "formats/json.h"

#define MAX_FILE ((size_t)1 << 30)

/* decimals: 0 for values that depend on the run alone and are written exactly; the times are rounded. */
static const struct {
    const char *key;
    int decimals;
    size_t offset;
} numbers[] = {
#define NUMBER(name, decimals) {#name, decimals, offsetof(gn_epoch_record, name)}
    NUMBER(rate, 0), NUMBER(train_loss, 0), NUMBER(train_top1, 0), NUMBER(val_loss, 0), NUMBER(val_top1, 0),
    NUMBER(val_top5, 0), NUMBER(ema_loss, 0), NUMBER(ema_top1, 0), NUMBER(ema_top5, 0), NUMBER(seconds, 3),
    NUMBER(images_per_second, 2), NUMBER(data_wait, 4),
#undef NUMBER
};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static double *number_of(gn_epoch_record *r, size_t i)
{
    return (double *)((char *)r + numbers[i].offset);
}

static void put_number(gn_text *t, double v, const char *absent)
{
    if (isfinite(v))
        gn_json_put_double(t, v);
    else
        gn_text_add(t, "%s", absent);
}

static void put_member(gn_text *t, const gn_epoch_record *r, size_t i, const char *absent)
{
    double v = *(const double *)((const char *)r + numbers[i].offset);
    if (numbers[i].decimals && isfinite(v))
        gn_text_add(t, "%.*f", numbers[i].decimals, v);
    else
        put_number(t, v, absent);
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

typedef struct line {
    bool is_epoch, no_memory; /* no_memory: it could not be parsed, and may well be ours */
    gn_epoch_record epoch; /* epoch and step of both kinds */
} line;

static void read_number(gn_json *j, double *out)
{
    if (gn_json_peek(j) == 'n')
        gn_json_skip(j);
    else
        gn_json_number(j, out);
}

/* False for a line that is torn or none of ours. */
static bool parse_line(const char *text, size_t n, line *out)
{
    gn_json j;
    char *key, *kind = NULL;
    int64_t value = 0;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < NUMBERS; i++)
        *number_of(&out->epoch, i) = NAN;
    gn_json_start(&j, text, n);
    gn_json_object(&j);
    while (gn_json_key(&j, &key)) {
        size_t i = 0;
        while (i < NUMBERS && strcmp(key, numbers[i].key))
            i++;
        if (i < NUMBERS) {
            read_number(&j, number_of(&out->epoch, i));
        } else if (!strcmp(key, "kind") && !kind) {
            gn_json_string(&j, &kind);
        } else if (!strcmp(key, "epoch")) {
            gn_json_int(&j, &value);
            out->epoch.epoch = (int)value;
        } else if (!strcmp(key, "step")) {
            gn_json_int(&j, &out->epoch.step);
        } else if (!strcmp(key, "best")) {
            gn_json_bool(&j, &out->epoch.best);
        } else {
            gn_json_skip(&j);
        }
        gn_free(key);
    }
    gn_json_end(&j);
    out->is_epoch = kind && !strcmp(kind, "epoch");
    out->no_memory = j.no_memory;
    bool ok = !j.fault && kind && (out->is_epoch || !strcmp(kind, "step"));
    gn_free(kind);
    return ok;
}

static genet_status remember(gn_metrics *m, const gn_epoch_record *r, genet_error *err)
{
    if (m->count == m->capacity) {
        int capacity = m->capacity ? m->capacity * 2 : 64;
        gn_epoch_record *more = gn_realloc(m->epochs, (size_t)capacity * sizeof *more);
        if (!more)
            return gn_fail_memory(err, (size_t)capacity * sizeof *more, "the metrics of the epochs");
        m->epochs = more;
        m->capacity = capacity;
    }
    m->epochs[m->count++] = *r;
    return GENET_OK;
}

static genet_status write_csv(const gn_metrics *m, genet_error *err)
{
    gn_text t = {0};
    gn_text_add(&t, "epoch,step,best");
    for (size_t i = 0; i < NUMBERS; i++)
        gn_text_add(&t, ",%s", numbers[i].key);
    gn_text_add(&t, "\n");
    for (int e = 0; e < m->count; e++) {
        gn_text_add(&t, "%d,%lld,%d", m->epochs[e].epoch, (long long)m->epochs[e].step, m->epochs[e].best);
        for (size_t i = 0; i < NUMBERS; i++) {
            gn_text_add(&t, ",");
            put_member(&t, &m->epochs[e], i, "");
        }
        gn_text_add(&t, "\n");
    }
    genet_status status = t.failed ? gn_fail_memory(err, t.length, "metrics.csv") : gn_file_write(m->csv, t.data, t.length, err);
    gn_text_free(&t);
    return status;
}

genet_status gn_metrics_open(gn_metrics *m, const char *folder, int64_t step, int epochs, genet_error *err)
{
    genet_status status = GENET_OK;
    unsigned char *bytes = NULL;
    size_t n = 0;
    gn_text kept = {.limit = MAX_FILE};
    *m = (gn_metrics){.jsonl = gn_path_join(folder, "metrics.jsonl"), .csv = gn_path_join(folder, "metrics.csv")};
    if (!m->jsonl || !m->csv) {
        status = gn_fail_memory(err, strlen(folder), "the names of the metrics files");
        goto out;
    }
    if (gn_file_exists(m->jsonl))
        GN_TRY(gn_file_read(m->jsonl, MAX_FILE, &bytes, &n, err));
    for (size_t at = 0; at < n;) {
        const char *text = (const char *)bytes + at, *end = memchr(text, '\n', n - at);
        line l;
        if (!end)
            break;
        size_t length = (size_t)(end - text);
        bool ours = parse_line(text, length, &l);
        if (l.no_memory) {
            status = gn_fail_memory(err, length, "a record of metrics.jsonl");
            goto out;
        }
        if (ours && (l.is_epoch ? l.epoch.epoch <= epochs : l.epoch.step <= step)) {
            gn_text_put(&kept, text, length + 1);
            if (l.is_epoch)
                GN_TRY(remember(m, &l.epoch, err));
        }
        at += length + 1;
    }
    if (kept.failed)
        status = gn_fail_memory(err, n, "metrics.jsonl");
    else if (kept.length != n)
        status = gn_file_write(m->jsonl, kept.data, kept.length, err);
    if (status == GENET_OK && m->count)
        status = write_csv(m, err);
out:
    gn_free(bytes);
    gn_text_free(&kept);
    if (status != GENET_OK)
        gn_metrics_free(m);
    return status;
}

void gn_metrics_free(gn_metrics *m)
{
    gn_free(m->jsonl);
    gn_free(m->csv);
    gn_free(m->epochs);
    *m = (gn_metrics){0};
}

/* --- writing --------------------------------------------------------------------------------------------------------- */

/* A record that was cut off by a full disk is left behind as a line of its own. */
static genet_status append(gn_metrics *m, gn_text *t, genet_error *err)
{
    gn_text_add(t, "}\n");
    genet_status status = t->failed ? gn_fail_memory(err, t->length, "a record") : GENET_OK;
    if (status == GENET_OK && m->torn)
        status = gn_file_append(m->jsonl, "\n", 1, err);
    if (status == GENET_OK)
        status = gn_file_append(m->jsonl, t->data, t->length, err);
    m->torn = status != GENET_OK;
    gn_text_free(t);
    return status;
}

genet_status gn_metrics_step(gn_metrics *m, const gn_step_record *r, genet_error *err)
{
    gn_text t = {0};
    gn_text_add(&t, "{\"kind\":\"step\",\"epoch\":%d,\"step\":%lld,\"rate\":", r->epoch, (long long)r->step);
    put_number(&t, r->rate, "null");
    gn_text_add(&t, ",\"loss\":");
    put_number(&t, r->loss, "null");
    gn_text_add(&t, ",\"seconds\":%.3f,\"images_per_second\":%.2f,\"data_wait\":%.4f", r->seconds, r->images_per_second,
                r->data_wait);
    return append(m, &t, err);
}

genet_status gn_metrics_epoch(gn_metrics *m, const gn_epoch_record *r, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_text t = {0};
    gn_text_add(&t, "{\"kind\":\"epoch\",\"epoch\":%d,\"step\":%lld,\"best\":%s", r->epoch, (long long)r->step,
                r->best ? "true" : "false");
    for (size_t i = 0; i < NUMBERS; i++) {
        gn_text_add(&t, ",\"%s\":", numbers[i].key);
        put_member(&t, r, i, "null");
    }
    GN_TRY(remember(m, r, err));
    GN_TRY(append(m, &t, err));
    GN_TRY(write_csv(m, err));
out:
    gn_text_free(&t);
    return status;
}
