/* SPDX-License-Identifier: Apache-2.0
 * What backend.h promises beyond values: the update, refusals with a reason, names, no memory taken by a run. */
#include <math.h>
#include <string.h>

#include "backend/scenarios.h"
#include "base/mem.h"

/* --- the update ------------------------------------------------------------------------------------------------------------ */

enum { VALUES = 6 };
static const gn_segment segments[] = {{0, 2, true, false}, {2, 3, false, false}, {4, 6, true, true}}; /* 3 is padding */

/* backend.h's formula for one element, in double. */
static void by_hand(const gn_sgd *s, bool decay, double g, double *w, double *v, double *ema)
{
    g = g * s->grad_factor + (decay ? s->decay * *w : 0);
    *v = s->momentum * *v + g;
    *w -= s->rate * (s->nesterov ? g + s->momentum * *v : *v);
    *ema = s->ema_keep * *ema + (1 - s->ema_keep) * *w;
}

static void update_follows_the_formula(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        double w[VALUES], v[VALUES], ema[VALUES], grad[VALUES], start[VALUES];
        float w32[VALUES], v32[VALUES], ema32[VALUES], grad32[VALUES];
        bool f64 = kind & 1, nesterov = kind & 2, averaged = kind & 4;
        gn_sgd s = {.f64 = f64, .nesterov = nesterov, .segments = segments, .segment_count = 3, .rate = 0.5, .momentum = 0.9,
                    .decay = 0.01, .grad_factor = 0.25, .ema_keep = 0.75};
        for (int i = 0; i < VALUES; i++) {
            start[i] = w[i] = w32[i] = (float)(0.3 * i - 0.7);
            v[i] = v32[i] = (float)(0.1 * i);
            ema[i] = ema32[i] = (float)(0.5 * i);
            grad[i] = grad32[i] = (float)(1 - 0.4 * i);
        }
        s.w = f64 ? (void *)w : w32;
        s.v = f64 ? (void *)v : v32;
        s.ema = !averaged ? NULL : f64 ? (void *)ema : ema32;
        s.grad = f64 ? (void *)grad : grad32;
        gn_backend_ref.sgd(NULL, &s);
        for (int i = 0; i < VALUES; i++) {
            double hw = start[i], hv = (float)(0.1 * i), he = (float)(0.5 * i), before = he, bound = f64 ? 1e-15 : 1e-7;
            if (i < 3)
                by_hand(&s, i < 2, grad[i], &hw, &hv, &he);
            assert_true(fabs((f64 ? w[i] : (double)w32[i]) - hw) <= bound);
            assert_true(fabs((f64 ? v[i] : (double)v32[i]) - hv) <= bound);
            assert_true(fabs((f64 ? ema[i] : (double)ema32[i]) - (averaged ? he : before)) <= 2 * bound);
        }
    }
}

/* An average of a weight that does not move stays on it, in float too: no drift over 20,000 updates. */
static void average_has_its_fixed_point(void **state)
{
    (void)state;
    float w[2] = {0.1f, -3.7f}, v[2] = {0}, ema[2] = {0.1f, -3.7f}, grad[2] = {0};
    gn_sgd s = {.w = w, .v = v, .ema = ema, .grad = grad, .segments = &(gn_segment){0, 2, false, false}, .segment_count = 1,
                .rate = 0.1, .momentum = 0.9, .grad_factor = 1, .ema_keep = 0.9999};
    for (int i = 0; i < 20000; i++)
        gn_backend_ref.sgd(NULL, &s);
    for (int i = 0; i < 2; i++)
        assert_true(fabs((double)ema[i] - w[i]) <= 1e-6 * fabs(w[i]));
}

/* --- refusals --------------------------------------------------------------------------------------------------------------- */

/* Prepares a plan that ref must refuse; the reason must contain `word`. */
static void refuses(rig *r, const char *word)
{
    genet_error err = {0};
    if (gn_plan_finish(r->plan, true, &err) != GENET_OK)
        fail_msg("the plan was refused before the backend saw it: %s", err.text);
    assert_int_equal(r->backend->prepare(r->device, r->plan, &r->prepared, &err), GENET_UNSUPPORTED);
    assert_null(r->prepared);
    assert_int_equal(err.status, GENET_UNSUPPORTED);
    if (!strstr(err.text, word))
        fail_msg("\"%s\" does not say %s", err.text, word);
    rig_close(r);
}

static void wrong_types_are_refused(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, &gn_backend_ref, GN_F32, 1, false);
    int a = rig_map(&r, 1, 2, 2, 3), b = rig_typed(&r, GN_BF16, 4, 1, 2, 2, 3), o = rig_map_like(&r, a);
    rig_step(&r, GN_OP_ADD, NULL, LIST(a, b), LIST(o));
    refuses(&r, "bf16");
    rig_open(&r, &gn_backend_ref, GN_F64, 1, false);
    a = rig_map(&r, 1, 2, 2, 3);
    b = rig_typed(&r, GN_F32, 2, 4, 3, 1, 1); /* statistics */
    o = rig_map_like(&r, a);
    rig_step(&r, GN_OP_ADD, NULL, LIST(a, a), LIST(o));
    rig_step(&r, GN_OP_GLOBAL_POOL, NULL, LIST(o), LIST(rig_typed(&r, GN_F32, 2, 1, 3, 1, 1)));
    refuses(&r, "expected f64");
    rig_open(&r, &gn_backend_ref, GN_BF16, 1, false); /* vectors stay f32 in a bf16 plan */
    a = rig_map(&r, 1, 2, 2, 3);
    rig_step(&r, GN_OP_GLOBAL_POOL, NULL, LIST(a), LIST(rig_typed(&r, GN_BF16, 2, 1, 3, 1, 1)));
    refuses(&r, "expected f32");
}

static void large_pools_and_lonely_operands_are_refused(void **state)
{
    (void)state;
    rig r;
    gn_attr attr = {.kernel = 16, .stride = 16};
    rig_open(&r, &gn_backend_ref, GN_F32, 1, false);
    int y = rig_map(&r, 1, 16, 16, 1), stats = rig_vector(&r, 2, 4, 1, 1);
    rig_step(&r, GN_OP_BN_POOL, &attr, LIST(y, stats), LIST(rig_map(&r, 1, 1, 1, 1)));
    refuses(&r, "1 to 15");
    rig_open(&r, &gn_backend_ref, GN_F32, 1, false);
    y = rig_map(&r, 2, 3, 3, 4);
    stats = rig_vector(&r, 2, 4, 4, 1);
    int d = rig_map_like(&r, y), w = rig_weight(&r, 4, 1, 3, 3), sums = rig_vector(&r, 2, 2, 4, 1);
    rig_back(&r, GN_OP_TAIL_DX, NULL, LIST(d, y, stats, -1, -1, w, sums), LIST(rig_map_like(&r, y), rig_map_like(&r, w)));
    refuses(&r, "dw needs dq");
}

static void instruction_sets_are_refused(void **state)
{
    (void)state;
    genet_error err = {0};
    void *device = NULL;
    assert_int_equal(gn_backend_ref.open(&device, &(gn_backend_options){.threads = 1, .isa = "avx2"}, &err), GENET_UNSUPPORTED);
    assert_non_null(strstr(err.text, "avx2"));
    assert_null(device);
}

/* --- names, memory ---------------------------------------------------------------------------------------------------- */

static void names_are_found(void **state)
{
    (void)state;
    genet_error err = {0};
    char text[128];
    assert_ptr_equal(gn_backend_find("ref", &err), &gn_backend_ref);
    assert_non_null(gn_backend_find("auto", &err));
    assert_null(gn_backend_find("gpu", &err));
    assert_int_equal(err.status, GENET_USAGE);
    assert_non_null(strstr(err.text, "auto") && strstr(err.text, "gpu") ? err.text : NULL);
    gn_backend_ref.describe(NULL, text, sizeof text);
    assert_non_null(strstr(text, "1 thread"));
    assert_true(gn_backend_ref.native(NULL, GN_F32) && gn_backend_ref.native(NULL, GN_F64));
    assert_false(gn_backend_ref.native(NULL, GN_BF16));
}

static void implementations_and_scratch_are_told(void **state)
{
    (void)state;
    static const struct {
        gn_dtype type;
        const char *name;
    } kinds[] = {{GN_F32, "ref:f32"}, {GN_F64, "ref:f64"}, {GN_BF16, "ref:bf16"}};
    for (int t = 0; t < 3; t++) {
        rig r;
        rig_open(&r, &gn_backend_ref, kinds[t].type, 1, false);
        scenarios[0].build(&r, 4);
        rig_finish(&r);
        assert_string_equal(r.backend->implementation(r.prepared, 0), kinds[t].name);
        assert_true(r.backend->scratch_bytes(r.prepared) > 0 && r.backend->scratch_bytes(r.prepared) < 100000);
        rig_close(&r);
    }
}

static void runs_take_no_memory(void **state)
{
    (void)state;
    static const gn_dtype types[] = {GN_F32, GN_F64, GN_BF16};
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < scenario_count; i++) {
            rig r;
            rig_open(&r, &gn_backend_ref, types[t], 1, true);
            scenarios[i].build(&r, 0);
            rig_finish(&r);
            uint64_t before = gn_alloc_count();
            rig_run(&r, GN_FORWARD);
            rig_run(&r, GN_BACKWARD);
            assert_int_equal(gn_alloc_count(), before);
            rig_close(&r);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(update_follows_the_formula),
        cmocka_unit_test(average_has_its_fixed_point),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(large_pools_and_lonely_operands_are_refused),
        cmocka_unit_test(instruction_sets_are_refused),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(implementations_and_scratch_are_told),
        cmocka_unit_test(runs_take_no_memory),
    };
    return cmocka_run_group_tests_name("contract of ref", tests, NULL, NULL);
}
