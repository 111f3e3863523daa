/* SPDX-License-Identifier: Apache-2.0
 * The own weight gradient against ref: edge shapes and every convolution shape of the real networks, each instruction set that this
 * CPU has, 1 to 8 threads; the same bits again over dirty scratch; and who computes what. Operands and scratch have blocks of
 * exactly their size, so that a sanitizer sees the first byte beyond them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/wgrad.h"
#include "backend/parts.h"
#include "backend_cpu/compare.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

typedef struct shape { int n, h, w, c, k; part_window window; } shape;

static const shape edges[] = {
    {1, 1, 1, 1, 1, {1, 1, 1, {0, 0, 0, 0}}},
    {1, 1, 1, 3, 5, {3, 3, 2, {1, 1, 1, 1}}}, /* only the middle of the kernel meets the map */
    {2, 5, 7, 3, 7, {3, 3, 1, {1, 1, 1, 1}}},
    {2, 6, 6, 5, 3, {3, 3, 2, {0, 0, 1, 1}}}, /* the mindspore form's stride 2 */
    {2, 14, 10, 7, 33, {3, 3, 2, {0, 0, 1, 1}}},
    {1, 7, 5, 13, 47, {3, 3, 2, {1, 1, 1, 1}}},
    {3, 9, 8, 3, 16, {7, 7, 2, {3, 3, 3, 3}}}, /* stems of both forms */
    {1, 8, 8, 3, 17, {7, 7, 2, {2, 2, 3, 3}}},
    {1, 2, 2, 9, 3, {5, 5, 1, {2, 2, 2, 2}}}, /* the kernel is larger than the map */
    {3, 7, 7, 6, 32, {1, 1, 2, {0, 0, 0, 0}}},
    {3, 7, 9, 8, 31, {1, 1, 3, {0, 0, 0, 0}}},
    {1, 5, 4, 2, 3, {2, 3, 1, {0, 1, 1, 0}}},
    {1, 4, 4, 11, 65, {1, 1, 2, {1, 1, 1, 1}}}, /* a single pixel's window on the border */
    {2, 4, 5, 17, 13, {1, 1, 1, {0, 0, 0, 0}}},
    {7, 3, 3, 12, 34, {3, 3, 1, {1, 1, 1, 1}}}, /* blocks of several images, the last one smaller */
    {37, 2, 3, 19, 16, {1, 1, 1, {0, 0, 0, 0}}},
    {9, 7, 7, 5, 1, {3, 3, 1, {1, 1, 1, 1}}},
    {2, 31, 29, 16, 48, {3, 3, 1, {1, 1, 1, 1}}}, /* several blocks of rows, the last one smaller */
    {1, 3, 300, 6, 20, {3, 3, 1, {1, 1, 1, 1}}},  /* a row is longer than a block */
    {1, 4, 263, 1, 9, {1, 1, 1, {0, 0, 0, 0}}},
};

/* Every convolution of ResNet-50 (and so of every depth and gate) at 224 pixels. */
static const shape real[] = {
    {1, 224, 224, 3, 64, {7, 7, 2, {3, 3, 3, 3}}}, {1, 224, 224, 3, 64, {7, 7, 2, {2, 2, 3, 3}}},
    {1, 56, 56, 64, 64, {1, 1, 1, {0}}},           {1, 56, 56, 64, 64, {3, 3, 1, {1, 1, 1, 1}}},
    {1, 56, 56, 64, 256, {1, 1, 1, {0}}},          {1, 56, 56, 256, 64, {1, 1, 1, {0}}},
    {1, 56, 56, 256, 128, {1, 1, 1, {0}}},         {1, 56, 56, 128, 128, {3, 3, 2, {1, 1, 1, 1}}},
    {1, 56, 56, 128, 128, {3, 3, 2, {0, 0, 1, 1}}}, {1, 28, 28, 128, 512, {1, 1, 1, {0}}},
    {1, 56, 56, 256, 512, {1, 1, 2, {0}}},         {1, 28, 28, 512, 128, {1, 1, 1, {0}}},
    {1, 28, 28, 128, 128, {3, 3, 1, {1, 1, 1, 1}}}, {1, 28, 28, 512, 256, {1, 1, 1, {0}}},
    {1, 28, 28, 256, 256, {3, 3, 2, {1, 1, 1, 1}}}, {1, 14, 14, 256, 1024, {1, 1, 1, {0}}},
    {1, 28, 28, 512, 1024, {1, 1, 2, {0}}},        {1, 14, 14, 1024, 256, {1, 1, 1, {0}}},
    {2, 14, 14, 256, 256, {3, 3, 1, {1, 1, 1, 1}}}, {1, 14, 14, 1024, 512, {1, 1, 1, {0}}},
    {1, 14, 14, 512, 512, {3, 3, 2, {1, 1, 1, 1}}}, {3, 7, 7, 512, 2048, {1, 1, 1, {0}}},
    {1, 14, 14, 1024, 2048, {1, 1, 2, {0}}},       {3, 7, 7, 2048, 512, {1, 1, 1, {0}}},
    {3, 7, 7, 512, 512, {3, 3, 1, {1, 1, 1, 1}}},
};

/* Whether this CPU runs the set at all; says so where not. */
static const gn_wgrad *runnable(const char *isa)
{
    genet_error err;
    void *device;
    if (gn_backend_cpu.open(&device, &(gn_backend_options){.threads = 1, .isa = isa, .own = GN_OWN_ALWAYS}, &err) != GENET_OK) {
        print_message("%s: %s\n", isa, err.text);
        return NULL;
    }
    gn_backend_cpu.close(device);
    return gn_wgrad_find(isa);
}

static int64_t pixels_of(const shape *s, int side)
{
    const part_window *w = &s->window;
    return side ? (s->w + w->pad[1] + w->pad[3] - w->s) / w->stride + 1 : (s->h + w->pad[0] + w->pad[2] - w->r) / w->stride + 1;
}

static gn_conv_shape conv_shape(const shape *s)
{
    const part_window *w = &s->window;
    gn_conv_shape g = {.n = s->n, .h = s->h, .w = s->w, .c = s->c, .p = pixels_of(s, 0), .q = pixels_of(s, 1), .k = s->k,
                       .r = w->r, .s = w->s, .stride = w->stride};
    memcpy(g.pad, w->pad, sizeof g.pad);
    return g;
}

/* x, dy and one CONV_DW step on a backend; dw is tensor 2. */
static void build(rig *r, const gn_backend *backend, gn_dtype type, const shape *s)
{
    gn_attr attr = {.stride = s->window.stride};
    memcpy(attr.pad, s->window.pad, sizeof attr.pad);
    rig_open(r, backend, type, s->n, false);
    int x = rig_map(r, s->n, s->h, s->w, s->c), dy = rig_map(r, s->n, pixels_of(s, 0), pixels_of(s, 1), s->k);
    int dw = rig_weight(r, s->k, s->c, s->window.r, s->window.s);
    rig_fill(r, x, 0.1, 1);
    rig_fill(r, dy, 0, 1);
    rig_back(r, GN_OP_CONV_DW, &attr, LIST(x, dy), LIST(dw));
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

/* All threads' shares one after another, dw from NaN. */
static void run(const gn_wgrad *own, const gn_conv_shape *g, const float *x, const float *dy, float *dw, float *scratch, int all)
{
    memset(dw, 0xff, (size_t)(g->k * g->c * g->r * g->s) * sizeof *dw);
    for (int phase = 0; phase < GN_WGRAD_PHASES; phase++)
        for (int t = 0; t < all; t++)
            own->run(g, x, dy, dw, scratch, phase, t, all);
}

static void compare(const rig *ref, const gn_wgrad *own, const gn_conv_shape *g, const float *x, const float *dy, int all)
{
    const gn_tensor *t = rig_tensor(ref, 2);
    const size_t bytes = own->scratch_bytes(g, all), size = (size_t)t->count * sizeof(float);
    float *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64), *dw = malloc(size), *again = malloc(size);
    double largest = 0;
    assert_non_null(scratch);
    assert_int_equal(bytes % 64, 0);
    memset(scratch, 0xff, bytes); /* NaN */
    run(own, g, x, dy, dw, scratch, all);
    for (int64_t e = 0; e < t->count; e++)
        largest = fmax(largest, fabs(rig_get(ref, 2, e)));
    const double allowed = allowed_miss(ref->plan, &ref->plan->steps[0], t, largest);
    for (int64_t e = 0; e < t->count; e++)
        if (!(fabs(dw[e] - rig_get(ref, 2, e)) <= allowed))
            fail_msg("%s, %d threads, (%lld,%lld,%lld,%lld) by (%lld,%lld,%lld,%lld) stride %d, element %lld: %.9g, ref says %.9g, "
                     "allowed %.2g",
                     own->isa, all, (long long)g->n, (long long)g->h, (long long)g->w, (long long)g->c, (long long)g->k,
                     (long long)g->c, (long long)g->r, (long long)g->s, g->stride, (long long)e, (double)dw[e], rig_get(ref, 2, e),
                     allowed);
    run(own, g, x, dy, again, scratch, all);
    assert_memory_equal(dw, again, size);
    free(scratch);
    free(dw);
    free(again);
}

static void compare_all(const char *isa, const shape *shapes, int count, const int *threads)
{
    const gn_wgrad *own = runnable(isa);
    if (!own)
        skip();
    for (int i = 0; i < count; i++) {
        rig ref;
        const gn_conv_shape g = conv_shape(&shapes[i]);
        build(&ref, &gn_backend_ref, GN_F64, &shapes[i]);
        rig_run_step(&ref, 0);
        float *x = floats(&ref, 0), *dy = floats(&ref, 1);
        for (const int *all = threads; *all; all++)
            compare(&ref, own, &g, x, dy, *all);
        free(x);
        free(dy);
        rig_close(&ref);
    }
}

#define EACH(set)                                                                                                          \
    static void set##_edges(void **state)                                                                                  \
    {                                                                                                                      \
        (void)state;                                                                                                       \
        compare_all(#set, edges, COUNT(edges), (const int[]){1, 2, 3, 8, 0});                                              \
    }                                                                                                                      \
    static void set##_real_shapes(void **state)                                                                            \
    {                                                                                                                      \
        (void)state;                                                                                                       \
        compare_all(#set, real, COUNT(real), (const int[]){2, 0});                                                         \
    }
EACH(avx2)
EACH(avx512)

/* --- who computes ----------------------------------------------------------------------------------------------------- */

static gn_backend_options wanted;

static genet_status open_wanted(void **device, const gn_backend_options *options, genet_error *err)
{
    (void)options;
    return gn_backend_cpu.open(device, &wanted, err);
}

/* The implementation that takes the step, and its result against ref. */
static void check_choice(const char *isa, gn_own_choice choice, gn_dtype type, const char *starts)
{
    static const shape s = {4, 28, 28, 64, 64, {3, 3, 1, {1, 1, 1, 1}}};
    gn_backend backend = gn_backend_cpu;
    rig ref, cpu;
    wanted = (gn_backend_options){.threads = 2, .isa = isa, .own = choice};
    backend.open = open_wanted;
    build(&cpu, &backend, type, &s);
    build(&ref, &gn_backend_ref, GN_F64, &s);
    const char *name = cpu.backend->implementation(cpu.prepared, 0);
    if (strncmp(name, starts, strlen(starts)))
        fail_msg("%s: choice %d of %s computes with %s", isa, (int)choice, gn_dtype_name(type), name);
    for (int t = 0; t < 2; t++)
        rig_copy(&ref, &cpu, t);
    rig_run_step(&ref, 0);
    for (int round = 0; round < 2; round++) { /* over scratch as it was left, too */
        memset(cpu.data[2], 0xff, rig_tensor(&cpu, 2)->bytes);
        rig_run_step(&cpu, 0);
        double largest = 0;
        for (int64_t e = 0; e < rig_tensor(&cpu, 2)->count; e++)
            largest = fmax(largest, fabs(rig_get(&ref, 2, e)));
        const double allowed = allowed_miss(cpu.plan, &cpu.plan->steps[0], rig_tensor(&cpu, 2), largest);
        for (int64_t e = 0; e < rig_tensor(&cpu, 2)->count; e++)
            assert_true(fabs(rig_get(&cpu, 2, e) - rig_get(&ref, 2, e)) <= allowed);
    }
    rig_close(&ref);
    rig_close(&cpu);
}

static void choices(void **state)
{
    static const char *const sets[] = {"avx2", "avx512"};
    (void)state;
    for (int i = 0; i < COUNT(sets); i++) {
        char own[16];
        if (!runnable(sets[i]))
            continue;
        snprintf(own, sizeof own, "own:%s", sets[i]);
        check_choice(sets[i], GN_OWN_ALWAYS, GN_F32, own);
        check_choice(sets[i], GN_OWN_NEVER, GN_F32, "onednn:");
        check_choice(sets[i], GN_OWN_WHERE_FASTER, GN_F32, "");
        if (gn_cpu_has_bf16() && gn_onednn_has_bf16()) /* the own one is for f32 alone */
            check_choice(sets[i], GN_OWN_ALWAYS, GN_BF16, "onednn:");
    }
}

/* A few points of the rule, so that it does not change unnoticed; where oneDNN has wider vectors it stays. */
static void rule(void **state)
{
    static const struct { const char *isa; shape s; int bits; bool own; } points[] = {
        {"avx2", {32, 56, 56, 64, 64, {3, 3, 1, {1, 1, 1, 1}}}, 256, true},
        {"avx2", {32, 56, 56, 64, 64, {3, 3, 1, {1, 1, 1, 1}}}, 512, false},
        {"avx2", {32, 56, 56, 256, 64, {1, 1, 1, {0}}}, 256, false},
        {"avx2", {2, 7, 7, 512, 2048, {1, 1, 1, {0}}}, 256, false},
        {"avx2", {32, 224, 224, 3, 64, {7, 7, 2, {3, 3, 3, 3}}}, 256, true},
        {"avx512", {32, 56, 56, 64, 64, {1, 1, 1, {0}}}, 512, true},
        {"avx512", {32, 56, 56, 64, 64, {1, 1, 1, {0}}}, 256, true},
        {"avx512", {2, 7, 7, 512, 512, {3, 3, 1, {1, 1, 1, 1}}}, 512, false},
        {"avx512", {16, 16, 16, 8, 8, {3, 3, 1, {1, 1, 1, 1}}}, 512, false},
    };
    (void)state;
    for (int i = 0; i < COUNT(points); i++) {
        const gn_wgrad *own = gn_wgrad_find(points[i].isa);
        const gn_conv_shape g = conv_shape(&points[i].s);
        if (!own) /* another kind of CPU */
            skip();
        if (gn_wgrad_wins(own, &g, points[i].bits) != points[i].own)
            fail_msg("point %d of the rule has changed", i);
    }
    assert_null(gn_wgrad_find("sse4"));
}

static void refusals(void **state)
{
    genet_error err;
    void *device;
    (void)state;
    if (gn_backend_cpu.open(&device, &(gn_backend_options){.threads = 1, .isa = "sse4"}, &err) == GENET_OK) {
        gn_backend_cpu.close(device);
        assert_int_equal(
            gn_backend_cpu.open(&device, &(gn_backend_options){.threads = 1, .isa = "sse4", .own = GN_OWN_ALWAYS}, &err),
            GENET_UNSUPPORTED);
        assert_non_null(strstr(err.text, "sse4"));
    }
    assert_int_equal(gn_backend_ref.open(&device, &(gn_backend_options){.threads = 1, .own = GN_OWN_ALWAYS}, &err),
                     GENET_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx2_edges),         cmocka_unit_test(avx512_edges), cmocka_unit_test(avx2_real_shapes),
        cmocka_unit_test(avx512_real_shapes), cmocka_unit_test(choices),      cmocka_unit_test(rule),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("the own weight gradient", tests, NULL, NULL);
}
