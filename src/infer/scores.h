/* SPDX-License-Identifier: Apache-2.0
 * Counting what a classifier got right. */
#ifndef GN_INFER_SCORES_H
#define GN_INFER_SCORES_H
#include <stdint.h>
#include "data/loader.h"
#include "exec/exec.h"

/* Scores of an evaluation. Zero before gn_scores_create. */
typedef struct gn_scores {
    int classes;
    int64_t images, top1, top5;
    double loss_sum;    /* cross entropy without smoothing, summed over images */
    int64_t *confusion; /* (classes, classes): [true][predicted]; NULL where it is not wanted ({.classes = n} suffices) */
} gn_scores;
genet_status gn_scores_create(gn_scores *s, int classes, genet_error *err);
void gn_scores_free(gn_scores *s); /* safe on a zeroed one */
void gn_scores_reset(gn_scores *s);
/* Adds one image with its `classes` logits. Ties: the lower class index wins. A logit that is not finite counts as
 * smaller than every number; the loss is then not finite either. */
void gn_scores_add(gn_scores *s, const float *logits, int label);
double gn_scores_top1(const gn_scores *s); /* 0..1; NaN without images */
double gn_scores_top5(const gn_scores *s);
double gn_scores_loss(const gn_scores *s);

/* Images of class c, images predicted as c, both. */
typedef struct gn_class_counts {
    int64_t images, predicted, correct;
} gn_class_counts;
gn_class_counts gn_scores_class(const gn_scores *s, int c);
/* NaN where undefined: precision without a prediction, recall without an image, F1 without either. */
double gn_precision(gn_class_counts c);
double gn_recall(gn_class_counts c);
double gn_f1(gn_class_counts c);
/* Wilson's score interval of a share, 95 %. (0,1) without images. */
void gn_wilson(int64_t hits, int64_t all, double *low, double *high);

/* Number of classes whose logit comes before that of `label`; 0: the label wins. */
int gn_rank_of(const float *logits, int classes, int label);

/* Runs an evaluation plan over every image of a loader exactly once and adds them up. All are borrowed; progress and stop
 * may be NULL; nonzero from stop ends it with GENET_INTERRUPTED. */
typedef struct gn_scoring {
    gn_exec *exec;
    const gn_plan *plan;
    gn_loader *loader;
    int64_t all; /* images, for progress */
    void (*progress)(void *user, int64_t done, int64_t all);
    int (*stop)(void *user);
    void *user;
} gn_scoring;
genet_status gn_scores_run(gn_scores *s, const gn_scoring *run, genet_error *err);
#endif
