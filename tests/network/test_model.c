/* SPDX-License-Identifier: Apache-2.0
 * What the published networks weigh and cost, what is refused, and the plan's memory rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/weights.h"

static gn_model_spec published(gn_variant v, gn_form f)
{
    return (gn_model_spec){.variant = v, .form = f, .depth = 50, .width = 64, .size = 224, .classes = 1000};
}

static gn_plan *plan_of(const gn_model_spec *spec, gn_model **model, const gn_plan_options *o)
{
    genet_error err;
    gn_plan *p = NULL;
    if (gn_model_create(model, spec, &err) != GENET_OK || gn_model_plan(*model, o, &p, &err) != GENET_OK)
        fail_msg("%s", err.text);
    return p;
}

/* Parameters and multiply-accumulates an image: seed-spec sections 1.6, 3.2 and 3.3. */
static void test_published_counts(void **state)
{
    (void)state;
    static const struct {
        gn_variant variant;
        gn_form form;
        int64_t parameters, macs;
    } want[] = {
        {GN_THETA_MINUS, GN_FORM_MINDSPORE, 25557032, 4089184256}, {GN_THETA, GN_FORM_MINDSPORE, 31071272, 5480163328},
        {GN_THETA_PLUS, GN_FORM_MINDSPORE, 33586216, 5482678272},  {GN_SE, GN_FORM_MINDSPORE, 28071976, 4091699200},
        {GN_THETA_MINUS, GN_FORM_PAPER, 25557032, 4089184256},     {GN_THETA, GN_FORM_PAPER, 31106600, 0},
        {GN_THETA_PLUS, GN_FORM_PAPER, 33637592 , 0},              {GN_PLAIN, GN_FORM_PAPER, 25557032, 4089184256},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        gn_model_spec spec = published(want[i].variant, want[i].form);
        gn_plan_options o = {.batch = 1, .map_type = GN_F32};
        gn_model *m;
        gn_plan *p = plan_of(&spec, &m, &o);
        assert_int_equal(m->weights.param_values, want[i].parameters);
        if (want[i].macs)
            assert_int_equal(gn_plan_macs(p), want[i].macs);
        gn_plan_free(p);
        gn_model_free(m);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    genet_error err;
    gn_model *m;
    static const struct {
        gn_model_spec spec;
        const char *says;
    } bad[] = {
        {{.variant = GN_THETA, .depth = 34, .width = 64, .size = 224, .classes = 10}, "26, 50, 101 or 152"},
        {{.variant = GN_THETA, .depth = 50, .width = 64, .size = 16, .classes = 10}, "32 to 1024"},
        {{.variant = GN_THETA, .depth = 50, .width = 64, .size = 224, .classes = 1}, "2 to 1000000"},
        {{.variant = GN_THETA, .depth = 50, .width = 64, .size = 224, .classes = 10, .extent = 3}, "2, 4 or 8"},
        {{.variant = GN_THETA, .depth = 50, .width = 64, .size = 224, .classes = 10, .extent = 4, .form = GN_FORM_MINDSPORE},
         "--form paper"},
        {{.variant = GN_PLAIN, .depth = 50, .width = 64, .size = 224, .classes = 10, .extent = 2}, "--extent global"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(gn_model_create(&m, &bad[i].spec, &err), GENET_USAGE);
        assert_non_null(strstr(err.text, bad[i].says));
        assert_null(m);
    }
}

/* Two tensors that are alive at the same step never share a byte of the activation slab. */
static void test_activations_do_not_overlap(void **state)
{
    (void)state;
    gn_model_spec spec = published(GN_THETA_PLUS, GN_FORM_MINDSPORE);
    gn_plan_options o = {.batch = 2, .map_type = GN_F32, .training = true, .grad_scale = 1, .on = 0.9, .off = 0.0001};
    gn_model *m;
    gn_plan *p = plan_of(&spec, &m, &o);
    size_t sum = 0;
    for (int i = 0; i < p->tensor_count; i++) {
        const gn_tensor *a = &p->tensors[i];
        if (a->role != GN_ACT)
            continue;
        sum += a->bytes;
        assert_true(a->offset + a->bytes <= p->act_bytes);
        for (int j = 0; j < i; j++) {
            const gn_tensor *b = &p->tensors[j];
            if (b->role == GN_ACT && a->first <= b->last && b->first <= a->last)
                assert_true(a->offset >= b->offset + b->bytes || b->offset >= a->offset + a->bytes);
        }
    }
    assert_true(p->act_bytes < sum * 3 / 4); /* gradients reuse what is dead */
    gn_plan_free(p);
    gn_model_free(m);
}

/* Every trainable tensor gets exactly one gradient. */
static void test_every_weight_has_one_gradient(void **state)
{
    (void)state;
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++)
        for (int extent = 0; extent <= 8; extent = extent ? extent * 2 : 2) {
            gn_model_spec spec = {.variant = (gn_variant)v, .depth = 26, .width = 8, .size = 64, .classes = 5, .extent = extent};
            if (extent && v < GN_THETA_MINUS)
                continue;
            gn_plan_options o = {.batch = 2, .map_type = GN_F32, .training = true, .grad_scale = 1};
            gn_model *m;
            gn_plan *p = plan_of(&spec, &m, &o);
            for (int i = 0; i < p->tensor_count; i++) {
                int writers = 0;
                for (int s = 0; s < p->step_count; s++)
                    for (int k = 0; k < GN_MAX_OUT; k++)
                        writers += p->steps[s].out[k] == i;
                if (p->tensors[i].role == GN_GRAD)
                    assert_int_equal(writers, 1);
            }
            int grads = 0, trainable = 0;
            for (int i = 0; i < p->tensor_count; i++)
                grads += p->tensors[i].role == GN_GRAD;
            for (int i = 0; i < m->weights.count; i++)
                trainable += m->weights.items[i].trainable;
            assert_int_equal(grads, trainable);
            gn_plan_free(p);
            gn_model_free(m);
        }
}

static void test_plan_refuses_wrong_shapes(void **state)
{
    (void)state;
    genet_error err;
    gn_plan *p;
    assert_int_equal(gn_plan_create(&p, 1, GN_F32, &err), GENET_OK);
    int x = gn_plan_tensor(p, GN_BOUND, GN_F32, 4, (int64_t[4]){1, 8, 8, 3}, "x");
    int w = gn_plan_tensor(p, GN_BOUND, GN_F32, 4, (int64_t[4]){4, 5, 3, 3}, "w"); /* 5 channels, x has 3 */
    int y = gn_plan_tensor(p, GN_ACT, GN_F32, 4, (int64_t[4]){1, 8, 8, 4}, "y");
    gn_attr a = {.kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}};
    gn_plan_step(p, GN_OP_CONV, GN_FORWARD, (int[]){x, w}, 2, (int[]){y}, 1, &a, "wrong");
    assert_int_equal(gn_plan_finish(p, false, &err), GENET_INTERNAL);
    assert_non_null(strstr(err.text, "w has shape (4,5,3,3), expected (4,3,"));
    gn_plan_free(p);
}

static void test_resampled_kernels_keep_their_sum(void **state)
{
    (void)state;
    float w[2 * 5 * 5], out[2 * 8 * 8], back[2 * 5 * 5];
    for (int i = 0; i < 50; i++)
        w[i] = (float)(i % 7) - 2;
    static const int sides[] = {1, 2, 3, 4, 5, 6, 8};
    for (size_t k = 0; k < sizeof sides / sizeof *sides; k++) {
        int n = sides[k];
        gn_gather_resample(w, 2, 5, 5, out, n, n);
        for (int c = 0; c < 2; c++) {
            double a = 0, b = 0;
            for (int i = 0; i < 25; i++)
                a += w[c * 25 + i];
            for (int i = 0; i < n * n; i++)
                b += out[c * n * n + i];
            assert_true(a - b < 1e-5 && b - a < 1e-5);
        }
    }
    gn_gather_resample(w, 2, 5, 5, back, 5, 5);
    assert_memory_equal(w, back, sizeof w);
}

static void test_initial_values(void **state)
{
    (void)state;
    genet_error err;
    gn_model_spec spec = {.variant = GN_THETA_PLUS, .depth = 26, .width = 16, .size = 64, .classes = 20};
    gn_model *m;
    gn_weights a, b;
    assert_int_equal(gn_model_create(&m, &spec, &err), GENET_OK);
    assert_int_equal(gn_weights_create(&a, &m->weights, GN_F32, &err), GENET_OK);
    assert_int_equal(gn_weights_create(&b, &m->weights, GN_F64, &err), GENET_OK);
    gn_weights_init(&a, GN_INIT_TORCH, false, 7);
    gn_weights_init(&b, GN_INIT_TORCH, false, 7);
    for (int k = 0; k < m->weights.count; k++) { /* same draws in both types; spread as documented */
        const gn_weight *w = &m->weights.items[k];
        const float *x = gn_weights_at(&a, k);
        const double *y = gn_weights_at(&b, k);
        double sum = 0;
        for (int64_t i = 0; i < w->count; i++) {
            assert_true(x[i] == (float)y[i]);
            sum += y[i] * y[i];
        }
        if (w->kind == GN_KIND_CONV && w->count > 4000) {
            double want = 2.0 / (double)(w->dim[0] * w->dim[2] * w->dim[3]), got = sum / (double)w->count;
            assert_true(got > 0.9 * want && got < 1.1 * want);
        }
    }
    gn_weights_init(&a, GN_INIT_TORCH, true, 7);
    assert_true(*(float *)gn_weights_at(&a, gn_weight_find(&m->weights, "layer1.0.bn3.weight")) == 0);
    assert_true(*(float *)gn_weights_at(&a, gn_weight_find(&m->weights, "layer1.0.bn2.weight")) == 1);
    gn_weights_free(&a);
    gn_weights_free(&b);
    gn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_counts),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_activations_do_not_overlap), cmocka_unit_test(test_every_weight_has_one_gradient),
        cmocka_unit_test(test_plan_refuses_wrong_shapes),  cmocka_unit_test(test_resampled_kernels_keep_their_sum),
        cmocka_unit_test(test_initial_values),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
