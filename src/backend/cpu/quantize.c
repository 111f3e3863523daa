/* SPDX-License-Identifier: Apache-2.0
 * 8-bit inference where oneDNN does not do it all: maps to u8; and around a convolution that oneDNN computes in f32 (no
 * 8-bit multiply-add on this CPU), u8 to whole f32 numbers before it (phase 0) and scale, bias, sum and ReLU behind it
 * (phase 1). Sums of whole numbers are exact in f32 up to 2^24; larger ones round. */
#include "backend/cpu/pass.h"

/* Whole numbers 0..255 nearest to v, ties to even; 0 for a NaN. Above 2^23 f32 has no fractions: adding it rounds. */
static INLINE ivec to_u8(vec v)
{
    const vec shift = same(12582912.0f); /* 1.5 * 2^23 */
    v = keep(v, v > 0);
    v = choose(v < 255, v, same(255));
    return __builtin_convertvector((v + shift) - shift, ivec);
}

void KERNEL(QUANTIZE)(const gn_job *j, int phase, int me, int all)
{
    const range mine = share(j->tin[0]->count, GN_ROW_UNIT, me, all);
    const vec scale = same(j->attr->scale);
    const map_t *x = j->in[0];
    uint8_t *q = j->out[0];
    (void)phase;
    EACH_VECTOR(e, n, mine.begin, mine.end, store_b(q + e, to_u8(load(x + e, n) / scale), n));
}

static void widen_bytes(const gn_job *j, int me, int all)
{
    const range mine = share(j->tin[0]->count, GN_ROW_UNIT, me, all);
    const uint8_t *x = j->in[0];
    EACH_VECTOR(e, n, mine.begin, mine.end, store_f(j->shared + e, __builtin_convertvector(load_b(x + e, n), vec), n));
}

/* One pixel: sums (C) to y. */
static INLINE void finish_pixel(const gn_job *j, const float *scale, const float *bias, const float *sums, int64_t at, int64_t c,
                                int n, bool bytes)
{
    vec v = muladd(load_f(sums + c, n), row_get(scale, c), row_get(bias, c));
    if (j->in[4])
        v += load((const map_t *)j->in[4] + at + c, n);
    if (j->attr->relu)
        v = positive(v);
    if (bytes)
        store_b((uint8_t *)j->out[0] + at + c, to_u8(v / same(j->attr->scale)), n);
    else
        store((map_t *)j->out[0] + at + c, v, n);
}

void KERNEL(CONV_INT8)(const gn_job *j, int phase, int me, int all)
{
    const map y = map_of(j->tout[0]);
    const float *sums = gn_kernel_sums(j);
    const range mine = share(y.count, 1, me, all);
    if (phase == 0) {
        widen_bytes(j, me, all);
        return;
    }
    const float *scale = padded(j, me, 0, j->in[2], y.c), *bias = padded(j, me, 1, j->in[3], y.c);
    for (int64_t p = mine.begin; p < mine.end; p++) {
        if (j->tout[0]->dtype == GN_U8)
            EACH_VECTOR(c, n, 0, y.c, finish_pixel(j, scale, bias, sums + p * y.c, p * y.c, c, n, true));
        else
            EACH_VECTOR(c, n, 0, y.c, finish_pixel(j, scale, bias, sums + p * y.c, p * y.c, c, n, false));
    }
}
