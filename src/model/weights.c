/* SPDX-License-Identifier: Apache-2.0
 * Slabs of weights and their initial values. */
#include "model/weights.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

genet_status gn_weights_create(gn_weights *w, const gn_weight_table *table, gn_dtype dtype, genet_error *err)
{
    size_t size = gn_dtype_size(dtype), params = (size_t)table->param_count * size, state = (size_t)table->state_count * size;
    *w = (gn_weights){.table = table, .dtype = dtype, .params = gn_slab_alloc(params), .state = gn_slab_alloc(state)};
    if (w->params && w->state)
        return GENET_OK;
    gn_weights_free(w);
    return gn_fail_memory(err, params + state, "the weights");
}

void gn_weights_free(gn_weights *w)
{
    if (!w->table)
        return;
    size_t size = gn_dtype_size(w->dtype);
    gn_slab_free(w->params, (size_t)w->table->param_count * size);
    gn_slab_free(w->state, (size_t)w->table->state_count * size);
    *w = (gn_weights){0};
}

void *gn_weights_at(const gn_weights *w, int index)
{
    const gn_weight *item = &w->table->items[index];
    char *slab = item->trainable ? w->params : w->state;
    return slab + (size_t)item->offset * gn_dtype_size(w->dtype);
}

static double get(const void *slab, gn_dtype t, int64_t i)
{
    return t == GN_F64 ? ((const double *)slab)[i] : ((const float *)slab)[i];
}

static void put(void *slab, gn_dtype t, int64_t i, double value)
{
    if (t == GN_F64)
        ((double *)slab)[i] = value;
    else
        ((float *)slab)[i] = (float)value;
}

static void copy(void *to, gn_dtype t, const void *from, gn_dtype f, int64_t n)
{
    if (t == f)
        memcpy(to, from, (size_t)n * gn_dtype_size(t));
    else
        for (int64_t i = 0; i < n; i++)
            put(to, t, i, get(from, f, i));
}

void gn_weights_copy(gn_weights *to, const gn_weights *from)
{
    copy(to->params, to->dtype, from->params, from->dtype, to->table->param_count);
    copy(to->state, to->dtype, from->state, from->dtype, to->table->state_count);
}

/* How the values of one tensor are drawn. */
typedef struct drawing {
    enum { CONSTANT, UNIFORM, NORMAL, NORMAL_CUT } from; /* NORMAL_CUT: drawn again beyond two sigma */
    double scale;                                        /* CONSTANT: the value; UNIFORM: +-scale; else sigma */
} drawing;

/* torch: dense convolutions normal(0, sqrt(2/(K*R*S))) (fan out), depthwise normal(0, sqrt(2/(R*S))), MLP and head and their
 * biases uniform +-sqrt(1/fan_in). mindspore (seed-spec section 6): convolutions uniform +-sqrt(6/fan_in), head
 * normal(0, 0.01) cut at two sigma, biases 0. */
static drawing drawing_of(const gn_weight *w, int64_t fan_in, gn_init init)
{
    const bool torch = init == GN_INIT_TORCH;
    const double window = (double)(w->dim[2] * w->dim[3]), narrow = sqrt(1.0 / (double)fan_in);
    switch (w->kind) {
    case GN_KIND_GAMMA:
    case GN_KIND_VAR:
        return (drawing){CONSTANT, 1};
    case GN_KIND_BETA:
    case GN_KIND_MEAN:
        return (drawing){CONSTANT, 0};
    case GN_KIND_BIAS:
        return torch ? (drawing){UNIFORM, narrow} : (drawing){CONSTANT, 0};
    case GN_KIND_HEAD:
        return torch ? (drawing){UNIFORM, narrow} : (drawing){NORMAL_CUT, 0.01};
    case GN_KIND_MLP:
        if (torch)
            return (drawing){UNIFORM, narrow};
        break;
    default:
        break;
    }
    if (!torch)
        return (drawing){UNIFORM, sqrt(6.0 / (double)fan_in)};
    return (drawing){NORMAL, sqrt(2.0 / (w->kind == GN_KIND_DEPTHWISE ? window : (double)w->dim[0] * window))};
}

static double draw_cut(gn_rng *rng)
{
    double value;
    do
        value = gn_rng_normal(rng);
    while (fabs(value) > 2);
    return value;
}

enum { CHUNK = 1024 };

/* The next n <= CHUNK values of a tensor, as multiples of the scale. */
static void draw(gn_rng *rng, const drawing *d, double value[CHUNK], size_t n)
{
    switch (d->from) {
    case CONSTANT:
        for (size_t i = 0; i < n; i++)
            value[i] = 1;
        break;
    case UNIFORM:
        gn_rng_doubles(rng, value, n);
        for (size_t i = 0; i < n; i++)
            value[i] = 2 * value[i] - 1;
        break;
    case NORMAL:
        gn_rng_normals(rng, value, n);
        break;
    case NORMAL_CUT:
        for (size_t i = 0; i < n; i++)
            value[i] = draw_cut(rng);
        break;
    }
}

void gn_weights_init(gn_weights *w, gn_init init, bool zero_last_gamma, uint64_t seed)
{
    double value[CHUNK];
    int64_t fan_in = 1; /* a bias takes that of the weight before it */
    for (int i = 0; i < w->table->count; i++) {
        const gn_weight *item = &w->table->items[i];
        if (item->rank >= 2)
            fan_in = item->count / item->dim[0];
        uint64_t name = gn_fnv1a(GN_FNV_START, item->name, strlen(item->name));
        gn_rng rng = gn_rng_make(seed, 0, name, GN_RNG_INIT);
        drawing d = drawing_of(item, fan_in, init);
        if (item->last_gamma && zero_last_gamma)
            d = (drawing){CONSTANT, 0};
        void *at = gn_weights_at(w, i);
        for (int64_t e = 0; e < item->count; e += CHUNK) {
            int64_t n = item->count - e < CHUNK ? item->count - e : CHUNK;
            draw(&rng, &d, value, (size_t)n);
            for (int64_t j = 0; j < n; j++)
                put(at, w->dtype, e + j, d.scale * value[j]);
        }
    }
}
