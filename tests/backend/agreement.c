/* SPDX-License-Identifier: Apache-2.0
 * One operation, several ways to store: ref computes in double and rounds once a stored value, so the float version must
 * give the double version's values rounded (bit for bit), the bf16 version the float version's values rounded, and an
 * output that takes the place of an input the same bits as one with memory of its own. */
#include <math.h>
#include <string.h>

#include "backend/scenarios.h"

/* Runs every step of a scenario on a rig of each type, both starting from the values that `narrow` holds, and compares
 * all outputs of the step: narrow must be wide rounded to narrow's type. */
static void steps_agree(const scenario *s, gn_dtype wide_type, gn_dtype narrow_type)
{
    for (int v = 0; v < s->variants; v++) {
        rig wide, narrow;
        rig_open(&wide, &gn_backend_ref, wide_type, 1, v % 2);
        rig_open(&narrow, &gn_backend_ref, narrow_type, 1, v % 2);
        s->build(&wide, v);
        s->build(&narrow, v);
        rig_finish(&wide);
        rig_finish(&narrow);
        for (int i = 0; i < narrow.loss_count; i++) /* coefficients into the `do` tensors */
            for (int64_t e = 0; narrow.losses[i].gradient >= 0 && e < rig_tensor(&narrow, narrow.losses[i].gradient)->count; e++)
                rig_set(&narrow, narrow.losses[i].gradient, e, narrow.losses[i].coefficient[e]);
        for (int step = 0; step < narrow.plan->step_count; step++) {
            const gn_step *k = &narrow.plan->steps[step];
            for (int t = 0; t < narrow.plan->tensor_count; t++)
                rig_copy(&wide, &narrow, t);
            rig_run_step(&wide, step);
            rig_run_step(&narrow, step);
            for (int i = 0; i < GN_MAX_OUT; i++)
                for (int64_t e = 0; k->out[i] >= 0 && e < rig_tensor(&narrow, k->out[i])->count; e++) {
                    double found = rig_get(&narrow, k->out[i], e), exact = rig_get(&wide, k->out[i], e);
                    rig_set(&narrow, k->out[i], e, exact);
                    double expected = rig_get(&narrow, k->out[i], e);
                    rig_set(&narrow, k->out[i], e, found);
                    if (memcmp(&found, &expected, sizeof found) != 0)
                        fail_msg("%s, variant %d, step %d (%s), output %d, element %lld: %.17g, expected %.17g", s->name, v,
                                 step, gn_op_name(k->op), i, (long long)e, found, expected);
                }
        }
        rig_close(&wide);
        rig_close(&narrow);
    }
}

static void float_is_double_rounded(void **state)
{
    (void)state;
    for (int i = 0; i < scenario_count; i++)
        steps_agree(&scenarios[i], GN_F64, GN_F32);
}

static void bf16_is_float_rounded(void **state)
{
    (void)state;
    for (int i = 0; i < scenario_count; i++)
        steps_agree(&scenarios[i], GN_F32, GN_BF16);
}

/* The whole chain in float against the whole chain in double: every stored value adds at most half a unit (2^-24), and
 * what an operation makes of it grows with its condition only, because no sum is kept in float. */
static void float_chain_follows_double(void **state)
{
    (void)state;
    for (int i = 0; i < scenario_count; i++)
        for (int v = 0; v < scenarios[i].variants; v++) {
            rig wide, narrow;
            rig_open(&wide, &gn_backend_ref, GN_F64, 1, false);
            rig_open(&narrow, &gn_backend_ref, GN_F32, 1, false);
            scenarios[i].build(&wide, v);
            scenarios[i].build(&narrow, v);
            rig_finish(&wide);
            rig_finish(&narrow);
            rig_run(&wide, GN_FORWARD);
            rig_run(&narrow, GN_FORWARD);
            int output = wide.losses[0].output;
            double largest = 0, off = 0;
            for (int64_t e = 0; e < rig_tensor(&wide, output)->count; e++) {
                largest = fmax(largest, fabs(rig_get(&wide, output, e)));
                off = fmax(off, fabs(rig_get(&wide, output, e) - rig_get(&narrow, output, e)));
            }
            /* at most 16 steps in a row; batch norms over few values amplify by a = gamma/sqrt(var+eps) <= 1.5/sqrt(0.02) */
            assert_true(off <= 16 * ldexp(1, -24) * (1.5 / sqrt(0.02)) * fmax(largest, 1));
            rig_close(&wide);
            rig_close(&narrow);
        }
}

/* Everything a scenario registers, after forward and backward, with and without shared places. */
static void in_place_changes_nothing(void **state)
{
    (void)state;
    static const gn_dtype types[] = {GN_F64, GN_F32, GN_BF16};
    int shared = 0;
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < scenario_count; i++)
            for (int v = 0; v < scenarios[i].variants; v++) {
                rig own, in_place;
                rig_open(&own, &gn_backend_ref, types[t], 1, false);
                rig_open(&in_place, &gn_backend_ref, types[t], 1, true);
                rig *both[] = {&own, &in_place};
                for (int k = 0; k < 2; k++) {
                    scenarios[i].build(both[k], v);
                    rig_finish(both[k]);
                    rig_run(both[k], GN_FORWARD);
                    rig_run(both[k], GN_BACKWARD);
                }
                shared += own.plan->tensor_count - in_place.plan->tensor_count;
                assert_int_equal(own.pair_count, in_place.pair_count);
                for (int p = 0; p < own.pair_count; p++) {
                    int a = own.pairs[p].gradient, b = in_place.pairs[p].gradient;
                    if (memcmp(own.data[a], in_place.data[b], rig_tensor(&own, a)->bytes) != 0)
                        fail_msg("%s, variant %d, %s: gradient %d differs in place", scenarios[i].name, v,
                                 gn_dtype_name(types[t]), p);
                }
                rig_close(&own);
                rig_close(&in_place);
            }
    assert_true(shared > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_is_double_rounded),
        cmocka_unit_test(bf16_is_float_rounded),
        cmocka_unit_test(float_chain_follows_double),
        cmocka_unit_test(in_place_changes_nothing),
    };
    return cmocka_run_group_tests_name("agreement of the storage types", tests, NULL, NULL);
}
