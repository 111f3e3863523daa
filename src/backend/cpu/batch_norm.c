/* SPDX-License-Identifier: Apache-2.0
 * Batch normalisation: statistics, the affine and its ReLU, the two passes of the gradient; the statistics that gather in
 * the same pass; the gather alone.
 *
 * Statistics: a tile is summed in f32 around the mean so far and merged in double (Chan, Golub, LeVeque 1979), so that
 * mean and variance are good to 1e-6 of the deviation even where the mean is far larger than it. */
#include "backend/cpu/pass.h"

/* --- statistics and gather ------------------------------------------------------------------------------------------- */

/* Rows of a thread. */
enum { SHIFT, SUM, SQUARES, GATHERED }; /* of a tile */
enum { MEAN, M2, COUNT };               /* doubles */

typedef struct gather_pass {
    const map_t *y;
    const float *w; /* packed (P,row_length(C)), or NULL: plain sums */
    float *shift, *sum, *squares, *gathered;
    double *mean, *m2, *count;
    double *g;      /* (N,C) long sums, or NULL: no gather */
    map m;
} gather_pass;

static INLINE void tile_vector(const gather_pass *k, const map_t *y, const float *w, int64_t c, int n, int count, bool stats,
                               bool gather)
{
    vec shift = row_get(k->shift, c), d[4], g[4];
    for (int i = 0; i < count; i++) {
        vec v = load(y + i * k->m.c + c, n);
        d[i] = v - shift;
        g[i] = w ? v * row_get(w + i * row_length(k->m.c), c) : v;
    }
    if (stats) {
        vec sum = count == 4 ? (d[0] + d[1]) + (d[2] + d[3]) : d[0];
        vec squares = d[0] * d[0];
        if (count == 4)
            squares = muladd(d[1], d[1], squares) + muladd(d[3], d[3], d[2] * d[2]);
        row_put(k->sum, c, row_get(k->sum, c) + sum);
        row_put(k->squares, c, row_get(k->squares, c) + squares);
    }
    if (gather)
        row_put(k->gathered, c, row_get(k->gathered, c) + (count == 4 ? (g[0] + g[1]) + (g[2] + g[3]) : g[0]));
}

/* Sums of one tile: `pixels` pixels of image n from pixel p, channels c0..c1-1. */
static INLINE void tile_sums(const gather_pass *k, int64_t n, int64_t p0, int64_t pixels, range channels, bool stats,
                             bool gather, bool weighted)
{
    const map_t *y = k->y + (n * k->m.pixels + p0) * k->m.c;
    const float *w = weighted ? k->w + p0 * row_length(k->m.c) : NULL;
    for (int64_t c0 = channels.begin; c0 < channels.end; c0 += BLOCK) {
        int64_t c1 = c0 + BLOCK < channels.end ? c0 + BLOCK : channels.end;
        EACH_FOUR(p, count, pixels,
                  EACH_VECTOR(c, lanes, c0, c1,
                              tile_vector(k, y + p * k->m.c, weighted ? w + p * row_length(k->m.c) : NULL, c, lanes, count, stats,
                                          gather)));
    }
}

/* Merges a tile of `pixels` pixels into the mean and the sum of squared deviations so far. */
static void merge_tile(const gather_pass *k, int64_t pixels, range channels)
{
    double tile = (double)pixels, inverse = 1 / tile, before = k->count[channels.begin], all = before + tile;
    double weight = tile / all, cross = before * weight;
    for (int64_t c = channels.begin; c < channels.end; c++) {
        double offset = k->sum[c] * inverse, delta = ((double)k->shift[c] - k->mean[c]) + offset;
        k->m2[c] += k->squares[c] - k->sum[c] * offset + delta * delta * cross;
        k->mean[c] += delta * weight;
        k->count[c] = all;
        k->shift[c] = (float)k->mean[c];
        k->sum[c] = k->squares[c] = 0;
    }
}

/* The shift of a thread's first tile is that tile's own mean: with a single pixel it could be far off. */
static void first_shift(const gather_pass *k, int64_t n, int64_t p0, int64_t pixels, range channels)
{
    const map_t *y = k->y + (n * k->m.pixels + p0) * k->m.c;
    EACH_VECTOR(c, lanes, channels.begin, channels.end, row_put(k->shift, c, load(y + c, lanes)));
    tile_sums(k, n, p0, pixels, channels, true, false, false);
    for (int64_t c = channels.begin; c < channels.end; c++) {
        k->shift[c] += k->sum[c] / (float)pixels;
        k->sum[c] = k->squares[c] = 0;
    }
}

static void one_tile(const gather_pass *k, int64_t n, int64_t p0, int64_t pixels, range channels, bool stats, bool *first)
{
    if (stats && *first) {
        first_shift(k, n, p0, pixels, channels);
        *first = false;
    }
    if (!k->g)
        tile_sums(k, n, p0, pixels, channels, true, false, false);
    else if (stats && k->w)
        tile_sums(k, n, p0, pixels, channels, true, true, true);
    else if (stats)
        tile_sums(k, n, p0, pixels, channels, true, true, false);
    else if (k->w)
        tile_sums(k, n, p0, pixels, channels, false, true, true);
    else
        tile_sums(k, n, p0, pixels, channels, false, true, false);
    if (stats)
        merge_tile(k, pixels, channels);
    if (k->g)
        flush(k->gathered, k->g + n * k->m.c, channels.begin, channels.end);
}

static gather_pass pass_of(const gn_job *j, int me, const map_t *y, map m, double *g, const float *w)
{
    gather_pass k = {y, w, row(j, me, SHIFT, m.c), row(j, me, SUM, m.c), row(j, me, SQUARES, m.c),
                     row(j, me, GATHERED, m.c), double_row(j, me, MEAN, m.c), double_row(j, me, M2, m.c),
                     double_row(j, me, COUNT, m.c), g, m};
    clear(k.shift, m.c);
    clear(k.sum, m.c);
    clear(k.squares, m.c);
    clear(k.gathered, m.c);
    clear_double(k.mean, m.c);
    clear_double(k.m2, m.c);
    clear_double(k.count, m.c);
    return k;
}

/* Statistics alone: any pixels to any thread. */
static void stats_pass(const gn_job *j, const map_t *y, map m, int me, int all)
{
    gather_pass k = pass_of(j, me, y, m, NULL, NULL);
    range mine = share(m.count, 1, me, all);
    bool first = true;
    k.m.pixels = m.count; /* one long image */
    for (int64_t p = mine.begin; p < mine.end; p += TILE)
        one_tile(&k, 0, p, mine.end - p < TILE ? mine.end - p : TILE, (range){0, m.c}, true, &first);
}

/* With gather: the images inside a tile of pixels, so that the tile of w is read from memory once for all of them. */
static void gather_all(const gn_job *j, const map_t *y, map m, double *g, const float *w, bool stats, int me, int all)
{
    gather_pass k = pass_of(j, me, y, m, g, w);
    split mine = split_of(m, me, all);
    bool first = true;
    for (int64_t n = mine.images.begin; n < mine.images.end; n++)
        for (int64_t c = mine.channels.begin; c < mine.channels.end; c++)
            g[n * m.c + c] = 0;
    if (mine.channels.begin == mine.channels.end)
        return;
    for (int64_t p = 0; p < m.pixels; p += TILE)
        for (int64_t n = mine.images.begin; n < mine.images.end; n++)
            one_tile(&k, n, p, m.pixels - p < TILE ? m.pixels - p : TILE, mine.channels, stats, &first);
}

/* Rows of stats from mean and variance. */
static void write_stats(float *stats, int64_t channels, int64_t c, double mean, double var, double gamma, double beta,
                        double eps)
{
    double a = gamma / sqrt(var + eps);
    stats[c] = (float)mean;
    stats[channels + c] = (float)var;
    stats[2 * channels + c] = (float)a;
    stats[3 * channels + c] = (float)(beta - a * mean);
}

/* Merges the threads' statistics, in their order, into stats and the running statistics. */
static void finish_stats(const gn_job *j, map m, int me, int all)
{
    const float *gamma = j->in[1], *beta = j->in[2];
    float *running_mean = j->out[1], *running_var = j->out[2];
    const double keep_ = j->attr->keep;
    range mine = share(m.c, GN_ROW_UNIT, me, all);
    for (int64_t c = mine.begin; c < mine.end; c++) {
        double mean = 0, m2 = 0, count = 0;
        for (int t = 0; t < all; t++) {
            double n = double_row(j, t, COUNT, m.c)[c], delta = double_row(j, t, MEAN, m.c)[c] - mean;
            if (n == 0)
                continue;
            m2 += double_row(j, t, M2, m.c)[c] + delta * delta * count * n / (count + n);
            mean += delta * n / (count + n);
            count += n;
        }
        double unbiased = m.count > 1 ? 1 / (double)(m.count - 1) : 0;
        m2 = m2 < 0 ? 0 : m2;
        running_mean[c] = (float)(keep_ * running_mean[c] + (1 - keep_) * mean);
        running_var[c] = (float)(keep_ * running_var[c] + (1 - keep_) * m2 * unbiased);
        write_stats(j->out[0], m.c, c, mean, m2 / (double)m.count, gamma[c], beta[c], j->attr->eps);
    }
}

void KERNEL(BN_STATS)(const gn_job *j, int phase, int me, int all)
{
    map m = map_of(j->tin[0]);
    if (phase == 0)
        stats_pass(j, j->in[0], m, me, all);
    else
        finish_stats(j, m, me, all);
}

void KERNEL(BN_RUNNING)(const gn_job *j, int phase, int me, int all)
{
    const float *gamma = j->in[0], *beta = j->in[1], *mean = j->in[2], *var = j->in[3];
    int64_t channels = j->tin[0]->dim[0];
    range mine = share(channels, GN_ROW_UNIT, me, all);
    (void)phase;
    for (int64_t c = mine.begin; c < mine.end; c++)
        write_stats(j->out[0], channels, c, mean[c], var[c], gamma[c], beta[c], j->attr->eps);
}

/* w(C,1,H,W) -> packed (P,row_length(C)), a share of the channels. */
static void pack_gather(const gn_job *j, const float *w, map m, int me, int all)
{
    range mine = share(w ? row_length(m.c) : 0, GN_ROW_UNIT, me, all);
    if (mine.begin < mine.end)
        gather_tile(w, m, 0, m.pixels, mine, j->packed);
}

static double *long_g(const gn_job *j)
{
    return (double *)(void *)j->shared;
}

/* Long sums g -> g, or the mean without w. */
static void write_g(const gn_job *j, const float *w, map m, float *g, int me, int all)
{
    const double *from = long_g(j), factor = w ? 1 : 1 / (double)m.pixels;
    range mine = share(m.n * m.c, GN_ROW_UNIT, me, all);
    for (int64_t e = mine.begin; e < mine.end; e++)
        g[e] = (float)(from[e] * factor);
}

void KERNEL(GATHER_STATS)(const gn_job *j, int phase, int me, int all)
{
    map m = map_of(j->tin[0]);
    const float *w = j->in[3];
    if (phase == 0)
        pack_gather(j, w, m, me, all);
    else if (phase == 1)
        gather_all(j, j->in[0], m, long_g(j), w ? j->packed : NULL, true, me, all);
    else {
        finish_stats(j, m, me, all);
        write_g(j, w, m, j->out[3], me, all);
    }
}

static void gather_phase(const gn_job *j, const float *w, int phase, int me, int all)
{
    map m = map_of(j->tin[0]);
    if (phase == 0)
        pack_gather(j, w, m, me, all);
    else if (phase == 1)
        gather_all(j, j->in[0], m, long_g(j), w ? j->packed : NULL, false, me, all);
    else
        write_g(j, w, m, j->out[0], me, all);
}

void KERNEL(GATHER)(const gn_job *j, int phase, int me, int all)
{
    gather_phase(j, j->in[1], phase, me, all);
}

void KERNEL(GLOBAL_POOL)(const gn_job *j, int phase, int me, int all)
{
    gather_phase(j, NULL, phase, me, all);
}

/* --- affine and gradient --------------------------------------------------------------------------------------------- */

static INLINE void act_pixels(const stats_rows *s, const map_t *y, map_t *o, int64_t pixels, int64_t channels, bool relu)
{
    EACH_FOUR(p, count, pixels, EACH_VECTOR(c, n, 0, channels, {
        vec a = row_get(s->a, c), b = row_get(s->b, c);
        for (int i = 0; i < count; i++) {
            int64_t e = (p + i) * channels + c;
            vec v = muladd(a, load(y + e, n), b);
            store(o + e, relu ? positive(v) : v, n);
        }
    }));
}

void KERNEL(BN_ACT)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[0]);
    const stats_rows s = stats_of(j, me, 0, j->in[1], m.c);
    const range mine = share(m.count, 1, me, all);
    const map_t *y = (const map_t *)j->in[0] + mine.begin * m.c;
    map_t *o = (map_t *)j->out[0] + mine.begin * m.c;
    (void)phase;
    if (j->attr->relu)
        act_pixels(&s, y, o, mine.end - mine.begin, m.c, true);
    else
        act_pixels(&s, y, o, mine.end - mine.begin, m.c, false);
}

/* d of BN_SUMS: do where the ReLU (if any) let a*y+b pass. */
static INLINE vec passed(const stats_rows *s, vec d, vec y, int64_t c, bool relu)
{
    return relu ? keep(d, muladd(row_get(s->a, c), y, row_get(s->b, c)) > 0) : d;
}

typedef struct sums_pass {
    stats_rows s;
    float *s1, *s2;
} sums_pass;

static INLINE void sums_tile(const sums_pass *k, const map_t *d_o, const map_t *y, int64_t pixels, int64_t channels,
                             int64_t c0, int64_t c1, bool relu)
{
    EACH_FOUR(p, count, pixels, EACH_VECTOR(c, n, c0, c1, {
        vec s1 = row_get(k->s1, c), s2 = row_get(k->s2, c), mean = row_get(k->s.mean, c);
        for (int i = 0; i < count; i++) {
            int64_t e = (p + i) * channels + c;
            vec v = load(y + e, n), d = passed(&k->s, load(d_o + e, n), v, c, relu);
            s1 += d;
            s2 = muladd(d, v - mean, s2);
        }
        row_put(k->s1, c, s1);
        row_put(k->s2, c, s2);
    }));
}

static void sums_share(const gn_job *j, map m, int me, int all)
{
    const map_t *d_o = j->in[0], *y = j->in[1];
    sums_pass k = {stats_of(j, me, 0, j->in[2], m.c), row(j, me, 4, m.c), row(j, me, 5, m.c)};
    double *d1 = double_row(j, me, 0, m.c), *d2 = double_row(j, me, 1, m.c);
    range mine = share(m.count, 1, me, all);
    clear(k.s1, m.c);
    clear(k.s2, m.c);
    clear_double(d1, m.c);
    clear_double(d2, m.c);
    for (int64_t p = mine.begin; p < mine.end; p += TILE) {
        int64_t pixels = mine.end - p < TILE ? mine.end - p : TILE;
        for (int64_t c0 = 0; c0 < m.c; c0 += BLOCK) {
            int64_t c1 = c0 + BLOCK < m.c ? c0 + BLOCK : m.c;
            if (j->attr->relu)
                sums_tile(&k, d_o + p * m.c, y + p * m.c, pixels, m.c, c0, c1, true);
            else
                sums_tile(&k, d_o + p * m.c, y + p * m.c, pixels, m.c, c0, c1, false);
        }
        flush(k.s1, d1, 0, m.c);
        flush(k.s2, d2, 0, m.c);
    }
}

void KERNEL(BN_SUMS)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[1]);
    const float *var = (const float *)j->in[2] + m.c;
    if (phase == 0) {
        sums_share(j, m, me, all);
        return;
    }
    range mine = share(m.c, GN_ROW_UNIT, me, all);
    for (int64_t c = mine.begin; c < mine.end; c++) {
        double d1 = 0, d2 = 0;
        for (int t = 0; t < all; t++) {
            d1 += double_row(j, t, 0, m.c)[c];
            d2 += double_row(j, t, 1, m.c)[c];
        }
        write_sums(j->out[0], j->out[1], j->out[2], m.c, c, d1, d2, var[c], j->attr->eps);
    }
}

static INLINE void dx_pixels(const gradient_rows *g, const map_t *d_o, const map_t *y, map_t *dy, int64_t pixels,
                             int64_t channels, bool relu)
{
    EACH_FOUR(p, count, pixels, EACH_VECTOR(c, n, 0, channels, {
        for (int i = 0; i < count; i++) {
            int64_t e = (p + i) * channels + c;
            vec v = load(y + e, n), d = passed(&g->s, load(d_o + e, n), v, c, relu);
            store(dy + e, gradient_at(g, d, v, c), n);
        }
    }));
}

void KERNEL(BN_DX)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[1]);
    const gradient_rows g = gradient_of(j, me, 0, j->in[2], j->in[3], m.c, m.count, j->attr->eps);
    const range mine = share(m.count, 1, me, all);
    const int64_t from = mine.begin * m.c, pixels = mine.end - mine.begin;
    const map_t *d_o = (const map_t *)j->in[0] + from, *y = (const map_t *)j->in[1] + from;
    map_t *dy = (map_t *)j->out[0] + from;
    (void)phase;
    if (j->attr->relu)
        dx_pixels(&g, d_o, y, dy, pixels, m.c, true);
    else
        dx_pixels(&g, d_o, y, dy, pixels, m.c, false);
}
