/* SPDX-License-Identifier: Apache-2.0
 * The loader: threads fill a fixed ring of batches. What a batch holds is a function of (seed, epoch, batch number)
 * alone: the number of threads changes nothing, and any place of any epoch can be entered at once. */
#ifndef GN_DATA_LOADER_H
#define GN_DATA_LOADER_H
#include "data/dataset.h"
#include "image/prepare.h"

typedef struct gn_batch {
    unsigned char *pixels; /* u8 (batch, size, size, 3) */
    int32_t *labels;       /* (batch, 2): label, partner's label; label -1 in unused places of the last batch */
    float *lambda;         /* (batch) 1 without mixing */
    float *mix;            /* (batch, 6): partner lambda top left bottom right, see plan/ops.def INPUT */
    int64_t *samples;      /* index in the data set, -1 in unused places */
    int count;             /* places that belong to images of the set; in evaluation one of them is unused where the image
                              is broken */
    int64_t number;        /* batch number in its epoch */
    uint32_t epoch;
} gn_batch;

typedef struct gn_loader_options {
    int batch, threads, ring; /* threads: 0 = as many as cores; ring: batches in memory, 0 = 3 */
    bool training;       /* shuffled, augmented, incomplete last batch dropped; else in order, every image exactly once */
    uint64_t seed;
    gn_preprocess preprocess;
    gn_augment augment;
    double mixup, cutmix;
    bool strict;
} gn_loader_options;

typedef struct gn_loader gn_loader;
/* The data set is borrowed. Training needs at least one whole batch. Starts delivering nothing: call gn_loader_seek. */
genet_status gn_loader_create(gn_loader **l, const gn_dataset *d, const gn_loader_options *options, genet_error *err);
void gn_loader_free(gn_loader *l);
int64_t gn_loader_batches(const gn_loader *l); /* a epoch */
/* Starts delivering from this place, through `batches` batches (over epoch ends), dropping what was prepared. Batches
 * that the caller holds stay his. */
genet_status gn_loader_seek(gn_loader *l, uint32_t epoch, int64_t batch, int64_t batches, genet_error *err);
/* The next batch, waiting for it; it belongs to the caller until gn_loader_release. NULL after the last. A broken image
 * is replaced (training: by the next sample of the epoch's order that decodes; evaluation: its place becomes unused and
 * counts as skipped) and reported; with strict it is an error, which stays until the next seek. *waited (may be NULL):
 * seconds spent waiting. One thread may call next, release and seek. */
genet_status gn_loader_next(gn_loader *l, gn_batch **batch, double *waited, genet_error *err);
void gn_loader_release(gn_loader *l, gn_batch *batch);

/* Broken images found so far, each once: the i-th's sample and reason. Thread-safe. */
int64_t gn_loader_bad_count(const gn_loader *l);
bool gn_loader_bad(const gn_loader *l, int64_t i, int64_t *sample, char reason[256]);
#endif
