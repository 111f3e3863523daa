/* SPDX-License-Identifier: Apache-2.0
 * The own weight gradient (wgrad.h), compiled for AVX2 and for AVX-512.
 *
 *   dw[k,c,r,s] = sum over n,p,q of dy[n,p,q,k] * x[n, p*stride-top+r, q*stride-left+s, c]
 *
 * Per tap (r,s) this is a matrix product over the pixels. A register tile of CT channels by KT output channels is updated by one
 * outer product a pixel: loads of KT values of dy, CT broadcasts of x, no other memory traffic. The pixels are cut into blocks
 * (rows of one image, or whole images); x is packed once a block in panels of CT channels with its halo (zeros where the window
 * leaves the map), so that all taps share it, dy in panels of KT output channels. A block's sums are added to sums that lie in
 * tiles: sums[k panel][c panel][tap][CT][KT].
 *
 * Last panels overlap the one before them where the count is no multiple, so that nothing is filled up; only K < KT is. Where
 * C < CT the columns of a window and its channels, which lie side by side in NHWC, are the channels (S*C of them) and the rows
 * its taps.
 *
 * Threads form `groups` groups of `members`: a group has its own sums over its share of the images, its members share out the k
 * panels. Phase 0 makes the sums, phase 1 adds the groups' in their order and writes dw. */
#include "backend/cpu/wgrad.h"

#include "backend/cpu/own.h"

/* Register tiles: 12 sums of 16 registers, 16 of 32. */
#if GN_ISA_BITS == 512
enum { CT = 8, VECTORS = 2 };
#else
enum { CT = 6, VECTORS = 2 };
#endif
enum {
    KT = LANES * VECTORS,
    TILE = CT * KT,
    BLOCK_PIXELS = 128, /* a dy panel of 8 KiB (AVX2) and an x panel of 3 KiB, 12 if strided, lie in the first-level cache */
    GROUP_FLOATS = 2 << 20,     /* sums of all groups together: what a last-level cache may hold beside the maps */
    PANELS_BYTES = 128 << 10,   /* x panels that are used again for every k panel: a part of a second-level cache */
};

/* How a shape is cut. */
typedef struct cut {
    bool merged;               /* C < CT */
    bool pointwise;            /* R = S = 1: x is packed without what the stride skips */
    int64_t taps_r, taps_s;
    int64_t c_count, c_panels; /* channels (merged: S*C), their panels */
    int64_t k_panels;
    int64_t rows, row_blocks;  /* output rows of a block, blocks of an image */
    int64_t images;            /* images of a block where row_blocks is 1 */
    int64_t span_h, span_w;    /* packed pixels of an image under a block */
    int64_t pixel, row;        /* floats from output pixel to pixel, row to row in an x panel */
    int64_t image, panel;      /* floats of an image in a panel; from panel to panel */
    int64_t tap_row;           /* floats of x from tap row to tap row */
    int64_t dy_panel;          /* floats from panel to panel of dy */
    int64_t sum_floats, x_floats, dy_floats;
    int groups, members;
} cut;

/* Floats rounded up to an odd number of cache lines: panels then start in different sets of a cache. */
static int64_t odd_lines(int64_t floats)
{
    return (ceiling(floats, 16) | 1) * 16;
}

/* The most groups whose sums are small enough and that each have an image's block to work on. */
static void share_out(cut *u, const gn_conv_shape *g, int all)
{
    u->groups = 1;
    for (int n = 2; n <= all; n++)
        if (all % n == 0 && n <= g->n * u->row_blocks && (n * u->sum_floats <= GROUP_FLOATS || u->k_panels < all / u->groups))
            u->groups = n;
    u->members = all / u->groups;
}

static cut cut_of(const gn_conv_shape *g, int all)
{
    cut u = {.merged = g->c < CT, .pointwise = g->r == 1 && g->s == 1};
    const int64_t step = u.pointwise ? 1 : g->stride;
    const int64_t width = u.merged ? g->c : CT; /* of a packed pixel */
    u.taps_r = g->r;
    u.taps_s = u.merged ? 1 : g->s;
    u.c_count = u.merged ? g->s * g->c : g->c;
    u.c_panels = ceiling(u.c_count, CT);
    u.k_panels = ceiling(g->k, KT);
    u.row_blocks = ceiling(g->p, least(g->p, BLOCK_PIXELS / g->q < 1 ? 1 : BLOCK_PIXELS / g->q));
    u.rows = ceiling(g->p, u.row_blocks);
    u.row_blocks = ceiling(g->p, u.rows);
    u.sum_floats = u.k_panels * u.c_panels * u.taps_r * u.taps_s * TILE;
    share_out(&u, g, all);
    const int64_t own = ceiling(g->n, u.groups), most = BLOCK_PIXELS / (g->p * g->q);
    u.images = u.row_blocks > 1 || most < 2 ? 1 : ceiling(own, ceiling(own, most));
    u.span_h = (u.rows - 1) * step + g->r;
    u.span_w = (g->q - 1) * step + g->s;
    u.pixel = step * width;
    u.row = step * u.span_w * width;
    u.image = u.span_h * u.span_w * width;
    u.panel = u.merged ? CT : odd_lines(u.images * u.image);
    u.tap_row = u.span_w * width;
    u.dy_panel = odd_lines(u.images * u.rows * g->q * KT);
    /* merged: the last panel reaches behind the last window, into sums that are not put out */
    u.x_floats = u.merged ? odd_lines(u.images * u.image + CT) : u.c_panels * u.panel;
    u.dy_floats = ceiling(u.k_panels, u.members) * u.dy_panel;
    return u;
}

static size_t scratch_bytes(const gn_conv_shape *g, int all)
{
    const cut u = cut_of(g, all);
    return (size_t)(u.groups * u.sum_floats + all * (u.x_floats + u.dy_floats)) * sizeof(float);
}

/* The first channel of a panel. */
static int64_t first_of(int64_t panel, int64_t width, int64_t count)
{
    return count < width ? 0 : least(panel * width, count - width);
}

/* --- packing -------------------------------------------------------------------------------------------------------- */

/* One row of x, `columns` pixels `step` apart, into all panels. */
static void pack_row(const cut *u, const float *x, int64_t c, int64_t step, int64_t columns, float *to)
{
    for (int64_t j = 0; j < columns; j++, x += step * c, to += CT) {
        float *panel = to;
        int64_t t = 0;
        for (; t + 1 < u->c_panels; t++, panel += u->panel)
            memcpy(panel, x + t * CT, CT * sizeof(float));
        memcpy(panel, x + (c - CT), CT * sizeof(float));
    }
}

static void clear_row(const cut *u, int64_t columns, float *to)
{
    for (int64_t t = 0; t < u->c_panels; t++)
        memset(to + t * u->panel, 0, (size_t)(columns * CT) * sizeof(float));
}

/* x under output rows p.. of image n: the image's part of the panels. Columns before `from` and after `to` are off the map. */
static void pack_x(const gn_conv_shape *g, const cut *u, const float *x, int64_t n, int64_t p, int64_t rows, float *packed)
{
    const int64_t width = u->merged ? g->c : CT, step = u->pointwise ? g->stride : 1;
    const int64_t span = u->pointwise ? rows : (rows - 1) * g->stride + g->r;
    const int64_t off = u->pointwise ? ceiling(g->pad[1], step) : g->pad[1];
    const int64_t from = least(off, u->span_w), to = least(u->span_w, ceiling(g->w + g->pad[1], step));
    for (int64_t i = 0; i < span; i++) {
        float *row = packed + i * u->span_w * width;
        const int64_t h = (u->pointwise ? (p + i) * g->stride : p * g->stride + i) - g->pad[0];
        const bool inside = h >= 0 && h < g->h && to > from;
        const int64_t a = inside ? from : u->span_w, b = inside ? to : u->span_w;
        const float *at = inside ? x + ((n * g->h + h) * g->w + from * step - g->pad[1]) * g->c : x;
        if (u->merged) {
            memset(row, 0, (size_t)(a * width) * sizeof(float));
            for (int64_t j = a; j < b; j++, at += step * g->c)
                memcpy(row + j * width, at, (size_t)g->c * sizeof(float));
            memset(row + b * width, 0, (size_t)((u->span_w - b) * width) * sizeof(float));
        } else {
            clear_row(u, a, row);
            pack_row(u, at, g->c, step, b - a, row + a * CT);
            clear_row(u, u->span_w - b, row + b * CT);
        }
    }
}

/* dy of `pixels` output pixels into panels k0..k1-1. */
static void pack_dy(const gn_conv_shape *g, const cut *u, const float *dy, int64_t pixels, int64_t k0, int64_t k1, float *packed)
{
    for (int64_t l = 0; l < pixels; l++, dy += g->k)
        for (int64_t t = k0; t < k1; t++) {
            float *to = packed + (t - k0) * u->dy_panel + l * KT;
            if (g->k >= KT) {
                memcpy(to, dy + first_of(t, KT, g->k), KT * sizeof(float));
            } else {
                memcpy(to, dy, (size_t)g->k * sizeof(float));
                memset(to + g->k, 0, (size_t)(KT - g->k) * sizeof(float));
            }
        }
}

/* --- products ------------------------------------------------------------------------------------------------------- */

/* The pixels of a packed block. */
typedef struct walk {
    int64_t images, rows, columns;
    int64_t image, row, pixel; /* floats of x from one to the next */
} walk;

/* sum[CT][KT] (+)= the outer products of x and dy over the pixels. */
static void outer(const float *x, const float *dy, float *sum, bool fresh, const walk *w)
{
    vec acc[CT][VECTORS];
#pragma GCC unroll 16
    for (int c = 0; c < CT; c++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            acc[c][v] = fresh ? (vec){0} : ((const vec *)sum)[c * VECTORS + v];
    for (int64_t n = 0; n < w->images; n++)
        for (int64_t i = 0; i < w->rows; i++) {
            const float *xs = x + n * w->image + i * w->row;
            for (int64_t j = 0; j < w->columns; j++, xs += w->pixel, dy += KT) {
                vec d[VECTORS];
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++)
                    d[v] = ((const vec *)dy)[v];
#pragma GCC unroll 16
                for (int c = 0; c < CT; c++)
#pragma GCC unroll 4
                    for (int v = 0; v < VECTORS; v++)
                        acc[c][v] = muladd(d[v], same(xs[c]), acc[c][v]);
            }
        }
#pragma GCC unroll 16
    for (int c = 0; c < CT; c++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            ((vec *)sum)[c * VECTORS + v] = acc[c][v];
}

/* What the next block will pack, asked for in parts while this one is computed: packing alone would wait for memory (1x1 of 64
 * channels: half again as fast with AVX-512). */
typedef struct ahead {
    const char *x, *dy;
    int64_t x_bytes, dy_bytes; /* 0: nothing */
} ahead;

static void fetch(const char *from, int64_t bytes, int64_t part, int64_t parts)
{
    for (int64_t i = bytes * part / parts / 64; i < bytes * (part + 1) / parts / 64; i++)
        __builtin_prefetch(from + i * 64, 0, 2);
}

/* All taps of all panels of one packed block; sums and dy begin at the member's first k panel. */
static void products(const cut *u, const float *x, const float *dy, float *sums, bool fresh, int64_t k_panels, const walk *w,
                     const ahead *next)
{
    const int64_t taps = u->taps_r * u->taps_s;
    int64_t part = 0;
    const int64_t together = u->merged ? u->c_panels : 1 + PANELS_BYTES / (u->panel * (int64_t)sizeof(float));
    for (int64_t c0 = 0; c0 < u->c_panels; c0 += together)
        for (int64_t k = 0; k < k_panels; k++)
            for (int64_t c = c0; c < least(c0 + together, u->c_panels); c++) {
                float *sum = sums + (k * u->c_panels + c) * taps * TILE;
                fetch(next->x, next->x_bytes, part, k_panels * u->c_panels);
                fetch(next->dy, next->dy_bytes, part++, k_panels * u->c_panels);
                for (int64_t tap = 0; tap < taps; tap++, sum += TILE)
                    outer(x + c * u->panel + tap / u->taps_s * u->tap_row + tap % u->taps_s * CT, dy + k * u->dy_panel, sum,
                          fresh, w);
            }
}

/* Of the block that starts with unit; its windows' rows in x may overlap those of the block before. */
static ahead look_ahead(const gn_conv_shape *g, const cut *u, const float *x, const float *dy, int64_t unit, int64_t end)
{
    const int64_t n = unit / u->row_blocks, p = unit % u->row_blocks * u->rows, rows = least(u->rows, g->p - p);
    const int64_t images = least(u->images, end - unit), h = p * g->stride, row = g->w * g->c * (int64_t)sizeof(float);
    if (images < 1)
        return (ahead){0};
    return (ahead){(const char *)x + (n * g->h + h) * row, (const char *)(dy + (n * g->p + p) * g->q * g->k),
                   images > 1 ? images * g->h * row : least(rows * g->stride, g->h - h) * row,
                   images * rows * g->q * g->k * (int64_t)sizeof(float)};
}

/* Phase 0: the sums of one thread's group and k panels, block by block; every group has a block (share_out). */
static void sum_up(const gn_conv_shape *g, const cut *u, const float *x, const float *dy, float *scratch, int me)
{
    const int group = me / u->members, member = me % u->members;
    const int64_t k0 = u->k_panels * member / u->members, k1 = u->k_panels * (member + 1) / u->members;
    const int64_t units = g->n * u->row_blocks, end = units * (group + 1) / u->groups; /* row blocks of all images */
    float *sums = scratch + group * u->sum_floats + k0 * (u->sum_floats / u->k_panels);
    float *xp = scratch + u->groups * u->sum_floats + me * (u->x_floats + u->dy_floats), *dyp = xp + u->x_floats;
    bool fresh = true;
    for (int64_t unit = units * group / u->groups, images; unit < end; unit += images, fresh = false) {
        const int64_t n = unit / u->row_blocks, p = unit % u->row_blocks * u->rows, rows = least(u->rows, g->p - p);
        images = least(u->images, end - unit);
        const int64_t pixels = images * rows * g->q;
        const walk dense = {1, 1, pixels, 0, 0, u->pixel}, window = {images, rows, g->q, u->image, u->row, u->pixel};
        for (int64_t i = 0; i < images; i++)
            pack_x(g, u, x, n + i, p, rows, xp + i * u->image);
        pack_dy(g, u, dy + (n * g->p + p) * g->q * g->k, pixels, k0, k1, dyp);
        const ahead next = look_ahead(g, u, x, dy, unit + images, end);
        products(u, xp, dyp, sums, fresh, k1 - k0, u->pointwise ? &dense : &window, &next);
    }
}

/* --- the result ----------------------------------------------------------------------------------------------------- */

/* One channel of one output channel, all taps, of all groups together: sum[tap*TILE] of each. */
static void put_taps(const gn_conv_shape *g, const cut *u, const float *sum, int64_t e, float *dw)
{
    for (int64_t tap = 0; tap < u->taps_r * u->taps_s; tap++, sum += TILE) {
        float all = *sum;
        for (int group = 1; group < u->groups; group++)
            all += sum[group * u->sum_floats];
        if (u->merged)
            dw[((e % g->c) * g->r + tap) * g->s + e / g->c] = all;
        else
            dw[e * g->r * g->s + tap] = all;
    }
}

/* Phase 1: the groups' sums together into dw. */
static void put(const gn_conv_shape *g, const cut *u, const float *sums, float *dw, int me, int all)
{
    const int64_t taps = u->taps_r * u->taps_s;
    for (int64_t t = u->k_panels * me / all; t < u->k_panels * (me + 1) / all; t++)
        for (int64_t panel = 0; panel < u->c_panels; panel++) {
            const float *tiles = sums + (t * u->c_panels + panel) * taps * TILE;
            const int64_t end = least(u->c_count, (panel + 1) * CT);
            const int64_t first = u->merged ? panel * CT : first_of(panel, CT, u->c_count);
            for (int64_t k = t * KT; k < least(g->k, (t + 1) * KT); k++)
                for (int64_t e = panel * CT; e < end; e++)
                    put_taps(g, u, tiles + (e - first) * KT + k - first_of(t, KT, g->k), e, dw + k * g->c * g->r * g->s);
        }
}

static void run(const gn_conv_shape *g, const float *x, const float *dy, float *dw, float *scratch, int phase, int me, int all)
{
    const cut u = cut_of(g, all);
    if (phase == 0)
        sum_up(g, &u, x, dy, scratch, me);
    else
        put(g, &u, scratch, dw, me, all);
}

extern const gn_wgrad GN_OF_ISA(gn_wgrad_);
const gn_wgrad GN_OF_ISA(gn_wgrad_) = {GN_ISA_TEXT, scratch_bytes, run};
