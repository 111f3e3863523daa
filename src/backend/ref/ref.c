/* SPDX-License-Identifier: Apache-2.0
 * The reference backend: every operation of ops.def in plain loops, on one thread, without dependencies. It is what the
 * other backends are tested against, and the fallback where they are absent.
 *
 * Invariants: prepare takes all memory; run takes none. Operands of type bf16 are widened into a staging area before
 * the float version of an operation and rounded to nearest-even behind it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backend/ref/ref.h"
#include "base/mem.h"

typedef struct prepared {
    const gn_plan *plan; /* borrowed: lives longer than this */
    gn_ref_function *const *functions;
    double *rows;
    void *packed;
    float *staging;
    size_t width, rows_bytes, packed_bytes, staging_bytes;
} prepared;

static genet_status open_device(void **device, const gn_backend_options *options, genet_error *err)
{
    if (options && options->isa)
        return gn_fail(err, GENET_UNSUPPORTED,
                       "backend ref has no kernels for an instruction set (asked for: %s); leave it out or use cpu",
                       options->isa);
    if (options && options->own != GN_OWN_WHERE_FASTER)
        return gn_fail(err, GENET_UNSUPPORTED, "backend ref has one weight gradient; there is nothing to choose");
    *device = gn_calloc(1, 1); /* it has no state; the address only tells an open device from a closed one */
    return *device ? GENET_OK : gn_fail_memory(err, 1, "a device");
}

static void describe(void *device, char *text, size_t size)
{
    (void)device;
    snprintf(text, size, "reference loops in plain C, 1 thread");
}

/* bf16 is stored and widened, not computed with. */
static bool native(void *device, gn_dtype map_type)
{
    (void)device;
    return map_type == GN_F32 || map_type == GN_F64;
}

static float from_bf16(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Nearest, ties to even; a NaN stays one. */
static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (isnan(f))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Input number of the weights that an operation reorders, or -1. */
static int packed_operand(gn_op op)
{
    switch (op) {
    case GN_OP_CONV: case GN_OP_CONV_INT8: case GN_OP_CONV_DX: case GN_OP_DWCONV: case GN_OP_DWCONV_DX: case GN_OP_GATHER:
        return 1;
    case GN_OP_GATHER_STATS:
        return 3;
    case GN_OP_TAIL_DX:
        return 5;
    default:
        return -1;
    }
}

/* The type that ops.def fixes for this operand whatever the plan's map type, or GN_BF16 where it does not. */
static gn_dtype fixed_type(gn_op op, bool is_input, int i)
{
    switch (op) {
    case GN_OP_INPUT:
        return !is_input ? GN_BF16 : i == 0 ? GN_U8 : GN_F32;
    case GN_OP_QUANTIZE:
        return is_input ? GN_BF16 : GN_U8;
    case GN_OP_CONV_INT8:
        return is_input && i == 0 ? GN_U8 : GN_BF16;
    case GN_OP_BN_POOL:
        return !is_input && i == 1 ? GN_U8 : GN_BF16;
    case GN_OP_BN_POOL_SUMS: case GN_OP_BN_POOL_DX:
        return is_input && i == 1 ? GN_U8 : GN_BF16;
    case GN_OP_SOFTMAX_LOSS:
        return is_input && i == 1 ? GN_I32 : is_input && i == 2 ? GN_F32 : GN_BF16;
    default:
        return GN_BF16;
    }
}

static genet_status check_type(const gn_plan *p, const gn_step *s, bool is_input, int i, genet_error *err)
{
    const gn_tensor *t = &p->tensors[is_input ? s->in[i] : s->out[i]];
    gn_dtype fixed = fixed_type(s->op, is_input, i), plain = p->map_type == GN_F64 ? GN_F64 : GN_F32;
    gn_dtype expected = fixed != GN_BF16 ? fixed : plain;
    if (s->op == GN_OP_CONV_INT8 && !is_input && t->dtype == GN_U8)
        return GENET_OK;
    if (t->dtype == expected || (fixed == GN_BF16 && p->map_type == GN_BF16 && t->dtype == GN_BF16 && t->rank == 4))
        return GENET_OK;
    return gn_fail(err, GENET_UNSUPPORTED, "backend ref, step %s of %s: %s %d (%s) is %s, expected %s", gn_op_name(s->op),
                   s->label, is_input ? "input" : "output", i, t->name, gn_dtype_name(t->dtype), gn_dtype_name(expected));
}

/* Which operands must come together, beyond the shapes that the plan has checked. */
static const char *unpaired(const gn_step *s)
{
    const int *in = s->in, *out = s->out;
    switch (s->op) {
    case GN_OP_BN_POOL: case GN_OP_BN_POOL_SUMS: case GN_OP_BN_POOL_DX:
        return s->attr.kernel < 1 || s->attr.kernel > 15 ? "the kernel must be 1 to 15 (its index is stored in 8 bits)"
                                                         : NULL;
    case GN_OP_TAIL_SUMS:
        return (in[5] < 0) != (in[6] < 0) || (in[5] < 0) != (out[2] < 0) || (in[5] < 0) != (out[3] < 0) ||
                       (in[5] < 0) != (out[4] < 0)
                   ? "id, its stats, id_sums, id_dgamma and id_dbeta come together"
                   : NULL;
    case GN_OP_EXCITE_DX:
        return (in[5] < 0) != (in[6] < 0) || (in[5] < 0) != (out[3] < 0) || (in[5] < 0) != (out[4] < 0) ||
                       (in[5] < 0) != (out[5] < 0)
                   ? "id, its stats, id_sums, id_dgamma and id_dbeta come together"
                   : NULL;
    case GN_OP_TAIL_BN:
        return (in[2] < 0) != (in[3] < 0) || (in[0] < 0 && in[2] < 0) ? "it needs tail_sums, or dq and g, or all" : NULL;
    case GN_OP_TAIL_DX:
        if (in[0] < 0 && in[4] < 0)
            return "neither d nor dq is given";
        if (out[1] >= 0 && (in[4] < 0 || in[5] < 0))
            return "dw needs dq and w";
        return (in[7] < 0) != (in[8] < 0) || (in[7] < 0) != (in[9] < 0) || (in[7] < 0) != (out[2] < 0) ||
                       (in[7] >= 0 && in[0] < 0)
                   ? "did needs d, id, id_stats and id_sums"
                   : NULL;
    case GN_OP_DENSE_DX: case GN_OP_DENSE_DW:
        return s->attr.relu && in[2] < 0 ? "with relu the gradient needs y" : NULL;
    default:
        return NULL;
    }
}

static void larger(size_t *most, size_t bytes)
{
    *most = bytes > *most ? bytes : *most;
}

/* Counts one operand's share of the scratch memory; staged: bytes of this step's staging area so far. */
static void measure(prepared *p, const gn_tensor *t, size_t *staged)
{
    for (int d = 0; d < 4; d++)
        larger(&p->width, (size_t)t->dim[d]);
    if (t->dtype == GN_BF16)
        *staged += (size_t)t->count * sizeof(float);
}

static genet_status check_step(prepared *p, const gn_step *s, genet_error *err)
{
    const gn_tensor *tensors = p->plan->tensors;
    const char *why = unpaired(s);
    size_t staged = 0;
    if (!p->functions[s->op])
        return gn_fail(err, GENET_UNSUPPORTED, "backend ref has no operation %s", gn_op_name(s->op));
    if (why)
        return gn_fail(err, GENET_UNSUPPORTED, "backend ref, step %s of %s: %s", gn_op_name(s->op), s->label, why);
    for (int i = 0; i < GN_MAX_IN; i++) {
        genet_status status = s->in[i] < 0 ? GENET_OK : check_type(p->plan, s, true, i, err);
        if (status != GENET_OK)
            return status;
        if (s->in[i] >= 0)
            measure(p, &tensors[s->in[i]], &staged);
    }
    for (int i = 0; i < GN_MAX_OUT; i++) {
        genet_status status = s->out[i] < 0 ? GENET_OK : check_type(p->plan, s, false, i, err);
        if (status != GENET_OK)
            return status;
        if (s->out[i] >= 0)
            measure(p, &tensors[s->out[i]], &staged);
    }
    larger(&p->staging_bytes, staged);
    int w = packed_operand(s->op);
    if (w >= 0 && s->in[w] >= 0)
        larger(&p->packed_bytes, tensors[s->in[w]].bytes);
    return GENET_OK;
}

static void release(void *p_)
{
    prepared *p = p_;
    if (!p)
        return;
    gn_slab_free(p->rows, p->rows_bytes);
    gn_slab_free(p->packed, p->packed_bytes);
    gn_slab_free(p->staging, p->staging_bytes);
    gn_free(p);
}

static size_t scratch_bytes(const void *p_)
{
    const prepared *p = p_;
    return p->rows_bytes + p->packed_bytes + p->staging_bytes;
}

static genet_status prepare(void *device, const gn_plan *plan, void **out, genet_error *err)
{
    genet_status status = GENET_OK;
    (void)device;
    prepared *p = gn_calloc(1, sizeof *p);
    if (!p)
        return gn_fail_memory(err, sizeof *p, "a prepared plan");
    p->plan = plan;
    p->functions = plan->map_type == GN_F64 ? gn_ref_f64_functions : gn_ref_f32_functions;
    p->width = p->packed_bytes = p->staging_bytes = 1;
    for (int i = 0; i < plan->step_count; i++)
        GN_TRY(check_step(p, &plan->steps[i], err));
    p->rows_bytes = GN_REF_ROWS * p->width * sizeof *p->rows;
    p->rows = gn_slab_alloc(p->rows_bytes);
    p->packed = gn_slab_alloc(p->packed_bytes);
    p->staging = gn_slab_alloc(p->staging_bytes);
    if (!p->rows || !p->packed || !p->staging)
        status = gn_fail_memory(err, scratch_bytes(p), "scratch memory of backend ref");
out:
    if (status != GENET_OK) {
        release(p);
        p = NULL;
    }
    *out = p;
    return status;
}

/* The contents of mix reach memory addresses, so they are checked here (they come from the loader). */
static genet_status check_mix(const gn_ref_call *k, genet_error *err)
{
    const float *mix = k->in[1];
    for (int64_t n = 0; n < k->tin[0]->dim[0]; n++) {
        float partner = mix[n * 6];
        if (!(partner >= 0 && partner < (float)k->tin[0]->dim[0]))
            return gn_fail(err, GENET_INTERNAL, "image %lld of the batch is mixed with image %g; there are %lld",
                           (long long)n, (double)partner, (long long)k->tin[0]->dim[0]);
    }
    return GENET_OK;
}

static genet_status run(void *p_, int number, void *const *data, genet_error *err)
{
    prepared *p = p_;
    const gn_step *s = &p->plan->steps[number];
    gn_ref_call k = {.attr = &s->attr, .rows = p->rows, .width = p->width, .packed = p->packed};
    float *free_staging = p->staging;
    for (int i = 0; i < GN_MAX_IN; i++) {
        if (s->in[i] < 0)
            continue;
        k.tin[i] = &p->plan->tensors[s->in[i]];
        k.in[i] = data[s->in[i]];
        if (k.tin[i]->dtype != GN_BF16)
            continue;
        const uint16_t *stored = k.in[i];
        k.in[i] = free_staging;
        for (int64_t e = 0; e < k.tin[i]->count; e++)
            *free_staging++ = from_bf16(stored[e]);
    }
    for (int i = 0; i < GN_MAX_OUT; i++) {
        if (s->out[i] < 0)
            continue;
        k.tout[i] = &p->plan->tensors[s->out[i]];
        k.out[i] = data[s->out[i]];
        if (k.tout[i]->dtype != GN_BF16)
            continue;
        k.out[i] = free_staging; /* also where the tensor is an input: no operation reads a map it has written */
        free_staging += k.tout[i]->count;
    }
    if (s->op == GN_OP_INPUT) {
        genet_status status = check_mix(&k, err);
        if (status != GENET_OK)
            return status;
    }
    p->functions[s->op](&k);
    for (int i = 0; i < GN_MAX_OUT; i++) {
        if (s->out[i] < 0 || k.tout[i]->dtype != GN_BF16)
            continue;
        uint16_t *stored = data[s->out[i]];
        for (int64_t e = 0; e < k.tout[i]->count; e++)
            stored[e] = to_bf16(((const float *)k.out[i])[e]);
    }
    return GENET_OK;
}

static void weights_changed(void *p)
{
    (void)p; /* weights are reordered at every run */
}

static const char *implementation(const void *p_, int step)
{
    const prepared *p = p_;
    (void)step;
    return p->plan->map_type == GN_F64 ? "ref:f64" : p->plan->map_type == GN_BF16 ? "ref:bf16" : "ref:f32";
}

static void sgd(void *device, const gn_sgd *s)
{
    (void)device;
    if (s->f64)
        gn_ref_f64_sgd(s);
    else
        gn_ref_f32_sgd(s);
}

const gn_backend gn_backend_ref = {
    .name = "ref",
    .open = open_device,
    .close = gn_free,
    .describe = describe,
    .native = native,
    .prepare = prepare,
    .release = release,
    .scratch_bytes = scratch_bytes,
    .run = run,
    .weights_changed = weights_changed,
    .implementation = implementation,
    .sgd = sgd,
};
