/* SPDX-License-Identifier: Apache-2.0
 * The Gather-Excite tail with global extent (docs/architecture.md): one pass over the maps forward, two backward, and the
 * arithmetic of the gate on (N,C) between them. */
#include "backend/cpu/pass.h"

/* Row of W[c] = sum over the map of w, 1 without w, for the channels of a share. */
static void kernel_sums(double *sum, const float *w, const gn_tensor *shape, range channels)
{
    const int64_t pixels = w ? shape->dim[2] * shape->dim[3] : 0;
    for (int64_t c = channels.begin; c < channels.end; c++) {
        double part[8] = {0}, total = w ? 0 : 1;
        const float *from = w ? w + c * pixels : NULL;
        int64_t p = 0;
        for (; p + 8 <= pixels; p += 8)
            for (int i = 0; i < 8; i++)
                part[i] += from[p + i];
        for (; p < pixels; p++)
            total += from[p];
        for (int i = 0; i < 8; i++)
            total += part[i];
        sum[c] = total;
    }
}

void KERNEL(GATHER_AFFINE)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[0]);
    const float *g = j->in[0], *a = (const float *)j->in[1] + 2 * m.c, *b = (const float *)j->in[1] + 3 * m.c;
    const range mine = share(m.c, GN_ROW_UNIT, me, all);
    double *sum = double_row(j, me, 0, m.c);
    float *q = j->out[0];
    (void)phase;
    kernel_sums(sum, j->in[2], j->tin[2], mine);
    for (int64_t n = 0; n < m.n; n++)
        for (int64_t c = mine.begin; c < mine.end; c++)
            q[n * m.c + c] = (float)((double)a[c] * g[n * m.c + c] + b[c] * sum[c]);
}

/* --- forward ----------------------------------------------------------------------------------------------------------- */

/* s*(a*y+b) + i as scale*y + offset + i of one image; with id_scale the identity's batch norm joins. */
typedef struct tail_rows {
    const float *scale, *offset, *id_scale;
} tail_rows;

static INLINE void tail_pixels(const tail_rows *k, const map_t *y, const map_t *id, map_t *o, int64_t pixels, int64_t channels,
                               bool projects)
{
    EACH_FOUR(p, count, pixels, EACH_VECTOR(c, n, 0, channels, {
        vec scale = row_get(k->scale, c), offset = row_get(k->offset, c);
        for (int i = 0; i < count; i++) {
            int64_t e = (p + i) * channels + c;
            vec u = muladd(scale, load(y + e, n), offset), identity = load(id + e, n);
            u = projects ? muladd(row_get(k->id_scale, c), identity, u) : u + identity;
            store(o + e, positive(u), n);
        }
    }));
}

/* Rows of image n; the thread that has its first pixel writes s. */
static tail_rows rows_of_image(const gn_job *j, int me, map m, const stats_rows *u, const stats_rows *id, int64_t n,
                               bool writes)
{
    const float *t = j->in[2];
    float *s_out = writes ? j->out[1] : NULL, *scale = row(j, me, 8, m.c), *offset = row(j, me, 9, m.c);
    for (int64_t c = 0; c < m.c; c++) {
        float s = t ? sigmoid(t[n * m.c + c]) : 1;
        scale[c] = s * u->a[c];
        offset[c] = s * u->b[c] + (id->b ? id->b[c] : 0);
        if (s_out)
            s_out[n * m.c + c] = s;
    }
    return (tail_rows){scale, offset, id->a};
}

void KERNEL(TAIL)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[0]);
    const map_t *y = j->in[0], *id = j->in[3];
    map_t *o = j->out[0];
    const stats_rows u = stats_of(j, me, 0, j->in[1], m.c), i = stats_of(j, me, 4, j->in[4], m.c);
    const range mine = share(m.count, 1, me, all);
    (void)phase;
    clear(row(j, me, 8, m.c), m.c);
    clear(row(j, me, 9, m.c), m.c);
    for (int64_t p = mine.begin; p < mine.end;) {
        int64_t n = p / m.pixels, end = (n + 1) * m.pixels < mine.end ? (n + 1) * m.pixels : mine.end;
        const tail_rows k = rows_of_image(j, me, m, &u, &i, n, p == n * m.pixels);
        if (i.a)
            tail_pixels(&k, y + p * m.c, id + p * m.c, o + p * m.c, end - p, m.c, true);
        else
            tail_pixels(&k, y + p * m.c, id + p * m.c, o + p * m.c, end - p, m.c, false);
        p = end;
    }
}

/* --- backward, first pass ------------------------------------------------------------------------------------------------ */

typedef struct sums_pass {
    const map_t *d_o, *d_o2, *o, *y, *id;
    map_t *d;
    const float *mean, *id_mean;
    float *s1, *s2, *i2;
    int64_t channels;
} sums_pass;

static INLINE void sums_tile(const sums_pass *k, int64_t from, int64_t pixels, int64_t c0, int64_t c1, bool two, bool projects)
{
    EACH_FOUR(p, count, pixels, EACH_VECTOR(c, n, c0, c1, {
        vec s1 = row_get(k->s1, c), s2 = row_get(k->s2, c), i2 = row_get(k->i2, c), mean = row_get(k->mean, c);
        for (int i = 0; i < count; i++) {
            int64_t e = (from + p + i) * k->channels + c;
            vec d = load(k->d_o + e, n);
            if (two)
                d += load(k->d_o2 + e, n);
            d = keep(d, load(k->o + e, n) > 0);
            store(k->d + e, d, n);
            s1 += d;
            s2 = muladd(d, load(k->y + e, n) - mean, s2);
            if (projects)
                i2 = muladd(d, load(k->id + e, n) - row_get(k->id_mean, c), i2);
        }
        row_put(k->s1, c, s1);
        row_put(k->s2, c, s2);
        if (projects)
            row_put(k->i2, c, i2);
    }));
}

static void sums_tile_any(const sums_pass *k, int64_t from, int64_t pixels, range channels)
{
    for (int64_t c0 = channels.begin; c0 < channels.end; c0 += BLOCK) {
        int64_t c1 = c0 + BLOCK < channels.end ? c0 + BLOCK : channels.end;
        if (k->d_o2 && k->id)
            sums_tile(k, from, pixels, c0, c1, true, true);
        else if (k->d_o2)
            sums_tile(k, from, pixels, c0, c1, true, false);
        else if (k->id)
            sums_tile(k, from, pixels, c0, c1, false, true);
        else
            sums_tile(k, from, pixels, c0, c1, false, false);
    }
}

static void sums_share(const gn_job *j, map m, int me, int all)
{
    float *sums = j->out[1];
    sums_pass k = {j->in[0], j->in[1], j->in[2], j->in[3], j->in[5], j->out[0], padded(j, me, 0, j->in[4], m.c),
                   padded(j, me, 1, j->in[6], m.c), row(j, me, 2, m.c), row(j, me, 3, m.c), row(j, me, 4, m.c), m.c};
    double *s1 = double_row(j, me, 0, m.c), *s2 = double_row(j, me, 1, m.c);
    double *i1 = double_row(j, me, 2, m.c), *i2 = double_row(j, me, 3, m.c);
    const split mine = split_of(m, me, all);
    const range cs = mine.channels;
    for (int i = 2; i < 5; i++)
        clear(row(j, me, i, m.c), m.c);
    for (int i = 0; i < 4; i++)
        clear_double(double_row(j, me, i, m.c), m.c);
    for (int64_t n = mine.images.begin; n < mine.images.end; n++) {
        for (int64_t p = 0; p < m.pixels; p += TILE) {
            sums_tile_any(&k, n * m.pixels + p, m.pixels - p < TILE ? m.pixels - p : TILE, cs);
            flush(k.s1, s1, cs.begin, cs.end);
            flush(k.s2, s2, cs.begin, cs.end);
            if (k.id)
                flush(k.i2, i2, cs.begin, cs.end);
        }
        for (int64_t c = cs.begin; c < cs.end; c++) {
            sums[n * m.c + c] = (float)s1[c];
            sums[(m.n + n) * m.c + c] = (float)s2[c];
            i1[c] += s1[c];
            s1[c] = s2[c] = 0;
        }
    }
}

void KERNEL(TAIL_SUMS)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[3]);
    if (phase == 0) {
        sums_share(j, m, me, all);
        return;
    }
    const range mine = share(j->in[5] ? m.c : 0, GN_ROW_UNIT, me, all);
    const float *var = j->in[6] ? (const float *)j->in[6] + m.c : NULL;
    for (int64_t c = mine.begin; c < mine.end; c++) {
        double d1 = 0, d2 = 0;
        for (int t = 0; t < all; t++) {
            d1 += double_row(j, t, 2, m.c)[c];
            d2 += double_row(j, t, 3, m.c)[c];
        }
        write_sums(j->out[2], j->out[3], j->out[4], m.c, c, d1, d2, var[c], j->attr->eps2);
    }
}

/* --- the gate, on (N,C) ---------------------------------------------------------------------------------------------------- */

void KERNEL(TAIL_GATE)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[1]);
    const float *s1 = j->in[0], *s2 = s1 + m.n * m.c, *s = j->in[1], *a = (const float *)j->in[2] + 2 * m.c, *beta = j->in[3];
    const range mine = share(m.c, GN_ROW_UNIT, me, all);
    float *dt = j->out[0];
    (void)phase;
    for (int64_t n = 0; n < m.n; n++)
        for (int64_t c = mine.begin; c < mine.end; c++) {
            int64_t e = n * m.c + c;
            double ds = (double)a[c] * s2[e] + (double)beta[c] * s1[e];
            dt[e] = (float)(ds * s[e] * (1 - (double)s[e]));
        }
}

void KERNEL(TAIL_BN)(const gn_job *j, int phase, int me, int all)
{
    const float *sums = j->in[0], *s = j->in[1], *dq = j->in[2], *g = j->in[3], *mean = j->in[4];
    const int64_t channels = j->tin[4]->dim[1], images = sums ? j->tin[0]->dim[1] : j->tin[2]->dim[0];
    const float *var = mean + channels;
    const range mine = share(channels, GN_ROW_UNIT, me, all);
    double *w = double_row(j, me, 0, channels), *d1 = double_row(j, me, 1, channels), *d2 = double_row(j, me, 2, channels);
    (void)phase;
    kernel_sums(w, j->in[5], j->tin[5], mine);
    clear_double(d1, channels);
    clear_double(d2, channels);
    for (int64_t n = 0; n < images; n++)
        for (int64_t c = mine.begin; c < mine.end; c++) {
            int64_t e = n * channels + c;
            double gate = s ? (double)s[e] : 1;
            if (sums) {
                d1[c] += gate * sums[e];
                d2[c] += gate * sums[images * channels + e];
            }
            if (dq) {
                d1[c] += dq[e] * w[c];
                d2[c] += dq[e] * (g[e] - mean[c] * w[c]);
            }
        }
    for (int64_t c = mine.begin; c < mine.end; c++)
        write_sums(j->out[0], j->out[1], j->out[2], channels, c, d1[c], d2[c], var[c], j->attr->eps);
}

/* --- backward, second pass ---------------------------------------------------------------------------------------------------- */

/* dy = (a*s)*d + (a*dq)*w + slope*(y-mean) + shift for pixels of one image. */
typedef struct dx_pass {
    const map_t *d, *y, *id;
    map_t *dy, *did;
    gradient_rows g, ig;
    const float *gate, *through; /* rows of this image: a*s; a*dq, or with no kernel a*dq/P */
    const float *dq;             /* row */
    const float *w;              /* packed tile (pixels,row_length(C)); NULL: no kernel */
    float *dw;                   /* likewise */
    int64_t channels, length;    /* row_length */
} dx_pass;

enum { DIRECT = 1, THROUGH = 2, KERNEL_W = 4, KERNEL_DW = 8, PROJECTS = 16 };

/* Channels c..c+n-1 of `count` pixels: from element e of the maps, pixel p of the tile. */
static INLINE void dx_vector(const dx_pass *k, int64_t e, int64_t p, int64_t c, int n, int count, int what)
{
    const vec slope = row_get(k->g.slope, c), mean = row_get(k->g.s.mean, c), shift = row_get(k->g.shift, c);
    const vec gate = row_get(k->gate, c), through = row_get(k->through, c), dq = row_get(k->dq, c);
    const vec a = row_get(k->g.s.a, c), b = row_get(k->g.s.b, c);
    for (int i = 0; i < count; i++, e += k->channels) {
        vec y = load(k->y + e, n), d = {0}, sum = muladd(slope, y - mean, shift);
        if (what & DIRECT) {
            d = load(k->d + e, n);
            sum = muladd(gate, d, sum);
        }
        if (what & KERNEL_W)
            sum = muladd(through, row_get(k->w + (p + i) * k->length, c), sum);
        else if (what & THROUGH)
            sum += through;
        if (what & KERNEL_DW) {
            float *dw = k->dw + (p + i) * k->length;
            row_put(dw, c, muladd(dq, muladd(a, y, b), row_get(dw, c)));
        }
        if (what & PROJECTS)
            store(k->did + e, gradient_at(&k->ig, d, load(k->id + e, n), c), n);
        store(k->dy + e, sum, n);
    }
}

static INLINE void dx_pixels(const dx_pass *k, int64_t from, int64_t pixels, range channels, int what)
{
    for (int64_t p = 0; p < pixels; p++)
        EACH_VECTOR(c, n, channels.begin, channels.end, dx_vector(k, (from + p) * k->channels + c, p, c, n, 1, what));
}

static void dx_any(const dx_pass *k, int64_t from, int64_t pixels, range channels, int what)
{
    switch (what) {
    case DIRECT:
        dx_pixels(k, from, pixels, channels, DIRECT);
        break;
    case DIRECT | PROJECTS:
        dx_pixels(k, from, pixels, channels, DIRECT | PROJECTS);
        break;
    case DIRECT | THROUGH:
        dx_pixels(k, from, pixels, channels, DIRECT | THROUGH);
        break;
    case DIRECT | THROUGH | PROJECTS:
        dx_pixels(k, from, pixels, channels, DIRECT | THROUGH | PROJECTS);
        break;
    case DIRECT | THROUGH | KERNEL_W | KERNEL_DW:
        dx_pixels(k, from, pixels, channels, DIRECT | THROUGH | KERNEL_W | KERNEL_DW);
        break;
    case DIRECT | THROUGH | KERNEL_W | KERNEL_DW | PROJECTS:
        dx_pixels(k, from, pixels, channels, DIRECT | THROUGH | KERNEL_W | KERNEL_DW | PROJECTS);
        break;
    default: /* the mindspore form's stage 1, and what no network has */
        dx_pixels(k, from, pixels, channels, what);
    }
}

/* Rows of image n for channels of a share. */
static void image_rows(const gn_job *j, const dx_pass *k, float *gate, float *through, float *dq_row, map m, range channels,
                       int64_t n, int what)
{
    const float *s = j->in[3], *dq = j->in[4];
    float factor = what & KERNEL_W ? 1 : 1 / (float)m.pixels;
    for (int64_t c = channels.begin; c < channels.end; c++) {
        float a = k->g.s.a[c];
        gate[c] = s ? a * s[n * m.c + c] : a;
        dq_row[c] = dq ? dq[n * m.c + c] : 0;
        through[c] = a * dq_row[c] * factor;
    }
}

/* The images inside a tile of pixels: w is read and dw is complete once for all of them. */
static void dx_share(const gn_job *j, dx_pass *k, map m, range pixels, range channels, int me, int what)
{
    float *gate = row(j, me, 12, m.c), *through = row(j, me, 13, m.c), *dq = row(j, me, 14, m.c);
    float *tiles = behind_rows(j, me, m.c), *dw_tile = tiles + GN_TAIL_TILE * k->length;
    const bool tiled = what & (KERNEL_W | KERNEL_DW);
    const int64_t step = tiled ? GN_TAIL_TILE : pixels.end - pixels.begin;
    for (int i = 12; i < 15; i++)
        clear(row(j, me, i, m.c), m.c);
    k->gate = gate;
    k->through = through;
    k->dq = dq;
    k->w = tiles;
    k->dw = dw_tile;
    for (int64_t p = pixels.begin; p < pixels.end; p += step) {
        int64_t count = pixels.end - p < step ? pixels.end - p : step;
        if (what & KERNEL_W)
            gather_tile(j->in[5], m, p, count, channels, tiles);
        if (what & KERNEL_DW)
            memset(dw_tile, 0, (size_t)(count * k->length) * sizeof *dw_tile);
        for (int64_t n = 0; n < m.n; n++) {
            image_rows(j, k, gate, through, dq, m, channels, n, what);
            dx_any(k, n * m.pixels + p, count, channels, what);
        }
        if (what & KERNEL_DW)
            scatter_tile(j->out[1], m, p, count, channels, dw_tile);
    }
}

void KERNEL(TAIL_DX)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[1]);
    dx_pass k = {.d = j->in[0], .y = j->in[1], .id = j->in[7], .dy = j->out[0], .did = j->out[2], .channels = m.c,
                 .length = row_length(m.c)};
    k.g = gradient_of(j, me, 0, j->in[2], j->in[6], m.c, m.count, j->attr->eps);
    if (k.id)
        k.ig = gradient_of(j, me, 6, j->in[8], j->in[9], m.c, m.count, j->attr->eps2);
    int what = (k.d ? DIRECT : 0) | (j->in[4] ? THROUGH : 0) | (j->in[4] && j->in[5] ? KERNEL_W : 0) |
               (j->out[1] ? KERNEL_DW : 0) | (k.id ? PROJECTS : 0);
    range pixels = {0, m.pixels}, channels = {0, m.c};
    if (m.pixels >= 2 * all || m.c < 2 * GN_ROW_UNIT)
        pixels = share(m.pixels, 1, me, all);
    else
        channels = share(m.c, GN_ROW_UNIT, me, all);
    (void)phase;
    if (pixels.begin < pixels.end && channels.begin < channels.end)
        dx_share(j, &k, m, pixels, channels, me, what);
}
