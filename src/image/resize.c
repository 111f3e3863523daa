/* SPDX-License-Identifier: Apache-2.0
 * Resampling 8-bit RGB, separably, to the bits of two well-known programs:
 * - triangle: Pillow's bilinear (antialiased; 22-bit weights, 8 bits between the passes, its order of the passes);
 * - bilinear: OpenCV's INTER_LINEAR (11-bit weights, no antialiasing).
 * Only the asked window of the result is computed, so a hostile shape (1 x 1,000,000) costs no more than its window. */
#include <math.h>
#include <string.h>
#include "image/internal.h"

extern const gn_image_kernels gn_image_kernels_base;
#ifdef GN_IMAGE_X86
extern const gn_image_kernels gn_image_kernels_avx2, gn_image_kernels_avx512;
#endif

const gn_image_kernels *gn_image_kernels_get(const char *name)
{
#ifdef GN_IMAGE_X86
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
                  && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx512 && (!name || strcmp(name, "avx512") == 0))
        return &gn_image_kernels_avx512;
    if (__builtin_cpu_supports("avx2") && (!name || strcmp(name, "avx2") == 0))
        return &gn_image_kernels_avx2;
#endif
    return !name || strcmp(name, "base") == 0 ? &gn_image_kernels_base : NULL;
}

/* Scratch is carved in order: the weights of both axes, then rows. */
typedef struct arena {
    unsigned char *at;
} arena;

static void *carve(arena *a, size_t bytes)
{
    void *p = a->at;
    a->at += (bytes + 63) / 64 * 64;
    return p;
}

static size_t carved(size_t bytes) { return (bytes + 63) / 64 * 64; }

typedef struct axis {
    int size;         /* input pixels */
    double from, to;  /* the box on this axis */
    int full;         /* output pixels of the whole result */
    int first, count; /* the window's */
    bool mirror;
} axis;

static int triangle_span(const axis *a)
{
    double scale = (a->to - a->from) / a->full, support = scale < 1 ? 1 : scale;
    return (int)ceil(support) * 2 + 1;
}

static size_t taps_bytes(int n, int span)
{
    return 2 * carved((size_t)n * sizeof(int)) + carved((size_t)n * (size_t)span * sizeof(int));
}

static gn_taps carve_taps(arena *a, int n, int span)
{
    gn_taps t = {.n = n, .span = span};
    t.first = carve(a, (size_t)n * sizeof(int));
    t.count = carve(a, (size_t)n * sizeof(int));
    t.weight = carve(a, (size_t)n * (size_t)span * sizeof(int));
    return t;
}

/* Pillow's weights: golden/pytorch README section 6. */
static void fill_triangle(gn_taps *t, const axis *a)
{
    double scale = (a->to - a->from) / a->full, filter = scale < 1 ? 1 : scale, inverse = 1 / filter;
    for (int i = 0; i < t->n; i++) {
        int at = a->mirror ? t->n - 1 - i : i;
        double centre = a->from + (a->first + i + 0.5) * scale;
        int low = (int)(centre - filter + 0.5), high = (int)(centre + filter + 0.5);
        low = low < 0 ? 0 : low;
        high = (high > a->size ? a->size : high) - low;
        int *weight = t->weight + (size_t)at * (size_t)t->span;
        double sum = 0;
        for (int k = 0; k < high; k++) {
            double w = 1 - fabs((k + low - centre + 0.5) * inverse);
            sum += w > 0 ? w : 0;
        }
        for (int k = 0; k < high; k++) {
            double w = 1 - fabs((k + low - centre + 0.5) * inverse);
            w = w > 0 ? w : 0;
            if (sum != 0)
                w /= sum;
            weight[k] = (int)(0.5 + w * (1 << 22));
        }
        t->first[at] = low;
        t->count[at] = high;
    }
}

/* OpenCV's weights. Columns clamp the position at the edges; rows clamp the row numbers and keep the weights. */
static void fill_linear(gn_taps *t, const axis *a, bool rows)
{
    double scale = 1 / ((double)a->full / a->size);
    for (int i = 0; i < t->n; i++) {
        int at = a->mirror ? t->n - 1 - i : i;
        float position = (float)((a->first + i + 0.5) * scale - 0.5);
        int low = (int)floorf(position), high = low + 1;
        position -= (float)low;
        if (!rows && low < 0) {
            low = 0;
            position = 0;
        }
        if (!rows && low >= a->size - 1) {
            low = a->size - 1;
            position = 0;
        }
        high = low + 1 < a->size ? low + 1 : a->size - 1;
        low = low < 0 ? 0 : low < a->size ? low : a->size - 1;
        t->first[at] = low;
        t->count[at] = high - low + 1;
        t->weight[2 * at] = (int)rintf((1 - position) * 2048);
        t->weight[2 * at + 1] = (int)rintf(position * 2048);
    }
}

typedef struct passes {
    const gn_image_kernels *k;
    const unsigned char *in; /* the crop's first pixel */
    size_t in_stride;
    gn_taps x, y;
    unsigned char *out;
    size_t stride;
    arena rest;
} passes;

static void columns_of(const passes *p, const unsigned char *in, size_t in_stride, size_t bytes, unsigned char *out,
                       size_t stride)
{
    for (int y = 0; y < p->y.n; y++)
        p->k->triangle_column(in + in_stride * (size_t)p->y.first[y], in_stride, p->y.count[y],
                              p->y.weight + (size_t)y * (size_t)p->y.span, out + stride * (size_t)y, bytes);
}

/* Input rows first..first+count-1 that the vertical pass reads. Windows run forwards, so the ends hold the extremes. */
static void rows_read(const gn_taps *y, int *first, int *count)
{
    int last = y->n - 1;
    *first = y->first[0];
    *count = y->first[last] + y->count[last] - *first;
}

static void triangle_passes(passes *p, bool horizontal, bool vertical, bool vertical_first)
{
    const gn_taps *x = &p->x, *y = &p->y;
    if (!vertical) {
        p->k->triangle_rows(p->in + p->in_stride * (size_t)y->first[0], p->in_stride, y->n, p->out, p->stride, x);
        return;
    }
    if (!horizontal) {
        columns_of(p, p->in + (size_t)x->first[0] * 3, p->in_stride, (size_t)x->n * 3, p->out, p->stride);
        return;
    }
    if (vertical_first) {
        /* All columns that the horizontal pass may read; a mirrored axis runs backwards. */
        int end = x->n - 1, low = x->first[0] < x->first[end] ? x->first[0] : x->first[end];
        int high0 = x->first[0] + x->count[0], high1 = x->first[end] + x->count[end];
        size_t bytes = (size_t)((high0 > high1 ? high0 : high1) - low) * 3, stride = carved(bytes + GN_IMAGE_SLACK);
        unsigned char *between = carve(&p->rest, stride * (size_t)y->n);
        columns_of(p, p->in + (size_t)low * 3, p->in_stride, bytes, between, stride);
        for (int i = 0; i < x->n; i++)
            x->first[i] -= low;
        p->k->triangle_rows(between, stride, y->n, p->out, p->stride, x);
        return;
    }
    int first, count;
    rows_read(y, &first, &count);
    size_t bytes = (size_t)x->n * 3, stride = carved(bytes);
    unsigned char *between = carve(&p->rest, stride * (size_t)count);
    p->k->triangle_rows(p->in + p->in_stride * (size_t)first, p->in_stride, count, between, stride, x);
    for (int i = 0; i < y->n; i++)
        y->first[i] -= first;
    columns_of(p, between, stride, bytes, p->out, p->stride);
}

/* Two horizontally resampled rows are kept; the next output row mostly needs one of them again. */
static void linear_passes(passes *p)
{
    size_t n = (size_t)p->x.n * 3, bytes = carved(n * sizeof(int16_t));
    int16_t *row[2];
    int held[2] = {-1, -1};
    for (int i = 0; i < 2; i++)
        row[i] = carve(&p->rest, bytes);
    for (int y = 0; y < p->y.n; y++) {
        int want[2] = {p->y.first[y], p->y.first[y] + p->y.count[y] - 1};
        if (held[1] == want[0]) {
            int16_t *swap = row[0];
            row[0] = row[1];
            row[1] = swap;
            held[1] = held[0];
            held[0] = want[0];
        }
        for (int i = 0; i < 2; i++)
            if (held[i] != want[i]) {
                p->k->linear_row(p->in + p->in_stride * (size_t)want[i], row[i], &p->x);
                held[i] = want[i];
            }
        p->k->linear_column(row[0], row[1], p->y.weight[2 * y], p->y.weight[2 * y + 1], p->out + p->stride * (size_t)y,
                            n);
    }
}

static void copy_window(const passes *p)
{
    for (int y = 0; y < p->y.n; y++)
        memcpy(p->out + p->stride * (size_t)y,
               p->in + p->in_stride * (size_t)p->y.first[y] + (size_t)p->x.first[0] * 3, (size_t)p->x.n * 3);
}

static bool job_fits(const gn_resample *j)
{
    const gn_box *c = &j->crop, *w = &j->window;
    return j->width >= 1 && j->height >= 1 && c->left >= 0 && c->top >= 0 && c->width >= 1 && c->height >= 1
           && c->width <= j->in->width - c->left && c->height <= j->in->height - c->top
           && c->width <= GN_IMAGE_MAX_SIDE && c->height <= GN_IMAGE_MAX_SIDE && w->left >= 0 && w->top >= 0
           && w->width >= 1 && w->height >= 1 && w->width <= j->width - w->left && w->height <= j->height - w->top
           && w->width <= GN_IMAGE_MAX_SIDE && w->height <= GN_IMAGE_MAX_SIDE
           && (j->filter == GN_FILTER_BILINEAR
               || (j->part[0] >= 0 && j->part[1] >= 0 && j->part[2] > j->part[0] && j->part[3] > j->part[1]
                   && j->part[2] <= c->width && j->part[3] <= c->height));
}

/* Input pixels that a window of this axis can touch, at most. */
static size_t touched(const axis *a)
{
    double scale = (a->to - a->from) / a->full, most = a->count * scale + 2 * (scale < 1 ? 1 : scale) + 3;
    return most < a->size ? (size_t)most : (size_t)a->size;
}

/* Bytes of scratch for the rows between the passes, at most. */
static size_t between_bytes(const axis *x, const axis *y, bool linear, bool vertical_first)
{
    if (linear)
        return 2 * carved((size_t)x->count * 3 * sizeof(int16_t));
    if (vertical_first)
        return carved(touched(x) * 3 + GN_IMAGE_SLACK) * (size_t)y->count;
    return carved((size_t)x->count * 3) * touched(y);
}

genet_status gn_resample_run(const gn_resample *j, gn_image *scratch, genet_error *err)
{
    if (!job_fits(j))
        return gn_fail(err, GENET_INTERNAL, "resampling %d x %d at %d,%d of %d x %d to %d x %d does not fit",
                       j->crop.width, j->crop.height, j->crop.left, j->crop.top, j->in->width, j->in->height, j->width,
                       j->height);
    bool linear = j->filter == GN_FILTER_BILINEAR;
    axis x = {j->crop.width, j->part[0], j->part[2], j->width, j->window.left, j->window.width, j->mirror};
    axis y = {j->crop.height, j->part[1], j->part[3], j->height, j->window.top, j->window.height, false};
    bool same_x = x.size == x.full && (linear || (x.from == 0 && x.to == x.size));
    bool same_y = y.size == y.full && (linear || (y.from == 0 && y.to == y.size));
    int64_t shrink_x = (int64_t)x.size - x.full, shrink_y = (int64_t)y.size - y.full;
    bool vertical_first = shrink_y > 0 && shrink_y > 2 * shrink_x;
    int span_x = linear ? 2 : triangle_span(&x), span_y = linear ? 2 : triangle_span(&y);
    genet_status status = gn_image_reserve(scratch, 64 + taps_bytes(x.count, span_x) + taps_bytes(y.count, span_y)
                                                        + between_bytes(&x, &y, linear, vertical_first), err);
    if (status != GENET_OK)
        return status;
    arena rest = {scratch->rgb + (64 - (uintptr_t)scratch->rgb % 64)};
    passes p = {.k = gn_image_kernels_get(NULL), .in_stride = (size_t)j->in->width * 3, .out = j->out,
                .stride = j->stride};
    p.in = j->in->rgb + p.in_stride * (size_t)j->crop.top + (size_t)j->crop.left * 3;
    p.x = carve_taps(&rest, x.count, span_x);
    p.y = carve_taps(&rest, y.count, span_y);
    p.rest = rest;
    if (linear) {
        fill_linear(&p.x, &x, false);
        fill_linear(&p.y, &y, true);
    } else {
        fill_triangle(&p.x, &x);
        fill_triangle(&p.y, &y);
    }
    if (same_x && same_y && !j->mirror)
        copy_window(&p);
    else if (linear)
        linear_passes(&p);
    else
        triangle_passes(&p, !same_x || j->mirror, !same_y, vertical_first);
    return GENET_OK;
}

static genet_status resize_whole(const gn_image *in, gn_box crop, const double part[4], int width, int height,
                                 gn_filter filter, gn_image *out, gn_image *scratch, genet_error *err)
{
    genet_status status = gn_image_resize_buffer(out, width, height, err);
    if (status != GENET_OK)
        return status;
    gn_resample job = {.in = in, .crop = crop, .part = {part[0], part[1], part[2], part[3]}, .width = width,
                       .height = height, .window = {0, 0, width, height}, .filter = filter, .out = out->rgb,
                       .stride = (size_t)width * 3};
    return gn_resample_run(&job, scratch, err);
}

genet_status gn_resize(const gn_image *in, gn_box box, int width, int height, gn_filter filter, gn_image *out,
                       gn_image *scratch, genet_error *err)
{
    const double part[4] = {0, 0, box.width, box.height};
    return resize_whole(in, box, part, width, height, filter, out, scratch, err);
}

genet_status gn_resize_part(const gn_image *in, const float part[4], int width, int height, gn_image *out,
                            gn_image *scratch, genet_error *err)
{
    const double edges[4] = {part[0], part[1], fmin((double)part[0] + part[2], in->width),
                             fmin((double)part[1] + part[3], in->height)};
    gn_box all = {0, 0, in->width, in->height};
    return resize_whole(in, all, edges, width, height, GN_FILTER_TRIANGLE, out, scratch, err);
}
