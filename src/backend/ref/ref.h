/* SPDX-License-Identifier: Apache-2.0
 * Private to backend/ref: what one operation sees when it runs.
 *
 * The rule of precision, for every operation and both storage types: operands are read as they are stored, everything
 * is computed in double, every result is rounded once when it is stored. So sums of any length lose nothing to float,
 * the sign of a*y+b (the ReLU masks) is that of the exact value, and the float version gives the double version's
 * results rounded. bf16 maps are widened to float before an operation and rounded to nearest-even after it (ref.c).
 * The only exception is INPUT, which ops.def defines in f32.
 *
 * The operations are written once, in the .inc files, with `real` for the storage type; ref_f32.c and ref_f64.c
 * include them. Channels are the innermost loop everywhere. */
#ifndef GN_BACKEND_REF_REF_H
#define GN_BACKEND_REF_REF_H
#include "backend/backend.h"

/* Rows of `width` doubles that an operation may use as accumulators. */
#define GN_REF_ROWS 5

typedef struct gn_ref_call {
    const gn_attr *attr;
    const gn_tensor *tin[GN_MAX_IN], *tout[GN_MAX_OUT]; /* shapes; NULL where the operand is absent */
    const void *in[GN_MAX_IN];                          /* memory; NULL where absent */
    void *out[GN_MAX_OUT];
    double *rows;   /* GN_REF_ROWS rows of `width` doubles */
    size_t width;   /* at least the channels of any operand */
    void *packed;   /* room for the step's weights, in the storage type */
} gn_ref_call;

typedef void gn_ref_function(const gn_ref_call *k);
extern gn_ref_function *const gn_ref_f32_functions[GN_OP_COUNT];
extern gn_ref_function *const gn_ref_f64_functions[GN_OP_COUNT];
void gn_ref_f32_sgd(const gn_sgd *sgd);
void gn_ref_f64_sgd(const gn_sgd *sgd);

/* A map (N,H,W,C), or a rank-2 tensor (N,C) as (N,1,1,C). pixels = H*W, count = N*H*W (the M of ops.def). */
typedef struct gn_ref_map {
    int64_t n, h, w, c, pixels, count;
} gn_ref_map;

static inline gn_ref_map gn_ref_map_of(const gn_tensor *t)
{
    gn_ref_map m = {t->dim[0], 1, 1, t->dim[1], 1, t->dim[0]};
    if (t->rank == 4) {
        m.h = t->dim[1];
        m.w = t->dim[2];
        m.c = t->dim[3];
        m.pixels = m.h * m.w;
        m.count = m.n * m.pixels;
    }
    return m;
}

/* Accumulator row i, set to zero over c channels. */
static inline double *gn_ref_row(const gn_ref_call *k, int i, int64_t c)
{
    double *row = k->rows + (size_t)i * k->width;
    for (int64_t j = 0; j < c; j++)
        row[j] = 0;
    return row;
}

/* max(0, v); a NaN passes. */
static inline double gn_ref_relu(double v)
{
    return v < 0 ? 0 : v;
}
#endif
