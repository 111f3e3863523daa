/* SPDX-License-Identifier: Apache-2.0
 * The own 3x3 forward pass and data gradient against ref: edge shapes and those of the real networks, with and without bias, addend
 * and ReLU, each instruction set that this CPU has, 1 to 8 threads with the same bits; and that a forward plan takes it, and takes
 * new weights. Operands and scratch have blocks of exactly their size, so that a sanitizer sees the first byte beyond them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/winograd.h"
#include "backend/rig.h"
#include "backend_cpu/compare.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

typedef struct shape { int n, h, w, c, k, pad[4]; bool bias, add, relu; } shape;

static const shape shapes[] = {
    {1, 1, 1, 16, 32, {1, 1, 1, 1}, false, false, false}, /* one output of a tile */
    {1, 2, 2, 16, 32, {1, 1, 1, 1}, true, false, false},
    {2, 3, 5, 32, 32, {1, 1, 1, 1}, true, false, true},   /* odd sides */
    {3, 7, 4, 48, 64, {0, 1, 1, 0}, false, true, false},  /* lopsided padding, as the mindspore form has */
    {1, 6, 6, 16, 96, {2, 2, 2, 2}, true, true, true},
    {2, 5, 9, 32, 32, {0, 0, 0, 0}, true, true, true},
    {1, 3, 3, 64, 32, {0, 0, 0, 0}, false, false, true},
    {1, 40, 3, 16, 32, {1, 1, 1, 1}, true, false, true},  /* several blocks, the last one smaller */
    {1, 56, 56, 64, 64, {1, 1, 1, 1}, true, false, true}, /* ResNet-50 */
    {1, 28, 28, 128, 128, {1, 1, 1, 1}, true, false, true},
    {2, 14, 14, 256, 256, {1, 1, 1, 1}, true, false, true},
    {3, 7, 7, 512, 512, {1, 1, 1, 1}, true, false, true},
};

static gn_conv_shape conv_shape(const shape *s)
{
    gn_conv_shape g = {.n = s->n,
                       .h = s->h,
                       .w = s->w,
                       .c = s->c,
                       .p = s->h + s->pad[0] + s->pad[2] - 2,
                       .q = s->w + s->pad[1] + s->pad[3] - 2,
                       .k = s->k,
                       .r = 3,
                       .s = 3,
                       .stride = 1,
                       .bias = s->bias,
                       .add = s->add,
                       .relu = s->relu};
    memcpy(g.pad, s->pad, sizeof g.pad);
    return g;
}

enum { X, W, Y, BIAS };

/* x, w, y, bias and one CONV step on a backend; with add y is also what is added to. */
static void build(rig *r, const gn_backend *backend, gn_dtype type, const shape *s)
{
    const gn_conv_shape g = conv_shape(s);
    gn_attr attr = {.stride = 1, .relu = s->relu};
    memcpy(attr.pad, s->pad, sizeof attr.pad);
    rig_open(r, backend, type, s->n, false);
    rig_map(r, s->n, s->h, s->w, s->c);
    rig_weight(r, s->k, s->c, 3, 3);
    rig_map(r, s->n, g.p, g.q, s->k);
    rig_vector(r, 1, s->k, 0, 0);
    rig_fill(r, X, 0.1, 1);
    rig_fill(r, W, 0, 0.2);
    rig_fill(r, Y, 0, 1);
    rig_fill(r, BIAS, 0, 1);
    rig_step(r, GN_OP_CONV, &attr, LIST(X, W, s->bias ? BIAS : -1, s->add ? Y : -1), LIST(Y));
    rig_finish(r);
}

static float *floats(const rig *r, int tensor)
{
    float *f = malloc((size_t)rig_tensor(r, tensor)->count * sizeof *f);
    assert_non_null(f);
    for (int64_t i = 0; i < rig_tensor(r, tensor)->count; i++)
        f[i] = (float)rig_get(r, tensor, i);
    return f;
}

/* As allowed_miss, with room for the transforms: they add up to four inputs by four, and the outputs nine of the sixteen sums. */
static double allowed(const rig *r)
{
    double largest = 0;
    for (int64_t e = 0; e < rig_tensor(r, Y)->count; e++)
        largest = fmax(largest, fabs(rig_get(r, Y, e)));
    return 4 * allowed_miss(r->plan, &r->plan->steps[0], rig_tensor(r, Y), largest);
}

static void compare(const rig *ref, const gn_winograd *own, const shape *s, float *const in[4], int all, float *first)
{
    const gn_conv_shape g = conv_shape(s);
    const size_t bytes = own->scratch_bytes(&g, all), packed_bytes = own->packed_bytes(&g);
    const gn_tensor *t = rig_tensor(ref, Y);
    const size_t size = (size_t)t->count * sizeof(float);
    float *scratch = aligned_alloc(64, bytes), *packed = aligned_alloc(64, packed_bytes), *y = malloc(size);
    assert_true(bytes % 64 == 0 && packed_bytes % 64 == 0);
    assert_true(scratch && packed && y);
    memset(scratch, 0xff, bytes); /* NaN */
    memset(packed, 0xff, packed_bytes);
    if (s->add)
        memcpy(y, in[Y], size);
    else
        memset(y, 0xff, size);
    for (int me = 0; me < all; me++)
        own->pack(&g, in[W], false, packed, me, all);
    for (int me = 0; me < all; me++)
        own->run(&g, in[X], packed, s->bias ? in[BIAS] : NULL, y, scratch, me, all);
    const double most = allowed(ref);
    for (int64_t e = 0; e < t->count; e++)
        if (!(fabs(y[e] - rig_get(ref, Y, e)) <= most))
            fail_msg("%s, %d threads, (%d,%d,%d,%d) to %d, element %lld: %.9g, ref says %.9g, allowed %.2g", own->isa, all, s->n,
                     s->h, s->w, s->c, s->k, (long long)e, (double)y[e], rig_get(ref, Y, e), most);
    if (all == 1)
        memcpy(first, y, size);
    assert_memory_equal(first, y, size); /* the same bits with any number of threads */
    free(scratch);
    free(packed);
    free(y);
}

/* The data gradient of the shape, dy in x's place. */
static void compare_gradient(const gn_winograd *own, const shape *s)
{
    const gn_conv_shape g = conv_shape(s), turned = gn_winograd_gradient(&g);
    gn_attr attr = {.stride = 1};
    rig ref;
    if (!gn_winograd_can(&turned)) /* 16 or 48 channels */
        return;
    memcpy(attr.pad, s->pad, sizeof attr.pad);
    rig_open(&ref, &gn_backend_ref, GN_F64, s->n, false);
    rig_map(&ref, s->n, g.p, g.q, s->k);
    rig_weight(&ref, s->k, s->c, 3, 3);
    rig_map(&ref, s->n, s->h, s->w, s->c);
    rig_fill(&ref, X, 0, 1);
    rig_fill(&ref, W, 0, 0.2);
    rig_back(&ref, GN_OP_CONV_DX, &attr, LIST(X, W), LIST(Y));
    rig_finish(&ref);
    rig_run_step(&ref, 0);
    float *dy = floats(&ref, X), *w = floats(&ref, W), *dx = floats(&ref, Y);
    float *scratch = aligned_alloc(64, own->scratch_bytes(&turned, 1)), *packed = aligned_alloc(64, own->packed_bytes(&turned));
    assert_true(scratch && packed);
    memset(dx, 0xff, (size_t)rig_tensor(&ref, Y)->count * sizeof *dx);
    own->pack(&turned, w, true, packed, 0, 1);
    own->run(&turned, dy, packed, NULL, dx, scratch, 0, 1);
    const double most = allowed(&ref);
    for (int64_t e = 0; e < rig_tensor(&ref, Y)->count; e++)
        if (!(fabs(dx[e] - rig_get(&ref, Y, e)) <= most))
            fail_msg("%s, gradient of (%d,%d,%d,%d) to %d, element %lld: %.9g, ref says %.9g", own->isa, s->n, s->h, s->w, s->c,
                     s->k, (long long)e, (double)dx[e], rig_get(&ref, Y, e));
    free(dy);
    free(w);
    free(dx);
    free(scratch);
    free(packed);
    rig_close(&ref);
}

static void compare_all(const char *isa)
{
    genet_error err;
    void *device;
    if (gn_backend_cpu.open(&device, &(gn_backend_options){.threads = 1, .isa = isa}, &err) != GENET_OK) {
        print_message("%s: %s\n", isa, err.text);
        skip();
    }
    gn_backend_cpu.close(device);
    const gn_winograd *own = gn_winograd_find(isa);
    assert_non_null(own);
    for (int i = 0; i < COUNT(shapes); i++) {
        static const int threads[] = {1, 2, 3, 8};
        const gn_conv_shape g = conv_shape(&shapes[i]);
        rig ref;
        float *in[4];
        assert_true(gn_winograd_can(&g));
        build(&ref, &gn_backend_ref, GN_F64, &shapes[i]);
        for (int t = 0; t < 4; t++)
            in[t] = floats(&ref, t);
        rig_run_step(&ref, 0);
        float *first = floats(&ref, Y);
        for (int t = 0; t < COUNT(threads); t++)
            compare(&ref, own, &shapes[i], in, threads[t], first);
        for (int t = 0; t < 4; t++)
            free(in[t]);
        free(first);
        rig_close(&ref);
        compare_gradient(own, &shapes[i]);
    }
}

static void avx2(void **state)
{
    (void)state;
    compare_all("avx2");
}

static void avx512(void **state)
{
    (void)state;
    compare_all("avx512");
}

static bool close_to_ref(rig *cpu, rig *ref)
{
    rig_copy(ref, cpu, W);
    rig_run_step(ref, 0);
    rig_run_step(cpu, 0);
    for (int64_t e = 0; e < rig_tensor(ref, Y)->count; e++)
        if (!(fabs(rig_get(cpu, Y, e) - rig_get(ref, Y, e)) <= allowed(ref)))
            return false;
    return true;
}

/* In a forward plan, with weights that change and without being told so. */
static void in_a_plan(void **state)
{
    static const shape s = {2, 14, 14, 64, 64, {1, 1, 1, 1}, true, false, true};
    rig cpu, ref;
    (void)state;
    build(&cpu, &gn_backend_cpu, GN_F32, &s);
    if (!strstr(cpu.backend->implementation(cpu.prepared, 0), "winograd")) {
        print_message("computed by %s\n", cpu.backend->implementation(cpu.prepared, 0));
        rig_close(&cpu);
        skip();
    }
    build(&ref, &gn_backend_ref, GN_F64, &s);
    for (int t = 0; t < 4; t++)
        rig_copy(&ref, &cpu, t);
    assert_true(close_to_ref(&cpu, &ref));
    rig_fill(&cpu, W, 0.1, 0.2);
    assert_false(close_to_ref(&cpu, &ref)); /* the transformed weights are kept */
    cpu.backend->weights_changed(cpu.prepared);
    assert_true(close_to_ref(&cpu, &ref));
    rig_close(&ref);
    rig_close(&cpu);
}

/* A few points of the rule, so that it does not change unnoticed. */
static void rule(void **state)
{
    static const struct { const char *isa; shape s; bool kept; int bits; bool own; } points[] = {
        {"avx512", {1, 7, 7, 512, 512, {1, 1, 1, 1}, false, false, false}, true, 512, true},
        {"avx512", {1, 7, 7, 512, 512, {1, 1, 1, 1}, false, false, false}, false, 512, false},
        {"avx512", {32, 7, 7, 512, 512, {1, 1, 1, 1}, false, false, false}, false, 512, true},
        {"avx2", {1, 14, 14, 256, 256, {1, 1, 1, 1}, false, false, false}, false, 256, true},
        {"avx2", {32, 14, 14, 256, 256, {1, 1, 1, 1}, false, false, false}, true, 512, false}, /* oneDNN has wider vectors */
    };
    (void)state;
    for (int i = 0; i < COUNT(points); i++) {
        const gn_winograd *own = gn_winograd_find(points[i].isa);
        const gn_conv_shape g = conv_shape(&points[i].s);
        if (!own) /* another kind of CPU */
            skip();
        if (gn_winograd_wins(own, &g, points[i].kept, points[i].bits) != points[i].own)
            fail_msg("point %d of the rule has changed", i);
    }
}

static void refusals(void **state)
{
    static const shape good = {1, 8, 8, 32, 32, {1, 1, 1, 1}, false, false, false};
    (void)state;
    gn_conv_shape g = conv_shape(&good);
    assert_true(gn_winograd_can(&g));
    g.stride = 2;
    assert_false(gn_winograd_can(&g));
    g = conv_shape(&good);
    g.bf16 = true;
    assert_false(gn_winograd_can(&g));
    g = conv_shape(&good);
    g.c = 24;
    assert_false(gn_winograd_can(&g));
    g = conv_shape(&good);
    g.k = 48;
    assert_false(gn_winograd_can(&g));
    g = conv_shape(&good);
    g.r = g.s = 1;
    assert_false(gn_winograd_can(&g));
    assert_null(gn_winograd_find("sse4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx2), cmocka_unit_test(avx512), cmocka_unit_test(in_a_plan), cmocka_unit_test(rule),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("the own 3x3 passes", tests, NULL, NULL);
}
