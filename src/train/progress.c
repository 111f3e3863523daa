/* SPDX-License-Identifier: Apache-2.0
 * Progress as JSON: one table of members serves both ways. Doubles are written so that they read back to the same bits. */
#include "train/progress.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"

typedef enum kind { COUNT, NUMBER, LARGE } kind; /* int, double, int64_t */

static const struct {
    const char *key;
    kind kind;
    size_t offset;
} members[] = {
#define MEMBER(name, kind) {#name, kind, offsetof(gn_train_progress, name)}
    MEMBER(step, LARGE), MEMBER(epochs_done, COUNT), MEMBER(best_epoch, COUNT), MEMBER(best_top1, NUMBER),
    MEMBER(best_loss, NUMBER), MEMBER(rate_scale, NUMBER), MEMBER(rewinds, COUNT), MEMBER(loss_sum, NUMBER),
    MEMBER(images, LARGE), MEMBER(hits, LARGE), MEMBER(window_loss, NUMBER), MEMBER(window_images, LARGE),
    MEMBER(val_loss, NUMBER), MEMBER(val_top1, NUMBER), MEMBER(val_top5, NUMBER), MEMBER(ema_top1, NUMBER),
    MEMBER(ema_top5, NUMBER),
#undef MEMBER
};
#define MEMBERS (sizeof members / sizeof members[0])

void gn_progress_start(gn_train_progress *p)
{
    *p = (gn_train_progress){.best_top1 = NAN, .best_loss = NAN, .rate_scale = 1, .val_loss = NAN, .val_top1 = NAN,
                             .val_top5 = NAN, .ema_top1 = NAN, .ema_top5 = NAN};
}

void gn_progress_next_epoch(gn_train_progress *p)
{
    p->loss_sum = p->window_loss = 0;
    p->images = p->hits = p->window_images = 0;
}

void gn_progress_json(const gn_train_progress *p, gn_text *out)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        const char *at = (const char *)p + members[i].offset;
        gn_text_add(out, "%s\"%s\":", i ? "," : "{", members[i].key);
        if (members[i].kind == COUNT)
            gn_text_add(out, "%d", *(const int *)at);
        else if (members[i].kind == LARGE)
            gn_text_add(out, "%lld", (long long)*(const int64_t *)at);
        else if (isfinite(*(const double *)at))
            gn_json_put_double(out, *(const double *)at);
        else
            gn_text_add(out, "null");
    }
    gn_text_add(out, "}");
}

static void read_member(gn_json *j, size_t i, gn_train_progress *p)
{
    char *at = (char *)p + members[i].offset;
    int64_t n = 0;
    if (members[i].kind == NUMBER) {
        *(double *)at = NAN;
        if (gn_json_peek(j) == 'n')
            gn_json_skip(j);
        else
            gn_json_number(j, (double *)at);
        return;
    }
    if (gn_json_int(j, &n) && (n < 0 || (members[i].kind == COUNT && n > 1000000000)))
        gn_json_fail(j, "a count is out of range");
    if (members[i].kind == COUNT)
        *(int *)at = (int)n;
    else
        *(int64_t *)at = n;
}

genet_status gn_progress_parse(gn_train_progress *p, const char *json, const char *path, genet_error *err)
{
    gn_json j;
    char *key;
    bool seen[MEMBERS] = {false};
    gn_progress_start(p);
    gn_json_start(&j, json, strlen(json));
    gn_json_object(&j);
    while (gn_json_key(&j, &key)) {
        size_t i = 0;
        while (i < MEMBERS && strcmp(key, members[i].key))
            i++;
        if (i < MEMBERS)
            read_member(&j, i, p);
        else
            gn_json_skip(&j);
        if (i < MEMBERS)
            seen[i] = true;
        gn_free(key);
    }
    gn_json_end(&j);
    for (size_t i = 0; i < MEMBERS && !j.fault; i++)
        if (!seen[i])
            return gn_fail(err, GENET_FORMAT, "%s: genet.progress lacks \"%s\": it cannot be resumed", path, members[i].key);
    if (!j.fault && !(p->rate_scale > 0))
        gn_json_fail(&j, "rate_scale is no positive number");
    return j.fault ? gn_fail(err, gn_json_status(&j), "%s: genet.progress: %s", path, j.fault) : GENET_OK;
}
