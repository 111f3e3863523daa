/* SPDX-License-Identifier: Apache-2.0
 * The folded network answers as the evaluation plan does: every variant, form and extent, on `ref` in double (folding alone)
 * and on the cpu backend in float. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden_formula.h"
#include "model/folded.h"
#include "net.h"

static void compare(const gn_model_spec *spec, const char *backend, gn_dtype type, double allowed)
{
    enum { BATCH = 2 };
    genet_error err;
    net n;
    gn_folded *f;
    gn_plan *plan = NULL;
    gn_exec *exec = NULL;
    net_open(&n, backend, spec, type, BATCH, false, false);
    golden_fill(&n.weights);
    golden_images(n.x, type, "input", BATCH, 0, spec->size);
    net_run(&n, GN_FORWARD);
    gn_plan_options o = {.batch = BATCH, .map_type = type, .float_input = true};
    if (gn_fold(&f, n.model, &n.weights, &err) != GENET_OK || gn_folded_plan(f, &o, &plan, &err) != GENET_OK ||
        gn_exec_create(&exec, n.backend, n.device, plan, &f->weights, NULL, &err) != GENET_OK)
        fail_msg("%s", err.text);
    gn_exec_bind(exec, plan->x, n.x);
    if (gn_exec_run(exec, GN_FORWARD, &err) != GENET_OK)
        fail_msg("%s", err.text);
    double square = 0;
    for (int64_t i = 0; i < n.plan->tensors[n.plan->logits].count; i++)
        square += pow(net_value(&n, n.plan->logits, i), 2);
    double rms = sqrt(square / (double)n.plan->tensors[n.plan->logits].count);
    for (int64_t i = 0; i < n.plan->tensors[n.plan->logits].count; i++) {
        const void *z = gn_exec_data(exec, plan->logits);
        double got = type == GN_F64 ? ((const double *)z)[i] : ((const float *)z)[i];
        if (!(fabs(got - net_value(&n, n.plan->logits, i)) <= allowed * rms))
            fail_msg("%s %s extent %d on %s: logit %lld is %.9g folded, %.9g not", gn_variant_name(spec->variant),
                     gn_form_name(spec->form), spec->extent, backend, (long long)i, got, net_value(&n, n.plan->logits, i));
    }
    assert_true(plan->step_count < n.plan->step_count);
    gn_exec_free(exec);
    gn_plan_free(plan);
    gn_folded_free(f);
    net_close(&n);
}

static void every_network(const char *backend, gn_dtype type, double allowed)
{
    for (int form = GN_FORM_PAPER; form <= GN_FORM_MINDSPORE; form++)
        for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++)
            for (int extent = 0; extent <= 8; extent = extent ? extent * 2 : 2) {
                if (extent && (v < GN_THETA_MINUS || form == GN_FORM_MINDSPORE))
                    continue;
                gn_model_spec spec = {.variant = (gn_variant)v, .form = (gn_form)form, .blocks = {2, 1, 1, 2}, .width = 8,
                                      .size = 72, .extent = extent, .classes = 7};
                compare(&spec, backend, type, allowed);
            }
}

static void test_ref_double(void **state)
{
    (void)state;
    every_network("ref", GN_F64, 1e-12);
}

static void test_cpu_float(void **state)
{
    (void)state;
#ifdef GN_HAVE_CPU
    every_network("cpu", GN_F32, 5e-5);
#else
    print_message("this build has no cpu backend\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref_double), cmocka_unit_test(test_cpu_float)};
    return cmocka_run_group_tests_name("folded networks", tests, NULL, NULL);
}
