/* SPDX-License-Identifier: Apache-2.0
 * How far a training has come: everything besides weights, average, momentum and statistics that a resumed run needs.
 * It travels as genet.progress in the checkpoint. */
#ifndef GN_TRAIN_PROGRESS_H
#define GN_TRAIN_PROGRESS_H
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"

typedef struct gn_train_progress {
    int64_t step;           /* updates done */
    int epochs_done;        /* epochs whose validation lies behind; the running epoch is the next */
    int best_epoch;         /* 0: none */
    double best_top1, best_loss;
    double rate_scale;      /* halved by every rewind */
    int rewinds;
    /* the running epoch */
    double loss_sum;        /* over its images */
    int64_t images, hits;
    double window_loss;     /* since the last step record */
    int64_t window_images;
    /* results of the last validation, NaN without one; for people (`genet info`) */
    double val_loss, val_top1, val_top5, ema_top1, ema_top5;
} gn_train_progress;

void gn_progress_start(gn_train_progress *p);
/* Sums of the running epoch back to zero. */
void gn_progress_next_epoch(gn_train_progress *p);
void gn_progress_json(const gn_train_progress *p, gn_text *out);
/* Reads what gn_progress_json wrote; path names the file in messages. */
genet_status gn_progress_parse(gn_train_progress *p, const char *json, const char *path, genet_error *err);
#endif
