/* SPDX-License-Identifier: Apache-2.0
 * Gradients of every operation, alone and in the chains that the network makes of them, against finite differences in
 * double on ref. This is what makes ref a specification. */
#include <stdio.h>
#include <string.h>

#include "backend/scenarios.h"

#define BOUND 1e-8 /* relative to the largest gradient of a tensor; differences are of fourth order, steps 2e-4 */

static void gradients_agree(void **state)
{
    const scenario *s = *state;
    double worst = 0;
    int worst_variant = 0;
    for (int v = 0; v < s->variants; v++) {
        rig r;
        rig_open(&r, &gn_backend_ref, GN_F64, 1, v % 2);
        r.seed = 1000 * (uint64_t)v + 7;
        s->build(&r, v);
        rig_finish(&r);
        double w = rig_worst_gradient(&r);
        if (!(w <= worst)) {
            worst = w;
            worst_variant = v;
        }
        rig_close(&r);
    }
    print_message("%s: largest miss %.1e (variant %d of %d)\n", s->name, worst, worst_variant, s->variants);
    assert_true(worst < BOUND);
}

/* The bench must be able to fail: a gradient that is off by one part in a million is noticed. */
static void a_wrong_gradient_is_noticed(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, &gn_backend_ref, GN_F64, 1, false);
    int a = rig_map(&r, 1, 2, 2, 3), b = rig_map_like(&r, a), o = rig_map_like(&r, a), d = rig_map_like(&r, a);
    rig_fill(&r, a, 0, 1);
    rig_step(&r, GN_OP_ADD, NULL, LIST(a, b), LIST(o));
    rig_loss(&r, o, d);
    rig_pair(&r, a, d);
    rig_finish(&r);
    assert_true(rig_worst_gradient(&r) < BOUND);
    /* o is twice as steep in a as its gradient says: here through the coefficients that the loss uses. */
    for (int64_t i = 0; i < rig_tensor(&r, o)->count; i++)
        r.losses[0].coefficient[i] *= 1 + 1e-6;
    r.losses[0].gradient = -1;
    double worst = rig_worst_gradient(&r);
    assert_true(worst > 0.9e-6 && worst < 1.1e-6);
    rig_close(&r);
}

/* Every operation occurs in a scenario; those of evaluation, input and 8-bit inference are tested by value. */
static void every_operation_is_covered(void **state)
{
    (void)state;
    bool seen[GN_OP_COUNT] = {[GN_OP_INPUT] = true, [GN_OP_BN_RUNNING] = true, [GN_OP_GATHER] = true,
                               [GN_OP_QUANTIZE] = true, [GN_OP_CONV_INT8] = true};
    for (int i = 0; i < scenario_count; i++)
        for (int v = 0; v < scenarios[i].variants; v++) {
            rig r;
            rig_open(&r, &gn_backend_ref, GN_F64, 1, false);
            scenarios[i].build(&r, v);
            for (int k = 0; k < r.plan->step_count; k++)
                seen[r.plan->steps[k].op] = true;
            rig_finish(&r);
            rig_close(&r);
        }
    for (int op = 0; op < GN_OP_COUNT; op++)
        if (!seen[op])
            fail_msg("no scenario has %s", gn_op_name((gn_op)op));
}

int main(void)
{
    struct CMUnitTest tests[32] = {{0}};
    int n = 0;
    for (int i = 0; i < scenario_count; i++)
        tests[n++] = (struct CMUnitTest){scenarios[i].name, gradients_agree, NULL, NULL, (void *)&scenarios[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_wrong_gradient_is_noticed);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(every_operation_is_covered);
    return _cmocka_run_group_tests("finite differences", tests, (size_t)n, NULL, NULL);
}
