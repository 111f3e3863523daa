/* SPDX-License-Identifier: Apache-2.0
 * Training: the loop is train.c, readable from top to bottom. */
#ifndef GN_TRAIN_TRAIN_H
#define GN_TRAIN_TRAIN_H
#include "config/settings.h"
#include "genet/train.h"

/* Learning rate of update `step` (0-based) of `steps`: schedules of the published code and the usual ones. The first
 * warmup_steps rise linearly, rate*(step+1)/warmup_steps; the schedule proper spans the rest. */
typedef struct gn_schedule {
    int kind; /* GN_CHOICE_SCHEDULE_* */
    double rate, rate_end, factor;
    int64_t steps, warmup_steps;
    const int64_t *drops; /* step: updates at which the rate is multiplied by factor */
    int drop_count;
} gn_schedule;
double gn_schedule_rate(const gn_schedule *s, int64_t step);
/* The settings' schedule; fills drops (room for settings->step_epochs.count). */
gn_schedule gn_schedule_from(const gn_settings *s, int64_t steps_per_epoch, int64_t *drops);

/* Runs a whole training from settings; see genet_train. */
genet_status gn_train(const gn_settings *settings, const genet_train_callbacks *callbacks, genet_train_result *result,
                      genet_error *err);
#endif
