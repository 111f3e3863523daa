/* SPDX-License-Identifier: Apache-2.0
 * The counter-based generator: known answers of Philox4x32-10, and the moments and bijections drawn from it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"

/* The three vectors published with Random123 (kat_vectors, philox4x32 10). */
static void philox_known_answers(void **state)
{
    (void)state;
    static const uint32_t vectors[3][10] = {{0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                                            {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
                                             0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                                            {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
                                             0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        gn_philox(vectors[i], vectors[i] + 4, out);
        assert_memory_equal(out, vectors[i] + 6, sizeof out);
    }
}

/* A stream is the blocks of its counter in order, and every argument makes another stream. */
static void streams(void **state)
{
    (void)state;
    gn_rng a = gn_rng_make(7, 3, 99, GN_RNG_CROP);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t key[2] = {7, 0}, counter[4] = {block, 3, 99, (uint32_t)GN_RNG_CROP << 24}, out[4];
        gn_philox(counter, key, out);
        for (int i = 0; i < 4; i++)
            assert_int_equal(gn_rng_u32(&a), out[i]);
    }
    gn_rng others[] = {gn_rng_make(7, 3, 99, GN_RNG_FLIP),
                       gn_rng_make(7, 3, 100, GN_RNG_CROP),
                       gn_rng_make(7, 4, 99, GN_RNG_CROP),
                       gn_rng_make(8, 3, 99, GN_RNG_CROP),
                       gn_rng_make(7 + (UINT64_C(1) << 40), 3, 99, GN_RNG_CROP),
                       gn_rng_make(7, 3, 99 + (UINT64_C(1) << 40), GN_RNG_CROP)};
    gn_rng first = gn_rng_make(7, 3, 99, GN_RNG_CROP);
    uint32_t word = gn_rng_u32(&first);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_not_equal(gn_rng_u32(&others[i]), word);
}

static void uniform_ranges(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    gn_rng r = gn_rng_make(1, 0, 0, GN_RNG_CROP);
    double sum = 0, sum_float = 0;
    for (int i = 0; i < DRAWS; i++) {
        double d = gn_rng_double(&r);
        float f = gn_rng_float(&r);
        assert_true(d >= 0 && d < 1 && f >= 0 && f < 1);
        sum += d;
        sum_float += f;
    }
    /* Standard error of the mean: 1/sqrt(12 n); five of them. */
    double bound = 5 / sqrt(12.0 * DRAWS);
    assert_true(fabs(sum / DRAWS - 0.5) < bound);
    assert_true(fabs(sum_float / DRAWS - 0.5) < bound);
}

/* chi-squared over n equal cells; the mean is n - 1, the variance 2(n - 1). */
static void below_is_even(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 10, 1000};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        uint32_t n = sizes[k], draws = 100 * n + 20000;
        int *count = calloc(n, sizeof *count);
        assert_non_null(count);
        gn_rng r = gn_rng_make(5, 0, n, GN_RNG_CAP);
        for (uint32_t i = 0; i < draws; i++) {
            uint32_t v = gn_rng_below(&r, n);
            assert_true(v < n);
            count[v]++;
        }
        double expected = (double)draws / n, chi = 0;
        for (uint32_t i = 0; i < n; i++)
            chi += (count[i] - expected) * (count[i] - expected) / expected;
        assert_true(fabs(chi - (n - 1)) <= 5 * sqrt(2.0 * (n - 1)) + 1e-9);
        free(count);
    }
    /* Above 2^31 the plain remainder would give small values twice as often. */
    gn_rng r = gn_rng_make(6, 0, 0, GN_RNG_CAP);
    uint32_t n = 3000000000u;
    int low = 0;
    for (int i = 0; i < 30000; i++)
        low += gn_rng_below(&r, n) < n / 2;
    assert_true(abs(low - 15000) < 5 * 87);
}

static void normal_moments(void **state)
{
    (void)state;
    enum { DRAWS = 400000 };
    gn_rng r = gn_rng_make(2, 0, 0, GN_RNG_INIT);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = gn_rng_normal(&r);
        assert_true(isfinite(x));
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
    }
    double n = DRAWS, root = sqrt(n);
    /* Variances of x, x^2, x^3, x^4: 1, 2, 15, 96. */
    assert_true(fabs(m1 / n) < 5 / root);
    assert_true(fabs(m2 / n - 1) < 5 * sqrt(2.0) / root);
    assert_true(fabs(m3 / n) < 5 * sqrt(15.0) / root);
    assert_true(fabs(m4 / n - 3) < 5 * sqrt(96.0) / root);
}

/* Box-Muller by the mathematics library, and any way of asking: by one, by many, from the middle of a block. */
static void normals_are_box_muller(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    static double many[DRAWS];
    gn_rng a = gn_rng_make(7, 1, 99, GN_RNG_INIT), b = a, c = a;
    gn_rng_normals(&a, many, DRAWS);
    for (int i = 0; i < DRAWS; i++) {
        double radius = sqrt(-2 * log1p(-gn_rng_double(&b))), angle = 2 * acos(-1) * gn_rng_double(&b);
        assert_true(fabs(many[i] - radius * cos(angle)) < 1e-12);
        assert_true(many[i] == gn_rng_normal(&c));
    }
    assert_int_equal(gn_rng_u32(&a), gn_rng_u32(&b));
    gn_rng_u32(&c);
    gn_rng d = c;
    gn_rng_normals(&c, many, 1000);
    for (int i = 0; i < 1000; i++)
        assert_true(many[i] == gn_rng_normal(&d));
}

static void doubles_are_the_same_stream(void **state)
{
    (void)state;
    static double many[5003];
    for (int skip = 0; skip < 3; skip++) {
        gn_rng a = gn_rng_make(8, 0, 3, GN_RNG_INIT);
        for (int i = 0; i < skip; i++)
            gn_rng_u32(&a);
        gn_rng b = a;
        gn_rng_doubles(&a, many, 5003);
        for (int i = 0; i < 5003; i++)
            assert_true(many[i] == gn_rng_double(&b));
        assert_int_equal(gn_rng_u32(&a), gn_rng_u32(&b));
    }
}

static void beta_moments(void **state)
{
    (void)state;
    static const double alphas[] = {0.001, 0.1, 0.2, 0.5, 1, 2.5, 100};
    enum { DRAWS = 100000 };
    for (size_t k = 0; k < sizeof alphas / sizeof alphas[0]; k++) {
        double a = alphas[k], sum = 0, squares = 0;
        for (int i = 0; i < DRAWS; i++) {
            gn_rng r = gn_rng_make(3, 0, (uint64_t)i, GN_RNG_MIX);
            double x = gn_rng_beta(&r, a);
            assert_true(x >= 0 && x <= 1);
            sum += x;
            squares += (x - 0.5) * (x - 0.5);
        }
        double var = 1 / (4 * (2 * a + 1)), n = DRAWS;
        /* (x - 1/2)^2 lies in 0..1/4 and its variance is at most its mean times 1/4. */
        assert_true(fabs(sum / n - 0.5) < 5 * sqrt(var / n));
        assert_true(fabs(squares / n - var) < 5 * sqrt(var / 4 / n));
    }
}

static void permute_is_a_bijection(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 5000; n = n < 70 ? n + 1 : n * 5 / 4) {
        for (uint32_t epoch = 0; epoch < 2; epoch++) {
            unsigned char *seen = calloc(n, 1);
            assert_non_null(seen);
            for (uint64_t i = 0; i < n; i++) {
                uint64_t p = gn_rng_permute(42, epoch, i, n);
                assert_true(p < n);
                assert_int_equal(seen[p], 0);
                seen[p] = 1;
            }
            free(seen);
        }
    }
    /* Large n: in range, and no image met twice among a few thousand neighbours. */
    uint64_t n = UINT64_C(1) << 62, drawn[300];
    for (int i = 0; i < 300; i++) {
        drawn[i] = gn_rng_permute(1, 1, n - 1 - (uint64_t)i, n);
        assert_true(drawn[i] < n);
        for (int j = 0; j < i; j++)
            assert_true(drawn[i] != drawn[j]);
    }
}

/* Where an element lands is even over epochs, and neighbours do not stay neighbours. */
static void permute_mixes(void **state)
{
    (void)state;
    enum { N = 10, EPOCHS = 20000 };
    int count[N] = {0}, neighbours = 0;
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint64_t a = gn_rng_permute(9, epoch, 3, N), b = gn_rng_permute(9, epoch, 4, N);
        count[a]++;
        neighbours += a + 1 == b;
    }
    double chi = 0;
    for (int i = 0; i < N; i++)
        chi += (count[i] - EPOCHS / (double)N) * (count[i] - EPOCHS / (double)N) / (EPOCHS / (double)N);
    assert_true(chi < 9 + 5 * sqrt(18.0));
    /* 9 of the 90 ordered pairs are (a, a + 1). */
    assert_true(fabs(neighbours - EPOCHS / 10.0) < 5 * sqrt(EPOCHS * 0.09));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),   cmocka_unit_test(streams),        cmocka_unit_test(uniform_ranges),
        cmocka_unit_test(below_is_even),          cmocka_unit_test(normal_moments),
        cmocka_unit_test(normals_are_box_muller), cmocka_unit_test(doubles_are_the_same_stream), cmocka_unit_test(beta_moments),
        cmocka_unit_test(permute_is_a_bijection), cmocka_unit_test(permute_mixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
