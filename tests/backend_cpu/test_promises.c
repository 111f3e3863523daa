/* SPDX-License-Identifier: Apache-2.0
 * What backend cpu promises beyond the values of single steps: statistics that survive a large mean, NaN and infinity that
 * are not lost, the same bits for the same number of threads, weights packed again when told, an update like ref's, and a
 * warm run that takes no memory and starts no thread. */
#include <dirent.h>
#include <malloc.h>
#include <math.h>
#include <string.h>

#include "backend/rig.h"
#include "base/mem.h"

static const char *const sets[] = {"sse4", "avx2", "avx512"};
static const char *isa;
static int threads = 2;

static genet_status open_set(void **device, const gn_backend_options *options, genet_error *err)
{
    (void)options;
    return gn_backend_cpu.open(device, &(gn_backend_options){.threads = threads, .isa = isa}, err);
}

static gn_backend cpu(void)
{
    gn_backend b = gn_backend_cpu;
    b.open = open_set;
    return b;
}

/* Whether this CPU has the set. */
static bool choose(const char *set)
{
    void *device;
    genet_error err = {0};
    isa = set;
    if (open_set(&device, NULL, &err) != GENET_OK) {
        print_message("%s is left out: %s\n", set, err.text);
        isa = NULL;
        return false;
    }
    gn_backend_cpu.close(device);
    return true;
}

typedef struct bn_rig {
    rig r;
    int y, gamma, beta, stats, mean, var, o;
} bn_rig;

static void bn_open(bn_rig *b, const gn_backend *backend, int n, int h, int w, int c)
{
    gn_attr attr = {.eps = 1e-5, .keep = 0.5, .relu = true};
    rig *r = &b->r;
    rig_open(r, backend, GN_F32, n, false);
    b->y = rig_map(r, n, h, w, c);
    int *vectors[] = {&b->gamma, &b->beta, &b->mean, &b->var};
    for (int i = 0; i < 4; i++)
        *vectors[i] = rig_vector(r, 1, c, 1, 1);
    b->stats = rig_vector(r, 2, 4, c, 1);
    b->o = rig_map_like(r, b->y);
    rig_fill(r, b->gamma, 1, 0.5);
    rig_fill(r, b->beta, 0, 0.5);
    rig_step(r, GN_OP_BN_STATS, &attr, LIST(b->y, b->gamma, b->beta), LIST(b->stats, b->mean, b->var));
    rig_step(r, GN_OP_BN_ACT, &attr, LIST(b->y, b->stats), LIST(b->o));
    rig_finish(r);
}

/* |mean| up to 10,000 deviations: the variance within 1e-6 of itself, the mean within its own rounding + 1e-6 deviations. */
static void statistics_survive_a_large_mean(void **state)
{
    (void)state;
    enum { N = 3, SIDE = 29, C = 21 };
    const gn_backend backend = cpu();
    for (int s = 0; s < 3; s++) {
        bn_rig b;
        if (!choose(sets[s]))
            continue;
        bn_open(&b, &backend, N, SIDE, SIDE, C);
        rig_fill(&b.r, b.y, 0, 1);
        for (int64_t i = 0; i < rig_tensor(&b.r, b.y)->count; i++)
            rig_set(&b.r, b.y, i, (float)(rig_get(&b.r, b.y, i) + (i % C % 5 ? pow(10, (double)(i % C % 5)) : 0)));
        rig_run_step(&b.r, 0);
        for (int c = 0; c < C; c++) {
            double mean = 0, var = 0, m = N * SIDE * SIDE;
            for (int64_t i = 0; i < N * SIDE * SIDE; i++)
                mean += rig_get(&b.r, b.y, i * C + c) / m;
            for (int64_t i = 0; i < N * SIDE * SIDE; i++)
                var += pow(rig_get(&b.r, b.y, i * C + c) - mean, 2) / m;
            double mean_off = fabs(rig_get(&b.r, b.stats, c) - mean), var_off = fabs(rig_get(&b.r, b.stats, C + c) - var);
            assert_true(mean_off <= ldexp(fabs(mean), -24) + 1e-6 * sqrt(var));
            assert_true(var_off <= 1e-6 * var);
        }
        rig_close(&b.r);
    }
}

/* A NaN or infinity in one channel makes that channel's statistics and outputs not finite, and no other's. */
static void what_is_not_finite_shows(void **state)
{
    (void)state;
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    const gn_backend backend = cpu();
    for (int s = 0; s < 3; s++)
        for (int k = 0; choose(sets[s]) && k < 3; k++) {
            bn_rig b;
            bn_open(&b, &backend, 2, 5, 9, 19);
            rig_fill(&b.r, b.y, 0, 1);
            rig_set(&b.r, b.y, 40 * 19 + 17, odd[k]);
            rig_run(&b.r, GN_FORWARD);
            for (int64_t i = 0; i < 19; i++)
                assert_true(isfinite(rig_get(&b.r, b.stats, 19 + i)) == (i != 17));
            for (int64_t i = 0; i < rig_tensor(&b.r, b.o)->count; i++)
                assert_true(isnan(rig_get(&b.r, b.o, i)) == (i % 19 == 17));
            rig_close(&b.r);
        }
}

/* Two runs over different garbage in outputs and scratch give the same bits. */
static void same_threads_same_bits(void **state)
{
    (void)state;
    const gn_backend backend = cpu();
    isa = NULL;
    for (threads = 1; threads <= 4; threads++) {
        bn_rig b;
        float first[4 * 35];
        bn_open(&b, &backend, 3, 17, 11, 35);
        rig_fill(&b.r, b.y, 3, 1);
        rig_run_step(&b.r, 0);
        memcpy(first, b.r.data[b.stats], sizeof first);
        memset(b.r.data[b.stats], 0xff, sizeof first);
        rig_run_step(&b.r, 0);
        assert_memory_equal(first, b.r.data[b.stats], sizeof first);
        rig_close(&b.r);
    }
    threads = 2;
}

static void update_is_refs(void **state)
{
    (void)state;
    enum { COUNT = 1003 };
    float values[4][COUNT], found[4][COUNT], wide[4][COUNT];
    gn_segment segments[] = {{0, 500, true, false}, {500, 700, true, true}, {700, COUNT, false, false}};
    for (int e = 0; e < COUNT; e++)
        for (int k = 0; k < 4; k++)
            values[k][e] = (float)sin(e * (k + 1.7));
    for (int s = 0; s < 6; s++) {
        void *device, *ref;
        genet_error err;
        if (!choose(sets[s / 2]))
            continue;
        assert_int_equal(open_set(&device, NULL, &err), GENET_OK);
        assert_int_equal(gn_backend_ref.open(&ref, &(gn_backend_options){.threads = 1}, &err), GENET_OK);
        memcpy(found, values, sizeof values);
        memcpy(wide, values, sizeof values);
        gn_sgd g = {found[0], found[1], found[2], found[3], false, segments, 3, 0.1, 0.9, 1e-4, 0.25, 0.999, s % 2};
        gn_backend_cpu.sgd(device, &g);
        g.w = wide[0], g.v = wide[1], g.ema = wide[2], g.grad = wide[3];
        gn_backend_ref.sgd(ref, &g);
        for (int k = 0; k < 3; k++) /* at most five roundings of values below 3 */
            for (int e = 0; e < COUNT; e++)
                assert_true(fabs((double)found[k][e] - wide[k][e]) <= 15 * ldexp(1, -24));
        assert_memory_equal(found[0] + 500, values[0] + 500, 200 * sizeof(float)); /* frozen */
        gn_backend_cpu.close(device);
        gn_backend_ref.close(ref);
    }
}

static int threads_alive(void)
{
    int count = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return count;
}

/* Convolution, statistics, activation, dense layer, and their gradients, run over and over. */
static void a_warm_run_takes_nothing(void **state)
{
    (void)state;
    const gn_backend backend = cpu();
    gn_attr attr = {.stride = 1, .pad = {1, 1, 1, 1}};
    rig r;
    isa = NULL;
    rig_open(&r, &backend, GN_F32, 4, false);
    int x = rig_map(&r, 4, 16, 16, 32), w = rig_weight(&r, 64, 32, 3, 3), y = rig_map(&r, 4, 16, 16, 64);
    int dx = rig_map_like(&r, x), dw = rig_map_like(&r, w), g = rig_vector(&r, 2, 4, 64, 1), q = rig_vector(&r, 2, 4, 500, 1);
    int fc = rig_vector(&r, 2, 500, 64, 1);
    rig_fill(&r, x, 0, 1);
    rig_fill(&r, w, 0, 0.1);
    rig_step(&r, GN_OP_CONV, &attr, LIST(x, w), LIST(y));
    rig_step(&r, GN_OP_GLOBAL_POOL, NULL, LIST(y), LIST(g));
    rig_step(&r, GN_OP_DENSE, NULL, LIST(g, fc), LIST(q));
    rig_back(&r, GN_OP_CONV_DW, &attr, LIST(x, y), LIST(dw));
    rig_back(&r, GN_OP_CONV_DX, &attr, LIST(y, w), LIST(dx));
    rig_finish(&r);
    for (int i = 0; i < 3; i++) {
        rig_run(&r, GN_FORWARD);
        rig_run(&r, GN_BACKWARD);
    }
    const uint64_t taken = gn_alloc_count();
    const int alive = threads_alive();
    const size_t in_use = mallinfo2().uordblks;
    for (int i = 0; i < 60; i++) {
        rig_run(&r, GN_FORWARD);
        rig_run(&r, GN_BACKWARD);
    }
    assert_int_equal(gn_alloc_count(), taken);
    assert_int_equal(threads_alive(), alive);
    /* oneDNN's own small blocks come and go within a call, some stay in the caches of malloc; 300 calls must not add up. */
    assert_true(mallinfo2().uordblks < in_use + 8192);
    rig_close(&r);
}

/* In a plan without backward steps packed weights live until weights_changed. */
static void weights_are_packed_again_when_told(void **state)
{
    (void)state;
    const gn_backend backend = cpu();
    gn_attr attr = {.stride = 1, .pad = {1, 1, 1, 1}};
    rig r;
    isa = NULL;
    rig_open(&r, &backend, GN_F32, 1, false);
    int x = rig_map(&r, 1, 7, 7, 16), w = rig_weight(&r, 16, 16, 3, 3), y = rig_map(&r, 1, 7, 7, 16);
    rig_fill(&r, x, 1, 0.5);
    rig_fill(&r, w, 1, 0.5);
    rig_step(&r, GN_OP_CONV, &attr, LIST(x, w), LIST(y));
    rig_finish(&r);
    rig_run(&r, GN_FORWARD);
    double before = rig_get(&r, y, 400);
    for (int64_t i = 0; i < rig_tensor(&r, w)->count; i++)
        rig_set(&r, w, i, 2 * rig_get(&r, w, i));
    backend.weights_changed(r.prepared);
    rig_run(&r, GN_FORWARD);
    assert_true(rig_get(&r, y, 400) == 2 * before);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_survive_a_large_mean), cmocka_unit_test(what_is_not_finite_shows),
        cmocka_unit_test(same_threads_same_bits),          cmocka_unit_test(update_is_refs),
        cmocka_unit_test(a_warm_run_takes_nothing),        cmocka_unit_test(weights_are_packed_again_when_told),
    };
    return cmocka_run_group_tests_name("promises of backend cpu", tests, NULL, NULL);
}
