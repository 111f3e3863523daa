/* SPDX-License-Identifier: Apache-2.0
 * The own 3x3 passes (winograd.h), compiled for AVX2 and for AVX-512.
 *
 * The map is cut into tiles of 2 x 2 outputs, each the work of 4 x 4 inputs d:
 *   V = B'dB (per channel), M[i] = V[i] * U[i] over the channels for each of the 16 positions i, y = A'MA + bias
 *   U = GgG' (per channel and output channel), made once by pack
 * A thread takes blocks of tiles; of a block V is made for all channels, then for one panel of KT output channels after the other
 * the 16 products and at once the outputs, so that V and M stay in the second-level cache. V[16][tiles][C], U[panel][16][C][KT],
 * M[16][tiles][KT]. */
#include "backend/cpu/winograd.h"

#include "backend/cpu/own.h"

/* Register tiles of ROWS tiles by KT output channels; what is left of a block runs by fewer rows, a multiple of LEAST. */
#if GN_ISA_BITS == 512
enum { ROWS = 12, LEAST = 4 };
#else
enum { ROWS = 6, LEAST = 2 };
#endif
enum {
    KT = 2 * LANES,
    BLOCK_TILES = 48, /* of V: 240 KiB at 64 channels */
    GAP = 16,         /* floats between rows of V, which else would lie in few sets of the first-level cache */
};

/* How a shape is cut: threads form `parts` of the tiles, and share out the panels of output channels within one. */
typedef struct cut {
    int64_t high, wide, tiles; /* tiles of an image in a column, in a row; of all images */
    int64_t panels;            /* of KT output channels */
    int64_t block;             /* tiles of a block at most, a multiple of LEAST */
    int64_t row;               /* floats from tile to tile of V */
    int64_t v_floats, m_floats, own_floats;
    int parts, members;
} cut;

static cut cut_of(const gn_conv_shape *g, int all)
{
    cut u = {.high = ceiling(g->p, 2), .wide = ceiling(g->q, 2), .panels = g->k / KT, .row = g->c + GAP, .parts = 1};
    u.tiles = g->n * u.high * u.wide;
    for (int n = 2; n <= all; n++)
        if (all % n == 0 && (n * BLOCK_TILES <= u.tiles || u.panels < all / u.parts))
            u.parts = n;
    u.members = all / u.parts;
    const int64_t part = ceiling(u.tiles, u.parts);
    u.block = ceiling(ceiling(part, ceiling(part, BLOCK_TILES)), LEAST) * LEAST;
    u.v_floats = 16 * u.block * u.row;
    u.m_floats = 16 * u.block * KT;
    u.own_floats = u.v_floats + u.m_floats + g->c;
    return u;
}

static size_t packed_bytes(const gn_conv_shape *g)
{
    return (size_t)(16 * g->c * g->k) * sizeof(float);
}

static size_t scratch_bytes(const gn_conv_shape *g, int all)
{
    return (size_t)(all * cut_of(g, all).own_floats) * sizeof(float);
}

/* --- weights -------------------------------------------------------------------------------------------------------- */

/* Taps of CHANNELS channels and a panel's output channels, [channel][tap][KT]. */
enum { CHANNELS = 16 };

static void take_taps(const gn_conv_shape *g, const float *w, bool turned, int64_t k, int64_t c, float *taps)
{
    for (int64_t i = 0; i < KT; i++)
        for (int64_t j = 0; j < CHANNELS; j++) {
            const float *from = turned ? w + ((c + j) * g->k + k + i) * 9 + 8 : w + ((k + i) * g->c + c + j) * 9;
            for (int tap = 0; tap < 9; tap++, from += turned ? -1 : 1)
                taps[(j * 9 + tap) * KT + i] = *from;
        }
}

/* (g0, (g0+g1+g2)/2, (g0-g1+g2)/2, g2) */
static INLINE void transform_weights(vec g0, vec g1, vec g2, vec to[4])
{
    const vec outer = (g0 + g2) * 0.5f, inner = g1 * 0.5f;
    to[0] = g0;
    to[1] = outer + inner;
    to[2] = outer - inner;
    to[3] = g2;
}

/* LANES output channels of one channel: taps [9][KT] to positions C*KT floats apart. */
static INLINE void put_u(const float *taps, float *to, int64_t position)
{
    vec columns[3][4];
#pragma GCC unroll 3
    for (int s = 0; s < 3; s++)
        transform_weights(row_get(taps, s * KT), row_get(taps, (3 + s) * KT), row_get(taps, (6 + s) * KT), columns[s]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vec row[4];
        transform_weights(columns[0][i], columns[1][i], columns[2][i], row);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            row_put(to + (4 * i + j) * position, 0, row[j]);
    }
}

static void pack(const gn_conv_shape *g, const float *w, bool turned, float *packed, int me, int all)
{
    float taps[CHANNELS * 9 * KT] __attribute__((aligned(64)));
    const int64_t blocks = g->c / CHANNELS, units = g->k / KT * blocks;
    for (int64_t unit = units * me / all; unit < units * (me + 1) / all; unit++) {
        const int64_t panel = unit / blocks, c = unit % blocks * CHANNELS;
        take_taps(g, w, turned, panel * KT, c, taps);
        for (int64_t j = 0; j < CHANNELS; j++)
            for (int half = 0; half < KT; half += LANES)
                put_u(taps + j * 9 * KT + half, packed + (panel * 16 * g->c + c + j) * KT + half, g->c * KT);
    }
}

/* --- transforms ----------------------------------------------------------------------------------------------------- */

/* Where a tile lies. */
typedef struct place {
    int64_t n, p, q; /* image; first output row and column */
} place;

static place place_of(const cut *u, int64_t tile)
{
    return (place){tile / (u->high * u->wide), tile / u->wide % u->high * 2, tile % u->wide * 2};
}

static INLINE void transform_input(vec d[4], vec to[4])
{
    to[0] = d[0] - d[2];
    to[1] = d[1] + d[2];
    to[2] = d[2] - d[1];
    to[3] = d[1] - d[3];
}

/* One tile into V, whose positions are `position` floats apart; pixels off the map are read from `zeros`. */
static void put_v(const gn_conv_shape *g, const float *x, const float *zeros, place at, float *v, int64_t position)
{
    const float *from[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int64_t h = at.p - g->pad[0] + i, w = at.q - g->pad[1] + j;
            const bool inside = h >= 0 && h < g->h && w >= 0 && w < g->w;
            from[i][j] = inside ? x + ((at.n * g->h + h) * g->w + w) * g->c : zeros;
        }
    for (int64_t c = 0; c < g->c; c += LANES) {
        vec t[4][4]; /* [column][row] */
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            vec d[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                d[i] = load_f(from[i][j] + c, LANES);
            transform_input(d, t[j]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            vec row[4], d[4] = {t[0][i], t[1][i], t[2][i], t[3][i]};
            transform_input(d, row);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                row_put(v + (4 * i + j) * position, c, row[j]);
        }
    }
}

static INLINE void transform_output(const vec m[4], vec to[2])
{
    to[0] = m[0] + m[1] + m[2];
    to[1] = m[1] - m[2] - m[3];
}

/* One tile of M, LANES output channels from k, into y. */
static INLINE void put_y(const gn_conv_shape *g, const float *m, int64_t position, const float *bias, place at, int64_t k, float *y)
{
    vec t[4][2]; /* [column][row] */
    const vec shift = bias ? load_f(bias + k, LANES) : (vec){0};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const vec column[4] = {row_get(m + j * position, 0), row_get(m + (4 + j) * position, 0), row_get(m + (8 + j) * position, 0),
                               row_get(m + (12 + j) * position, 0)};
        transform_output(column, t[j]);
    }
    for (int i = 0; i < 2 && at.p + i < g->p; i++) {
        vec out[2];
        transform_output((const vec[4]){t[0][i], t[1][i], t[2][i], t[3][i]}, out);
        for (int j = 0; j < 2 && at.q + j < g->q; j++) {
            float *to = y + ((at.n * g->p + at.p + i) * g->q + at.q + j) * g->k + k;
            vec v = out[j] + shift;
            if (g->add)
                v += load_f(to, LANES);
            store_f(to, g->relu ? positive(v) : v, LANES);
        }
    }
}

/* --- products ------------------------------------------------------------------------------------------------------- */

/* m[rows][KT] = v[rows][C] * u[C][KT]. The next position's u, which lies behind, is fetched meanwhile into the second-level cache:
 * with few tiles the weights are what takes the time. */
static INLINE void product(const float *v, int64_t row, const float *u, int64_t channels, float *m, int rows)
{
    vec acc[ROWS][2] = {{{0}}};
    for (int64_t c = 0; c < channels; c++, v++, u += KT) {
        const vec u0 = row_get(u, 0), u1 = row_get(u, LANES);
#pragma GCC unroll 2
        for (int i = 0; i < KT; i += 16) /* a cache line */
            __builtin_prefetch(u + channels * KT + i, 0, 2);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const vec l = same(v[i * row]);
            acc[i][0] = muladd(l, u0, acc[i][0]);
            acc[i][1] = muladd(l, u1, acc[i][1]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        row_put(m, i * KT, acc[i][0]);
        row_put(m, i * KT + LANES, acc[i][1]);
    }
}

/* One position, all tiles of the block (rounded up to LEAST), one panel. */
static void products(const float *v, int64_t row, const float *u, int64_t channels, float *m, int64_t tiles)
{
    int64_t t = 0;
    for (; t + ROWS <= tiles; t += ROWS)
        product(v + t * row, row, u, channels, m + t * KT, ROWS);
    if (t + 2 * LEAST <= tiles)
        product(v + t * row, row, u, channels, m + t * KT, 2 * LEAST);
    else if (t < tiles)
        product(v + t * row, row, u, channels, m + t * KT, LEAST);
}

static void run(const gn_conv_shape *g, const float *x, const float *packed, const float *bias, float *y, float *scratch, int me,
                int all)
{
    const cut u = cut_of(g, all);
    const int part = me / u.members, member = me % u.members;
    const int64_t end = u.tiles * (part + 1) / u.parts;
    const int64_t first_panel = u.panels * member / u.members, last_panel = u.panels * (member + 1) / u.members;
    float *v = scratch + me * u.own_floats, *m = v + u.v_floats, *zeros = m + u.m_floats;
    memset(zeros, 0, (size_t)g->c * sizeof *zeros);
    for (int64_t t = u.tiles * part / u.parts; t < end; t += u.block) {
        const int64_t tiles = least(u.block, end - t), rounded = ceiling(tiles, LEAST) * LEAST;
        for (int64_t i = 0; i < rounded; i++) /* the last ones again, for whole register tiles */
            put_v(g, x, zeros, place_of(&u, t + least(i, tiles - 1)), v + i * u.row, rounded * u.row);
        for (int64_t panel = first_panel; panel < last_panel; panel++) {
            for (int i = 0; i < 16; i++)
                products(v + i * rounded * u.row, u.row, packed + (panel * 16 + i) * g->c * KT, g->c, m + i * rounded * KT,
                         rounded);
            for (int64_t i = 0; i < tiles; i++)
                for (int half = 0; half < 2; half++)
                    put_y(g, m + i * KT + half * LANES, rounded * KT, bias, place_of(&u, t + i), panel * KT + half * LANES, y);
        }
    }
}

extern const gn_winograd GN_OF_ISA(gn_winograd_);
const gn_winograd GN_OF_ISA(gn_winograd_) = {GN_ISA_TEXT, packed_bytes, scratch_bytes, pack, run};
