/* SPDX-License-Identifier: Apache-2.0
 * The excite of a gathered map: s = sigmoid(t), spread over the pixels of its cell (row i of H reads row floor(i*h/H)), times
 * u, plus identity, ReLU; its gradient; addition. The unit of work is a row of cells of an image. t, s and dt may be f32
 * vectors (N,C) beside bf16 maps. */
#include "backend/cpu/pass.h"

/* First row of the map that reads row i of a gate with `cells` rows. */
static int64_t cell_begin(int64_t i, int64_t cells, int64_t rows)
{
    return (i * rows + cells - 1) / cells;
}

static INLINE vec load_gate(const void *p, bool wide, int64_t e, int n)
{
    return wide ? load_f((const float *)p + e, n) : load((const map_t *)p + e, n);
}

static INLINE void store_gate(void *p, bool wide, int64_t e, vec v, int n)
{
    if (wide)
        store_f((float *)p + e, v, n);
    else
        store((map_t *)p + e, v, n);
}

/* s of a row of cells, unrounded into `to` (cells,row_length) and as stored into s_out. */
static void gate_row(const void *t, void *s_out, bool wide, int64_t first, map g, float *to)
{
    for (int64_t k = 0; k < g.w; k++) {
        float *cell = to + k * row_length(g.c);
        int64_t e = (first + k) * g.c;
        EACH_VECTOR(c, n, 0, g.c, row_put(cell, c, load_gate(t, wide, e + c, n)));
        for (int64_t c = 0; c < g.c; c++)
            cell[c] = sigmoid(cell[c]);
        EACH_VECTOR(c, n, 0, g.c, store_gate(s_out, wide, e + c, row_get(cell, c), n));
    }
}

typedef struct excite_pass {
    const map_t *u, *id;
    map_t *o;
    stats_rows i;
    int64_t channels;
} excite_pass;

static INLINE void excite_pixel(const excite_pass *k, int64_t e, const float *s, bool projects)
{
    EACH_VECTOR(c, n, 0, k->channels, {
        vec identity = load(k->id + e + c, n), u = load(k->u + e + c, n);
        if (projects)
            identity = muladd(row_get(k->i.a, c), identity, row_get(k->i.b, c));
        store(k->o + e + c, positive(muladd(row_get(s, c), u, identity)), n);
    });
}

void KERNEL(EXCITE)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[0]), g = map_of(j->tin[1]);
    const bool wide = j->tin[1]->dtype == GN_F32;
    const excite_pass k = {j->in[0], j->in[2], j->out[0], stats_of(j, me, 0, j->in[3], m.c), m.c};
    const range mine = share(g.n * g.h, 1, me, all);
    float *s = behind_rows(j, me, m.c);
    (void)phase;
    for (int64_t unit = mine.begin; unit < mine.end; unit++) {
        int64_t n = unit / g.h, i = unit % g.h;
        gate_row(j->in[1], j->out[1], wide, unit * g.w, g, s);
        for (int64_t h = cell_begin(i, g.h, m.h); h < cell_begin(i + 1, g.h, m.h); h++)
            for (int64_t v = 0; v < m.w; v++) {
                int64_t e = ((n * m.h + h) * m.w + v) * m.c;
                const float *cell = s + v * g.w / m.w * row_length(m.c);
                if (k.i.a)
                    excite_pixel(&k, e, cell, true);
                else
                    excite_pixel(&k, e, cell, false);
            }
    }
}

typedef struct excite_back {
    const map_t *d_o, *d_o2, *o, *u, *id;
    map_t *d, *du;
    const float *id_mean;
    float *i1, *i2;
    int64_t channels;
} excite_back;

/* sum: of d*u over the pixels of a cell in this row of the map. */
static INLINE void back_pixel(const excite_back *k, int64_t e, const float *s, float *sum, bool two, bool projects)
{
    EACH_VECTOR(c, n, 0, k->channels, {
        vec d = load(k->d_o + e + c, n), u = load(k->u + e + c, n);
        if (two)
            d += load(k->d_o2 + e + c, n);
        d = keep(d, load(k->o + e + c, n) > 0);
        row_put(sum, c, muladd(d, u, row_get(sum, c)));
        if (projects) {
            vec centred = load(k->id + e + c, n) - row_get(k->id_mean, c);
            row_put(k->i1, c, row_get(k->i1, c) + d);
            row_put(k->i2, c, muladd(d, centred, row_get(k->i2, c)));
        }
        store(k->d + e + c, d, n);
        store(k->du + e + c, d * row_get(s, c), n);
    });
}

/* One row of the map; sums (cells,row_length) of it. A row wider than TILE times the cells loses a little more. */
static void back_row(const excite_back *k, map m, map g, int64_t line, const float *s, float *sums)
{
    for (int64_t v = 0; v < m.w; v++) {
        int64_t cell = v * g.w / m.w * row_length(m.c), e = (line * m.w + v) * m.c;
        if (k->d_o2 && k->id)
            back_pixel(k, e, s + cell, sums + cell, true, true);
        else if (k->d_o2)
            back_pixel(k, e, s + cell, sums + cell, true, false);
        else if (k->id)
            back_pixel(k, e, s + cell, sums + cell, false, true);
        else
            back_pixel(k, e, s + cell, sums + cell, false, false);
    }
}

/* dt of a row of cells from its long sums. */
static void write_dt(void *dt, bool wide, int64_t first, map g, const float *s, const double *sums, float *scratch)
{
    for (int64_t k = 0; k < g.w; k++) {
        const float *cell = s + k * row_length(g.c);
        for (int64_t c = 0; c < g.c; c++)
            scratch[c] = (float)((double)cell[c] * (1 - (double)cell[c]) * sums[k * row_length(g.c) + c]);
        EACH_VECTOR(c, n, 0, g.c, store_gate(dt, wide, (first + k) * g.c + c, row_get(scratch, c), n));
    }
}

static void excite_back_share(const gn_job *j, map m, map g, int me, int all)
{
    const bool wide = j->tin[4]->dtype == GN_F32;
    const excite_back k = {j->in[0], j->in[1], j->in[2], j->in[3], j->in[5], j->out[0], j->out[1],
                           padded(j, me, 0, j->in[6], m.c), row(j, me, 1, m.c), row(j, me, 2, m.c), m.c};
    const int64_t cells = g.w * row_length(m.c);
    double *i1 = double_row(j, me, 0, m.c), *i2 = double_row(j, me, 1, m.c);
    float *s = behind_rows(j, me, m.c), *sums = s + cells;
    double *long_sums = (double *)(void *)(sums + cells);
    const range mine = share(g.n * g.h, 1, me, all);
    clear(k.i1, m.c);
    clear(k.i2, m.c);
    clear_double(i1, m.c);
    clear_double(i2, m.c);
    memset(sums, 0, (size_t)cells * sizeof *sums);
    for (int64_t unit = mine.begin; unit < mine.end; unit++) {
        int64_t n = unit / g.h, i = unit % g.h;
        memset(long_sums, 0, (size_t)cells * sizeof *long_sums);
        for (int64_t q = 0; q < g.w; q++)
            EACH_VECTOR(c, lanes, 0, m.c,
                        row_put(s + q * row_length(m.c), c, load_gate(j->in[4], wide, (unit * g.w + q) * m.c + c, lanes)));
        for (int64_t h = cell_begin(i, g.h, m.h); h < cell_begin(i + 1, g.h, m.h); h++) {
            back_row(&k, m, g, n * m.h + h, s, sums);
            flush(sums, long_sums, 0, cells);
            flush(k.i1, i1, 0, m.c);
            flush(k.i2, i2, 0, m.c);
        }
        write_dt(j->out[2], wide, unit * g.w, g, s, long_sums, row(j, me, 3, m.c));
    }
}

void KERNEL(EXCITE_DX)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[3]), g = map_of(j->tin[4]);
    if (phase == 0) {
        excite_back_share(j, m, g, me, all);
        return;
    }
    const range mine = share(j->in[5] ? m.c : 0, GN_ROW_UNIT, me, all);
    const float *var = j->in[6] ? (const float *)j->in[6] + m.c : NULL;
    for (int64_t c = mine.begin; c < mine.end; c++) {
        double d1 = 0, d2 = 0;
        for (int t = 0; t < all; t++) {
            d1 += double_row(j, t, 0, m.c)[c];
            d2 += double_row(j, t, 1, m.c)[c];
        }
        write_sums(j->out[3], j->out[4], j->out[5], m.c, c, d1, d2, var[c], j->attr->eps2);
    }
}

/* o may be a. */
void KERNEL(ADD)(const gn_job *j, int phase, int me, int all)
{
    const map_t *a = j->in[0], *b = j->in[1];
    map_t *o = j->out[0];
    const range mine = share(j->tin[0]->count, 4 * GN_ROW_UNIT, me, all);
    (void)phase;
    EACH_VECTOR(e, n, mine.begin, mine.end, store(o + e, load(a + e, n) + load(b + e, n), n));
}
