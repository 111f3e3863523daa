/* SPDX-License-Identifier: Apache-2.0
 * Training: the loop is train.c, readable from top to bottom. */
#ifndef GN_TRAIN_TRAIN_H
#define GN_TRAIN_TRAIN_H
#include "config/settings.h"
#include "data/dataset.h"
#include "genet/train.h"
#include "infer/session.h"

/* Learning rate of update `step` (0-based) of `steps`: schedules of the published code and the usual ones. */
typedef struct gn_schedule {
    int kind; /* GN_CHOICE_SCHEDULE_* */
    double rate, rate_end, factor;
    int64_t steps, warmup_steps;
    const int64_t *drops; /* step: updates at which the rate is multiplied by factor */
    int drop_count;
} gn_schedule;
double gn_schedule_rate(const gn_schedule *s, int64_t step);

/* Runs a whole training from settings. stop points to a flag the caller's signal handler sets: 1 finish the step, save and
 * return GENET_INTERRUPTED. */
genet_status gn_train(const gn_settings *settings, const genet_train_callbacks *callbacks, genet_train_result *result,
                      genet_error *err);

/* Scores of an evaluation, counts a class and a pair. */
typedef struct gn_scores {
    int classes;
    int64_t images, top1, top5, skipped;
    double loss;                       /* mean, without smoothing */
    int64_t *confusion;                /* (classes, classes): [true][predicted] */
} gn_scores;
genet_status gn_scores_create(gn_scores *s, int classes, genet_error *err);
void gn_scores_free(gn_scores *s);
void gn_scores_reset(gn_scores *s);
/* Adds one image. Ties: the lower class index wins. */
void gn_scores_add(gn_scores *s, const float *logits, int label);
#endif
