/* SPDX-License-Identifier: Apache-2.0
 * Where maps are cut off, against sums over single values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "infer/calibrate.h"

enum { FINE = 64 }; /* values spread over a bin */

/* The same error, value by value. */
static double slow_error(const int64_t *bins, double largest, double clip)
{
    double step = clip / 255, sum = 0;
    for (int i = 0; i < GN_HISTOGRAM_BINS; i++)
        for (int k = 0; bins[i] && k < FINE; k++) {
            double v = (i + (k + 0.5) / FINE) * largest / GN_HISTOGRAM_BINS, q = fmin(rint(v / step), 255) * step;
            sum += (double)bins[i] / FINE * (v - q) * (v - q);
        }
    return sum;
}

static void error_is_that_of_the_values(void **state)
{
    (void)state;
    int64_t bins[GN_HISTOGRAM_BINS];
    for (int i = 0; i < GN_HISTOGRAM_BINS; i++)
        bins[i] = (int64_t)(1e6 * exp(-i / 200.0));
    for (int k = 8; k <= 256; k += 31) {
        double clip = 3.7 * k / 256, fast = gn_clip_error(bins, 3.7, clip), slow = slow_error(bins, 3.7, clip);
        if (!(fabs(fast - slow) < 2e-3 * slow))
            fail_msg("clip %g: %g, value by value %g", clip, fast, slow);
    }
}

static void the_best_clip_is_found(void **state)
{
    (void)state;
    int64_t bins[GN_HISTOGRAM_BINS] = {0};
    for (int i = 0; i < GN_HISTOGRAM_BINS; i++)
        bins[i] = 1000;
    assert_true(fabs(gn_best_clip(bins, 2) - 2) < 0.02); /* even values: nothing is worth cutting off */
    memset(bins, 0, sizeof bins);
    for (int i = 0; i < 256; i++)
        bins[i] = 1000000;
    bins[GN_HISTOGRAM_BINS - 1] = 1; /* one outlier at eight times all others */
    double clip = gn_best_clip(bins, 8), least = INFINITY;
    for (int k = 1; k <= GN_CLIP_STEPS; k++)
        least = fmin(least, slow_error(bins, 8, 8.0 * k / GN_CLIP_STEPS));
    assert_true(clip > 0.9 && clip < 2);
    assert_true(slow_error(bins, 8, clip) < 1.01 * least);
    memset(bins, 0, sizeof bins);
    bins[GN_HISTOGRAM_BINS - 1] = 5; /* one value alone */
    assert_true(fabs(gn_best_clip(bins, 1e-3) - 1e-3) < 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(error_is_that_of_the_values), cmocka_unit_test(the_best_clip_is_found)};
    return cmocka_run_group_tests_name("calibration", tests, NULL, NULL);
}
