/* SPDX-License-Identifier: Apache-2.0
 * How far backend cpu may be from ref in one step: a bound from the length of the step's sums and the types, never tuned. */
#ifndef TESTS_BACKEND_CPU_COMPARE_H
#define TESTS_BACKEND_CPU_COMPARE_H
#include <math.h>

#include "plan/plan.h"

/* Longest sum that a step keeps in f32: convolutions and dense layers their whole sum, everything else a tile of pixels (cpu adds
 * tiles in double). */
static inline double longest_sum(const gn_plan *p, const gn_step *s)
{
    const gn_tensor *a = &p->tensors[s->in[0] < 0 ? s->in[1] : s->in[0]];
    switch (s->op) {
    case GN_OP_CONV: case GN_OP_DWCONV: case GN_OP_DENSE: { /* w: C*R*S terms */
        const gn_tensor *w = &p->tensors[s->in[1]];
        return (double)(w->count / w->dim[0]);
    }
    case GN_OP_CONV_DX: case GN_OP_DWCONV_DX: case GN_OP_DENSE_DX: { /* K*R*S terms */
        const gn_tensor *w = &p->tensors[s->in[1]];
        return (double)(w->count / (w->rank > 1 ? w->dim[1] : 1));
    }
    case GN_OP_CONV_DW: case GN_OP_DWCONV_DW: { /* N*P*Q terms */
        const gn_tensor *dy = &p->tensors[s->in[1]];
        return (double)(dy->count / dy->dim[3]);
    }
    case GN_OP_DENSE_DW: case GN_OP_TAIL_DX:
        return (double)a->dim[0] * (a->rank == 4 ? (double)(a->dim[1] * a->dim[2]) : 1);
    default:
        return 32;
    }
}

/* The incoming gradient of a batch norm's backward step, whose terms may cancel: misses are measured against it too. -1: none. */
static inline int incoming(const gn_step *s)
{
    switch (s->op) {
    case GN_OP_BN_SUMS: case GN_OP_BN_DX: case GN_OP_BN_POOL_SUMS: case GN_OP_BN_POOL_DX: case GN_OP_TAIL_SUMS:
    case GN_OP_EXCITE_DX:
        return s->in[0];
    case GN_OP_TAIL_DX:
        return s->in[0] >= 0 ? s->in[0] : s->in[4];
    case GN_OP_TAIL_BN:
        return s->in[0] >= 0 ? s->in[0] : s->in[2];
    default:
        return -1;
    }
}

/* Allowed miss of an output where the largest magnitude (of it and of the incoming gradient) is `largest`. Sums: 2^-24 a term in
 * the worst order, of the largest result, and 64 roundings for the arithmetic around them. bf16 has 8 significant bits: 2^-8 for
 * the stored value; where weights are rounded to bf16 as well, each term is off by up to 2^-8 with its own sign, together at most
 * 4 * 2^-8 of the largest result. */
static inline double allowed_miss(const gn_plan *p, const gn_step *s, const gn_tensor *out, double largest)
{
    double f32 = ldexp(longest_sum(p, s) + 64, -24) * fmax(largest, 1e-3);
    bool weights = s->op == GN_OP_CONV || s->op == GN_OP_CONV_DX;
    if (p->map_type != GN_BF16)
        return f32;
    return f32 + (weights ? ldexp(5, -8) : out->dtype == GN_BF16 ? ldexp(1, -8) : 0) * largest;
}

/* Outputs that are read before they are written: running statistics, and outputs that share an input's place. */
static inline bool read_first(const gn_step *s, int output)
{
    bool reads = (s->op == GN_OP_BN_STATS || s->op == GN_OP_GATHER_STATS) && (output == 1 || output == 2);
    for (int i = 0; i < GN_MAX_IN; i++)
        reads = reads || s->in[i] == s->out[output];
    return reads;
}
#endif
