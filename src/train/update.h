/* SPDX-License-Identifier: Apache-2.0
 * What a training changes, and the update: momentum SGD on the weights, the average of weights and running statistics,
 * gradients added up over micro-batches. In f32, or in f64 for `ref` in double. */
#ifndef GN_TRAIN_UPDATE_H
#define GN_TRAIN_UPDATE_H
#include "backend/backend.h"
#include "model/weights.h"

typedef struct gn_update_options {
    double momentum, decay;
    bool nesterov;
    double ema_keep;    /* 0: no average */
    int accumulate;     /* micro-batches an update, >= 1 */
    bool freeze_body;   /* only the head is updated */
} gn_update_options;

typedef struct gn_update {
    const gn_backend *backend; /* borrowed, as is the device */
    void *device;
    gn_update_options options;
    gn_weights weights, ema;   /* ema.table is NULL where there is no average */
    void *momentum;            /* parameter slab layout */
    void *grads;               /* of the last micro-batch; what gn_exec writes */
    void *sums;                /* of the micro-batches so far; NULL where accumulate is 1 */
    int added;
    size_t slab_bytes;
    gn_segment *segments;      /* neighbours with equal rules joined */
    int segment_count;
} gn_update;

/* Zeroed weights, momentum and gradients for a table of weights (borrowed). */
genet_status gn_update_create(gn_update *u, const gn_backend *backend, void *device, const gn_weight_table *table,
                              gn_dtype dtype, const gn_update_options *options, genet_error *err);
void gn_update_free(gn_update *u); /* safe on a zeroed one */
/* The average starts at the weights, momentum at zero; call after the weights were filled. */
void gn_update_start(gn_update *u);
/* Takes in the gradients of one micro-batch (of loss / accumulate). True when the update is due. */
bool gn_update_add(gn_update *u);
/* Drops micro-batches taken in since the last update. */
void gn_update_forget(gn_update *u);
/* One update with this rate: v = m*v + g + decay*w; w -= rate*v; average = keep*average + (1-keep)*w, running statistics
 * likewise. */
void gn_update_apply(gn_update *u, double rate);
size_t gn_update_bytes(const gn_update *u);
#endif
