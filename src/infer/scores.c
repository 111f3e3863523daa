/* SPDX-License-Identifier: Apache-2.0
 * Scores: top-1, top-5, loss, confusion, precision, recall, F1, and the run over a loader that adds them up. */
#include "infer/scores.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

genet_status gn_scores_create(gn_scores *s, int classes, genet_error *err)
{
    *s = (gn_scores){.classes = classes};
    s->confusion = gn_calloc((size_t)classes * (size_t)classes, sizeof *s->confusion);
    if (!s->confusion)
        return gn_fail_memory(err, (size_t)classes * (size_t)classes * sizeof *s->confusion, "the confusion matrix");
    return GENET_OK;
}

void gn_scores_free(gn_scores *s)
{
    gn_free(s->confusion);
    *s = (gn_scores){0};
}

void gn_scores_reset(gn_scores *s)
{
    if (s->confusion)
        memset(s->confusion, 0, (size_t)s->classes * (size_t)s->classes * sizeof *s->confusion);
    s->images = s->top1 = s->top5 = 0;
    s->loss_sum = 0;
}

/* Whether class a comes before class b. */
static int before(const float *logits, int a, int b)
{
    float x = logits[a], y = logits[b];
    int x_known = isfinite(x), y_known = isfinite(y);
    if (x_known != y_known)
        return x_known;
    if (x_known && x != y)
        return x > y;
    return a < b;
}

int gn_rank_of(const float *logits, int classes, int label)
{
    int rank = 0;
    for (int k = 0; k < classes; k++)
        rank += k != label && before(logits, k, label);
    return rank;
}

void gn_scores_add(gn_scores *s, const float *logits, int label)
{
    int best = 0;
    double sum = 0;
    for (int k = 1; k < s->classes; k++)
        if (before(logits, k, best))
            best = k;
    for (int k = 0; k < s->classes; k++)
        sum += exp((double)logits[k] - (double)logits[best]);
    int rank = gn_rank_of(logits, s->classes, label);
    s->loss_sum += log(sum) - ((double)logits[label] - (double)logits[best]);
    s->top1 += rank == 0;
    s->top5 += rank < 5;
    if (s->confusion)
        s->confusion[(int64_t)label * s->classes + best]++;
    s->images++;
}

static double share(int64_t part, int64_t all)
{
    return all ? (double)part / (double)all : NAN;
}

double gn_scores_top1(const gn_scores *s)
{
    return share(s->top1, s->images);
}

double gn_scores_top5(const gn_scores *s)
{
    return share(s->top5, s->images);
}

double gn_scores_loss(const gn_scores *s)
{
    return s->images ? s->loss_sum / (double)s->images : NAN;
}

gn_class_counts gn_scores_class(const gn_scores *s, int c)
{
    gn_class_counts n = {.correct = s->confusion[(int64_t)c * s->classes + c]};
    for (int k = 0; k < s->classes; k++) {
        n.images += s->confusion[(int64_t)c * s->classes + k];
        n.predicted += s->confusion[(int64_t)k * s->classes + c];
    }
    return n;
}

double gn_precision(gn_class_counts c)
{
    return share(c.correct, c.predicted);
}

double gn_recall(gn_class_counts c)
{
    return share(c.correct, c.images);
}

double gn_f1(gn_class_counts c)
{
    return share(2 * c.correct, c.images + c.predicted);
}

void gn_wilson(int64_t hits, int64_t all, double *low, double *high)
{
    const double z = 1.959963984540054; /* 97.5 % point of the normal distribution */
    *low = 0;
    *high = 1;
    if (all == 0)
        return;
    double n = (double)all, p = (double)hits / n, scale = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / scale;
    double half = z / scale * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *low = hits == 0 ? 0 : middle - half;
    *high = hits == all ? 1 : middle + half;
}

genet_status gn_scores_run(gn_scores *s, const gn_scoring *run, genet_error *err)
{
    genet_status status = GENET_OK;
    const float *logits = gn_exec_data(run->exec, run->plan->logits);
    int64_t done = 0;
    gn_batch *batch = NULL;
    GN_TRY(gn_loader_seek(run->loader, 0, 0, gn_loader_batches(run->loader), err));
    gn_exec_weights_changed(run->exec);
    for (;;) {
        GN_TRY(gn_loader_next(run->loader, &batch, NULL, err));
        if (!batch)
            break;
        gn_exec_bind(run->exec, run->plan->pixels, batch->pixels);
        gn_exec_bind(run->exec, run->plan->mix, batch->mix);
        GN_TRY(gn_exec_run(run->exec, GN_FORWARD, err));
        for (int i = 0; i < batch->count; i++)
            if (batch->labels[2 * i] >= 0)
                gn_scores_add(s, logits + (int64_t)i * s->classes, batch->labels[2 * i]);
        done += batch->count;
        gn_loader_release(run->loader, batch);
        batch = NULL;
        if (run->progress)
            run->progress(run->user, done, run->all);
        if (run->stop && run->stop(run->user)) {
            status = gn_fail(err, GENET_INTERRUPTED, "stopped while scoring, after %lld of %lld images", (long long)done,
                             (long long)run->all);
            break;
        }
    }
out:
    if (batch)
        gn_loader_release(run->loader, batch);
    return status;
}
