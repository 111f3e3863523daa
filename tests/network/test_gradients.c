/* SPDX-License-Identifier: Apache-2.0
 * The gradients of whole small networks, every variant, form and extent, proved by finite differences on `ref` in double:
 * for every trainable tensor the derivative of the loss along a random direction. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "golden_formula.h"
#include "net.h"

/* Central difference with step h: its own error is O(h*h) plus rounding 1e-16/h; a ReLU that changes side within h would show
 * as a jump, so that a tensor is judged by the smaller miss of two steps. */
static double miss_along(net *n, int weight, double slope, double h)
{
    const gn_weight *w = &n->model->weights.items[weight];
    double *at = gn_weights_at(&n->weights, weight), loss[2];
    for (int side = 0; side < 2; side++) {
        double step = side ? -h : h;
        for (int64_t i = 0; i < w->count; i++)
            at[i] = golden_value(w, w->name, i, 1) + step * golden_u("direction", (uint64_t)i);
        net_run(n, GN_FORWARD);
        loss[side] = net_mean_loss(n);
    }
    for (int64_t i = 0; i < w->count; i++)
        at[i] = golden_value(w, w->name, i, 1);
    return fabs((loss[0] - loss[1]) / (2 * h) - slope);
}

static void check_network(const gn_model_spec *spec)
{
    enum { BATCH = 3 };
    net n;
    net_open(&n, "ref", spec, GN_F64, BATCH, true, false);
    golden_fill(&n.weights);
    golden_images(n.x, GN_F64, "input", BATCH, 0, n.model->spec.size);
    golden_labels(n.labels, n.lambda, "label", BATCH, 0, n.model->spec.classes);
    net_run(&n, GN_FORWARD | GN_BACKWARD);
    for (int k = 0; k < n.model->weights.count; k++) {
        const gn_weight *w = &n.model->weights.items[k];
        if (!w->trainable)
            continue;
        double slope = 0, norm = 0;
        for (int64_t i = 0; i < w->count; i++) {
            slope += net_grad(&n, k, i) * golden_u("direction", (uint64_t)i);
            norm += net_grad(&n, k, i) * net_grad(&n, k, i);
        }
        double allowed = 2e-6 * (fabs(slope) + sqrt(norm) + 1e-3);
        if (miss_along(&n, k, slope, 1e-5) > allowed && miss_along(&n, k, slope, 1e-7) > 20 * allowed)
            fail_msg("%s %s extent %d: gradient of %s misses the difference quotient (slope %.9g, miss %.3g, allowed %.3g)",
                     gn_variant_name(spec->variant), gn_form_name(spec->form), spec->extent, w->name, slope,
                     miss_along(&n, k, slope, 1e-5), allowed);
    }
    net_close(&n);
}

static void check_form(gn_form form, int size)
{
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++)
        for (int extent = 0; extent <= 8; extent = extent ? extent * 2 : 2) {
            if (extent && (v < GN_THETA_MINUS || form == GN_FORM_MINDSPORE))
                continue;
            gn_model_spec spec = {.variant = (gn_variant)v, .form = form, .blocks = {2, 1, 1, 1}, .width = 4, .size = size,
                                  .extent = extent, .classes = 5};
            check_network(&spec);
        }
}

static void test_paper_form(void **state)
{
    (void)state;
    check_form(GN_FORM_PAPER, 40); /* maps 10, 5, 3, 2: odd sides and both parities */
}

static void test_mindspore_form(void **state)
{
    (void)state;
    check_form(GN_FORM_MINDSPORE, 44); /* maps 11, 6, 3, 2: "same" padding of odd and even sides */
}

/* One block in the first stage without a projection (stem as wide as its output). */
static void test_no_projection(void **state)
{
    (void)state;
    gn_model_spec spec = {.variant = GN_THETA_PLUS, .blocks = {1, 1, 1, 1}, .width = 4, .stem = 16, .size = 32, .classes = 3};
    check_network(&spec);
}

/* Computing activations again changes no bit of a gradient, and takes less memory. */
static void test_low_memory(void **state)
{
    (void)state;
    enum { BATCH = 2 };
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++) {
        gn_model_spec spec = {.variant = (gn_variant)v, .blocks = {2, 2, 1, 1}, .width = 8, .size = 64, .classes = 5};
        genet_error err;
        net n;
        net_open(&n, "ref", &spec, GN_F64, BATCH, true, false);
        golden_fill(&n.weights);
        golden_images(n.x, GN_F64, "input", BATCH, 0, spec.size);
        golden_labels(n.labels, n.lambda, "label", BATCH, 0, spec.classes);
        net_run(&n, GN_FORWARD | GN_BACKWARD);
        size_t bytes = (size_t)n.model->weights.param_count * sizeof(double);
        double *kept = malloc(bytes);
        memcpy(kept, n.grads, bytes);
        memset(n.grads, 0, bytes);
        gn_plan_options o = {.batch = BATCH, .map_type = GN_F64, .training = true, .float_input = true, .grad_scale = 1,
                             .exact_loss_gradient = true, .low_memory = true};
        gn_smoothing(0.1, spec.classes, false, &o.on, &o.off);
        gn_plan *low = NULL;
        gn_exec *exec = NULL;
        if (gn_model_plan(n.model, &o, &low, &err) != GENET_OK ||
            gn_exec_create(&exec, n.backend, n.device, low, &n.weights, n.grads, &err) != GENET_OK)
            fail_msg("%s", err.text);
        gn_exec_bind(exec, low->x, n.x);
        gn_exec_bind(exec, low->labels, n.labels);
        gn_exec_bind(exec, low->lambda, n.lambda);
        assert_int_equal(gn_exec_run(exec, GN_FORWARD | GN_BACKWARD, &err), GENET_OK);
        assert_memory_equal(kept, n.grads, bytes);
        assert_true(low->act_bytes < n.plan->act_bytes * 9 / 10);
        gn_exec_free(exec);
        gn_plan_free(low);
        free(kept);
        net_close(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paper_form), cmocka_unit_test(test_mindspore_form),
                                       cmocka_unit_test(test_no_projection), cmocka_unit_test(test_low_memory)};
    return cmocka_run_group_tests_name("gradients", tests, NULL, NULL);
}
