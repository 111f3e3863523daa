/* SPDX-License-Identifier: Apache-2.0
 * 8-bit inference of backend cpu against ref: QUANTIZE and CONV_INT8 over edge shapes, every instruction set (below avx512 and
 * where oneDNN is held back, CONV_INT8 is the f32 path), f32 and bf16, 1 to 3 threads; then every step of int8 networks at 224 x
 * 224. Where every product is exact the bytes must be equal, ties included; elsewhere a byte may be one away where the value is at
 * a tie. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/rig.h"
#include "golden_formula.h"
#include "model/quantize.h"

static const char *isa;
static int threads;

static genet_status open_with(void **device, const gn_backend_options *options, genet_error *err)
{
    gn_backend_options mine = *options;
    mine.isa = isa;
    mine.threads = threads;
    return gn_backend_cpu.open(device, &mine, err);
}

static gn_backend backend_cpu(void)
{
    gn_backend b = gn_backend_cpu;
    b.open = open_with;
    return b;
}

static bool have(const char *set)
{
    genet_error err;
    void *device;
    gn_backend_options options = {.threads = 1, .isa = set};
    if (gn_backend_cpu.open(&device, &options, &err) != GENET_OK) {
        print_message("%s: %s\n", set, err.text);
        return false;
    }
    gn_backend_cpu.close(device);
    return true;
}

/* Whether oneDNN can and may multiply bytes here. The environment holds it back in one of the runs (CMakeLists.txt). */
static bool vnni_expected(const char *set)
{
#if defined __x86_64__
    return (!set || !strcmp(set, "avx512")) && __builtin_cpu_supports("avx512vnni") && !getenv("ONEDNN_MAX_CPU_ISA");
#else
    (void)set;
    return false;
#endif
}

/* --- edge shapes ------------------------------------------------------------------------------------------------------- */

typedef struct shape {
    int64_t n, h, w, c, k;
    int r, stride, pad[4];
} shape;
static const shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1, {0}},           {2, 5, 7, 3, 5, 1, 1, {0}},             {1, 9, 9, 7, 13, 3, 1, {1, 1, 1, 1}},
    {2, 8, 8, 16, 32, 3, 2, {1, 1, 1, 1}}, {1, 7, 7, 64, 64, 3, 1, {1, 1, 1, 1}},  {3, 6, 5, 33, 17, 1, 2, {0}},
    {1, 4, 4, 128, 48, 3, 2, {0, 0, 1, 1}}, {1, 2, 2, 512, 20, 3, 1, {1, 1, 1, 1}}, {2, 14, 14, 24, 96, 1, 1, {0}},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* The four uses of CONV_INT8 over one x, and QUANTIZE. */
typedef struct chain {
    int map, q, w, scale, bias, bytes, plain, sum; /* sum: over `add` in place */
} chain;

static chain build(rig *r, const shape *g, bool exact)
{
    gn_attr attr = {.kernel = g->r, .stride = g->stride, .scale = exact ? 1 : 0.0173f};
    memcpy(attr.pad, g->pad, sizeof attr.pad);
    int64_t p = (g->h + g->pad[0] + g->pad[2] - g->r) / g->stride + 1, q = (g->w + g->pad[1] + g->pad[3] - g->r) / g->stride + 1;
    chain c = {.map = rig_map(r, g->n, g->h, g->w, g->c), .q = rig_typed(r, GN_U8, 4, g->n, g->h, g->w, g->c),
               .w = rig_weight(r, g->k, g->c, g->r, g->r), .scale = rig_vector(r, 1, g->k, 1, 1),
               .bias = rig_vector(r, 1, g->k, 1, 1), .bytes = rig_typed(r, GN_U8, 4, g->n, p, q, g->k)};
    c.plain = rig_map(r, g->n, p, q, g->k);
    c.sum = rig_map(r, g->n, p, q, g->k);
    rig_step(r, GN_OP_QUANTIZE, &(gn_attr){.scale = 0.0117f}, LIST(c.map), LIST(c.q));
    attr.relu = true;
    rig_step(r, GN_OP_CONV_INT8, &attr, LIST(c.q, c.w, c.scale, c.bias), LIST(c.bytes));
    attr.relu = false;
    rig_step(r, GN_OP_CONV_INT8, &attr, LIST(c.q, c.w, c.scale, c.bias), LIST(c.plain));
    attr.relu = true;
    int last = rig_step(r, GN_OP_CONV_INT8, &attr, LIST(c.q, c.w, c.scale, c.bias, c.sum), LIST(c.sum));
    assert_int_equal(last, 3);
    return c;
}

/* exact: scales and biases are multiples of 1/2 and sums below 2^22, so that f32 holds every result, and ties are met. */
static void fill(rig *r, const chain *c, bool exact)
{
    rig_fill(r, c->map, 1.4, 1.7);
    rig_fill(r, c->sum, 0, 3);
    for (int64_t i = 0; i < rig_tensor(r, c->w)->count; i++)
        rig_set(r, c->w, i, exact ? (double)(int)(golden_hash("w", (uint64_t)i) % 3) - 1
                                  : (double)(int)(golden_hash("w", (uint64_t)i) % 255) - 127);
    double terms = (double)(rig_tensor(r, c->w)->count / rig_tensor(r, c->w)->dim[0]);
    for (int64_t k = 0; k < rig_tensor(r, c->scale)->count; k++) {
        uint64_t h = golden_hash("scale", (uint64_t)k);
        rig_set(r, c->scale, k, exact ? (h % 2 ? 0.5 : 0.25) : (1 + (double)(h % 100) / 50) * 3e-4 / sqrt(terms));
        rig_set(r, c->bias, k, exact ? (double)(h % 60) / 2 : (double)(h % 1000) / 500 - 0.7);
    }
    /* An extreme row and an extreme image: pairs of products that saturate in 16 bits. */
    for (int64_t i = 0; !exact && i < rig_tensor(r, c->w)->count / rig_tensor(r, c->w)->dim[0]; i++)
        rig_set(r, c->w, i, 127);
    for (int64_t i = 0; i < rig_tensor(r, c->map)->count / rig_tensor(r, c->map)->dim[0]; i += exact ? 5 : 1)
        rig_set(r, c->map, i, exact ? NAN : 3);
}

static void compare(const rig *ref, const rig *cpu, const chain *c, const shape *g, bool exact)
{
    double step = exact ? 1 : (double)0.0173f, terms = (double)(g->c * g->r * g->r);
    /* 8 roundings of the largest sum; in f32 every partial sum beyond 2^24 rounds too. */
    double roundings = ldexp(8 + (terms * 255 * 127 > ldexp(1, 24) ? terms : 0), -24);
    const int outputs[] = {c->q, c->bytes, c->plain, c->sum};
    for (int o = 0; o < 4; o++) {
        const gn_tensor *t = rig_tensor(cpu, outputs[o]);
        double most = 0;
        for (int64_t e = 0; e < t->count; e++)
            most = fmax(most, fabs(rig_get(ref, outputs[o], e)));
        for (int64_t e = 0; e < t->count; e++) {
            double found = rig_get(cpu, outputs[o], e), right = rig_get(ref, outputs[o], e), allowed = 0;
            if (o == 1 && !exact) { /* half a step from the value itself */
                right = fmin(fmax(rig_get(ref, c->plain, e) / step, 0), 255);
                allowed = 0.5 + roundings * fmax(2, rig_get(ref, c->plain, e)) / step;
            } else if (o > 1 && !exact) { /* a bf16 is off by half a unit of its 8 bits */
                allowed = roundings * fmax(most, 2) + (t->dtype == GN_BF16 ? ldexp(1, -8) * fabs(right) : 0);
            } else if (o > 1 && t->dtype == GN_BF16) {
                allowed = ldexp(1, -8) * fabs(right);
            } else if (o == 3) { /* add has fractions of its own */
                allowed = ldexp(2, -24) * most;
            }
            if (!(fabs(found - right) <= allowed))
                fail_msg("%lldx%lldx%lldx%lld by %lldx%dx%d stride %d, output %d element %lld on %s, %d threads, %s%s: %.9g, "
                         "expected %.9g, allowed %.2g", (long long)g->n, (long long)g->h, (long long)g->w, (long long)g->c,
                         (long long)g->k, g->r, g->r, g->stride, o, (long long)e, isa ? isa : "best", threads,
                         gn_dtype_name(cpu->plan->map_type), exact ? ", exact" : "", found, right, allowed);
        }
    }
}

static void compare_shape(const shape *g, gn_dtype type, bool exact, bool expect_vnni)
{
    gn_backend backend = backend_cpu();
    rig ref, cpu;
    rig_open(&ref, &gn_backend_ref, GN_F32, 1, false);
    rig_open(&cpu, &backend, type, 1, false);
    chain c = build(&ref, g, exact);
    build(&cpu, g, exact);
    rig_finish(&ref);
    rig_finish(&cpu);
    fill(&cpu, &c, exact);
    for (int t = 0; t < cpu.plan->tensor_count; t++) /* what bf16 rounded is ref's input too */
        rig_copy(&ref, &cpu, t);
    for (int t = 0; t < 2; t++)
        memset(cpu.data[t ? c.bytes : c.plain], 0xff, rig_tensor(&cpu, t ? c.bytes : c.plain)->bytes);
    rig_run(&ref, GN_FORWARD);
    rig_run(&cpu, GN_FORWARD);
    compare(&ref, &cpu, &c, g, exact);
    const char *how = cpu.backend->implementation(cpu.prepared, 1);
    bool vnni = strstr(how, "vnni") || strstr(how, "amx");
    if (vnni != expect_vnni)
        fail_msg("%s took %s", isa ? isa : "the best set", how);
    rig_close(&ref);
    rig_close(&cpu);
}

static void compare_all(const char *set, gn_dtype type)
{
    if (!have(set))
        skip();
    isa = set;
    for (threads = 1; threads <= 3; threads++)
        for (int i = 0; i < SHAPES; i++)
            for (int exact = 0; exact < 2; exact++)
                compare_shape(&shapes[i], type, exact, vnni_expected(set));
}

#define EACH(set, name, type)                                                                                             \
    static void set##_##name(void **state)                                                                                \
    {                                                                                                                     \
        (void)state;                                                                                                      \
        compare_all(#set, type);                                                                                          \
    }
EACH(sse4, f32, GN_F32)
EACH(sse4, bf16, GN_BF16)
EACH(avx2, f32, GN_F32)
EACH(avx2, bf16, GN_BF16)
EACH(avx512, f32, GN_F32)
EACH(avx512, bf16, GN_BF16)

static void best_of_this_cpu(void **state)
{
    (void)state;
    compare_all(NULL, GN_F32);
}

/* New weights are packed again, scales and biases with them. */
static void changed_weights_are_taken(void **state)
{
    (void)state;
    const shape *g = &shapes[4];
    for (int way = 0; way < 2; way++) {
        if (!have(way ? "avx2" : NULL))
            continue;
        gn_backend backend = backend_cpu();
        rig ref, cpu;
        isa = way ? "avx2" : NULL;
        threads = 2;
        rig_open(&ref, &gn_backend_ref, GN_F32, 1, false);
        rig_open(&cpu, &backend, GN_F32, 1, false);
        chain c = build(&ref, g, true);
        build(&cpu, g, true);
        rig_finish(&ref);
        rig_finish(&cpu);
        for (int round = 0; round < 2; round++) {
            fill(&cpu, &c, true);
            for (int64_t k = 0; round && k < rig_tensor(&cpu, c.bias)->count; k++)
                rig_set(&cpu, c.bias, k, rig_get(&cpu, c.bias, k) + 12.5);
            for (int t = 0; t < cpu.plan->tensor_count; t++)
                rig_copy(&ref, &cpu, t);
            cpu.backend->weights_changed(cpu.prepared);
            rig_run(&ref, GN_FORWARD);
            rig_run(&cpu, GN_FORWARD);
            compare(&ref, &cpu, &c, g, true);
        }
        rig_close(&ref);
        rig_close(&cpu);
    }
}

/* --- real shapes --------------------------------------------------------------------------------------------------------- */

enum { BATCH = 1 };

typedef struct bench {
    const gn_backend *backend;
    void *device, *prepared, **data;
} bench;

static void must(genet_status status, const genet_error *err)
{
    if (status != GENET_OK)
        fail_msg("%s", err->text);
}

static void bench_open(bench *b, const gn_backend *backend, const gn_plan *p, const gn_folded *f)
{
    genet_error err;
    gn_backend_options options = {.threads = 2};
    b->backend = backend;
    must(backend->open(&b->device, &options, &err), &err);
    must(backend->prepare(b->device, p, &b->prepared, &err), &err);
    b->data = calloc((size_t)p->tensor_count, sizeof *b->data);
    for (int i = 0; i < p->tensor_count; i++) {
        const gn_tensor *t = &p->tensors[i];
        b->data[i] = aligned_alloc(64, (t->bytes + 63) / 64 * 64);
        if (t->role == GN_PARAM)
            memcpy(b->data[i], gn_weights_at(&f->weights, gn_weight_find(&f->table, t->name)), t->bytes);
    }
    for (int64_t e = 0; e < p->tensors[p->pixels].count; e++)
        ((unsigned char *)b->data[p->pixels])[e] = (unsigned char)golden_hash("pixel", (uint64_t)e);
    float *mix = b->data[p->mix];
    memset(mix, 0, p->tensors[p->mix].bytes);
    mix[1] = 1;
}

static void bench_close(bench *b, const gn_plan *p)
{
    for (int i = 0; i < p->tensor_count; i++)
        free(b->data[i]);
    free(b->data);
    b->backend->release(b->prepared);
    b->backend->close(b->device);
}

/* An output of an int8 step: a byte at most one away, others within 2^-20 of the largest (sums beyond 2^24 do not occur). */
static int64_t compare_output(const gn_step *s, const gn_tensor *t, const void *found, const void *right)
{
    int64_t ties = 0;
    double most = 0;
    for (int64_t e = 0; t->dtype == GN_F32 && e < t->count; e++)
        most = fmax(most, fabs((double)((const float *)right)[e]));
    for (int64_t e = 0; e < t->count; e++) {
        double a = t->dtype == GN_U8 ? ((const unsigned char *)found)[e] : (double)((const float *)found)[e];
        double b = t->dtype == GN_U8 ? ((const unsigned char *)right)[e] : (double)((const float *)right)[e];
        ties += t->dtype == GN_U8 && a != b;
        if (!(fabs(a - b) <= (t->dtype == GN_U8 ? s->op == GN_OP_CONV_INT8 : ldexp(most, -20))))
            fail_msg("%s of %s, element %lld: %.9g, ref says %.9g", gn_op_name(s->op), s->label, (long long)e, a, b);
    }
    return ties;
}

static void compare_network(gn_form form, gn_variant variant)
{
    genet_error err;
    gn_model_spec spec = {.variant = variant, .form = form, .depth = 26, .width = 64, .size = 224, .classes = 100};
    gn_plan_options o = {.batch = BATCH, .map_type = GN_F32, .keep_all = true, .mean = {124, 116, 104}, .std = {58, 57, 57}};
    gn_model *m;
    gn_weights w;
    gn_folded *f, *q;
    gn_plan *p;
    bench ref, cpu;
    float scales[24];
    int64_t bytes = 0, ties = 0, steps = 0;
    for (int i = 0; i < 24; i++)
        scales[i] = 0.02f;
    must(gn_model_create(&m, &spec, &err), &err);
    must(gn_weights_create(&w, &m->weights, GN_F32, &err), &err);
    golden_fill(&w);
    must(gn_fold(&f, m, &w, &err), &err);
    must(gn_quantize(&q, f, scales, NULL, NULL, &err), &err);
    must(gn_folded_plan(q, &o, &p, &err), &err);
    bench_open(&ref, &gn_backend_ref, p, q);
    bench_open(&cpu, &gn_backend_cpu, p, q);
    for (int i = 0; i < p->step_count; i++) {
        const gn_step *s = &p->steps[i];
        bool compared = s->op == GN_OP_QUANTIZE || s->op == GN_OP_CONV_INT8;
        for (int k = 0; compared && k < GN_MAX_IN; k++)
            if (s->in[k] >= 0)
                memcpy(ref.data[s->in[k]], cpu.data[s->in[k]], p->tensors[s->in[k]].bytes);
        if (compared)
            must(ref.backend->run(ref.prepared, i, ref.data, &err), &err);
        must(cpu.backend->run(cpu.prepared, i, cpu.data, &err), &err);
        const gn_tensor *t = &p->tensors[s->out[0]];
        if (compared)
            ties += compare_output(s, t, cpu.data[s->out[0]], ref.data[s->out[0]]);
        steps += compared;
        bytes += compared && t->dtype == GN_U8 ? t->count : 0;
    }
    assert_int_equal(steps, 8 * 4 + 4); /* a block: QUANTIZE and three convolutions; four project */
    if (ties > bytes / 1000)
        fail_msg("%lld of %lld bytes differ: more than can be at a tie", (long long)ties, (long long)bytes);
    bench_close(&ref, p);
    bench_close(&cpu, p);
    gn_plan_free(p);
    gn_folded_free(f);
    gn_folded_free(q);
    gn_weights_free(&w);
    gn_model_free(m);
}

static void real_shapes_of_the_paper(void **state)
{
    (void)state;
    compare_network(GN_FORM_PAPER, GN_PLAIN);
}

static void real_shapes_of_mindspore(void **state)
{
    (void)state;
    compare_network(GN_FORM_MINDSPORE, GN_THETA_MINUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sse4_f32),    cmocka_unit_test(sse4_bf16),
        cmocka_unit_test(avx2_f32),    cmocka_unit_test(avx2_bf16),
        cmocka_unit_test(avx512_f32),  cmocka_unit_test(avx512_bf16),
        cmocka_unit_test(best_of_this_cpu), cmocka_unit_test(changed_weights_are_taken),
        cmocka_unit_test(real_shapes_of_the_paper), cmocka_unit_test(real_shapes_of_mindspore),
    };
    return cmocka_run_group_tests_name("8-bit inference of backend cpu", tests, NULL, NULL);
}
