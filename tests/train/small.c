/* SPDX-License-Identifier: Apache-2.0 */
#include "small.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "train/train.h"

char small_root[64];

const char *small_path(const char *name)
{
    static char buffers[8][SMALL_PATH];
    static int next;
    char *path = buffers[next++ % 8];
    snprintf(path, SMALL_PATH, "%s/%s", small_root, name);
    return path;
}

int small_make(void **state)
{
    genet_error err;
    (void)state;
    snprintf(small_root, sizeof small_root, "/tmp/genet-train-XXXXXX");
    assert_non_null(mkdtemp(small_root));
    if (genet_data_draw_shelf(small_path("data"), 4, 100, 40, 7, &err) != GENET_OK)
        fail_msg("%s", err.text);
    return 0;
}

int small_done(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", small_root);
    return system(command) == 0 ? 0 : 1;
}

/* --- callbacks ----------------------------------------------------------------------------------------------------------- */

static void on_table(void *user, const char *const *names, const char *const *values, size_t rows)
{
    small_seen *s = user;
    s->rows = (int)rows;
    for (size_t i = 0; i < rows; i++) {
        size_t at = strlen(s->table);
        snprintf(s->table + at, sizeof s->table - at, "%s: %s\n", names[i], values[i]);
    }
}

static void on_progress(void *user, const genet_progress *p)
{
    (void)p;
    ((small_seen *)user)->progress++;
}

static void on_epoch(void *user, const genet_epoch_report *r)
{
    small_seen *s = user;
    s->epochs++;
    if (s->fault_after_epoch == r->epoch)
        gn_fault_arm_from(GN_FAULT_WRITE, 1);
}

static void on_log(void *user, genet_log_level level, const char *line)
{
    small_seen *s = user;
    size_t at = strlen(s->log);
    s->warnings += level == GENET_LOG_WARNING;
    snprintf(s->log + at, sizeof s->log - at, "%s\n", line);
}

static int on_stop(void *user)
{
    small_seen *s = user;
    uint64_t now = gn_alloc_count();
    if (s->stop_calls++ && now - s->allocations < s->least_allocations)
        s->least_allocations = now - s->allocations;
    s->allocations = now;
    return s->stop_at && s->stop_calls >= s->stop_at;
}

/* --- running --------------------------------------------------------------------------------------------------------------- */

static void set(gn_settings *s, const char *key, const char *value)
{
    genet_error err;
    if (gn_settings_set(s, key, value, NULL, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

static genet_status run(gn_settings *s, small_seen *seen, genet_train_result *result, va_list pairs, genet_error *err)
{
    small_seen unseen = {0};
    for (const char *key; (key = va_arg(pairs, const char *)) != NULL;)
        set(s, key, va_arg(pairs, const char *));
    seen = seen ? seen : &unseen;
    seen->least_allocations = UINT64_MAX;
    genet_train_callbacks callbacks = {.user = seen, .table = on_table, .progress = on_progress, .epoch = on_epoch,
                                       .log = on_log, .stop_requested = on_stop};
    genet_status status = gn_train(s, &callbacks, result, err);
    gn_settings_free(s);
    return status;
}

genet_status small_train(const char *out, small_seen *seen, genet_train_result *result, genet_error *err, ...)
{
    static const char *const small[][2] = {{"depth", "26"}, {"width", "0.0625"}, {"size", "32"}, {"batch", "8"},
                                           {"epochs", "2"}, {"backend", "ref"}, {"threads", "2"}, {"loader-threads", "2"},
                                           {"rate", "0.05"}, {"amp", "off"}};
    gn_settings *s;
    va_list pairs;
    assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        set(s, small[i][0], small[i][1]);
    set(s, "data", small_path("data/train"));
    set(s, "val", small_path("data/val"));
    set(s, "out", small_path(out));
    va_start(pairs, err);
    genet_status status = run(s, seen, result, pairs, err);
    va_end(pairs);
    return status;
}

genet_status small_resume(const char *out, small_seen *seen, genet_error *err, ...)
{
    gn_settings *s;
    va_list pairs;
    assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
    set(s, "resume", small_path(out));
    va_start(pairs, err);
    genet_status status = run(s, seen, NULL, pairs, err);
    va_end(pairs);
    return status;
}

/* --- looking at results ------------------------------------------------------------------------------------------------------ */

void small_load(gn_checkpoint *c, const char *out, const char *name)
{
    genet_error err;
    char path[SMALL_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", small_path(out), name);
    memset(c, 0, sizeof *c);
    if (gn_checkpoint_load(c, path, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

static int same_weights(const gn_weights *a, const gn_weights *b)
{
    return memcmp(a->params, b->params, (size_t)a->table->param_count * 4) == 0 &&
           memcmp(a->state, b->state, (size_t)a->table->state_count * 4) == 0;
}

int small_equal(const gn_checkpoint *a, const gn_checkpoint *b)
{
    if (!same_weights(&a->weights, &b->weights) || a->has_ema != b->has_ema || !a->momentum != !b->momentum)
        return 0;
    if (a->has_ema && !same_weights(&a->ema, &b->ema))
        return 0;
    if (a->momentum && memcmp(a->momentum, b->momentum, (size_t)a->model->weights.param_count * 4))
        return 0;
    return strcmp(a->progress, b->progress) == 0;
}

char *small_metrics(const char *out)
{
    genet_error err;
    unsigned char *text;
    size_t bytes;
    char path[SMALL_PATH + 64];
    snprintf(path, sizeof path, "%s/metrics.jsonl", small_path(out));
    if (gn_file_read(path, 1 << 24, &text, &bytes, &err) != GENET_OK)
        fail_msg("%s", err.text);
    char *to = (char *)text;
    for (char *line = (char *)text; *line;) {
        char *end = strchr(line, '\n'), *times = strstr(line, ",\"seconds\"");
        size_t kept = (size_t)((times && times < end ? times : end) - line);
        memmove(to, line, kept);
        to += kept;
        *to++ = '\n';
        line = end + 1;
    }
    *to = '\0';
    return (char *)text;
}
