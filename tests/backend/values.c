/* SPDX-License-Identifier: Apache-2.0
 * Values of ref worked out by hand: the conventions that finite differences cannot see (which variance, which row, which
 * target, which rounding), and everything random mixing can ask for. */
#include <math.h>
#include <string.h>

#include "backend/parts.h"

static void put(rig *r, int tensor, const double *values)
{
    for (int64_t i = 0; i < rig_tensor(r, tensor)->count; i++)
        rig_set(r, tensor, i, values[i]);
}
#define PUT(r, tensor, ...) put(r, tensor, (const double[]){__VA_ARGS__})

static void expect(const rig *r, int tensor, const double *values, double bound)
{
    for (int64_t i = 0; i < rig_tensor(r, tensor)->count; i++) {
        double found = rig_get(r, tensor, i);
        if (!(fabs(found - values[i]) <= bound))
            fail_msg("element %lld is %.17g, expected %.17g", (long long)i, found, values[i]);
    }
}
#define EXPECT(r, tensor, bound, ...) expect(r, tensor, (const double[]){__VA_ARGS__}, bound)

static void open_rig(rig *r, gn_dtype type)
{
    rig_open(r, &gn_backend_ref, type, 1, false);
}

/* --- input ----------------------------------------------------------------------------------------------------------- */

/* Three images of 2x3 pixels, mean 10 20 30, std 2 4 8: image n, pixel p, channel c holds 40n + 6p + c. */
static void input_mixes_and_cuts(void **state)
{
    (void)state;
    static const gn_dtype types[] = {GN_F32, GN_F64, GN_BF16};
    gn_attr attr = {.mean = {10, 20, 30}, .std = {2, 4, 8}};
    for (int t = 0; t < 3; t++) {
        rig r;
        open_rig(&r, types[t]);
        int pixels = rig_typed(&r, GN_U8, 4, 3, 2, 3, 3), mix = rig_typed(&r, GN_F32, 2, 3, 6, 1, 1);
        int x = rig_map(&r, 3, 2, 3, 3);
        rig_step(&r, GN_OP_INPUT, &attr, LIST(pixels, mix), LIST(x));
        rig_finish(&r);
        for (int i = 0; i < 54; i++)
            rig_set(&r, pixels, i, 40 * (i / 18) + 6 * (i % 18 / 3) + i % 3);
        /* image 0 alone, its partner and box unused; 1 mixed with 2; 2 has rows 0..0, columns 1..2 of image 0 */
        PUT(&r, mix, 1, 1, 0, 0, 0, 0, 2, 0.25, 0, 0, 0, 0, 0, 0.5, 0, 1, 1, 3);
        rig_run(&r, GN_FORWARD);
        for (int i = 0; i < 54; i++) {
            int n = i / 18, p = i % 18 / 3, c = i % 3;
            float own = ((float)(40 * n + 6 * p + c) - attr.mean[c]) / attr.std[c], expected = own;
            if (n == 1)
                expected = 0.25f * own + 0.75f * (((float)(80 + 6 * p + c) - attr.mean[c]) / attr.std[c]);
            if (n == 2 && (p == 1 || p == 2))
                expected = ((float)(6 * p + c) - attr.mean[c]) / attr.std[c];
            double found = rig_get(&r, x, i);
            rig_set(&r, x, i, expected);
            assert_true(found == rig_get(&r, x, i));
        }
        rig_close(&r);
    }
}

/* A partner that does not exist would be read from foreign memory. */
static void input_refuses_a_foreign_partner(void **state)
{
    (void)state;
    static const double partners[] = {2, -1, 1e9, NAN};
    for (int i = 0; i < 4; i++) {
        rig r;
        genet_error err = {0};
        gn_attr attr = {.std = {1, 1, 1}};
        open_rig(&r, GN_F32);
        int pixels = rig_typed(&r, GN_U8, 4, 2, 1, 1, 3), mix = rig_typed(&r, GN_F32, 2, 2, 6, 1, 1);
        int x = rig_map(&r, 2, 1, 1, 3);
        rig_step(&r, GN_OP_INPUT, &attr, LIST(pixels, mix), LIST(x));
        rig_finish(&r);
        PUT(&r, mix, 0, 1, 0, 0, 0, 0, partners[i], 1, 0, 0, 0, 0);
        assert_int_equal(r.backend->run(r.prepared, 0, r.data, &err), GENET_INTERNAL);
        rig_close(&r);
    }
}

/* --- convolution ------------------------------------------------------------------------------------------------------- */

/* A 4x4 map 1..16; 3x3 kernels: 1 in the middle and 10 to its right, and 1 in the last corner; stride 2, padding 0 0 1 1.
 * Then with bias, the identity that lies in the output, and ReLU. */
static void convolution_pads_bottom_and_right(void **state)
{
    (void)state;
    static const gn_dtype types[] = {GN_F32, GN_F64, GN_BF16}; /* every value here is exact in bf16 */
    for (int i = 0; i < 3; i++) {
        rig r;
        open_rig(&r, types[i]);
        gn_attr attr = {.stride = 2, .pad = {0, 0, 1, 1}}, full = attr;
        full.relu = true;
        int x = rig_map(&r, 1, 4, 4, 1), w = rig_weight(&r, 2, 1, 3, 3), y = rig_map(&r, 1, 2, 2, 2), z = rig_map_like(&r, y);
        int bias = rig_vector(&r, 1, 2, 1, 1);
        rig_step(&r, GN_OP_CONV, &attr, LIST(x, w), LIST(y));
        rig_step(&r, GN_OP_CONV, &full, LIST(x, w, bias, z), LIST(z));
        rig_finish(&r);
        PUT(&r, x, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
        PUT(&r, w, 0, 0, 0, 0, 1, 10, 0, 0, 0, /* second output channel: the last of the window */ 0, 0, 0, 0, 0, 0, 0, 0, 1);
        PUT(&r, bias, -7, 100);
        PUT(&r, z, 0, 0, -100, 0, 0, 0.5, 0, -200);
        rig_run(&r, GN_FORWARD);
        EXPECT(&r, y, 0, 76, 11, 8, 0, 164, 0, 16, 0);
        EXPECT(&r, z, 0, 69, 111, 0, 100, 157, 100.5, 9, 0);
        rig_close(&r);
    }
}

/* --- batch norm ---------------------------------------------------------------------------------------------------------- */

/* 1 2 3 6: mean 3, biased variance 3.5, unbiased 14/3. */
static void statistics_are_biased_and_running_ones_unbiased(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F64);
    gn_attr attr = {.eps = 0.5, .keep = 0.75};
    int y = rig_map(&r, 2, 1, 2, 1), gamma = rig_vector(&r, 1, 1, 1, 1), beta = rig_vector(&r, 1, 1, 1, 1);
    int stats = rig_vector(&r, 2, 4, 1, 1), mean = rig_vector(&r, 1, 1, 1, 1), var = rig_vector(&r, 1, 1, 1, 1);
    int evaluation = rig_vector(&r, 2, 4, 1, 1);
    rig_step(&r, GN_OP_BN_STATS, &attr, LIST(y, gamma, beta), LIST(stats, mean, var));
    rig_step(&r, GN_OP_BN_RUNNING, &attr, LIST(gamma, beta, mean, var), LIST(evaluation));
    rig_finish(&r);
    PUT(&r, y, 1, 2, 3, 6);
    PUT(&r, gamma, 4);
    PUT(&r, beta, 10);
    PUT(&r, mean, 7);
    PUT(&r, var, 2);
    rig_run(&r, GN_FORWARD);
    EXPECT(&r, stats, 1e-15, 3, 3.5, 2, 4);
    EXPECT(&r, mean, 1e-15, 0.75 * 7 + 0.25 * 3);
    EXPECT(&r, var, 1e-15, 0.75 * 2 + 0.25 * 14 / 3);
    double a = 4 / sqrt(0.75 * 2 + 0.25 * 14 / 3 + 0.5);
    EXPECT(&r, evaluation, 1e-14, 6, 0.75 * 2 + 0.25 * 14 / 3, a, 10 - 6 * a);
    rig_close(&r);
}

/* One value a channel: variance 0, and the running variance only decays. */
static void one_value_has_no_variance(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F32);
    int y = rig_vector(&r, 2, 1, 2, 1);
    part_bn bn = part_bn_make(&r, 2, 1e-5);
    part_bn_stats(&r, &bn, y);
    int o = part_bn_act(&r, &bn, y, false);
    rig_finish(&r);
    PUT(&r, y, 3, -1e30);
    PUT(&r, bn.gamma, 1, 1);
    PUT(&r, bn.beta, 0.5, 2);
    PUT(&r, bn.running_mean, 1, 1);
    PUT(&r, bn.running_var, 8, 4);
    rig_run_step(&r, 0);
    EXPECT(&r, bn.running_var, 0, 6, 3);
    assert_true(rig_get(&r, bn.stats, 0) == 3 && rig_get(&r, bn.stats, 2) == 0);
    rig_run_step(&r, 1);
    assert_true(fabs(rig_get(&r, o, 0) - 0.5) < 1e-3); /* a*y + b with a = 316 */
    rig_close(&r);
}

/* A large mean does not eat the variance: 1e4 + {-1, 0, 1} in float. */
static void variance_survives_a_large_mean(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F32);
    int y = rig_vector(&r, 2, 3, 1, 1);
    part_bn bn = part_bn_make(&r, 1, 1e-5);
    part_bn_stats(&r, &bn, y);
    rig_finish(&r);
    PUT(&r, y, 9999, 10000, 10001);
    rig_run(&r, GN_FORWARD);
    assert_true(fabs(rig_get(&r, bn.stats, 1) - 2.0 / 3) < 1e-7);
    rig_close(&r);
}

static void relu_passes_nan(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F32);
    gn_attr attr = {.relu = true};
    int y = rig_vector(&r, 2, 1, 3, 1), stats = rig_vector(&r, 2, 4, 3, 1), o = rig_vector(&r, 2, 1, 3, 1);
    rig_step(&r, GN_OP_BN_ACT, &attr, LIST(y, stats), LIST(o));
    rig_finish(&r);
    PUT(&r, y, NAN, -1, 2);
    PUT(&r, stats, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0);
    rig_run(&r, GN_FORWARD);
    assert_true(isnan(rig_get(&r, o, 0)) && rig_get(&r, o, 1) == 0 && rig_get(&r, o, 2) == 2);
    rig_close(&r);
}

/* 3x3 windows, stride 2, padding 1, over 3x3 maps of two channels: the first largest wins, negative maps give 0, and no
 * padding wins over -5. */
static void pool_takes_the_first_largest(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F64);
    gn_attr attr = {.kernel = 3, .stride = 2, .pad = {1, 1, 1, 1}};
    int y = rig_map(&r, 1, 3, 3, 2), stats = rig_vector(&r, 2, 4, 2, 1), o = rig_map(&r, 1, 2, 2, 2);
    int index = rig_typed(&r, GN_U8, 4, 1, 2, 2, 2), evaluation = rig_map(&r, 1, 2, 2, 2);
    rig_step(&r, GN_OP_BN_POOL, &attr, LIST(y, stats), LIST(o, index));
    rig_step(&r, GN_OP_BN_POOL, &attr, LIST(y, stats), LIST(evaluation));
    rig_finish(&r);
    PUT(&r, y, 1, -5, 7, -5, 7, -5, 2, -5, 3, -5, 4, -5, 9, -5, 0, -5, -2, -5);
    PUT(&r, stats, 0, 0, 1, 1, /* a */ 0.5, 2, /* b */ -1, 1); /* channel 0: y/2 - 1; channel 1: 2y + 1 = -9 */
    rig_run(&r, GN_FORWARD);
    EXPECT(&r, o, 0, 2.5, 0, 2.5, 0, 3.5, 0, 1, 0);
    /* window (0,0) covers r, s in 1..2: 7 at (1,2) -> 5; (0,1): first 7 at map (0,1) -> r 1, s 0 -> 3;
     * (1,0): 9 at map (2,0) -> r 1, s 1 -> 4; (1,1): 4 at map (1,2) -> r 0, s 1 -> 1 */
    EXPECT(&r, index, 0, 5, 255, 3, 255, 4, 255, 1, 255);
    EXPECT(&r, evaluation, 0, 2.5, 0, 2.5, 0, 3.5, 0, 1, 0);
    rig_close(&r);
}

/* --- gather, excite ------------------------------------------------------------------------------------------------------- */

static void gather_is_that_of_the_statistics_pass(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F32);
    int y = rig_map(&r, 3, 4, 5, 7), w = rig_weight(&r, 7, 1, 4, 5);
    part_bn bn = part_bn_make(&r, 7, 1e-5);
    gn_attr attr = {.eps = 1e-5, .keep = 0.9};
    int g[4], stats[2];
    for (int i = 0; i < 4; i++) {
        g[i] = rig_vector(&r, 2, 3, 7, 1);
        if (i < 2)
            stats[i] = rig_vector(&r, 2, 4, 7, 1);
    }
    rig_fill(&r, y, 0, 1);
    rig_fill(&r, w, 0, 1);
    rig_step(&r, GN_OP_GATHER_STATS, &attr, LIST(y, bn.gamma, bn.beta, w), LIST(stats[0], bn.running_mean, bn.running_var, g[0]));
    rig_step(&r, GN_OP_GATHER, NULL, LIST(y, w), LIST(g[1]));
    rig_step(&r, GN_OP_GATHER_STATS, &attr, LIST(y, bn.gamma, bn.beta), LIST(stats[1], bn.running_mean, bn.running_var, g[2]));
    rig_step(&r, GN_OP_GATHER, NULL, LIST(y), LIST(g[3]));
    rig_step(&r, GN_OP_BN_STATS, &attr, LIST(y, bn.gamma, bn.beta), LIST(bn.stats, bn.running_mean, bn.running_var));
    rig_finish(&r);
    rig_run(&r, GN_FORWARD);
    assert_memory_equal(r.data[g[0]], r.data[g[1]], 21 * sizeof(float));
    assert_memory_equal(r.data[g[2]], r.data[g[3]], 21 * sizeof(float));
    for (int i = 0; i < 2; i++)
        assert_memory_equal(r.data[stats[i]], r.data[bn.stats], 28 * sizeof(float));
    double sum = 0, mean = 0; /* image 1, channel 2 */
    for (int p = 0; p < 20; p++) {
        sum += rig_get(&r, w, 2 * 20 + p) * rig_get(&r, y, (20 + p) * 7 + 2);
        mean += rig_get(&r, y, (20 + p) * 7 + 2) / 20;
    }
    assert_true(fabs(rig_get(&r, g[0], 7 + 2) - sum) < 1e-6 && fabs(rig_get(&r, g[2], 7 + 2) - mean) < 1e-7);
    rig_close(&r);
}

/* Rows of the gate that 9 rows read: 0 0 0 1 1 1 2 2 2 (of 3), 0 0 1 1 2 2 3 3 4 (of 5), 0 0 0 0 0 1 1 1 1 (of 2). */
static void excite_reads_the_floor_row(void **state)
{
    (void)state;
    static const int rows[3][10] = {{3, 0, 0, 0, 1, 1, 1, 2, 2, 2}, {5, 0, 0, 1, 1, 2, 2, 3, 3, 4}, {2, 0, 0, 0, 0, 0, 1, 1, 1, 1}};
    for (int k = 0; k < 3; k++) {
        rig r;
        open_rig(&r, GN_F64);
        int m = rows[k][0], u = rig_map(&r, 1, 9, 9, 1), id = rig_map(&r, 1, 9, 9, 1), o = rig_map(&r, 1, 9, 9, 1);
        int t = rig_map(&r, 1, m, m, 1), s = rig_map(&r, 1, m, m, 1);
        rig_step(&r, GN_OP_EXCITE, NULL, LIST(u, t, id), LIST(o, s));
        rig_finish(&r);
        for (int i = 0; i < m * m; i++)
            rig_set(&r, t, i, i - 3);
        for (int i = 0; i < 81; i++)
            rig_set(&r, u, i, 1);
        rig_run(&r, GN_FORWARD);
        for (int i = 0; i < 81; i++) {
            double logit = rows[k][1 + i / 9] * m + rows[k][1 + i % 9] - 3;
            assert_true(fabs(rig_get(&r, o, i) - 1 / (1 + exp(-logit))) < 1e-15);
        }
        rig_close(&r);
    }
}

/* Gates far out do not overflow: sigmoid(-1000) = 0, sigmoid(1000) = 1. */
static void tail_survives_large_logits(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F32);
    int y = rig_map(&r, 1, 1, 1, 2), stats = rig_vector(&r, 2, 4, 2, 1), t = rig_vector(&r, 2, 1, 2, 1);
    int id = rig_map(&r, 1, 1, 1, 2), o = rig_map(&r, 1, 1, 1, 2), s = rig_vector(&r, 2, 1, 2, 1);
    rig_step(&r, GN_OP_TAIL, NULL, LIST(y, stats, t, id), LIST(o, s));
    rig_finish(&r);
    PUT(&r, y, 5, 5);
    PUT(&r, stats, 0, 0, 1, 1, 2, 2, 1, 1);
    PUT(&r, t, -1000, 1000);
    PUT(&r, id, 0.25, 0.25);
    rig_run(&r, GN_FORWARD);
    EXPECT(&r, s, 0, 0, 1);
    EXPECT(&r, o, 0, 0.25, 11.25);
    rig_close(&r);
}

/* Windows of 3, stride 2, padding 1 over 1 2 3 4: averages of what is there, not of the padding. */
static void local_pool_does_not_count_padding(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F64);
    gn_attr attr = {.kernel = 3, .stride = 2, .pad = {1, 1, 1, 1}};
    int u = rig_map(&r, 1, 1, 4, 1), q = rig_map(&r, 1, 1, 2, 1);
    rig_step(&r, GN_OP_LOCAL_POOL, &attr, LIST(u), LIST(q));
    rig_finish(&r);
    PUT(&r, u, 1, 2, 3, 4);
    rig_run(&r, GN_FORWARD);
    EXPECT(&r, q, 1e-15, 1.5, 3);
    rig_close(&r);
}

/* --- loss ------------------------------------------------------------------------------------------------------------------ */

/* Four images, uniform logits over four classes but for the last, whose logits would overflow a naive exp. */
static void loss_follows_both_conventions(void **state)
{
    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        rig r;
        open_rig(&r, GN_F32);
        gn_attr attr = {.on = 0.9, .off = 0.025, .grad_scale = 8, .exact = exact}; /* published form: a row sums to 0.975 */
        int z = rig_vector(&r, 2, 4, 4, 1), labels = rig_typed(&r, GN_I32, 2, 4, 2, 1, 1);
        int lambda = rig_typed(&r, GN_F32, 1, 4, 1, 1, 1), losses = rig_vector(&r, 1, 4, 1, 1), d = rig_vector(&r, 2, 4, 4, 1);
        rig_step(&r, GN_OP_SOFTMAX_LOSS, &attr, LIST(z, labels, lambda), LIST(losses, d));
        rig_finish(&r);
        PUT(&r, z, 5, 5, 5, 5, 0, 0, 0, 0, 9, 8, 7, 6, 1000, 0, -1000, 0);
        PUT(&r, labels, 1, -1, 0, 3, -1, -1, 0, 99);
        PUT(&r, lambda, 1, 0.75, 1, 1);
        rig_run(&r, GN_FORWARD);
        double p = exact ? 0.25 * 0.975 : 0.25, one = exact ? 0.975 : 1;
        EXPECT(&r, losses, 1e-4, 0.975 * log(4), 0.975 * log(4), 0, 0.025 * 4000);
        EXPECT(&r, d, 1e-6, 2 * (p - 0.025), 2 * (p - 0.9), 2 * (p - 0.025), 2 * (p - 0.025), /* */
               2 * (p - 0.75 * 0.9 - 0.25 * 0.025), 2 * (p - 0.025), 2 * (p - 0.025), 2 * (p - 0.25 * 0.9 - 0.75 * 0.025), /* */
               0, 0, 0, 0, 2 * (one - 0.9), -2 * 0.025, -2 * 0.025, -2 * 0.025);
        rig_close(&r);
    }
}

/* The mixing example of the golden vectors: 10 classes, smoothing 0.1, lambda 0.7, classes 3 and 5. */
static void mixed_targets_smooth_first(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, GN_F64);
    gn_attr attr = {.on = 0.91, .off = 0.01, .grad_scale = 1, .exact = true};
    int z = rig_vector(&r, 2, 1, 10, 1), labels = rig_typed(&r, GN_I32, 2, 1, 2, 1, 1);
    int lambda = rig_typed(&r, GN_F32, 1, 1, 1, 1, 1), losses = rig_vector(&r, 1, 1, 1, 1), d = rig_vector(&r, 2, 1, 10, 1);
    rig_step(&r, GN_OP_SOFTMAX_LOSS, &attr, LIST(z, labels, lambda), LIST(losses, d));
    rig_finish(&r);
    PUT(&r, labels, 3, 5);
    PUT(&r, lambda, 0.7);
    rig_run(&r, GN_FORWARD);
    for (int c = 0; c < 10; c++)
        assert_true(fabs(0.1 - rig_get(&r, d, c) - (c == 3 ? 0.64 : c == 5 ? 0.28 : 0.01)) < 1e-7);
    rig_close(&r);
}

/* --- bf16 ------------------------------------------------------------------------------------------------------------------- */

/* 0 + x rounds x: ties to even both ways, the largest float, infinities, NaN, a denormal, minus zero. */
static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const struct { uint32_t in; uint16_t out; } cases[] = {
        {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81}, {0x3f807fff, 0x3f80},
        {0xbf818000, 0xbf82}, {0x7f7fffff, 0x7f80}, {0x7f7f7fff, 0x7f7f}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
        {0x00008000, 0x0000}, {0x00018000, 0x0002}, {0x7f800001, 0x7fc0}, {0x7fffffff, 0x7fff},
    };
    enum { N = sizeof cases / sizeof *cases };
    rig r;
    open_rig(&r, GN_BF16);
    gn_attr attr = {0};
    int y = rig_vector(&r, 2, 1, N, 1), q = rig_map(&r, 1, 1, 1, N);
    rig_step(&r, GN_OP_GLOBAL_POOL_DX, &attr, LIST(y), LIST(q)); /* one pixel: a plain copy from f32 to bf16 */
    rig_finish(&r);
    for (int i = 0; i < N; i++)
        memcpy((float *)r.data[y] + i, &cases[i].in, sizeof(float));
    rig_run(&r, GN_FORWARD);
    for (int i = 0; i < N; i++) {
        uint16_t found = ((const uint16_t *)r.data[q])[i];
        if (isnan(rig_get(&r, y, i)))
            assert_true(isnan(rig_get(&r, q, i)));
        else
            assert_int_equal(found, cases[i].out);
    }
    rig_close(&r);
}

/* --- 8 bits ------------------------------------------------------------------------------------------------------------ */

static void quantize_rounds_ties_to_even(void **state)
{
    (void)state;
    static const gn_dtype types[] = {GN_F32, GN_F64, GN_BF16};
    for (int t = 0; t < 3; t++) {
        rig r;
        open_rig(&r, types[t]);
        int x = rig_map(&r, 1, 1, 3, 4), q = rig_typed(&r, GN_U8, 4, 1, 1, 3, 4);
        rig_step(&r, GN_OP_QUANTIZE, &(gn_attr){.scale = 0.5f}, LIST(x), LIST(q));
        rig_finish(&r);
        PUT(&r, x, 0.25, 0.75, 1.25, 1.75, -1, 0, 127.25, 127.75, 1000, INFINITY, -INFINITY, NAN);
        rig_run(&r, GN_FORWARD);
        EXPECT(&r, q, 0, 0, 2, 2, 4, 0, 0, 254, 255, 255, 255, 0, 0);
        rig_close(&r);
    }
}

/* Two pixels of two channels; sums 255*127*2 = 64770 and 255*127*1 - 255 that 16 bits cannot hold; a negative one. */
static void int8_convolution_is_exact(void **state)
{
    (void)state;
    for (int bytes = 0; bytes < 2; bytes++) {
        rig r;
        open_rig(&r, GN_F32);
        int x = rig_typed(&r, GN_U8, 4, 1, 1, 2, 2), w = rig_weight(&r, 3, 2, 1, 1), scale = rig_vector(&r, 1, 3, 1, 1);
        int bias = rig_vector(&r, 1, 3, 1, 1), y = bytes ? rig_typed(&r, GN_U8, 4, 1, 1, 2, 3) : rig_map(&r, 1, 1, 2, 3);
        gn_attr attr = {.kernel = 1, .stride = 1, .scale = 128};
        if (bytes)
            rig_step(&r, GN_OP_CONV_INT8, &attr, LIST(x, w, scale, bias), LIST(y));
        else
            rig_step(&r, GN_OP_CONV_INT8, &attr, LIST(x, w, scale, bias, y), LIST(y));
        rig_finish(&r);
        PUT(&r, x, 255, 255, 255, 3);
        PUT(&r, w, 127, 127, 127, -1, -127, 5);
        PUT(&r, scale, 0.5, 0.25, 1);
        PUT(&r, bias, 1, -2, 0.5);
        if (!bytes)
            PUT(&r, y, 100, 0, 0, 0, 1, 2);
        rig_run(&r, GN_FORWARD);
        if (bytes) /* over 128: 253.02, 62.74, below 0; 128, 63.23, below 0 */
            EXPECT(&r, y, 0, 253, 63, 0, 128, 63, 0);
        else
            EXPECT(&r, y, 0, 32486, 8030.5, -31109.5, 16384, 8094.5, -32367.5);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_mixes_and_cuts),
        cmocka_unit_test(input_refuses_a_foreign_partner),
        cmocka_unit_test(convolution_pads_bottom_and_right),
        cmocka_unit_test(statistics_are_biased_and_running_ones_unbiased),
        cmocka_unit_test(one_value_has_no_variance),
        cmocka_unit_test(variance_survives_a_large_mean),
        cmocka_unit_test(relu_passes_nan),
        cmocka_unit_test(pool_takes_the_first_largest),
        cmocka_unit_test(gather_is_that_of_the_statistics_pass),
        cmocka_unit_test(excite_reads_the_floor_row),
        cmocka_unit_test(tail_survives_large_logits),
        cmocka_unit_test(local_pool_does_not_count_padding),
        cmocka_unit_test(loss_follows_both_conventions),
        cmocka_unit_test(mixed_targets_smooth_first),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(quantize_rounds_ties_to_even),
        cmocka_unit_test(int8_convolution_is_exact),
    };
    return cmocka_run_group_tests_name("values of ref", tests, NULL, NULL);
}
