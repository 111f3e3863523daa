/* SPDX-License-Identifier: Apache-2.0
 * Learning rates: the published tables (to the float that was stored), and the usual schedules at places that can be
 * computed by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "train/train.h"

/* The published figures are rounded to ten digits; 1e-7 relative is one unit of float. */
static void near_float(double got, double want)
{
    if (!(fabs(got - want) <= 6e-8 * fabs(want) + 5e-11))
        fail_msg("rate %.12g, expected %.12g", got, want);
}

static void test_published(void **state)
{
    (void)state;
    static const struct {
        int kind;
        int64_t steps;
        double at[6]; /* 0, 1, T/4, T/2, 3T/4, T-1 */
    } published[] = {
        {GN_CHOICE_SCHEDULE_LINEAR, 93750, {0.8, 0.7999914667, 0.6000042667, 0.4, 0.2000042667, 8.5333e-06}},
        {GN_CHOICE_SCHEDULE_LINEAR_COSINE, 137500,
         {0.800008, 0.8000021817, 0.5218973285, 0.2188296623, 0.0399659775, 8.0515e-06}},
        {GN_CHOICE_SCHEDULE_LINEAR, 750600, {0.8, 0.7999989342, 0.6, 0.4, 0.2, 1.0658e-06}},
        {GN_CHOICE_SCHEDULE_LINEAR_COSINE, 1100880,
         {0.800008, 0.8000072733, 0.5218973285, 0.2188296623, 0.0399659775, 8.0064e-06}},
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        int64_t t = published[i].steps, at[] = {0, 1, t / 4, t / 2, 3 * t / 4, t - 1};
        gn_schedule s = {.kind = published[i].kind, .rate = 0.8, .rate_end = 0, .steps = t};
        for (int k = 0; k < 5; k++)
            near_float(gn_schedule_rate(&s, at[k]), published[i].at[k]);
        /* the last one is printed with five digits */
        assert_true(fabs(gn_schedule_rate(&s, at[5]) / published[i].at[5] - 1) < 5e-5);
    }
    gn_schedule mindspore = {.kind = GN_CHOICE_SCHEDULE_LINEAR, .rate = 0.004, .steps = 12};
    assert_true((float)gn_schedule_rate(&mindspore, 1) == 0.003666666569188237f); /* the golden run's table */
    assert_true((float)gn_schedule_rate(&mindspore, 11) == 0.00033333332976326346f);
}

static void test_warmup_and_cosine(void **state)
{
    (void)state;
    gn_schedule s = {.kind = GN_CHOICE_SCHEDULE_COSINE, .rate = 0.1, .steps = 100, .warmup_steps = 20};
    near_float(gn_schedule_rate(&s, 0), 0.005);
    near_float(gn_schedule_rate(&s, 19), 0.1);
    near_float(gn_schedule_rate(&s, 20), 0.1);
    near_float(gn_schedule_rate(&s, 60), 0.05);
    s.rate_end = 0.02;
    near_float(gn_schedule_rate(&s, 60), 0.06);
    near_float(gn_schedule_rate(&s, 100), 0.02);
}

static void test_steps_and_constant(void **state)
{
    (void)state;
    const int64_t drops[] = {30, 60};
    gn_schedule s = {.kind = GN_CHOICE_SCHEDULE_STEP, .rate = 1, .factor = 0.1, .steps = 90, .drops = drops, .drop_count = 2};
    near_float(gn_schedule_rate(&s, 29), 1);
    near_float(gn_schedule_rate(&s, 30), 0.1);
    near_float(gn_schedule_rate(&s, 89), 0.01);
    s.kind = GN_CHOICE_SCHEDULE_CONSTANT;
    near_float(gn_schedule_rate(&s, 89), 1);
}

static void test_from_settings(void **state)
{
    (void)state;
    gn_settings *s;
    genet_error err;
    int64_t drops[2];
    assert_int_equal(gn_settings_create(&s, &err), GENET_OK);
    assert_int_equal(gn_settings_set(s, "epochs", "10", NULL, &err), GENET_OK);
    assert_int_equal(gn_settings_set(s, "warmup", "1.5", NULL, &err), GENET_OK);
    assert_int_equal(gn_settings_set(s, "schedule", "step", NULL, &err), GENET_OK);
    assert_int_equal(gn_settings_set(s, "step-epochs", "4", NULL, &err), GENET_OK);
    assert_int_equal(gn_settings_set(s, "step-epochs", "8", NULL, &err), GENET_OK);
    gn_schedule schedule = gn_schedule_from(s, 7, drops);
    assert_int_equal(schedule.steps, 70);
    assert_int_equal(schedule.warmup_steps, 11);
    assert_int_equal(drops[1], 56);
    near_float(gn_schedule_rate(&schedule, 56), s->rate * 0.01);
    assert_int_equal(gn_settings_set(s, "warmup", "1000", NULL, &err), GENET_OK); /* longer than the run */
    schedule = gn_schedule_from(s, 7, drops);
    assert_int_equal(schedule.warmup_steps, 70);
    gn_settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published), cmocka_unit_test(test_warmup_and_cosine),
                                       cmocka_unit_test(test_steps_and_constant), cmocka_unit_test(test_from_settings)};
    return cmocka_run_group_tests_name("schedules", tests, NULL, NULL);
}
