/* SPDX-License-Identifier: Apache-2.0
 * Scoring a model on a labelled set: every image exactly once. */
#ifndef GENET_EVALUATE_H
#define GENET_EVALUATE_H
#include <stdint.h>
#include "genet/config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct genet_class_score {
    const char *name;
    int64_t images, predicted, correct; /* true images of the class, images given to it, both */
    double precision, recall, f1;       /* 0..1; NaN where undefined */
} genet_class_score;
typedef struct genet_confusion {
    int truth, predicted; /* class indices */
    int64_t images;
} genet_confusion;

/* top1, top5 and their Wilson 95 % intervals in 0..1. pairs: the most frequent confusions, most frequent first. */
typedef struct genet_evaluation {
    int64_t images, skipped;
    double top1, top1_low, top1_high, top5, top5_low, top5_high, loss;
    double macro_recall, macro_f1; /* over classes that have images */
    int class_count, pair_count;
    const genet_class_score *classes;
    const genet_confusion *pairs;
    double seconds;
    const char *notes; /* what was resampled, missing, skipped; lines, "" where nothing */
} genet_evaluation;

/* Reads "model" and "data" (and batch, threads, size, fit, ...) from the settings. progress (may be NULL) is told the
 * images done and in all. Free the result with genet_evaluation_free. */
GENET_API genet_status genet_evaluate(const genet_config *config, void (*progress)(void *user, int64_t done, int64_t all),
                                      void *user, genet_evaluation **result, genet_error *error);
GENET_API void genet_evaluation_free(genet_evaluation *result);

#ifdef __cplusplus
}
#endif
#endif
