/* SPDX-License-Identifier: Apache-2.0
 * The operators of the exported graphs, computed in plain loops as the ONNX operator specification (opset 17) says. Every
 * function checks the shapes it is given, since they come from a file. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "formats/onnx_check.h"

static genet_status shapes(const gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    return gn_fail(err, GENET_FORMAT, "%s: node %ld (%s): its operands' shapes, types or attributes do not fit together", m->path,
                   (long)(n - m->nodes), gn_onnx_ops[n->op].name);
}

static gn_onnx_value *in(gn_onnx *m, const gn_onnx_node *n, int i)
{
    return &m->values[n->in[i]];
}

static bool is_map(const gn_onnx_value *v)
{
    return v->type == GN_ONNX_FLOAT && v->rank == 4 && v->data;
}

static bool is_vector(const gn_onnx_value *v, int64_t count)
{
    return v->type == GN_ONNX_FLOAT && v->rank == 1 && v->data && v->dim[0] == count;
}

/* Gives the output this shape and zeroed memory: floats, or bytes for the types of one byte. */
static genet_status make_typed(gn_onnx *m, const gn_onnx_node *n, int type, int rank, const int64_t dim[4], genet_error *err)
{
    gn_onnx_value *o = &m->values[n->out];
    o->type = type;
    o->rank = rank;
    memcpy(o->dim, dim, sizeof o->dim);
    size_t count = (size_t)gn_onnx_elements(o), size = type == GN_ONNX_FLOAT ? sizeof *o->data : 1;
    if (!count)
        return shapes(m, n, err);
    void *room = gn_calloc(count, size);
    if (type == GN_ONNX_FLOAT)
        o->data = room;
    else
        o->bytes = room;
    return room ? GENET_OK : gn_fail_memory(err, count * size, "a map of the exported graph");
}

static genet_status make(gn_onnx *m, const gn_onnx_node *n, int rank, int64_t a, int64_t b, int64_t c, int64_t d, genet_error *err)
{
    return make_typed(m, n, GN_ONNX_FLOAT, rank, (int64_t[4]){a, b, c, d}, err);
}

static genet_status make_like(gn_onnx *m, const gn_onnx_node *n, const gn_onnx_value *x, genet_error *err)
{
    return make(m, n, x->rank, x->dim[0], x->dim[1], x->dim[2], x->dim[3], err);
}

/* Output side of windows; 0 where the attributes are out of range (the largest kernel covers the map of a 1024-pixel input). */
static int64_t windows(const gn_onnx_node *n, int64_t size, int axis)
{
    int64_t k = n->kernel[axis], s = n->stride[axis], before = n->pad[axis], after = n->pad[axis + 2];
    if (k < 1 || k > 256 || s < 1 || s > 256 || before < 0 || after < 0 || before >= k || after >= k || size + before + after < k)
        return 0;
    return (size + before + after - k) / s + 1;
}

/* --- convolution ------------------------------------------------------------------------------------------------------ */

typedef struct conv {
    const float *x, *w;
    float *y;
    int64_t h, w_, p, q;      /* input and output map */
    const gn_onnx_node *n;
} conv;

/* Adds one input plane through one kernel to one output plane. */
static void add_plane(const conv *c, const float *x, const float *kernel, float *restrict y)
{
    const gn_onnx_node *n = c->n;
    for (int64_t r = 0; r < n->kernel[0]; r++)
        for (int64_t s = 0; s < n->kernel[1]; s++) {
            float k = kernel[r * n->kernel[1] + s];
            int64_t left = n->pad[1] - s, from = left > 0 ? (left + n->stride[1] - 1) / n->stride[1] : 0, to = c->q;
            while (to > from && (to - 1) * n->stride[1] - left >= c->w_)
                to--;
            for (int64_t i = 0; i < c->p; i++) {
                int64_t row = i * n->stride[0] - n->pad[0] + r;
                if (row < 0 || row >= c->h)
                    continue;
                const float *line = x + row * c->w_ - left;
                float *o = y + i * c->q;
                if (n->stride[1] == 1)
                    for (int64_t j = from; j < to; j++)
                        o[j] += k * line[j];
                else
                    for (int64_t j = from; j < to; j++)
                        o[j] += k * line[j * n->stride[1]];
            }
        }
}

/* The same for a 1x1 kernel that moves by single pixels: four input planes at a time, each one long row. */
static void add_planes_1x1(const conv *c, const float *x, const float *kernel, int64_t channels,
                           float *restrict y)
{
    int64_t area = c->p * c->q, ch = 0;
    for (; ch + 4 <= channels; ch += 4) {
        const float *a = x + ch * area, *b = a + area, *d = b + area, *e = d + area;
        const float k[4] = {kernel[ch], kernel[ch + 1], kernel[ch + 2], kernel[ch + 3]};
        for (int64_t i = 0; i < area; i++)
            y[i] += (k[0] * a[i] + k[1] * b[i]) + (k[2] * d[i] + k[3] * e[i]);
    }
    for (; ch < channels; ch++)
        for (int64_t i = 0; i < area; i++)
            y[i] += kernel[ch] * x[ch * area + i];
}

static genet_status run_conv(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0), *w = in(m, n, 1), *b = n->in_count > 2 ? in(m, n, 2) : NULL;
    if (!is_map(x) || !is_map(w) || n->group < 1 || x->dim[1] % n->group || w->dim[0] % n->group ||
        w->dim[1] != x->dim[1] / n->group || w->dim[2] != n->kernel[0] || w->dim[3] != n->kernel[1] ||
        (b && !is_vector(b, w->dim[0])))
        return shapes(m, n, err);
    conv c = {.x = x->data, .w = w->data, .h = x->dim[2], .w_ = x->dim[3], .p = windows(n, x->dim[2], 0),
              .q = windows(n, x->dim[3], 1), .n = n};
    genet_status status = make(m, n, 4, x->dim[0], w->dim[0], c.p, c.q, err);
    if (status != GENET_OK)
        return status;
    c.y = m->values[n->out].data;
    int64_t k_all = w->dim[0], c_each = w->dim[1], area = n->kernel[0] * n->kernel[1];
    for (int64_t image = 0; image < x->dim[0]; image++)
        for (int64_t k = 0; k < k_all; k++) {
            float *y = c.y + (image * k_all + k) * c.p * c.q;
            const float *first = c.x + (image * x->dim[1] + k / (k_all / n->group) * c_each) * c.h * c.w_;
            for (int64_t i = 0; b && i < c.p * c.q; i++)
                y[i] = b->data[k];
            if (area == 1 && c.p == c.h && c.q == c.w_ && n->stride[0] == 1 && n->stride[1] == 1) {
                add_planes_1x1(&c, first, c.w + k * c_each, c_each, y);
                continue;
            }
            for (int64_t ch = 0; ch < c_each; ch++)
                add_plane(&c, first + ch * c.h * c.w_, c.w + (k * c_each + ch) * area, y);
        }
    return GENET_OK;
}

/* --- the rest of the maps --------------------------------------------------------------------------------------------- */

static genet_status run_batch_norm(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    bool good = is_map(x);
    for (int i = 1; good && i < 5; i++)
        good = is_vector(in(m, n, i), x->dim[1]);
    if (!good)
        return shapes(m, n, err);
    genet_status status = make_like(m, n, x, err);
    int64_t area = x->dim[2] * x->dim[3];
    for (int64_t plane = 0; status == GENET_OK && plane < x->dim[0] * x->dim[1]; plane++) {
        int64_t c = plane % x->dim[1];
        double scale = in(m, n, 1)->data[c] / sqrt((double)in(m, n, 4)->data[c] + n->epsilon);
        double shift = in(m, n, 2)->data[c] - scale * in(m, n, 3)->data[c];
        for (int64_t i = plane * area; i < (plane + 1) * area; i++)
            m->values[n->out].data[i] = (float)(scale * x->data[i] + shift);
    }
    return status;
}

/* Largest or mean value of the window at (i, j), outside pixels left out. */
static float window_value(const float *x, int64_t h, int64_t w, const gn_onnx_node *n, int64_t i, int64_t j, bool mean)
{
    float most = -INFINITY;
    double sum = 0;
    int64_t count = 0;
    int64_t top = i * n->stride[0] - n->pad[0], left = j * n->stride[1] - n->pad[1];
    int64_t bottom = top + n->kernel[0] < h ? top + n->kernel[0] : h, right = left + n->kernel[1] < w ? left + n->kernel[1] : w;
    for (int64_t row = top > 0 ? top : 0; row < bottom; row++)
        for (int64_t column = left > 0 ? left : 0; column < right; column++) {
            float v = x[row * w + column];
            most = v > most ? v : most;
            sum += v;
            count++;
        }
    return mean ? (float)(sum / (double)count) : most;
}

static genet_status run_pool(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    if (!is_map(x))
        return shapes(m, n, err);
    int64_t h = x->dim[2], w = x->dim[3], p = windows(n, h, 0), q = windows(n, w, 1);
    bool mean = !strcmp(gn_onnx_ops[n->op].name, "AveragePool");
    genet_status status = make(m, n, 4, x->dim[0], x->dim[1], p, q, err);
    for (int64_t plane = 0; status == GENET_OK && plane < x->dim[0] * x->dim[1]; plane++)
        for (int64_t i = 0; i < p; i++)
            for (int64_t j = 0; j < q; j++)
                m->values[n->out].data[(plane * p + i) * q + j] = window_value(x->data + plane * h * w, h, w, n, i, j, mean);
    return status;
}

static genet_status run_global_mean(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    if (!is_map(x))
        return shapes(m, n, err);
    genet_status status = make(m, n, 4, x->dim[0], x->dim[1], 1, 1, err);
    int64_t area = x->dim[2] * x->dim[3];
    for (int64_t plane = 0; status == GENET_OK && plane < x->dim[0] * x->dim[1]; plane++) {
        double sum = 0;
        for (int64_t i = 0; i < area; i++)
            sum += x->data[plane * area + i];
        m->values[n->out].data[plane] = (float)(sum / (double)area);
    }
    return status;
}

static genet_status run_pointwise(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    bool sigmoid = !strcmp(gn_onnx_ops[n->op].name, "Sigmoid");
    if (!is_map(x))
        return shapes(m, n, err);
    genet_status status = make_like(m, n, x, err);
    int64_t count = gn_onnx_elements(x);
    for (int64_t i = 0; status == GENET_OK && i < count; i++) {
        float v = x->data[i];
        m->values[n->out].data[i] = sigmoid ? (float)(1 / (1 + exp(-(double)v))) : v > 0 ? v : 0;
    }
    return status;
}

/* Mul, Add, Sub, Div with the broadcasting that the graphs need: equal shapes, (N,C,1,1) or (3) on the right. */
static genet_status run_binary(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *a = in(m, n, 0), *b = in(m, n, 1);
    const char op = gn_onnx_ops[n->op].name[0];
    if (!is_map(a) || b->type != GN_ONNX_FLOAT || !b->data)
        return shapes(m, n, err);
    int64_t count = gn_onnx_elements(a), area = a->dim[2] * a->dim[3];
    bool same = b->rank == 4 && !memcmp(a->dim, b->dim, sizeof a->dim);
    bool planes = b->rank == 4 && b->dim[0] == a->dim[0] && b->dim[1] == a->dim[1] && b->dim[2] == 1 && b->dim[3] == 1;
    bool last = b->rank == 1 && b->dim[0] == a->dim[3];
    if (!same && !planes && !last)
        return shapes(m, n, err);
    genet_status status = make_like(m, n, a, err);
    for (int64_t i = 0; status == GENET_OK && i < count; i++) {
        float u = a->data[i], v = b->data[same ? i : planes ? i / area : i % a->dim[3]];
        m->values[n->out].data[i] = op == 'M' ? u * v : op == 'A' ? u + v : op == 'S' ? u - v : u / v;
    }
    return status;
}

/* Picks rows (axis 2) or columns (axis 3). */
static genet_status run_gather(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0), *index = in(m, n, 1);
    if (!is_map(x) || index->type != GN_ONNX_INT64 || index->rank != 1 || !index->raw || (n->axis != 2 && n->axis != 3))
        return shapes(m, n, err);
    int64_t count = index->dim[0], inner = n->axis == 2 ? x->dim[3] : 1, have = x->dim[n->axis];
    int64_t outer = x->dim[0] * x->dim[1] * (n->axis == 2 ? 1 : x->dim[2]);
    genet_status status =
        make(m, n, 4, x->dim[0], x->dim[1], n->axis == 2 ? count : x->dim[2], n->axis == 3 ? count : x->dim[3], err);
    for (int64_t i = 0; status == GENET_OK && i < count; i++) {
        int64_t from;
        memcpy(&from, index->raw + 8 * i, 8);
        if (from < 0 || from >= have)
            return shapes(m, n, err);
        for (int64_t o = 0; o < outer; o++)
            memcpy(m->values[n->out].data + (o * count + i) * inner, x->data + (o * have + from) * inner,
                   (size_t)inner * sizeof(float));
    }
    return status;
}

/* --- quantisation ----------------------------------------------------------------------------------------------------- */

/* The scales and zero points of a node: one, or one for each index of an axis. */
typedef struct grid {
    const float *scale;
    const unsigned char *zero; /* of `type`, or NULL: 0 */
    int type;                  /* of the whole numbers */
    int64_t count, each;       /* scales, and how many neighbours share one before the next is due */
} grid;

/* The bytes of whole numbers, from the file or computed. */
static const unsigned char *whole_numbers(const gn_onnx_value *v)
{
    return v->raw ? v->raw : v->bytes;
}

static int32_t whole(const unsigned char *numbers, int type, int64_t i)
{
    int32_t v;
    if (type != GN_ONNX_INT32)
        return type == GN_ONNX_INT8 ? (int8_t)numbers[i] : numbers[i];
    memcpy(&v, numbers + 4 * i, sizeof v);
    return v;
}

/* Reads inputs 1 (scale) and 2 (zero point) of a node over x. A scale is positive and finite; a zero point has the scale's
 * shape; that of int32 is 0, as the specification has it. */
static bool read_grid(gn_onnx *m, const gn_onnx_node *n, const gn_onnx_value *x, grid *g)
{
    const gn_onnx_value *scale = in(m, n, 1), *zero = n->in_count > 2 ? in(m, n, 2) : NULL;
    int64_t axis = n->given & GN_ONNX_AXIS ? n->axis : 1;
    axis = axis < 0 ? axis + x->rank : axis;
    if (scale->type != GN_ONNX_FLOAT || !scale->data || scale->rank > 1 ||
        (scale->rank == 1 && (axis < 0 || axis >= x->rank || scale->dim[0] != x->dim[axis])))
        return false;
    g->scale = scale->data;
    g->count = scale->rank ? scale->dim[0] : 1;
    g->each = 1;
    for (int64_t i = scale->rank ? axis + 1 : 0; i < x->rank; i++)
        g->each *= x->dim[i];
    g->zero = zero ? whole_numbers(zero) : NULL;
    if (zero && (!g->zero || zero->type != g->type || zero->rank != scale->rank || (zero->rank && zero->dim[0] != g->count)))
        return false;
    for (int64_t i = 0; i < g->count; i++)
        if (!(g->scale[i] > 0 && g->scale[i] <= FLT_MAX) || (g->type == GN_ONNX_INT32 && zero && whole(g->zero, g->type, i)))
            return false;
    return true;
}

/* y = saturate(round(x/scale) + zero), halves to the even neighbour. The zero point's type is the result's; without one uint8. */
static genet_status run_quantize(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    grid g = {.type = n->in_count > 2 ? in(m, n, 2)->type : GN_ONNX_UINT8};
    bool is_signed = g.type == GN_ONNX_INT8;
    if (x->type != GN_ONNX_FLOAT || !x->data || (g.type != GN_ONNX_UINT8 && !is_signed) || !read_grid(m, n, x, &g))
        return shapes(m, n, err);
    const float low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
    genet_status status = make_typed(m, n, g.type, x->rank, x->dim, err);
    int64_t count = gn_onnx_elements(x);
    for (int64_t i = 0; status == GENET_OK && i < count; i++) {
        int64_t at = i / g.each % g.count;
        float v = nearbyintf(x->data[i] / g.scale[at]) + (float)(g.zero ? whole(g.zero, g.type, at) : 0);
        if (isnan(v))
            return gn_fail(err, GENET_FORMAT, "%s: node %ld (QuantizeLinear): a value that is not a number", m->path,
                           (long)(n - m->nodes));
        v = v < low ? low : v > high ? high : v;
        m->values[n->out].bytes[i] = (unsigned char)(int)v;
    }
    if (status == GENET_OK && m->watcher && !is_signed)
        status = m->watcher(m->watcher_context, x->rank, x->dim, m->values[n->out].bytes, err);
    return status;
}

/* y = (x - zero)*scale. */
static genet_status run_dequantize(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    const unsigned char *numbers = whole_numbers(x);
    grid g = {.type = x->type};
    if ((x->type != GN_ONNX_UINT8 && x->type != GN_ONNX_INT8 && x->type != GN_ONNX_INT32) || !numbers || !read_grid(m, n, x, &g))
        return shapes(m, n, err);
    genet_status status = make_like(m, n, x, err);
    int64_t count = gn_onnx_elements(x);
    for (int64_t i = 0; status == GENET_OK && i < count; i++) {
        int64_t at = i / g.each % g.count;
        int32_t zero = g.zero ? whole(g.zero, g.type, at) : 0;
        m->values[n->out].data[i] = (float)(whole(numbers, g.type, i) - zero) * g.scale[at];
    }
    return status;
}

/* --- input and head --------------------------------------------------------------------------------------------------- */

static genet_status run_cast(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    const unsigned char *pixels = m->pixels;
    if (n->in[0] != 0 || x->type != GN_ONNX_UINT8 || n->to != GN_ONNX_FLOAT || !pixels)
        return shapes(m, n, err);
    genet_status status = make_like(m, n, x, err);
    int64_t count = gn_onnx_elements(x);
    for (int64_t i = 0; status == GENET_OK && i < count; i++)
        m->values[n->out].data[i] = pixels[i];
    return status;
}

static genet_status run_transpose(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    static const int64_t to_planes[4] = {0, 3, 1, 2};
    const gn_onnx_value *x = in(m, n, 0);
    if (!is_map(x) || memcmp(n->perm, to_planes, sizeof to_planes))
        return shapes(m, n, err);
    int64_t area = x->dim[1] * x->dim[2], c = x->dim[3];
    genet_status status = make(m, n, 4, x->dim[0], c, x->dim[1], x->dim[2], err);
    for (int64_t i = 0; status == GENET_OK && i < x->dim[0] * area; i++)
        for (int64_t k = 0; k < c; k++)
            m->values[n->out].data[(i / area * c + k) * area + i % area] = x->data[i * c + k];
    return status;
}

static genet_status run_flatten(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0);
    if (!is_map(x))
        return shapes(m, n, err);
    genet_status status = make(m, n, 2, x->dim[0], x->dim[1] * x->dim[2] * x->dim[3], 1, 1, err);
    if (status == GENET_OK)
        memcpy(m->values[n->out].data, x->data, (size_t)gn_onnx_elements(x) * sizeof(float));
    return status;
}

static genet_status run_gemm(gn_onnx *m, const gn_onnx_node *n, genet_error *err)
{
    const gn_onnx_value *x = in(m, n, 0), *w = in(m, n, 1), *b = in(m, n, 2);
    if (x->type != GN_ONNX_FLOAT || x->rank != 2 || !x->data || w->type != GN_ONNX_FLOAT || w->rank != 2 || !w->data ||
        n->trans_b != 1 || w->dim[1] != x->dim[1] || !is_vector(b, w->dim[0]))
        return shapes(m, n, err);
    int64_t columns = x->dim[1], k_all = w->dim[0];
    genet_status status = make(m, n, 2, x->dim[0], k_all, 1, 1, err);
    for (int64_t i = 0; status == GENET_OK && i < x->dim[0] * k_all; i++) {
        double sum = b->data[i % k_all];
        for (int64_t c = 0; c < columns; c++)
            sum += (double)x->data[i / k_all * columns + c] * w->data[i % k_all * columns + c];
        m->values[n->out].data[i] = (float)sum;
    }
    return status;
}

#define WINDOW (GN_ONNX_KERNEL | GN_ONNX_STRIDES | GN_ONNX_PADS)
const gn_onnx_op gn_onnx_ops[] = {
    {"Conv", 2, 3, WINDOW | GN_ONNX_GROUP, WINDOW | GN_ONNX_GROUP, run_conv},
    {"BatchNormalization", 5, 5, GN_ONNX_EPSILON, GN_ONNX_EPSILON, run_batch_norm},
    {"Relu", 1, 1, 0, 0, run_pointwise},
    {"Sigmoid", 1, 1, 0, 0, run_pointwise},
    {"MaxPool", 1, 1, WINDOW, WINDOW, run_pool},
    {"AveragePool", 1, 1, WINDOW, WINDOW, run_pool},
    {"GlobalAveragePool", 1, 1, 0, 0, run_global_mean},
    {"Mul", 2, 2, 0, 0, run_binary},
    {"Add", 2, 2, 0, 0, run_binary},
    {"Sub", 2, 2, 0, 0, run_binary},
    {"Div", 2, 2, 0, 0, run_binary},
    {"Gather", 2, 2, GN_ONNX_AXIS, GN_ONNX_AXIS, run_gather},
    {"Cast", 1, 1, GN_ONNX_TO, GN_ONNX_TO, run_cast},
    {"Transpose", 1, 1, GN_ONNX_PERM, GN_ONNX_PERM, run_transpose},
    {"Flatten", 1, 1, 0, 0, run_flatten},
    {"QuantizeLinear", 2, 3, 0, GN_ONNX_AXIS, run_quantize},
    {"DequantizeLinear", 2, 3, 0, GN_ONNX_AXIS, run_dequantize},
    {"Gemm", 3, 3, GN_ONNX_TRANS_B, GN_ONNX_TRANS_B, run_gemm},
};
const int gn_onnx_op_count = sizeof gn_onnx_ops / sizeof *gn_onnx_ops;
