/* SPDX-License-Identifier: Apache-2.0
 * Training from settings, with callbacks for progress. */
#ifndef GENET_TRAIN_H
#define GENET_TRAIN_H
#include <stddef.h>
#include <stdint.h>
#include "genet/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a progress line says. Rates over the time since the last report. */
typedef struct genet_progress {
    int epoch, epochs;                 /* from 1 */
    int64_t step, steps;               /* in the epoch, from 1 */
    int64_t global_step, total_steps;  /* updates of the whole run */
    double loss, top1;                 /* mean over the epoch so far; top1 in 0..1, NaN with mixup */
    double step_loss;                  /* mean over the images of this step alone */
    double rate;                       /* learning rate */
    double images_per_second;
    double data_wait;                  /* share of the time spent waiting for images, 0..1 */
    double eta_seconds;                /* to the end of the run */
} genet_progress;

/* After an epoch's validation (or epoch without one: has_val 0). Shares in 0..1. */
typedef struct genet_epoch_report {
    int epoch, epochs, has_val, is_best, has_ema;
    double train_loss, train_top1, val_loss, val_top1, val_top5, ema_top1, ema_top5;
    double seconds, images_per_second, data_wait;
    int64_t bad_images;
} genet_epoch_report;

typedef enum genet_log_level { GENET_LOG_INFO, GENET_LOG_WARNING } genet_log_level;

/* Any member may be NULL. Called from the thread that called genet_train. stop_requested returns nonzero to finish the
 * step, save and return GENET_INTERRUPTED; save_requested returns nonzero to write a checkpoint now. table gets the rows of
 * the start table (network, parameters, MACs, memory, device, precision, classes, ...), once. */
typedef struct genet_train_callbacks {
    void *user;
    void (*table)(void *user, const char *const *names, const char *const *values, size_t rows);
    void (*progress)(void *user, const genet_progress *p);
    void (*epoch)(void *user, const genet_epoch_report *r);
    void (*log)(void *user, genet_log_level level, const char *line);
    int (*stop_requested)(void *user);
    int (*save_requested)(void *user);
} genet_train_callbacks;

typedef struct genet_train_result {
    int epochs_done;
    int64_t steps_done;
    double best_top1, final_top1, final_top5; /* of validation, NaN without one */
    double seconds;
    char best_model[4096], last_model[4096]; /* paths; empty where not written */
    int64_t peak_memory; /* bytes that the process held at most */
} genet_train_result;

/* Trains as the settings say. Returns GENET_INTERRUPTED after a stop with a checkpoint to resume from. */
GENET_API genet_status genet_train(const genet_config *config, const genet_train_callbacks *callbacks,
                                   genet_train_result *result, genet_error *error);

#ifdef __cplusplus
}
#endif
#endif
