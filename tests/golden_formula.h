/* SPDX-License-Identifier: Apache-2.0
 * The values of the golden vectors: every weight, input and label is a function of a name and an index
 * (README of the vectors, section 1). Shared by the tests of networks, formats and training. */
#ifndef GOLDEN_FORMULA_H
#define GOLDEN_FORMULA_H
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/weights.h"

static inline uint64_t golden_hash(const char *name, uint64_t i)
{
    return gn_mix64(gn_fnv1a(GN_FNV_START, name, strlen(name)) + i);
}

/* Uniform in [-1, 1), exact in float. */
static inline double golden_u(const char *name, uint64_t i)
{
    return (double)(golden_hash(name, i) >> 40) / 16777216.0 * 2 - 1;
}

/* Value i of a weight under the PyTorch vectors' rules: computed in double, rounded once to float. `residual` scales gammas. */
static inline float golden_value(const gn_weight *w, const char *name, int64_t i, double residual)
{
    double u = golden_u(name, (uint64_t)i);
    switch (w->kind) {
    case GN_KIND_MEAN: case GN_KIND_BETA: case GN_KIND_BIAS: return (float)(0.1 * u);
    case GN_KIND_VAR: return (float)(1 + 0.5 * u);
    case GN_KIND_GAMMA: return (float)(residual * (1 + 0.25 * u));
    default: return (float)(1.2 * sqrt(3.0 / (double)(w->count / w->dim[0])) * u);
    }
}

/* The same under the MindSpore vectors' rules (float arithmetic, gain 1.2 narrow, 1.0 full). */
static inline float golden_value_mindspore(const gn_weight *w, const char *name, int64_t i, double gain)
{
    float u = (float)golden_u(name, (uint64_t)i);
    switch (w->kind) {
    case GN_KIND_MEAN: case GN_KIND_BETA: case GN_KIND_BIAS: return 0.1f * u;
    case GN_KIND_VAR: return 1 + 0.5f * u;
    case GN_KIND_GAMMA: return 1 + 0.25f * u;
    default: return (float)(gain * sqrt(3.0 / (double)(w->count / w->dim[0]))) * u;
    }
}

static inline void golden_put(gn_weights *w, int index, int64_t i, float value)
{
    if (w->dtype == GN_F64)
        ((double *)gn_weights_at(w, index))[i] = value;
    else
        ((float *)gn_weights_at(w, index))[i] = value;
}

/* Fills all weights by their canonical names. */
static inline void golden_fill(gn_weights *w)
{
    for (int k = 0; k < w->table->count; k++)
        for (int64_t i = 0; i < w->table->items[k].count; i++)
            golden_put(w, k, i, golden_value(&w->table->items[k], w->table->items[k].name, i, 1.0));
}

/* Images first..first+n-1 of the endless NCHW stream `name`, written as NHWC of type t. */
static inline void golden_images(void *x, gn_dtype t, const char *name, int n, int first, int size)
{
    for (int64_t k = 0; k < n; k++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t i = 0; i < (int64_t)size * size; i++) {
                double v = 2 * golden_u(name, (uint64_t)((((first + k) * 3) + c) * size * size + i));
                int64_t at = (k * size * size + i) * 3 + c;
                if (t == GN_F64)
                    ((double *)x)[at] = v;
                else
                    ((float *)x)[at] = (float)v;
            }
}

/* (n,2) labels, both entries equal, and lambda 1. */
static inline void golden_labels(int32_t *labels, float *lambda, const char *name, int n, int first, int classes)
{
    for (int i = 0; i < n; i++) {
        labels[2 * i] = labels[2 * i + 1] = (int32_t)(golden_hash(name, (uint64_t)(first + i)) % (uint64_t)classes);
        lambda[i] = 1;
    }
}

/* Folder of golden vectors and photographs: $GENET_SHARED, else ../shared; NULL where it is absent. */
static inline const char *golden_shared(void)
{
    const char *folder = getenv("GENET_SHARED");
    if (!folder)
        folder = "../shared";
    char probe[4096];
    snprintf(probe, sizeof probe, "%s/golden/pytorch/networks.json", folder);
    FILE *f = fopen(probe, "rb");
    if (!f)
        return NULL;
    fclose(f);
    return folder;
}
#endif
