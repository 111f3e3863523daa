/* SPDX-License-Identifier: Apache-2.0
 * Depthwise convolutions and their gradients, local average pooling: the gathers of extents 2, 4, 8. Weights (C,1,R,S) are
 * packed once a run to (R*S,row_length(C)). */
#include "backend/cpu/pass.h"

typedef struct taps {
    int64_t r, s;
    int stride, top, left;
} taps;

static taps taps_of(const gn_job *j, const gn_tensor *w)
{
    return (taps){w->dim[2], w->dim[3], j->attr->stride, j->attr->pad[0], j->attr->pad[1]};
}

static void pack_taps(const gn_job *j, const float *w, int64_t channels, int64_t count, int me, int all)
{
    const range mine = share(row_length(channels), GN_ROW_UNIT, me, all);
    for (int64_t t = 0; t < count; t++)
        for (int64_t c = mine.begin; c < mine.end; c++)
            j->shared[t * row_length(channels) + c] = c < channels ? w[c * count + t] : 0;
}

void KERNEL(DWCONV)(const gn_job *j, int phase, int me, int all)
{
    const map in = map_of(j->tin[0]), out = map_of(j->tout[0]);
    const taps f = taps_of(j, j->tin[1]);
    const map_t *x = j->in[0];
    map_t *y = j->out[0];
    if (phase == 0) {
        pack_taps(j, j->in[1], in.c, f.r * f.s, me, all);
        return;
    }
    const range mine = share(out.n * out.h, 1, me, all);
    for (int64_t line = mine.begin; line < mine.end; line++)
        for (int64_t q = 0; q < out.w; q++) {
            window h = window_at(line % out.h, in.h, f.r, f.stride, f.top), v = window_at(q, in.w, f.s, f.stride, f.left);
            const map_t *xs = x + ((line / out.h * in.h + h.origin) * in.w + v.origin) * in.c;
            map_t *to = y + (line * out.w + q) * out.c;
            EACH_VECTOR(c, n, 0, out.c, {
                vec sum = {0};
                for (int64_t r = h.r0; r < h.r1; r++)
                    for (int64_t s = v.r0; s < v.r1; s++)
                        sum = muladd(load(xs + (r * in.w + s) * in.c + c, n),
                                     row_get(j->shared + (r * f.s + s) * row_length(in.c), c), sum);
                store(to + c, sum, n);
            });
        }
}

void KERNEL(DWCONV_DX)(const gn_job *j, int phase, int me, int all)
{
    const map in = map_of(j->tout[0]), out = map_of(j->tin[0]);
    const taps f = taps_of(j, j->tin[1]);
    map_t *dx = j->out[0];
    if (phase == 0) {
        pack_taps(j, j->in[1], in.c, f.r * f.s, me, all);
        return;
    }
    const range mine = share(in.n * in.h, 1, me, all);
    for (int64_t line = mine.begin; line < mine.end; line++)
        for (int64_t x = 0; x < in.w; x++) {
            readers h = readers_of(line % in.h, out.h, f.r, f.stride, f.top);
            readers v = readers_of(x, out.w, f.s, f.stride, f.left);
            const map_t *dy = (const map_t *)j->in[0] + line / in.h * out.pixels * out.c;
            map_t *to = dx + (line * in.w + x) * in.c;
            EACH_VECTOR(c, n, 0, in.c, {
                vec sum = {0};
                for (int64_t p = h.p0; p < h.p1; p++)
                    for (int64_t q = v.p0; q < v.p1; q++) {
                        int64_t tap = (h.at - p * f.stride) * f.s + v.at - q * f.stride;
                        sum = muladd(load(dy + (p * out.w + q) * out.c + c, n),
                                     row_get(j->shared + tap * row_length(in.c), c), sum);
                    }
                store(to + c, sum, n);
            });
        }
}

/* Adds one output row's share of dw to the long sums, TILE pixels at a time. */
static void dw_line(const gn_job *j, map in, map out, taps f, int64_t line, double *sums, float *tile)
{
    const int64_t length = row_length(in.c);
    const window h = window_at(line % out.h, in.h, f.r, f.stride, f.top);
    const map_t *dy = (const map_t *)j->in[1] + line * out.w * out.c;
    for (int64_t r = h.r0; r < h.r1; r++)
        for (int64_t s = 0; s < f.s; s++) {
            const map_t *x = (const map_t *)j->in[0] + (line / out.h * in.h + h.origin + r) * in.w * in.c;
            for (int64_t q0 = 0; q0 < out.w; q0 += TILE) {
                int64_t q1 = q0 + TILE < out.w ? q0 + TILE : out.w;
                EACH_VECTOR(c, n, 0, in.c, {
                    vec sum = {0};
                    for (int64_t q = q0; q < q1; q++) {
                        int64_t v = q * f.stride - f.left + s;
                        if (v >= 0 && v < in.w)
                            sum = muladd(load(x + v * in.c + c, n), load(dy + q * out.c + c, n), sum);
                    }
                    row_put(tile, c, sum);
                });
                flush(tile, sums + (r * f.s + s) * length, 0, in.c);
            }
        }
}

void KERNEL(DWCONV_DW)(const gn_job *j, int phase, int me, int all)
{
    const map in = map_of(j->tin[0]), out = map_of(j->tin[1]);
    const taps f = taps_of(j, j->tout[0]);
    const int64_t count = f.r * f.s, length = row_length(in.c);
    float *dw = j->out[0];
    if (phase == 0) {
        const range mine = share(out.n * out.h, 1, me, all);
        double *sums = (double *)(void *)behind_rows(j, me, in.c);
        memset(sums, 0, (size_t)(count * length) * sizeof *sums);
        for (int64_t line = mine.begin; line < mine.end; line++)
            dw_line(j, in, out, f, line, sums, row(j, me, 0, in.c));
        return;
    }
    const range mine = share(in.c, GN_ROW_UNIT, me, all);
    for (int64_t t = 0; t < count; t++)
        for (int64_t c = mine.begin; c < mine.end; c++) {
            double sum = 0;
            for (int k = 0; k < all; k++)
                sum += ((const double *)(const void *)behind_rows(j, k, in.c))[t * length + c];
            dw[c * count + t] = (float)sum;
        }
}

/* What one pixel under a window counts: 1/(pixels of the map under it). */
static float weight_of(window h, window v)
{
    int64_t n = (h.r1 - h.r0) * (v.r1 - v.r0);
    return n ? 1 / (float)n : 0;
}

void KERNEL(LOCAL_POOL)(const gn_job *j, int phase, int me, int all)
{
    const map in = map_of(j->tin[0]), out = map_of(j->tout[0]);
    const gn_attr *a = j->attr;
    const map_t *u = j->in[0];
    map_t *o = j->out[0];
    const range mine = share(out.n * out.h, 1, me, all);
    (void)phase;
    for (int64_t line = mine.begin; line < mine.end; line++)
        for (int64_t q = 0; q < out.w; q++) {
            window h = window_at(line % out.h, in.h, a->kernel, a->stride, a->pad[0]);
            window v = window_at(q, in.w, a->kernel, a->stride, a->pad[1]);
            const vec part = same(weight_of(h, v));
            const map_t *us = u + ((line / out.h * in.h + h.origin) * in.w + v.origin) * in.c;
            map_t *to = o + (line * out.w + q) * out.c;
            EACH_VECTOR(c, n, 0, out.c, {
                vec sum = {0};
                for (int64_t r = h.r0; r < h.r1; r++) {
                    vec line_sum = {0};
                    for (int64_t s = v.r0; s < v.r1; s++)
                        line_sum += load(us + (r * in.w + s) * in.c + c, n);
                    sum += line_sum;
                }
                store(to + c, sum * part, n);
            });
        }
}

void KERNEL(LOCAL_POOL_DX)(const gn_job *j, int phase, int me, int all)
{
    const map in = map_of(j->tout[0]), out = map_of(j->tin[0]);
    const gn_attr *a = j->attr;
    map_t *du = j->out[0];
    const range mine = share(in.n * in.h, 1, me, all);
    (void)phase;
    for (int64_t line = mine.begin; line < mine.end; line++)
        for (int64_t x = 0; x < in.w; x++) {
            readers h = readers_of(line % in.h, out.h, a->kernel, a->stride, a->pad[0]);
            readers v = readers_of(x, out.w, a->kernel, a->stride, a->pad[1]);
            const map_t *dq = (const map_t *)j->in[0] + line / in.h * out.pixels * out.c;
            map_t *to = du + (line * in.w + x) * in.c;
            EACH_VECTOR(c, n, 0, in.c, {
                vec sum = {0};
                for (int64_t p = h.p0; p < h.p1; p++)
                    for (int64_t q = v.p0; q < v.p1; q++) {
                        float part = weight_of(window_at(p, in.h, a->kernel, a->stride, a->pad[0]),
                                               window_at(q, in.w, a->kernel, a->stride, a->pad[1]));
                        sum = muladd(load(dq + (p * out.w + q) * out.c + c, n), same(part), sum);
                    }
                store(to + c, sum, n);
            });
        }
}
