/* SPDX-License-Identifier: Apache-2.0
 * The cpu backend: dense convolutions by oneDNN (onednn.c), all else by own kernels (kernels.h), and their f32 weight gradients too
 * where those are faster (wgrad.h), all on the same OpenMP threads. Without 8-bit multiply-add that is exact, CONV_INT8 is a
 * convolution in f32 between two own passes.
 *
 * Invariants: prepare makes every primitive and takes all memory; run takes none and, once warm, starts no thread. One
 * scratch slab serves all steps, since they run one after another. Weights are packed before every use in a plan that
 * trains, where they change with every step anyway, and once after weights_changed in one that does not. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/wgrad.h"
#include "backend/cpu/winograd.h"
#include "base/mem.h"

typedef struct device {
    int threads;
    bool int8;         /* oneDNN may be asked for 8-bit convolutions: no lesser instruction set is wanted */
    const gn_kernels *f32, *bf16;
    const gn_wgrad *wgrad; /* NULL: none of this instruction set */
    gn_own_choice own_choice;
    const gn_winograd *winograd; /* likewise */
    gn_onednn *onednn;
} device;

typedef struct prepared_step {
    gn_kernel *kernel; /* NULL: conv alone, wgrad or winograd */
    int phases, threads;
    bool keeps;        /* kernel: its packed weight, so that phase 0 runs where it is stale alone */
    gn_conv *conv;
    const gn_wgrad *wgrad;
    const gn_winograd *winograd;
    gn_conv_shape shape; /* wgrad's, winograd's */
    bool stale;        /* packed weights have to be made again */
    size_t packed_at;  /* in the slab of packed weights, where the plan does not train */
    size_t own_at, scratch_at; /* bytes: the threads' scratch, oneDNN's scratch in the slab */
    gn_job job;
    char implementation[96];
} prepared_step;

typedef struct prepared {
    device *device;
    const gn_plan *plan; /* borrowed: lives longer than this */
    bool trains;
    prepared_step *steps;
    float *scratch;
    void *packed;
    size_t scratch_bytes, packed_bytes;
} prepared;

/* Work of fewer bytes than this is not worth waking threads for. */
enum { SMALL_WORK = 1 << 16 };

/* --- device --------------------------------------------------------------------------------------------------------- */

static void close_device(void *d_)
{
    device *d = d_;
    if (!d)
        return;
    gn_onednn_close(d->onednn);
    gn_free(d);
}

static genet_status open_device(void **out, const gn_backend_options *options, genet_error *err)
{
    genet_status status = GENET_OK;
    const char *isa = options->isa && options->isa[0] ? options->isa : NULL;
    device *d = gn_calloc(1, sizeof *d);
    if (!d)
        return gn_fail_memory(err, sizeof *d, "a device");
    d->threads = options->threads;
    d->int8 = !isa || !strcmp(isa, "avx512");
    d->f32 = gn_kernels_find(isa, false, err);
    d->bf16 = gn_kernels_find(isa, true, err);
    if (options->threads < 1)
        status = gn_fail(err, GENET_USAGE, "threads %d; it must be 1 or more", options->threads);
    else if (!d->f32 || !d->bf16)
        status = isa ? GENET_USAGE : GENET_UNSUPPORTED;
    else if (options->own == GN_OWN_ALWAYS && !gn_wgrad_find(d->f32->isa))
        status = gn_fail(err, GENET_UNSUPPORTED, "there is no own weight gradient for %s, only oneDNN's", d->f32->isa);
    else
        status = gn_onednn_open(&d->onednn, err);
    if (status != GENET_OK) {
        close_device(d);
        d = NULL;
    } else {
        d->wgrad = gn_wgrad_find(d->f32->isa);
        d->own_choice = options->own;
        d->winograd = gn_winograd_find(d->f32->isa);
    }
    *out = d;
    return status;
}

static void describe(void *d_, char *text, size_t size)
{
    const device *d = d_;
    snprintf(text, size, "oneDNN %s, %s kernels, %d thread%s", gn_onednn_version(d->onednn), d->f32->isa, d->threads,
             d->threads == 1 ? "" : "s");
}

static bool native(void *d, gn_dtype map_type)
{
    (void)d;
    return map_type == GN_F32 || (map_type == GN_BF16 && gn_cpu_has_bf16() && gn_onednn_has_bf16());
}

/* --- prepare -------------------------------------------------------------------------------------------------------- */

/* The map whose type decides between the f32 and the bf16 kernels. */
static const gn_tensor *main_map(const gn_plan *p, const gn_step *s)
{
    switch (s->op) {
    case GN_OP_INPUT: case GN_OP_GLOBAL_POOL_DX: case GN_OP_CONV_INT8:
        return &p->tensors[s->out[0]];
    case GN_OP_TAIL_DX: /* d may be absent */
        return &p->tensors[s->in[1]];
    case GN_OP_TAIL_BN:
        return &p->tensors[s->in[4]];
    case GN_OP_DENSE: case GN_OP_DENSE_DX:
        return &p->tensors[p->tensors[s->in[0]].dtype == GN_BF16 ? s->in[0] : s->out[0]];
    case GN_OP_DENSE_DW:
        return &p->tensors[p->tensors[s->in[0]].dtype == GN_BF16 ? s->in[0] : s->in[1]];
    default:
        return &p->tensors[s->in[0]];
    }
}

/* What the kernels rely on beyond the shapes that the plan has checked. */
static const char *unusable(const gn_plan *p, const gn_step *s)
{
    const int *in = s->in, *out = s->out;
    switch (s->op) {
    case GN_OP_INPUT:
        return p->tensors[in[0]].dim[3] != 3 ? "pixels must have 3 channels" : NULL;
    case GN_OP_BN_POOL: case GN_OP_BN_POOL_SUMS: case GN_OP_BN_POOL_DX:
        return s->attr.kernel < 1 || s->attr.kernel > 15 ? "the kernel must be 1 to 15 (its index is stored in 8 bits)" : NULL;
    case GN_OP_TAIL_SUMS: case GN_OP_EXCITE_DX: {
        int first = s->op == GN_OP_TAIL_SUMS ? 2 : 3;
        bool id = in[5] >= 0;
        return id != (in[6] >= 0) || id != (out[first] >= 0) || id != (out[first + 1] >= 0) || id != (out[first + 2] >= 0)
                   ? "id, its stats, id_sums, id_dgamma and id_dbeta come together"
                   : NULL;
    }
    case GN_OP_TAIL_DX:
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

/* Types as ops.def has them: maps of the map type or f32, vectors f32; nothing is f64. */
static genet_status check_types(const gn_plan *p, const gn_step *s, genet_error *err)
{
    for (int i = 0; i < GN_MAX_IN + GN_MAX_OUT; i++) {
        int t = i < GN_MAX_IN ? s->in[i] : s->out[i - GN_MAX_IN];
        if (t >= 0 && p->tensors[t].dtype == GN_F64)
            return gn_fail(err, GENET_UNSUPPORTED,
                           "step %s of %s: backend cpu computes in f32 and bf16, not in f64; backend ref does", gn_op_name(s->op),
                           s->label);
    }
    return GENET_OK;
}

static gn_conv_shape conv_shape(const gn_plan *p, const gn_step *s)
{
    const bool int8 = s->op == GN_OP_CONV_INT8, forward = s->op == GN_OP_CONV || int8, weights = s->op == GN_OP_CONV_DW;
    const gn_tensor *x = &p->tensors[s->op == GN_OP_CONV_DX ? s->out[0] : s->in[0]];
    const gn_tensor *w = &p->tensors[weights ? s->out[0] : s->in[1]];
    const gn_tensor *y = &p->tensors[forward ? s->out[0] : weights ? s->in[1] : s->in[0]];
    gn_conv_shape g = {x->dim[0], x->dim[1], x->dim[2], x->dim[3], y->dim[1], y->dim[2], w->dim[0], w->dim[2], w->dim[3],
                       s->attr.stride, {0}, (int8 ? y : x)->dtype == GN_BF16, forward && !int8 && s->in[2] >= 0,
                       forward && s->in[int8 ? 4 : 3] >= 0, forward && s->attr.relu, int8, int8 && y->dtype == GN_U8};
    for (int i = 0; i < 4; i++)
        g.pad[i] = s->attr.pad[i];
    return g;
}

static bool is_conv(gn_op op)
{
    return op == GN_OP_CONV || op == GN_OP_CONV_DX || op == GN_OP_CONV_DW || op == GN_OP_CONV_INT8;
}

static size_t aligned(size_t bytes)
{
    return (bytes + GN_SLAB_ALIGN - 1) / GN_SLAB_ALIGN * GN_SLAB_ALIGN;
}

static bool takes_own_wgrad(const device *d, const gn_conv_shape *g)
{
    if (!d->wgrad || g->bf16 || d->own_choice == GN_OWN_NEVER)
        return false;
    return d->own_choice == GN_OWN_ALWAYS || gn_wgrad_wins(d->wgrad, g, gn_onednn_vector_bits());
}

static int64_t work_of(const gn_plan *p, const gn_step *s)
{
    return gn_step_bytes(p, s) + gn_step_macs(p, s) / 4;
}

static genet_status prepare_wgrad(prepared *p, prepared_step *k, const gn_step *s, const gn_conv_shape *g, size_t *scratch)
{
    k->wgrad = p->device->wgrad;
    k->shape = *g;
    k->threads = work_of(p->plan, s) < SMALL_WORK ? 1 : p->device->threads;
    size_t bytes = aligned(k->wgrad->scratch_bytes(g, k->threads));
    *scratch = bytes > *scratch ? bytes : *scratch;
    snprintf(k->implementation, sizeof k->implementation, "own:%s", k->wgrad->isa);
    return GENET_OK;
}

/* Shape of the forward pass that Winograd's kernel would run for the step. */
static gn_conv_shape winograd_shape(const gn_step *s, const gn_conv_shape *g)
{
    return s->op == GN_OP_CONV_DX ? gn_winograd_gradient(g) : *g;
}

static bool takes_winograd(const prepared *p, const gn_step *s, const gn_conv_shape *g)
{
    const device *d = p->device;
    const gn_conv_shape shape = winograd_shape(s, g);
    if ((s->op != GN_OP_CONV && s->op != GN_OP_CONV_DX) || !d->winograd || d->own_choice == GN_OWN_NEVER)
        return false;
    return d->own_choice == GN_OWN_ALWAYS ? gn_winograd_can(&shape)
                                            : gn_winograd_wins(d->winograd, &shape, !p->trains, gn_onednn_vector_bits());
}

static genet_status prepare_winograd(prepared *p, prepared_step *k, const gn_step *s, const gn_conv_shape *g)
{
    k->winograd = p->device->winograd;
    k->shape = winograd_shape(s, g);
    k->threads = p->device->threads;
    k->stale = true;
    size_t bytes = aligned(k->winograd->scratch_bytes(&k->shape, k->threads)),
           packed = aligned(k->winograd->packed_bytes(&k->shape));
    k->packed_at = p->trains ? bytes : p->packed_bytes;
    if (p->trains)
        bytes += packed;
    else
        p->packed_bytes += packed;
    p->scratch_bytes = bytes > p->scratch_bytes ? bytes : p->scratch_bytes;
    snprintf(k->implementation, sizeof k->implementation, "own:winograd:%s", k->winograd->isa);
    return GENET_OK;
}

/* Creates the primitive of a convolution; *scratch grows to what it needs behind k->scratch_at. */
static genet_status prepare_conv(prepared *p, prepared_step *k, const gn_step *s, const gn_conv_shape *g, size_t *scratch,
                                 genet_error *err)
{
    const gn_conv_kind kind = s->op == GN_OP_CONV_DX ? GN_CONV_DATA : s->op == GN_OP_CONV_DW ? GN_CONV_WEIGHTS : GN_CONV_FORWARD;
    genet_status status = gn_conv_create(&k->conv, p->device->onednn, kind, g, err);
    if (status != GENET_OK) {
        gn_error_prefix(err, "step %s of %s", gn_op_name(s->op), s->label);
        return status;
    }
    size_t bytes = aligned(gn_conv_scratch_bytes(k->conv)), packed = aligned(gn_conv_packed_bytes(k->conv));
    k->stale = true;
    if (p->trains)
        bytes += packed;
    else {
        k->packed_at = p->packed_bytes;
        p->packed_bytes += packed;
    }
    bytes += k->scratch_at;
    *scratch = bytes > *scratch ? bytes : *scratch;
    snprintf(k->implementation, sizeof k->implementation, "%s", gn_conv_implementation(k->conv));
    return GENET_OK;
}

/* Chooses the kernel of a step; *scratch grows to what it needs. */
static genet_status prepare_kernel(prepared *p, prepared_step *k, const gn_step *s, size_t *scratch, genet_error *err)
{
    const gn_plan *plan = p->plan;
    const gn_kernels *kernels = main_map(plan, s)->dtype == GN_BF16 ? p->device->bf16 : p->device->f32;
    const char *why = unusable(plan, s);
    if (why)
        return gn_fail(err, GENET_UNSUPPORTED, "backend cpu, step %s of %s: %s", gn_op_name(s->op), s->label, why);
    const gn_scratch need = gn_kernel_scratch(plan, s);
    k->kernel = kernels->run[s->op];
    k->phases = gn_kernel_phases(s->op);
    k->threads = work_of(plan, s) < SMALL_WORK ? 1 : p->device->threads;
    k->job.attr = &s->attr;
    k->job.own_stride = aligned(need.own * sizeof(float)) / sizeof(float);
    for (int i = 0; i < GN_MAX_IN; i++)
        k->job.tin[i] = s->in[i] < 0 ? NULL : &plan->tensors[s->in[i]];
    for (int i = 0; i < GN_MAX_OUT; i++)
        k->job.tout[i] = s->out[i] < 0 ? NULL : &plan->tensors[s->out[i]];
    size_t shared = aligned(need.shared * sizeof(float)), packed = aligned(need.packed * sizeof(float));
    k->keeps = k->stale = packed && !p->trains;
    k->packed_at = k->keeps ? p->packed_bytes : shared;
    if (k->keeps)
        p->packed_bytes += packed;
    else
        shared += packed;
    size_t bytes = shared + (size_t)k->threads * k->job.own_stride * sizeof(float);
    k->own_at = shared;
    k->scratch_at = bytes;
    *scratch = bytes > *scratch ? bytes : *scratch;
    snprintf(k->implementation, sizeof k->implementation, "own:%s", kernels->isa);
    return GENET_OK;
}

/* In 8 bits where oneDNN does it exactly; else in f32 between the two phases of the own kernel. */
static genet_status prepare_int8(prepared *p, prepared_step *k, const gn_step *s, size_t *scratch, genet_error *err)
{
    genet_status status;
    genet_error why;
    gn_conv_shape g = conv_shape(p->plan, s);
    if (p->device->int8) {
        status = prepare_conv(p, k, s, &g, scratch, &why);
        if (status == GENET_OK)
            return status;
        if (status != GENET_UNSUPPORTED)
            return gn_fail(err, status, "%s", why.text);
    }
    g.int8 = g.bytes = g.bf16 = g.add = g.relu = false;
    status = prepare_kernel(p, k, s, scratch, err);
    return status == GENET_OK ? prepare_conv(p, k, s, &g, scratch, err) : status;
}

static genet_status prepare_step(prepared *p, prepared_step *k, const gn_step *s, genet_error *err)
{
    if (s->op == GN_OP_CONV_INT8)
        return prepare_int8(p, k, s, &p->scratch_bytes, err);
    if (!is_conv(s->op))
        return prepare_kernel(p, k, s, &p->scratch_bytes, err);
    const gn_conv_shape g = conv_shape(p->plan, s);
    if (s->op == GN_OP_CONV_DW && takes_own_wgrad(p->device, &g))
        return prepare_wgrad(p, k, s, &g, &p->scratch_bytes);
    if (takes_winograd(p, s, &g))
        return prepare_winograd(p, k, s, &g);
    return prepare_conv(p, k, s, &g, &p->scratch_bytes, err);
}

/* Tells every step where its memory lies. */
static genet_status place(prepared *p, genet_error *err)
{
    for (int i = 0; i < p->plan->step_count; i++) {
        prepared_step *k = &p->steps[i];
        if (k->kernel) {
            k->job.shared = p->scratch;
            k->job.packed = (float *)(k->keeps ? p->packed : p->scratch) + k->packed_at / sizeof(float);
            k->job.own = p->scratch + k->own_at / sizeof(float);
        }
        if (!k->conv)
            continue;
        char *scratch = (char *)p->scratch + k->scratch_at;
        char *packed = p->trains ? scratch + aligned(gn_conv_scratch_bytes(k->conv)) : (char *)p->packed + k->packed_at;
        genet_status status = gn_conv_place(k->conv, packed, scratch, err);
        if (status != GENET_OK)
            return status;
    }
    return GENET_OK;
}

static void release(void *p_)
{
    prepared *p = p_;
    if (!p)
        return;
    for (int i = 0; p->steps && i < p->plan->step_count; i++)
        gn_conv_free(p->steps[i].conv);
    gn_slab_free(p->scratch, p->scratch_bytes);
    gn_slab_free(p->packed, p->packed_bytes);
    gn_free(p->steps);
    gn_free(p);
}

static genet_status prepare(void *d, const gn_plan *plan, void **out, genet_error *err)
{
    genet_status status = GENET_OK;
    const int threads_before = omp_get_max_threads();
    prepared *p = gn_calloc(1, sizeof *p);
    if (!p)
        return gn_fail_memory(err, sizeof *p, "a prepared plan");
    p->device = d;
    p->plan = plan;
    omp_set_num_threads(p->device->threads); /* oneDNN makes primitives for this number */
    p->steps = gn_calloc((size_t)plan->step_count, sizeof *p->steps);
    if (!p->steps) {
        status = gn_fail_memory(err, (size_t)plan->step_count * sizeof *p->steps, "a prepared plan");
        goto out;
    }
    for (int i = 0; i < plan->step_count; i++)
        p->trains |= plan->steps[i].phase == GN_BACKWARD;
    for (int i = 0; i < plan->step_count; i++) {
        const gn_step *s = &plan->steps[i];
        GN_TRY(check_types(plan, s, err));
        GN_TRY(prepare_step(p, &p->steps[i], s, err));
    }
    p->scratch = gn_slab_alloc(p->scratch_bytes);
    p->packed = gn_slab_alloc(p->packed_bytes);
    if (!p->scratch || !p->packed)
        status = gn_fail_memory(err, p->scratch_bytes + p->packed_bytes, "scratch memory and packed weights");
    else
        status = place(p, err);
out:
    omp_set_num_threads(threads_before);
    if (status != GENET_OK) {
        release(p);
        p = NULL;
    }
    *out = p;
    return status;
}

static size_t scratch_bytes(const void *p_)
{
    const prepared *p = p_;
    return p->scratch_bytes + p->packed_bytes;
}

/* --- run ------------------------------------------------------------------------------------------------------------ */

/* The contents of mix reach memory addresses, so they are checked here (they come from the loader). */
static genet_status check_mix(const gn_job *j, genet_error *err)
{
    const float *mix = j->in[1];
    for (int64_t n = 0; n < j->tin[0]->dim[0]; n++) {
        float partner = mix[n * 6];
        if (!(partner >= 0 && partner < (float)j->tin[0]->dim[0]))
            return gn_fail(err, GENET_INTERNAL, "image %lld of the batch is mixed with image %g; there are %lld", (long long)n,
                           (double)partner, (long long)j->tin[0]->dim[0]);
    }
    return GENET_OK;
}

/* Phases begin..end-1. */
static void run_kernel(const prepared_step *k, int begin, int end)
{
    if (k->threads == 1) {
        for (int phase = begin; phase < end; phase++)
            k->kernel(&k->job, phase, 0, 1);
        return;
    }
#pragma omp parallel num_threads(k->threads)
    {
        const int me = omp_get_thread_num(), all = omp_get_num_threads();
        for (int phase = begin; phase < end; phase++) {
            k->kernel(&k->job, phase, me, all);
#pragma omp barrier
        }
    }
}

/* The shares are those of the threads prepared for, however many there are now. */
static void run_wgrad(const prepared *p, const prepared_step *k, const float *x, const float *dy, float *dw)
{
#pragma omp parallel num_threads(k->threads)
    for (int phase = 0; phase < GN_WGRAD_PHASES; phase++) {
        for (int t = omp_get_thread_num(); t < k->threads; t += omp_get_num_threads())
            k->wgrad->run(&k->shape, x, dy, dw, p->scratch, phase, t, k->threads);
#pragma omp barrier
    }
}

static void run_winograd(const prepared *p, prepared_step *k, const gn_step *s, void *const *data)
{
    const float *x = data[s->in[0]], *w = data[s->in[1]], *bias = k->shape.bias ? data[s->in[2]] : NULL;
    float *y = data[s->out[0]], *packed = (float *)((char *)(p->trains ? p->scratch : p->packed) + k->packed_at);
#pragma omp parallel num_threads(k->threads)
    {
        const int me = omp_get_thread_num(), all = omp_get_num_threads();
        if (k->stale) {
            k->winograd->pack(&k->shape, w, s->op == GN_OP_CONV_DX, packed, me, all);
#pragma omp barrier
        }
        for (int t = me; t < k->threads; t += all)
            k->winograd->run(&k->shape, x, packed, bias, y, p->scratch, t, k->threads);
    }
    k->stale = p->trains; /* there another step's scratch comes over it */
}

static genet_status pack(prepared *p, prepared_step *k, const gn_step *s, void *const *data, genet_error *err)
{
    const float *w = data[s->in[1]];
    if (!gn_conv_packed_bytes(k->conv) || !(p->trains || k->stale))
        return GENET_OK;
    const float y_scale = p->plan->tensors[s->out[0]].dtype == GN_U8 ? s->attr.scale : 1;
    genet_status status = s->op == GN_OP_CONV_INT8 && !k->kernel
                              ? gn_conv_pack_int8(k->conv, w, data[s->in[2]], data[s->in[3]], y_scale, err)
                              : gn_conv_pack(k->conv, w, err);
    k->stale = status != GENET_OK;
    return status;
}

static genet_status run_conv(prepared *p, prepared_step *k, const gn_step *s, void *const *data, genet_error *err)
{
    const bool forward = s->op == GN_OP_CONV || s->op == GN_OP_CONV_INT8, weights = s->op == GN_OP_CONV_DW;
    const float *w = data[weights ? s->out[0] : s->in[1]];
    const void *x = data[s->op == GN_OP_CONV_DX ? s->out[0] : s->in[0]];
    const void *y = data[forward ? s->out[0] : weights ? s->in[1] : s->in[0]];
    const int threads_before = omp_get_max_threads();
    if (k->kernel) { /* CONV_INT8 in f32: what the kernel's first phase made, for its second */
        x = k->job.shared;
        y = gn_kernel_sums(&k->job);
    }
    omp_set_num_threads(p->device->threads);
    genet_status status = weights ? GENET_OK : pack(p, k, s, data, err);
    if (status == GENET_OK)
        status = gn_conv_run(k->conv, x, w, s->op == GN_OP_CONV && s->in[2] >= 0 ? data[s->in[2]] : NULL, y, err);
    omp_set_num_threads(threads_before);
    return status;
}

static genet_status run(void *p_, int number, void *const *data, genet_error *err)
{
    prepared *p = p_;
    genet_status status = GENET_OK;
    const gn_step *s = &p->plan->steps[number];
    prepared_step *k = &p->steps[number];
    if (k->wgrad) {
        run_wgrad(p, k, data[s->in[0]], data[s->in[1]], data[s->out[0]]);
        return GENET_OK;
    }
    if (k->winograd) {
        run_winograd(p, k, s, data);
        return GENET_OK;
    }
    if (!k->kernel)
        return run_conv(p, k, s, data, err);
    for (int i = 0; i < GN_MAX_IN; i++)
        k->job.in[i] = s->in[i] < 0 ? NULL : data[s->in[i]];
    for (int i = 0; i < GN_MAX_OUT; i++)
        k->job.out[i] = s->out[i] < 0 ? NULL : data[s->out[i]];
    if (s->op == GN_OP_INPUT)
        GN_TRY(check_mix(&k->job, err));
    if (k->conv) {
        run_kernel(k, 0, 1);
        GN_TRY(run_conv(p, k, s, data, err));
    }
    run_kernel(k, k->conv || (k->keeps && !k->stale) ? 1 : 0, k->phases);
    if (k->keeps)
        k->stale = false;
out:
    return status;
}

static void weights_changed(void *p_)
{
    prepared *p = p_;
    for (int i = 0; i < p->plan->step_count; i++)
        p->steps[i].stale = true;
}

static const char *implementation(const void *p_, int step)
{
    const prepared *p = p_;
    return p->steps[step].implementation;
}

static void sgd(void *d_, const gn_sgd *s)
{
    const device *d = d_;
#pragma omp parallel num_threads(d->threads)
    d->f32->sgd(s, omp_get_thread_num(), omp_get_num_threads());
}

const gn_backend gn_backend_cpu = {
    .name = "cpu",
    .open = open_device,
    .close = close_device,
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
