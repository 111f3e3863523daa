/* SPDX-License-Identifier: Apache-2.0
 * RUN/metrics.jsonl: one record an epoch and some of steps between, appended; RUN/metrics.csv: the epochs as a table,
 * written anew from them. The values but for the times (seconds, images_per_second, data_wait) depend on the run alone: a
 * resumed run cuts off what lies behind its checkpoint and writes the same again. */
#ifndef GN_TRAIN_METRICS_H
#define GN_TRAIN_METRICS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

/* Shares in 0..1; NaN where there is none. */
typedef struct gn_epoch_record {
    int epoch;
    int64_t step; /* updates done after it */
    double rate, train_loss, train_top1, val_loss, val_top1, val_top5, ema_loss, ema_top1, ema_top5;
    bool best;
    double seconds, images_per_second, data_wait;
} gn_epoch_record;

typedef struct gn_step_record {
    int epoch;
    int64_t step;
    double rate, loss; /* mean over the images since the record before */
    double seconds, images_per_second, data_wait;
} gn_step_record;

typedef struct gn_metrics {
    char *jsonl, *csv;
    gn_epoch_record *epochs;
    int count, capacity;
    bool torn; /* the last append failed */
} gn_metrics;

/* Takes up the records in a folder up to this step and epoch and drops the others, torn lines too. */
genet_status gn_metrics_open(gn_metrics *m, const char *folder, int64_t step, int epochs, genet_error *err);
void gn_metrics_free(gn_metrics *m); /* safe on a zeroed one */
genet_status gn_metrics_step(gn_metrics *m, const gn_step_record *r, genet_error *err);
genet_status gn_metrics_epoch(gn_metrics *m, const gn_epoch_record *r, genet_error *err);
#endif
