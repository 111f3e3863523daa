/* SPDX-License-Identifier: Apache-2.0
 * The update. Gradients of frozen weights are never written (the plan has no steps for them) and never read. */
#include "train/update.h"

#include <string.h>

#include "base/mem.h"

static bool trained(const gn_weight *w, bool freeze_body)
{
    return !freeze_body || strncmp(w->name, "head.", 5) == 0;
}

/* Padding between tensors joins the tensor before it: it is zero and stays zero. */
static genet_status make_segments(gn_update *u, const gn_weight_table *table, genet_error *err)
{
    u->segments = gn_calloc((size_t)table->count, sizeof *u->segments);
    if (!u->segments)
        return gn_fail_memory(err, (size_t)table->count * sizeof *u->segments, "the parts of the update");
    for (int i = 0; i < table->count; i++) {
        const gn_weight *w = &table->items[i];
        if (!w->trainable)
            continue;
        bool frozen = !trained(w, u->options.freeze_body);
        gn_segment *last = u->segment_count ? &u->segments[u->segment_count - 1] : NULL;
        if (last)
            last->end = w->offset;
        if (!last || last->decay != w->decay || last->frozen != frozen)
            u->segments[u->segment_count++] = (gn_segment){.begin = w->offset, .decay = w->decay, .frozen = frozen};
    }
    if (u->segment_count)
        u->segments[u->segment_count - 1].end = table->param_count;
    return GENET_OK;
}

genet_status gn_update_create(gn_update *u, const gn_backend *backend, void *device, const gn_weight_table *table,
                              gn_dtype dtype, const gn_update_options *options, genet_error *err)
{
    genet_status status = GENET_OK;
    *u = (gn_update){.backend = backend, .device = device, .options = *options,
                     .slab_bytes = (size_t)table->param_count * gn_dtype_size(dtype)};
    GN_TRY(gn_weights_create(&u->weights, table, dtype, err));
    if (options->ema_keep > 0)
        GN_TRY(gn_weights_create(&u->ema, table, dtype, err));
    GN_TRY(make_segments(u, table, err));
    u->momentum = gn_slab_alloc(u->slab_bytes);
    u->grads = gn_slab_alloc(u->slab_bytes);
    if (options->accumulate > 1)
        u->sums = gn_slab_alloc(u->slab_bytes);
    if (!u->momentum || !u->grads || (options->accumulate > 1 && !u->sums))
        status = gn_fail_memory(err, u->slab_bytes, "gradients and momentum");
out:
    if (status != GENET_OK)
        gn_update_free(u);
    return status;
}

void gn_update_free(gn_update *u)
{
    gn_weights_free(&u->weights);
    gn_weights_free(&u->ema);
    gn_slab_free(u->momentum, u->slab_bytes);
    gn_slab_free(u->grads, u->slab_bytes);
    gn_slab_free(u->sums, u->slab_bytes);
    gn_free(u->segments);
    *u = (gn_update){0};
}

void gn_update_start(gn_update *u)
{
    memset(u->momentum, 0, u->slab_bytes);
    u->added = 0;
    if (u->ema.table)
        gn_weights_copy(&u->ema, &u->weights);
}

static void add_f32(float *restrict sum, const float *restrict g, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += g[i];
}

static void add_f64(double *restrict sum, const double *restrict g, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += g[i];
}

bool gn_update_add(gn_update *u)
{
    int64_t n = u->weights.table->param_count;
    if (u->sums && u->added == 0)
        memcpy(u->sums, u->grads, u->slab_bytes);
    else if (u->sums && u->weights.dtype == GN_F64)
        add_f64(u->sums, u->grads, n);
    else if (u->sums)
        add_f32(u->sums, u->grads, n);
    return ++u->added == u->options.accumulate;
}

void gn_update_forget(gn_update *u)
{
    u->added = 0;
}

/* average += (1-keep)*(value - average): keep rounded to float would put the fixed point off. */
static void average(void *to, const void *from, gn_dtype t, int64_t n, double keep)
{
    double *a64 = to;
    float *a32 = to;
    for (int64_t i = 0; i < n; i++)
        if (t == GN_F64)
            a64[i] = keep * a64[i] + (1 - keep) * ((const double *)from)[i];
        else
            a32[i] = (float)(a32[i] + (1 - keep) * ((double)((const float *)from)[i] - a32[i]));
}

void gn_update_apply(gn_update *u, double rate)
{
    gn_sgd sgd = {.w = u->weights.params, .v = u->momentum, .ema = u->ema.table ? u->ema.params : NULL,
                  .grad = u->sums ? u->sums : u->grads, .f64 = u->weights.dtype == GN_F64, .segments = u->segments,
                  .segment_count = u->segment_count, .rate = rate, .momentum = u->options.momentum,
                  .decay = u->options.decay, .grad_factor = 1, .ema_keep = u->options.ema_keep,
                  .nesterov = u->options.nesterov};
    u->backend->sgd(u->device, &sgd);
    if (u->ema.table)
        average(u->ema.state, u->weights.state, u->weights.dtype, u->weights.table->state_count, u->options.ema_keep);
    u->added = 0;
}

size_t gn_update_bytes(const gn_update *u)
{
    size_t state = (size_t)u->weights.table->state_count * gn_dtype_size(u->weights.dtype);
    return u->slab_bytes * (3 + (u->sums != NULL) + (u->ema.table != NULL)) + state * (1 + (u->ema.table != NULL));
}
