/* SPDX-License-Identifier: Apache-2.0
 * RUN/curves.svg: loss, accuracy and learning rate of a run, drawn anew after every epoch. */
#ifndef GN_TRAIN_CURVES_H
#define GN_TRAIN_CURVES_H
#include "train/metrics.h"
#include "train/train.h"

typedef struct gn_curves {
    const char *title, *subtitle;
    const gn_epoch_record *epochs; /* in order */
    int count;
    int all_epochs;                /* of the whole run */
    const gn_schedule *schedule;
    int64_t steps_per_epoch;
    double rate_scale;             /* what rewinds made of the rate */
    bool smoothed;                 /* the training loss has smoothed labels, the validation loss has not */
} gn_curves;
genet_status gn_curves_write(const gn_curves *c, const char *path, genet_error *err);
#endif
