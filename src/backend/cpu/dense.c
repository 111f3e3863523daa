/* SPDX-License-Identifier: Apache-2.0
 * The small dense layers (head, MLP of the gate) as one blocked matrix product in f32 over operands of either type:
 * out(rows,columns) = sum over k of left(row,k)*right(k,column). Operands are packed into panels that a register tile of
 * MR x 2 vectors runs along; sums longer than GN_DENSE_KC are cut where the output is f32. */
#include "backend/cpu/pass.h"

#if GN_ISA_BITS == 512
enum { MR = 12 };
#else
enum { MR = 6 };
#endif
enum { NR = 2 * LANES, FEW = 8 /* rows */ };

/* A matrix by strides; with mask (of the same strides) only elements where mask > 0 count, others are 0. */
typedef struct matrix {
    const void *p, *mask;
    bool wide, mask_wide; /* f32, else the map type */
    int64_t along, across; /* strides in k, and in row or column */
} matrix;

static INLINE float element(const void *p, bool wide, int64_t e)
{
#if GN_MAP_BF16
    uint32_t bits;
    float f;
    if (wide)
        return ((const float *)p)[e];
    bits = (uint32_t)((const uint16_t *)p)[e] << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
#else
    (void)wide;
    return ((const float *)p)[e];
#endif
}

/* to[k*width + i] = element (k0+k, i0+i) for k < kc, i < count; zeros up to width. */
static void pack(const matrix *m, int64_t k0, int64_t kc, int64_t i0, int64_t count, int width, float *to)
{
    for (int64_t i = 0; i < width; i++)
        for (int64_t k = 0; k < kc; k++) {
            int64_t e = (k0 + k) * m->along + (i0 + i) * m->across;
            bool counts = i < count && (!m->mask || element(m->mask, m->mask_wide, e) > 0);
            to[k * width + i] = counts ? element(m->p, m->wide, e) : 0;
        }
}

/* sum[MR][NR] = left panel (kc,MR) * right panel (kc,NR). */
static void multiply(const float *left, const float *right, int64_t kc, float *sum)
{
    vec acc[MR][2] = {{{0}}};
    for (int64_t k = 0; k < kc; k++, left += MR, right += NR) {
        vec r0 = row_get(right, 0), r1 = row_get(right, LANES);
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++) {
            vec l = same(left[i]);
            acc[i][0] = muladd(l, r0, acc[i][0]);
            acc[i][1] = muladd(l, r1, acc[i][1]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
        row_put(sum, i * NR, acc[i][0]);
        row_put(sum, i * NR + LANES, acc[i][1]);
    }
}

typedef struct product {
    matrix left, right;
    int64_t rows, columns, depth;
    void *out; /* (rows,columns) */
    bool wide;
    const float *bias;
    bool relu;
} product;

/* v into out(r,c), or onto it; first and last tell where along the depth it is. */
static INLINE void put(const product *g, float v, int64_t r, int64_t c, bool first, bool last)
{
    int64_t e = r * g->columns + c;
    if (!first)
        v += ((const float *)g->out)[e];
    if (last && g->bias)
        v += g->bias[c];
    if (last && g->relu)
        v = v < 0 ? 0 : v;
#if GN_MAP_BF16
    if (!g->wide) {
        store_h((uint16_t *)g->out + e, same(v), 1);
        return;
    }
#endif
    ((float *)g->out)[e] = v;
}

/* One register tile. */
static void put_tile(const product *g, const float *sum, int64_t r0, int64_t c0, bool first, bool last)
{
    for (int64_t r = r0; r < r0 + MR && r < g->rows; r++)
        for (int64_t c = c0; c < c0 + NR && c < g->columns; c++)
            put(g, sum[(r - r0) * NR + (c - c0)], r, c, first, last);
}

static INLINE float lane_sum(vec v)
{
    float lane[LANES];
    memcpy(lane, &v, sizeof lane);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

/* One row times `count` columns c.., 1 or 4. */
static INLINE void few_columns(const product *g, int64_t r, int64_t c, int count)
{
    const float *x = (const float *)g->left.p + r * g->left.across, *w = (const float *)g->right.p + c * g->right.across;
    vec sum[4] = {{0}};
    EACH_VECTOR(k, n, 0, g->depth, {
        const vec v = load_f(x + k, n);
        for (int i = 0; i < count; i++)
            sum[i] = muladd(v, load_f(w + i * g->right.across + k, n), sum[i]);
    });
    for (int i = 0; i < count; i++)
        put(g, lane_sum(sum[i]), r, c + i, true, true);
}

/* Few rows of floats: no panel is worth packing, and memory, the weights', is the limit. Each is read from it once. */
static void run_few(const product *g, int me, int all)
{
    const range columns = share(g->columns, 4, me, all);
    for (int64_t c = columns.begin; c < columns.end; c += 4)
        for (int64_t r = 0; r < g->rows; r++) {
            if (c + 4 <= columns.end)
                few_columns(g, r, c, 4);
            else
                for (int64_t i = c; i < columns.end; i++)
                    few_columns(g, r, i, 1);
        }
}

/* Shares out panels of columns where there are enough of them, else of rows. */
static void run_product(const product *g, float *scratch, int me, int all)
{
    const int64_t kc = g->wide ? GN_DENSE_KC : g->depth;
    float *sum = scratch, *left = sum + GN_DENSE_MR * 2 * GN_ROW_UNIT, *right = left + kc * GN_DENSE_MR;
    range rows = {0, g->rows}, columns = {0, g->columns};
    if ((g->columns + NR - 1) / NR >= 4 * all || (g->rows + MR - 1) / MR < all)
        columns = share(g->columns, NR, me, all);
    else
        rows = share(g->rows, MR, me, all);
    for (int64_t c0 = columns.begin; c0 < columns.end && rows.begin < rows.end; c0 += GN_DENSE_NC)
        for (int64_t k0 = 0; k0 < g->depth; k0 += kc) {
            int64_t k = g->depth - k0 < kc ? g->depth - k0 : kc,
                    c1 = c0 + GN_DENSE_NC < columns.end ? c0 + GN_DENSE_NC : columns.end;
            for (int64_t c = c0; c < c1; c += NR)
                pack(&g->right, k0, k, c, c1 - c < NR ? c1 - c : NR, NR, right + (c - c0) * k);
            for (int64_t r = rows.begin; r < rows.end; r += MR) {
                pack(&g->left, k0, k, r, rows.end - r < MR ? rows.end - r : MR, MR, left);
                for (int64_t c = c0; c < c1; c += NR) {
                    multiply(left, right + (c - c0) * k, k, sum);
                    put_tile(g, sum, r, c, k0 == 0, k0 + k == g->depth);
                }
            }
        }
}

static bool wide(const gn_tensor *t)
{
    return t && t->dtype == GN_F32;
}

static float *scratch_of(const gn_job *j, int me)
{
    return j->own + (size_t)me * j->own_stride;
}

/* in: x w [bias]; out: y. */
void KERNEL(DENSE)(const gn_job *j, int phase, int me, int all)
{
    const map x = map_of(j->tin[0]), y = map_of(j->tout[0]);
    const product g = {{j->in[0], NULL, wide(j->tin[0]), false, 1, x.c}, {j->in[1], NULL, true, false, 1, x.c}, x.count, y.c, x.c,
                       j->out[0], wide(j->tout[0]), j->in[2], j->attr->relu};
    (void)phase;
    if (g.rows <= FEW && g.left.wide)
        run_few(&g, me, all);
    else
        run_product(&g, scratch_of(j, me), me, all);
}

/* in: dy w [y]; out: dx. */
void KERNEL(DENSE_DX)(const gn_job *j, int phase, int me, int all)
{
    const map y = map_of(j->tin[0]), x = map_of(j->tout[0]);
    const void *mask = j->attr->relu ? j->in[2] : NULL;
    const product g = {{j->in[0], mask, wide(j->tin[0]), wide(j->tin[2]), 1, y.c}, {j->in[1], NULL, true, false, x.c, 1}, x.count,
                       x.c, y.c, j->out[0], wide(j->tout[0]), NULL, false};
    (void)phase;
    run_product(&g, scratch_of(j, me), me, all);
}

/* in: x dy [y]; out: dw [dbias]. */
void KERNEL(DENSE_DW)(const gn_job *j, int phase, int me, int all)
{
    const map x = map_of(j->tin[0]), y = map_of(j->tin[1]);
    const void *mask = j->attr->relu ? j->in[2] : NULL;
    const product g = {{j->in[1], mask, wide(j->tin[1]), wide(j->tin[2]), y.c, 1}, {j->in[0], NULL, wide(j->tin[0]), false, x.c, 1},
                       y.c, x.c, x.count, j->out[0], true, NULL, false};
    const range mine = share(j->out[1] ? y.c : 0, GN_ROW_UNIT, me, all);
    (void)phase;
    run_product(&g, scratch_of(j, me), me, all);
    for (int64_t c = mine.begin; c < mine.end; c++) {
        double sum = 0;
        for (int64_t r = 0; r < y.count; r++) {
            int64_t e = r * y.c + c;
            if (!mask || element(mask, g.left.mask_wide, e) > 0)
                sum += element(j->in[1], g.left.wide, e);
        }
        ((float *)j->out[1])[c] = (float)sum;
    }
}
