/* SPDX-License-Identifier: Apache-2.0
 * What the kernels share: names by instruction set, shapes, shares of threads, rows of scratch memory.
 *
 * Sums over pixels are kept in f32 over a tile of at most TILE pixels and added in double beyond, so that no sum loses more
 * than a tile's rounding whatever the size of the map. */
#ifndef GN_CPU_PASS_H
#define GN_CPU_PASS_H
#include <math.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/lanes.h"

#define GN_PASTE4_(a, b, c, d) a##b##_##c##_##d
#define GN_PASTE4(a, b, c, d) GN_PASTE4_(a, b, c, d)
#if GN_MAP_BF16
#define KERNEL(NAME) GN_PASTE4(gn_kernel_, NAME, GN_ISA, bf16)
#else
#define KERNEL(NAME) GN_PASTE4(gn_kernel_, NAME, GN_ISA, f32)
#endif
#define OP(NAME, in, out, text) gn_kernel KERNEL(NAME);
#include "plan/ops.def"
#undef OP
void KERNEL(SGD)(const gn_sgd *g, int me, int all);

enum { TILE = 128, BLOCK = 512 /* channels of a tile, so that rows stay in the first-level cache */ };

/* A map (N,H,W,C), or a rank-2 tensor (N,C) as (N,1,1,C). pixels = H*W, count = N*H*W (the M of ops.def). */
typedef struct map {
    int64_t n, h, w, c, pixels, count;
} map;

static inline map map_of(const gn_tensor *t)
{
    map m = {t->dim[0], 1, 1, t->dim[1], 1, t->dim[0]};
    if (t->rank == 4)
        m = (map){t->dim[0], t->dim[1], t->dim[2], t->dim[3], t->dim[1] * t->dim[2],
                  t->dim[0] * t->dim[1] * t->dim[2]};
    return m;
}

typedef struct range {
    int64_t begin, end;
} range;

/* Thread me's share of 0..total-1, cut at multiples of unit. */
static inline range share(int64_t total, int64_t unit, int me, int all)
{
    int64_t units = (total + unit - 1) / unit, begin = units * me / all * unit, end = units * (me + 1) / all * unit;
    return (range){begin < total ? begin : total, end < total ? end : total};
}

/* Share of work whose sums belong to single images: images where they divide well, else channels. */
typedef struct split {
    range images, channels;
} split;

static inline split split_of(map m, int me, int all)
{
    split p = {{0, m.n}, {0, m.c}};
    if (m.n % all == 0 || m.n >= 4 * all || m.c < 2 * GN_ROW_UNIT * all)
        p.images = share(m.n, 1, me, all);
    else
        p.channels = share(m.c, GN_ROW_UNIT, me, all);
    return p;
}

static inline int64_t row_length(int64_t c)
{
    return (c + GN_ROW_UNIT - 1) / GN_ROW_UNIT * GN_ROW_UNIT;
}

/* Row i of floats or of doubles of a thread, for maps of c channels. */
static inline float *row(const gn_job *j, int me, int i, int64_t c)
{
    return j->own + (size_t)me * j->own_stride + i * row_length(c);
}

static inline double *double_row(const gn_job *j, int me, int i, int64_t c)
{
    return (double *)(void *)(row(j, me, GN_FLOAT_ROWS, c) + 2 * i * row_length(c));
}

/* Scratch behind the rows. */
static inline float *behind_rows(const gn_job *j, int me, int64_t c)
{
    return row(j, me, GN_FLOAT_ROWS + 2 * GN_DOUBLE_ROWS, c);
}

static inline void clear(float *r, int64_t c)
{
    memset(r, 0, (size_t)row_length(c) * sizeof *r);
}

static inline void clear_double(double *r, int64_t c)
{
    memset(r, 0, (size_t)row_length(c) * sizeof *r);
}

/* A padded copy of c floats at row i; NULL for NULL. */
static inline const float *padded(const gn_job *j, int me, int i, const float *from, int64_t c)
{
    float *to = row(j, me, i, c);
    if (!from)
        return NULL;
    clear(to, c);
    memcpy(to, from, (size_t)c * sizeof *to);
    return to;
}

/* The sums of a tile are added to the long sums of channels begin..end-1 and start anew. */
static inline void flush(float *tile, double *sum, int64_t begin, int64_t end)
{
    for (int64_t c = begin; c < end; c++) {
        sum[c] += tile[c];
        tile[c] = 0;
    }
}

/* Padded copies of the rows of stats at rows first..first+3. */
typedef struct stats_rows {
    const float *mean, *var, *a, *b;
} stats_rows;

static inline stats_rows stats_of(const gn_job *j, int me, int first, const float *stats, int64_t c)
{
    return (stats_rows){padded(j, me, first, stats, c), padded(j, me, first + 1, stats ? stats + c : NULL, c),
                        padded(j, me, first + 2, stats ? stats + 2 * c : NULL, c),
                        padded(j, me, first + 3, stats ? stats + 3 * c : NULL, c)};
}

/* Gradient of batch norm, dy = a*(d - D1/M - (y-mean)*D2/((var+eps)*M)) = a*d + slope*(y-mean) + shift. The rows of stats
 * are at first..first+3, slope and shift behind them. */
typedef struct gradient_rows {
    stats_rows s;
    const float *slope, *shift;
} gradient_rows;

static inline gradient_rows gradient_of(const gn_job *j, int me, int first, const float *stats, const float *sums,
                                        int64_t c, int64_t count, double eps)
{
    float *slope = row(j, me, first + 4, c), *shift = row(j, me, first + 5, c);
    gradient_rows g = {stats_of(j, me, first, stats, c), slope, shift};
    clear(slope, c);
    clear(shift, c);
    for (int64_t i = 0; i < c; i++) {
        double a = g.s.a[i], m = (double)count;
        slope[i] = (float)(-a * sums[c + i] / (((double)g.s.var[i] + eps) * m));
        shift[i] = (float)(-a * sums[i] / m);
    }
    return g;
}

static INLINE vec gradient_at(const gradient_rows *g, vec d, vec y, int64_t c)
{
    vec affine = muladd(row_get(g->slope, c), y - row_get(g->s.mean, c), row_get(g->shift, c));
    return muladd(row_get(g->s.a, c), d, affine);
}

/* Writes sums (2,C), dgamma, dbeta for channels of a share from long sums. */
static inline void write_sums(float *sums, float *dgamma, float *dbeta, int64_t channels, int64_t c, double d1, double d2,
                              double var, double eps)
{
    sums[c] = (float)d1;
    sums[channels + c] = (float)d2;
    dgamma[c] = (float)(d2 / sqrt(var + eps));
    dbeta[c] = (float)d1;
}

/* 1/(1+exp(-t)) */
static inline float sigmoid(float t)
{
    return 1 / (1 + expf(-t));
}

/* Window positions r0..r1-1 of an output position that lie in the map, and the input position of r = 0. */
typedef struct window {
    int64_t origin, r0, r1;
} window;

static inline window window_at(int64_t out, int64_t size, int64_t kernel, int stride, int before)
{
    int64_t origin = out * stride - before;
    window w = {origin, origin < 0 ? -origin : 0, size - origin < kernel ? size - origin : kernel};
    if (w.r1 < w.r0)
        w.r1 = w.r0;
    return w;
}

/* Output positions p0..p1-1 whose windows hold an input position; p reads it at r = at - p*stride. */
typedef struct readers {
    int64_t at, p0, p1;
} readers;

static inline readers readers_of(int64_t in, int64_t outputs, int64_t kernel, int stride, int before)
{
    int64_t at = in + before, p0 = at - kernel + 1 <= 0 ? 0 : (at - kernel + stride) / stride, p1 = at / stride + 1;
    readers r = {at, p0, p1 < outputs ? p1 : outputs};
    if (r.p1 < r.p0)
        r.p1 = r.p0;
    return r;
}
#endif
