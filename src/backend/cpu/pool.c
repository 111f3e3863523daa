/* SPDX-License-Identifier: Apache-2.0
 * The stem: batch norm + ReLU + max-pool in one pass, and its gradient through the stored window positions. */
#include "backend/cpu/pass.h"

enum { NO_INDEX = 255 }; /* the maximum was not positive: no gradient */

/* An output pixel's window: taps and where they are. */
typedef struct pooling {
    const map_t *y;
    map in, out;
    int kernel;
    stats_rows s;
} pooling;

/* The largest a*y+b of a window and its position; a NaN wins. */
static INLINE void window_max(const pooling *k, const map_t *y, window h, window v, int64_t c, int n, vec *largest, ivec *at)
{
    vec a = row_get(k->s.a, c), b = row_get(k->s.b, c), best = same(-INFINITY);
    ivec position = (ivec){0} + NO_INDEX;
    for (int64_t r = h.r0; r < h.r1; r++)
        for (int64_t s = v.r0; s < v.r1; s++) {
            vec u = muladd(a, load(y + (r * k->in.w + s) * k->in.c + c, n), b);
            ivec better = (u > best) | (u != u);
            best = choose(better, u, best);
            position = (position & ~better) | (((ivec){0} + (int)(r * k->kernel + s)) & better);
        }
    *largest = best;
    *at = position;
}

void KERNEL(BN_POOL)(const gn_job *j, int phase, int me, int all)
{
    const gn_attr *a = j->attr;
    pooling k = {j->in[0], map_of(j->tin[0]), map_of(j->tout[0]), a->kernel, {0}};
    map_t *o = j->out[0];
    uint8_t *index = j->out[1];
    k.s = stats_of(j, me, 0, j->in[1], k.in.c);
    range mine = share(k.out.n * k.out.h, 1, me, all);
    (void)phase;
    for (int64_t line = mine.begin; line < mine.end; line++)
        for (int64_t q = 0; q < k.out.w; q++) {
            window h = window_at(line % k.out.h, k.in.h, a->kernel, a->stride, a->pad[0]);
            window v = window_at(q, k.in.w, a->kernel, a->stride, a->pad[1]);
            const map_t *y = k.y + ((line / k.out.h * k.in.h + h.origin) * k.in.w + v.origin) * k.in.c;
            int64_t e = (line * k.out.w + q) * k.out.c;
            EACH_VECTOR(c, n, 0, k.out.c, {
                vec best;
                ivec at;
                window_max(&k, y, h, v, c, n, &best, &at);
                store(o + e + c, positive(best), n);
                if (index) {
                    ivec counts = best > 0;
                    store_b(index + e + c, (at & counts) | (((ivec){0} + NO_INDEX) & ~counts), n);
                }
            });
        }
}

typedef struct pool_sums {
    const map_t *y;
    const float *mean;
    float *s1, *s2;
    map in;
    int kernel;
} pool_sums;

static INLINE void window_sums(const pool_sums *k, const map_t *d_o, const uint8_t *index, const map_t *y, window h, window v,
                               int64_t c, int n)
{
    vec d = load(d_o + c, n), mean = row_get(k->mean, c), s2 = row_get(k->s2, c);
    ivec at = load_b(index + c, n);
    for (int64_t r = h.r0; r < h.r1; r++)
        for (int64_t s = v.r0; s < v.r1; s++) {
            vec here = keep(d, at == (int)(r * k->kernel + s));
            s2 = muladd(here, load(y + (r * k->in.w + s) * k->in.c + c, n) - mean, s2);
        }
    row_put(k->s1, c, row_get(k->s1, c) + keep(d, at != NO_INDEX));
    row_put(k->s2, c, s2);
}

static void pool_sums_share(const gn_job *j, map in, map out, int me, int all)
{
    const gn_attr *a = j->attr;
    const map_t *d_o = j->in[0];
    const uint8_t *index = j->in[1];
    pool_sums k = {j->in[2], padded(j, me, 0, j->in[3], in.c), row(j, me, 1, in.c), row(j, me, 2, in.c), in, a->kernel};
    double *d1 = double_row(j, me, 0, in.c), *d2 = double_row(j, me, 1, in.c);
    range mine = share(out.n * out.h, 1, me, all);
    clear(k.s1, in.c);
    clear(k.s2, in.c);
    clear_double(d1, in.c);
    clear_double(d2, in.c);
    for (int64_t line = mine.begin; line < mine.end; line++) {
        window h = window_at(line % out.h, in.h, a->kernel, a->stride, a->pad[0]);
        for (int64_t q = 0; q < out.w; q++) {
            window v = window_at(q, in.w, a->kernel, a->stride, a->pad[1]);
            const map_t *y = k.y + ((line / out.h * in.h + h.origin) * in.w + v.origin) * in.c;
            int64_t e = (line * out.w + q) * out.c;
            EACH_VECTOR(c, n, 0, in.c, window_sums(&k, d_o + e, index + e, y, h, v, c, n));
            if (q % TILE == TILE - 1 || q == out.w - 1) {
                flush(k.s1, d1, 0, in.c);
                flush(k.s2, d2, 0, in.c);
            }
        }
    }
}

void KERNEL(BN_POOL_SUMS)(const gn_job *j, int phase, int me, int all)
{
    const map out = map_of(j->tin[0]), in = map_of(j->tin[2]);
    const float *var = (const float *)j->in[3] + in.c;
    if (phase == 0) {
        pool_sums_share(j, in, out, me, all);
        return;
    }
    range mine = share(in.c, GN_ROW_UNIT, me, all);
    for (int64_t c = mine.begin; c < mine.end; c++) {
        double d1 = 0, d2 = 0;
        for (int t = 0; t < all; t++) {
            d1 += double_row(j, t, 0, in.c)[c];
            d2 += double_row(j, t, 1, in.c)[c];
        }
        write_sums(j->out[0], j->out[1], j->out[2], in.c, c, d1, d2, var[c], j->attr->eps);
    }
}

/* The windows that see one input pixel: where their elements of do and index begin, and its position in each. */
enum { MOST_READERS = 15 * 15 }; /* of the largest kernel at stride 1 */
typedef struct reading {
    int64_t offset[MOST_READERS];
    int tap[MOST_READERS], count;
} reading;

static void list_readers(reading *list, const gn_attr *a, map out, readers h, readers v)
{
    list->count = 0;
    for (int64_t p = h.p0; p < h.p1; p++)
        for (int64_t q = v.p0; q < v.p1; q++) {
            list->offset[list->count] = (p * out.w + q) * out.c;
            list->tap[list->count++] = (int)((h.at - p * a->stride) * a->kernel + (v.at - q * a->stride));
        }
}

/* dy of one input pixel: the gradient of the windows that chose it, through the batch norm. */
static INLINE void dx_pixel(const gradient_rows *g, const reading *list, int count, const map_t *d_o, const uint8_t *index,
                            const map_t *y, map_t *dy, int64_t channels)
{
    EACH_VECTOR(c, n, 0, channels, {
        vec d = {0};
        for (int i = 0; i < count; i++)
            d += keep(load(d_o + list->offset[i] + c, n), load_b(index + list->offset[i] + c, n) == list->tap[i]);
        store(dy + c, gradient_at(g, d, load(y + c, n), c), n);
    });
}

void KERNEL(BN_POOL_DX)(const gn_job *j, int phase, int me, int all)
{
    const gn_attr *a = j->attr;
    const map out = map_of(j->tin[0]), in = map_of(j->tin[2]);
    const gradient_rows g = gradient_of(j, me, 0, j->in[3], j->in[4], in.c, in.count, a->eps);
    range mine = share(in.n * in.h, 1, me, all);
    reading list;
    (void)phase;
    for (int64_t line = mine.begin; line < mine.end; line++) {
        readers h = readers_of(line % in.h, out.h, a->kernel, a->stride, a->pad[0]);
        int64_t image = line / in.h * out.pixels * out.c;
        const map_t *d_o = (const map_t *)j->in[0] + image;
        const uint8_t *index = (const uint8_t *)j->in[1] + image;
        for (int64_t x = 0; x < in.w; x++) {
            int64_t e = (line * in.w + x) * in.c;
            const map_t *y = (const map_t *)j->in[2] + e;
            map_t *dy = (map_t *)j->out[0] + e;
            list_readers(&list, a, out, h, readers_of(x, out.w, a->kernel, a->stride, a->pad[1]));
            if (list.count == 1)
                dx_pixel(&g, &list, 1, d_o, index, y, dy, in.c);
            else if (list.count == 2)
                dx_pixel(&g, &list, 2, d_o, index, y, dy, in.c);
            else if (list.count == 4)
                dx_pixel(&g, &list, 4, d_o, index, y, dy, in.c);
            else
                dx_pixel(&g, &list, list.count, d_o, index, y, dy, in.c);
        }
    }
}
