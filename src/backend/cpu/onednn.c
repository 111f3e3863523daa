/* SPDX-License-Identifier: Apache-2.0
 * The door to oneDNN (onednn.h). 2.x describes an operation in a struct first, 3.x makes the primitive's descriptor in one
 * call and hides memory descriptors behind pointers: the differences are in the first section alone. */
#include "backend/cpu/onednn.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_version.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct gn_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    char version[32];
};

/* x, w, bias, y of the convolution as descriptors; spatial settings. */
typedef struct spatial {
    dnnl_dims_t strides, dilates, before, after;
} spatial;

/* --- what differs between 2.x and 3.x ------------------------------------------------------------------------------- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t descriptor;
typedef const_dnnl_memory_desc_t descriptor_ref;
typedef int chooser; /* the descriptor itself steps through the implementations */

static dnnl_status_t describe(descriptor *d, int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(d, rank, dims, type, tag);
}

static descriptor_ref ref(const descriptor *d)
{
    return *d;
}

static void forget(descriptor *d)
{
    if (*d)
        dnnl_memory_desc_destroy(*d);
    *d = NULL;
}

static dnnl_status_t append(dnnl_post_ops_t ops, bool add, bool relu)
{
    dnnl_status_t s = add ? dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef) : dnnl_success;
    return s == dnnl_success && relu ? dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0, 0) : s;
}

static dnnl_status_t make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, gn_conv_kind kind, descriptor_ref x, descriptor_ref w,
                          descriptor_ref bias, descriptor_ref y, const spatial *at, dnnl_primitive_attr_t attr,
                          dnnl_primitive_desc_t forward, chooser *c)
{
    const dnnl_alg_kind_t direct = dnnl_convolution_direct;
    (void)c;
    switch (kind) {
    case GN_CONV_FORWARD:
        return dnnl_convolution_forward_primitive_desc_create(pd, engine, dnnl_forward_training, direct, x, w, bias, y,
                                                              at->strides, at->dilates, at->before, at->after, attr);
    case GN_CONV_DATA:
        return dnnl_convolution_backward_data_primitive_desc_create(pd, engine, direct, x, w, y, at->strides, at->dilates,
                                                                    at->before, at->after, forward, attr);
    default:
        return dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, direct, x, w, NULL, y, at->strides,
                                                                       at->dilates, at->before, at->after, forward, attr);
    }
}

/* oneDNN's next choice for the same operation; the old one is lost. */
static dnnl_status_t next(dnnl_primitive_desc_t *pd, chooser *c)
{
    (void)c;
    dnnl_status_t s = dnnl_primitive_desc_next_impl(*pd);
    return s == dnnl_last_impl_reached ? dnnl_unimplemented : s;
}

static void forget_chooser(chooser *c)
{
    (void)c;
}
#else
typedef dnnl_memory_desc_t descriptor;
typedef const dnnl_memory_desc_t *descriptor_ref;
typedef struct chooser { /* the iterator keeps pointing at the operation */
    dnnl_convolution_desc_t op;
    dnnl_primitive_desc_iterator_t iterator;
} chooser;

static dnnl_status_t describe(descriptor *d, int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(d, rank, dims, type, tag);
}

static descriptor_ref ref(const descriptor *d)
{
    return d;
}

static void forget(descriptor *d)
{
    (void)d;
}

static dnnl_status_t append(dnnl_post_ops_t ops, bool add, bool relu)
{
    dnnl_status_t s = add ? dnnl_post_ops_append_sum(ops, 1) : dnnl_success;
    return s == dnnl_success && relu ? dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0) : s;
}

static dnnl_status_t make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, gn_conv_kind kind, descriptor_ref x, descriptor_ref w,
                          descriptor_ref bias, descriptor_ref y, const spatial *at, dnnl_primitive_attr_t attr,
                          dnnl_primitive_desc_t forward, chooser *c)
{
    const dnnl_alg_kind_t direct = dnnl_convolution_direct;
    dnnl_status_t s;
    if (kind == GN_CONV_FORWARD)
        s = dnnl_convolution_forward_desc_init(&c->op, dnnl_forward_training, direct, x, w, bias, y, at->strides, at->before,
                                               at->after);
    else if (kind == GN_CONV_DATA)
        s = dnnl_convolution_backward_data_desc_init(&c->op, direct, x, w, y, at->strides, at->before, at->after);
    else
        s = dnnl_convolution_backward_weights_desc_init(&c->op, direct, x, w, NULL, y, at->strides, at->before, at->after);
    if (s == dnnl_success)
        s = dnnl_primitive_desc_iterator_create(&c->iterator, &c->op, attr, engine, forward);
    if (s != dnnl_success)
        return s;
    *pd = dnnl_primitive_desc_iterator_fetch(c->iterator);
    return *pd ? dnnl_success : dnnl_out_of_memory;
}

static dnnl_status_t next(dnnl_primitive_desc_t *pd, chooser *c)
{
    dnnl_primitive_desc_destroy(*pd);
    *pd = NULL;
    dnnl_status_t s = dnnl_primitive_desc_iterator_next(c->iterator);
    if (s != dnnl_success)
        return s == dnnl_iterator_ends ? dnnl_unimplemented : s;
    *pd = dnnl_primitive_desc_iterator_fetch(c->iterator);
    return *pd ? dnnl_success : dnnl_out_of_memory;
}

static void forget_chooser(chooser *c)
{
    if (c->iterator)
        dnnl_primitive_desc_iterator_destroy(c->iterator);
}
#endif

/* --- engine ------------------------------------------------------------------------------------------------------------ */

static const char *reason(dnnl_status_t s)
{
    switch (s) {
    case dnnl_out_of_memory:
        return "out of memory";
    case dnnl_invalid_arguments:
        return "invalid arguments";
    case dnnl_unimplemented:
        return "unimplemented";
    default:
        return "a runtime error";
    }
}

genet_status gn_onednn_open(gn_onednn **out, genet_error *err)
{
    genet_status status = GENET_OK;
    const dnnl_version_t *v = dnnl_version();
    gn_onednn *o = gn_calloc(1, sizeof *o);
    if (!o)
        return gn_fail_memory(err, sizeof *o, "oneDNN");
    snprintf(o->version, sizeof o->version, "%d.%d.%d", v->major, v->minor, v->patch);
    dnnl_status_t s = dnnl_engine_create(&o->engine, dnnl_cpu, 0);
    if (s == dnnl_success)
        s = dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags);
    if (s != dnnl_success) {
        status = gn_fail(err, GENET_UNSUPPORTED, "oneDNN %s cannot open the CPU: %s", o->version, reason(s));
        gn_onednn_close(o);
        o = NULL;
    }
    *out = o;
    return status;
}

void gn_onednn_close(gn_onednn *o)
{
    if (!o)
        return;
    if (o->stream)
        dnnl_stream_destroy(o->stream);
    if (o->engine)
        dnnl_engine_destroy(o->engine);
    gn_free(o);
}

const char *gn_onednn_version(const gn_onednn *o)
{
    return o->version;
}

bool gn_onednn_has_bf16(void)
{
    /* The values grow with the features among the AVX-512 sets. */
    int isa = (int)dnnl_get_effective_cpu_isa();
    return isa >= (int)dnnl_cpu_isa_avx512_core_bf16;
}

int gn_onednn_vector_bits(void)
{
    /* The values are sets of bits: a set has those of the sets that it contains. */
    const int isa = (int)dnnl_get_effective_cpu_isa(), avx512 = (int)dnnl_cpu_isa_avx512_core, avx2 = (int)dnnl_cpu_isa_avx2;
    return (isa & avx512) == avx512 ? 512 : (isa & avx2) == avx2 ? 256 : 128;
}

/* --- one convolution --------------------------------------------------------------------------------------------------- */

struct gn_conv {
    gn_onednn *o;
    gn_conv_kind kind;
    dnnl_primitive_t primitive, reorder;   /* reorder: weights in, or their gradient out; NULL where formats agree */
    dnnl_memory_t x, w, bias, y;           /* of the primitive */
    dnnl_memory_t plain;                   /* f32 (K,C,R,S), the reorder's other side */
    dnnl_memory_t scratch, reorder_scratch;
    dnnl_memory_t scale, shift;            /* int8: (K) behind the packed weights */
    int64_t channels;                      /* K */
    size_t packed_bytes, scratch_bytes;
    char implementation[80];
};

static genet_status complain(const gn_onednn *o, gn_conv_kind kind, const gn_conv_shape *g, dnnl_status_t s, genet_error *err)
{
    static const char *const names[] = {"convolution", "data gradient", "weight gradient"};
    if (s == dnnl_out_of_memory)
        return gn_fail(err, GENET_MEMORY, "oneDNN %s is out of memory in the %s", o->version, names[kind]);
    return gn_fail(err, s == dnnl_unimplemented ? GENET_UNSUPPORTED : GENET_INTERNAL,
                   "oneDNN %s on this CPU has no %s %s of %lldx%lldx%lldx%lld by %lldx%lldx%lldx%lld, stride %d (%s)%s", o->version,
                   g->int8   ? "8-bit"
                   : g->bf16 ? "bf16"
                             : "f32",
                   names[kind], (long long)g->n, (long long)g->h, (long long)g->w, (long long)g->c, (long long)g->k,
                   (long long)g->c, (long long)g->r, (long long)g->s, g->stride, reason(s),
                   g->bf16 && !g->int8 ? "; --amp off computes in f32" : "");
}

enum { X, W, BIAS, Y };

/* Descriptors with the weights' format left to the primitive. */
static dnnl_status_t describe_all(const gn_conv_shape *g, gn_conv_kind kind, descriptor d[4])
{
    const dnnl_data_type_t type = g->bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_data_type_t w_type = g->int8 ? dnnl_s8 : kind == GN_CONV_WEIGHTS ? dnnl_f32 : type;
    const dnnl_dims_t x = {g->n, g->c, g->h, g->w}, w = {g->k, g->c, g->r, g->s}, y = {g->n, g->k, g->p, g->q}, bias = {g->k};
    dnnl_status_t s = describe(&d[X], 4, x, g->int8 ? dnnl_u8 : type, dnnl_nhwc);
    if (s == dnnl_success)
        s = describe(&d[W], 4, w, w_type, dnnl_format_tag_any);
    if (s == dnnl_success)
        s = describe(&d[Y], 4, y, g->bytes ? dnnl_u8 : type, dnnl_nhwc);
    if (s == dnnl_success && g->bias)
        s = describe(&d[BIAS], 1, bias, dnnl_f32, dnnl_a);
    return s;
}

/* A vector over the channels of y, as an operand of a post-operation. */
static dnnl_status_t describe_channels(descriptor *d, const gn_conv_shape *g)
{
    const dnnl_dims_t dims = {1, g->k, 1, 1};
    return describe(d, 4, dims, dnnl_f32, dnnl_nhwc);
}

/* acc * scale + shift. Both versions take these vectors when they run, which 2.x does not do with its output scales. */
static dnnl_status_t append_scaling(dnnl_post_ops_t ops, const gn_conv_shape *g)
{
    descriptor vector = {0};
    dnnl_status_t s = describe_channels(&vector, g);
    if (s == dnnl_success)
        s = dnnl_post_ops_append_binary(ops, dnnl_binary_mul, ref(&vector));
    if (s == dnnl_success)
        s = dnnl_post_ops_append_binary(ops, dnnl_binary_add, ref(&vector));
    forget(&vector);
    return s;
}

static dnnl_status_t attributes(const gn_conv_shape *g, gn_conv_kind kind, dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t s = dnnl_primitive_attr_create(attr);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (s != dnnl_success || kind != GN_CONV_FORWARD || (!g->add && !g->relu && !g->int8))
        return s;
    s = dnnl_post_ops_create(&ops);
    if (s == dnnl_success && g->int8)
        s = append_scaling(ops, g);
    if (s == dnnl_success)
        s = append(ops, g->add, g->relu);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return s;
}

static dnnl_status_t memory_of(const gn_conv *c, descriptor_ref d, dnnl_memory_t *m)
{
    return dnnl_memory_create(m, d, c->o->engine, DNNL_MEMORY_NONE);
}

/* The primitive's scratchpad as memory; *bytes grows to its size. */
static dnnl_status_t scratch_of(const gn_conv *c, dnnl_primitive_desc_t pd, dnnl_memory_t *m, size_t *bytes)
{
    descriptor_ref d = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t size = d ? dnnl_memory_desc_get_size(d) : 0;
    *bytes = size > *bytes ? size : *bytes;
    return size ? memory_of(c, d, m) : dnnl_success;
}

/* Reorder between f32 (K,C,R,S) and the primitive's format. */
static dnnl_status_t make_reorder(gn_conv *c, const gn_conv_shape *g, descriptor_ref packed, dnnl_primitive_attr_t attr)
{
    const dnnl_dims_t dims = {g->k, g->c, g->r, g->s};
    descriptor plain = {0};
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = describe(&plain, 4, dims, dnnl_f32, dnnl_oihw);
    if (s == dnnl_success && !dnnl_memory_desc_equal(ref(&plain), packed)) {
        c->packed_bytes = dnnl_memory_desc_get_size(packed);
        bool in = c->kind != GN_CONV_WEIGHTS;
        s = dnnl_reorder_primitive_desc_create(&pd, in ? ref(&plain) : packed, c->o->engine, in ? packed : ref(&plain),
                                               c->o->engine, attr);
        if (s == dnnl_success)
            s = dnnl_primitive_create(&c->reorder, pd);
        if (s == dnnl_success)
            s = scratch_of(c, pd, &c->reorder_scratch, &c->scratch_bytes);
        if (s == dnnl_success)
            s = memory_of(c, ref(&plain), &c->plain);
        if (pd)
            dnnl_primitive_desc_destroy(pd);
    }
    forget(&plain);
    return s;
}

static size_t aligned(size_t bytes)
{
    return (bytes + GN_SLAB_ALIGN - 1) / GN_SLAB_ALIGN * GN_SLAB_ALIGN;
}

/* The vectors of an int8 convolution. */
static dnnl_status_t make_vectors(gn_conv *c, const gn_conv_shape *g)
{
    descriptor vector = {0};
    dnnl_status_t s = describe_channels(&vector, g);
    c->channels = g->k;
    if (s == dnnl_success)
        s = memory_of(c, ref(&vector), &c->scale);
    if (s == dnnl_success)
        s = memory_of(c, ref(&vector), &c->shift);
    forget(&vector);
    return s;
}

/* Memories of the operands, scratchpad, reorder. */
static dnnl_status_t make_memories(gn_conv *c, const gn_conv_shape *g, dnnl_primitive_desc_t pd, const descriptor d[4],
                                   dnnl_primitive_attr_t reorder_attr)
{
    descriptor_ref w = dnnl_primitive_desc_query_md(
        pd, c->kind == GN_CONV_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    dnnl_status_t s = memory_of(c, ref(&d[X]), &c->x);
    if (s == dnnl_success)
        s = memory_of(c, w, &c->w);
    if (s == dnnl_success)
        s = memory_of(c, ref(&d[Y]), &c->y);
    if (s == dnnl_success && g->bias)
        s = memory_of(c, ref(&d[BIAS]), &c->bias);
    if (s == dnnl_success)
        s = scratch_of(c, pd, &c->scratch, &c->scratch_bytes);
    if (s == dnnl_success)
        s = make_reorder(c, g, w, reorder_attr);
    if (s == dnnl_success && g->int8)
        s = make_vectors(c, g);
    return s;
}

/* oneDNN's implementations that give wrong values or write beyond their scratch memory for some shapes, found by comparing
 * with ref (docs/performance.md), in 2.6 and 3.2:
 * - bf16 weight gradient of kernels larger than the map;
 * - bf16 1x1 data gradient with channels that are no multiple of 16 (2.6);
 * - 1x1 weight gradient with a stride and channels that are no multiple of 16: beyond the scratch memory. */
static bool distrusted(const gn_conv_shape *g, gn_conv_kind kind, const char *name)
{
    if (g->int8) /* the others add pairs of products in 16 bits, where they saturate; the plain loops are exact, and slow */
        return !strstr(name, "vnni") && !strstr(name, "amx");
    const bool odd = g->c % 16 || g->k % 16, one = strstr(name, "jit_1x1") || strstr(name, "jit_bf16_1x1");
    if (kind == GN_CONV_WEIGHTS && g->bf16 && strstr(name, "jit_bf16") && (g->h < g->r || g->w < g->s))
        return true;
    if (kind == GN_CONV_WEIGHTS && one && odd && g->stride > 1)
        return true;
    return kind == GN_CONV_DATA && g->bf16 && one && odd;
}

/* The first of oneDNN's implementations that is to be trusted; its name. */
static dnnl_status_t choose(dnnl_primitive_desc_t *pd, chooser *iterator, gn_onednn *o, gn_conv_kind kind,
                            const gn_conv_shape *g, const descriptor d[4], dnnl_primitive_attr_t attr,
                            dnnl_primitive_desc_t forward, const char **name)
{
    const spatial at = {{g->stride, g->stride}, {0}, {g->pad[0], g->pad[1]}, {g->pad[2], g->pad[3]}};
    dnnl_status_t s = make(pd, o->engine, kind, ref(&d[X]), ref(&d[W]), g->bias ? ref(&d[BIAS]) : NULL, ref(&d[Y]), &at, attr,
                           forward, iterator);
    while (s == dnnl_success) {
        s = dnnl_primitive_desc_query(*pd, dnnl_query_impl_info_str, 0, (void *)name);
        if (s == dnnl_success && !distrusted(g, kind, *name))
            break;
        if (s == dnnl_success)
            s = next(pd, iterator);
    }
    return s;
}

/* What creation needs for a while. */
typedef struct making {
    descriptor d[4], f[4]; /* of the operation; of its forward pass */
    dnnl_primitive_desc_t pd, forward;
    dnnl_primitive_attr_t attr, plain_attr;
    chooser iterator, forward_iterator;
} making;

static void forget_making(making *m)
{
    if (m->pd)
        dnnl_primitive_desc_destroy(m->pd);
    if (m->forward)
        dnnl_primitive_desc_destroy(m->forward);
    if (m->attr)
        dnnl_primitive_attr_destroy(m->attr);
    if (m->plain_attr)
        dnnl_primitive_attr_destroy(m->plain_attr);
    for (int i = 0; i < 4; i++) {
        forget(&m->d[i]);
        forget(&m->f[i]);
    }
    forget_chooser(&m->iterator);
    forget_chooser(&m->forward_iterator);
}

static dnnl_status_t create(gn_conv *c, making *m, gn_onednn *o, const gn_conv_shape *g)
{
    const char *name = NULL;
    dnnl_status_t s = describe_all(g, c->kind, m->d);
    if (s == dnnl_success)
        s = attributes(g, c->kind, &m->attr);
    if (s == dnnl_success)
        s = attributes(g, GN_CONV_DATA, &m->plain_attr);
    if (s == dnnl_success && c->kind != GN_CONV_FORWARD) { /* gradients want the forward pass as a hint */
        s = describe_all(g, GN_CONV_FORWARD, m->f);
        if (s == dnnl_success)
            s = choose(&m->forward, &m->forward_iterator, o, GN_CONV_FORWARD, g, m->f, m->plain_attr, NULL, &name);
    }
    if (s == dnnl_success)
        s = choose(&m->pd, &m->iterator, o, c->kind, g, m->d, m->attr, m->forward, &name);
    if (s == dnnl_success) {
        snprintf(c->implementation, sizeof c->implementation, "onednn:%s", name);
        s = dnnl_primitive_create(&c->primitive, m->pd);
    }
    return s == dnnl_success ? make_memories(c, g, m->pd, m->d, m->plain_attr) : s;
}

genet_status gn_conv_create(gn_conv **out, gn_onednn *o, gn_conv_kind kind, const gn_conv_shape *g, genet_error *err)
{
    genet_status status = GENET_OK;
    making m = {0};
    gn_conv *c = gn_calloc(1, sizeof *c);
    if (!c)
        return gn_fail_memory(err, sizeof *c, "a convolution");
    c->o = o;
    c->kind = kind;
    dnnl_status_t s = create(c, &m, o, g);
    forget_making(&m);
    if (s != dnnl_success) {
        status = complain(o, kind, g, s, err);
        gn_conv_free(c);
        c = NULL;
    }
    *out = c;
    return status;
}

void gn_conv_free(gn_conv *c)
{
    if (!c)
        return;
    dnnl_memory_t memories[] = {c->x, c->w, c->bias, c->y, c->plain, c->scratch, c->reorder_scratch, c->scale, c->shift};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        if (memories[i])
            dnnl_memory_destroy(memories[i]);
    if (c->primitive)
        dnnl_primitive_destroy(c->primitive);
    if (c->reorder)
        dnnl_primitive_destroy(c->reorder);
    gn_free(c);
}

const char *gn_conv_implementation(const gn_conv *c)
{
    return c->implementation;
}

size_t gn_conv_packed_bytes(const gn_conv *c)
{
    return c->channels ? aligned(c->packed_bytes) + 2 * aligned((size_t)c->channels * sizeof(float)) : c->packed_bytes;
}

size_t gn_conv_scratch_bytes(const gn_conv *c)
{
    return c->scratch_bytes;
}

static genet_status ran(const gn_conv *c, dnnl_status_t s, genet_error *err)
{
    return s == dnnl_success ? GENET_OK
                             : gn_fail(err, s == dnnl_out_of_memory ? GENET_MEMORY : GENET_INTERNAL, "oneDNN %s (%s): %s",
                                       c->o->version, c->implementation, reason(s));
}

/* Memory m lies at p from now on. Where it does already nothing is done: oneDNN zeroes the padding of blocked formats. */
static dnnl_status_t point(dnnl_memory_t m, const void *p)
{
    void *now = NULL;
    dnnl_status_t s = m ? dnnl_memory_get_data_handle(m, &now) : dnnl_success;
    return s == dnnl_success && m && now != p ? dnnl_memory_set_data_handle(m, (void *)p) : s;
}

genet_status gn_conv_place(gn_conv *c, void *packed, void *scratch, genet_error *err)
{
    dnnl_status_t s = point(c->scratch, scratch);
    if (s == dnnl_success)
        s = point(c->reorder_scratch, scratch);
    if (s == dnnl_success && c->reorder)
        s = point(c->w, packed);
    char *vectors = (char *)packed + aligned(c->packed_bytes);
    if (s == dnnl_success)
        s = point(c->scale, vectors);
    if (s == dnnl_success)
        s = point(c->shift, vectors + aligned((size_t)c->channels * sizeof(float)));
    return ran(c, s, err);
}

static dnnl_status_t reorder(gn_conv *c, const void *plain)
{
    const bool in = c->kind != GN_CONV_WEIGHTS;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, in ? c->plain : c->w},
                                    {DNNL_ARG_TO, in ? c->w : c->plain},
                                    {DNNL_ARG_SCRATCHPAD, c->reorder_scratch}};
    dnnl_status_t s = point(c->plain, plain);
    return s == dnnl_success ? dnnl_primitive_execute(c->reorder, c->o->stream, c->reorder_scratch ? 3 : 2, args) : s;
}

genet_status gn_conv_pack(gn_conv *c, const float *w, genet_error *err)
{
    return ran(c, reorder(c, w), err);
}

genet_status gn_conv_pack_int8(gn_conv *c, const float *w, const float *scale, const float *bias, float y_scale,
                               genet_error *err)
{
    void *to_scale = NULL, *to_shift = NULL;
    dnnl_status_t s = dnnl_memory_get_data_handle(c->scale, &to_scale);
    if (s == dnnl_success)
        s = dnnl_memory_get_data_handle(c->shift, &to_shift);
    for (int64_t k = 0; s == dnnl_success && k < c->channels; k++) {
        ((float *)to_scale)[k] = scale[k] / y_scale;
        ((float *)to_shift)[k] = bias[k] / y_scale;
    }
    return ran(c, s == dnnl_success ? reorder(c, w) : s, err);
}

genet_status gn_conv_run(gn_conv *c, const void *x, const float *w, const float *bias, const void *y, genet_error *err)
{
    static const int roles[][3] = {[GN_CONV_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                   [GN_CONV_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                   [GN_CONV_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    const int *role = roles[c->kind];
    dnnl_exec_arg_t args[7] = {{role[0], c->x}, {role[1], c->w}, {role[2], c->y}};
    int count = 3;
    dnnl_status_t s = point(c->x, x);
    if (s == dnnl_success)
        s = point(c->y, y);
    if (s == dnnl_success && !c->reorder)
        s = point(c->w, w);
    if (s == dnnl_success)
        s = point(c->bias, bias);
    if (c->bias)
        args[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, c->bias};
    if (c->scale) {
        args[count++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, c->scale};
        args[count++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_MULTIPLE_POST_OP(1) | DNNL_ARG_SRC_1, c->shift};
    }
    if (c->scratch)
        args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, c->scratch};
    if (s == dnnl_success)
        s = dnnl_primitive_execute(c->primitive, c->o->stream, count, args);
    if (s == dnnl_success && c->kind == GN_CONV_WEIGHTS && c->reorder)
        s = reorder(c, w);
    return ran(c, s, err);
}
