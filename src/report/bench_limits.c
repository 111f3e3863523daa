/* SPDX-License-Identifier: Apache-2.0
 * What the machine could do at most: its multiply-add peak, its memory bandwidth, and the network's convolutions each
 * called alone. A training step cannot be faster than the last. bench_layers.c has them layer by layer. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/threads.h"
#include "infer/build.h"
#include "report/bench.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MAX_THREADS 1024
#define BLOCK ((size_t)64 << 20) /* bytes a thread reads: far beyond its cache */
#define ROUNDS 40 /* short ones: beside other programs some are undisturbed */
#define LEAST_PASSES 5
#define MOST_PASSES 50
#define PASS_SECONDS 5.0

/* --- multiply-adds --------------------------------------------------------------------------------------------------------- */

/* Twelve independent sums hide a latency of up to six cycles on two units. Each returns its floating-point operations; *sink
 * keeps the compiler from leaving the work out. */
typedef double flops_function(int64_t rounds, float *sink);

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double flops_avx512(int64_t rounds, float *sink)
{
    __m512 s[12], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
    for (int k = 0; k < 12; k++)
        s[k] = _mm512_set1_ps((float)k);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++)
            s[k] = _mm512_fmadd_ps(s[k], a, b);
    for (int k = 1; k < 12; k++)
        s[0] = _mm512_add_ps(s[0], s[k]);
    *sink += _mm512_reduce_add_ps(s[0]);
    return (double)rounds * 12 * 16 * 2;
}

/* Pairs of bf16 products added to f32 sums. The operands' bits do not matter to the speed. */
__attribute__((target("avx512f,avx512bf16"))) static double flops_bf16(int64_t rounds, float *sink)
{
    __m512 s[12];
    __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f00), b = (__m512bh)_mm512_set1_epi16(0x3c00);
    for (int k = 0; k < 12; k++)
        s[k] = _mm512_set1_ps((float)k);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++)
            s[k] = _mm512_dpbf16_ps(s[k], a, b);
    for (int k = 1; k < 12; k++)
        s[0] = _mm512_add_ps(s[0], s[k]);
    *sink += _mm512_reduce_add_ps(s[0]);
    return (double)rounds * 12 * 32 * 2;
}

__attribute__((target("avx2,fma"))) static double flops_avx2(int64_t rounds, float *sink)
{
    __m256 s[12], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
    float out[8];
    for (int k = 0; k < 12; k++)
        s[k] = _mm256_set1_ps((float)k);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++)
            s[k] = _mm256_fmadd_ps(s[k], a, b);
    for (int k = 1; k < 12; k++)
        s[0] = _mm256_add_ps(s[0], s[k]);
    _mm256_storeu_ps(out, s[0]);
    *sink += out[0] + out[7];
    return (double)rounds * 12 * 8 * 2;
}
#endif

static double flops_plain(int64_t rounds, float *sink)
{
    float s[16];
    for (int k = 0; k < 16; k++)
        s[k] = (float)k;
    for (int64_t i = 0; i < rounds; i++)
        for (int k = 0; k < 16; k++)
            s[k] = s[k] * 0.999f + 1e-3f;
    for (int k = 0; k < 16; k++)
        *sink += s[k];
    return (double)rounds * 16 * 2;
}

/* Of the widest set that this CPU has and that isa ("": no matter) allows. */
static flops_function *best_flops(const char *isa, const char **name)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && (!*isa || !strcmp(isa, "avx512"))) {
        *name = "avx512 fma";
        return flops_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && strcmp(isa, "sse4")) {
        *name = "avx2 fma";
        return flops_avx2;
    }
#else
    (void)isa;
#endif
    *name = "plain C";
    return flops_plain;
}

/* --- on all threads ---------------------------------------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    flops_function *flops;
    int64_t rounds;
    uint64_t *block, *copy;
    bool copying;
    float sink;
    uint64_t sum;
} worker;

static void *work(void *argument)
{
    worker *w = argument;
    if (w->flops) {
        w->flops(w->rounds, &w->sink);
    } else if (w->copying) {
        memcpy(w->copy, w->block, BLOCK);
    } else {
        uint64_t s[8] = {0};
        for (size_t i = 0; i < BLOCK / 8; i += 8)
            for (size_t k = 0; k < 8; k++)
                s[k] += w->block[i + k];
        for (size_t k = 0; k < 8; k++)
            w->sum += s[k];
    }
    return NULL;
}

/* Seconds of the fastest of ROUNDS runs of all workers. */
static genet_status run_workers(worker *w, int n, double *best, genet_error *err)
{
    *best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        int started = 0;
        double start = gn_now();
        while (started < n && gn_thread_start(&w[started].thread, work, &w[started]) == 0)
            started++;
        for (int i = 0; i < started; i++)
            pthread_join(w[i].thread, NULL);
        double seconds = gn_now() - start;
        if (started < n)
            return gn_fail(err, GENET_MEMORY, "only %d of %d threads could be started", started, n);
        *best = seconds < *best ? seconds : *best;
    }
    return GENET_OK;
}

typedef struct machine {
    double peak_one, peak_all, peak_bf16, read, copy; /* FLOP/s, bytes/s; peak_bf16 of all threads, 0 where there is none */
    const char *kernel;
} machine;

static genet_status measure_peak(flops_function *flops, worker *w, int threads, double *peak, genet_error *err)
{
    const int64_t rounds = 2 * 1000 * 1000;
    double seconds, operations = flops(1, &w[0].sink) * (double)rounds;
    for (int i = 0; i < threads; i++)
        w[i] = (worker){.flops = flops, .rounds = rounds};
    genet_status status = run_workers(w, threads, &seconds, err);
    *peak = status == GENET_OK ? operations * threads / seconds : 0;
    return status;
}

static bool has_bf16(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static genet_status measure_machine(machine *m, const char *isa, int threads, genet_error *err)
{
    genet_status status = GENET_OK;
    double seconds;
    worker *w = gn_calloc((size_t)threads, sizeof *w);
    if (!w)
        return gn_fail_memory(err, (size_t)threads * sizeof *w, "threads");
    flops_function *flops = best_flops(isa, &m->kernel);
    GN_TRY(measure_peak(flops, w, 1, &m->peak_one, err));
    GN_TRY(measure_peak(flops, w, threads, &m->peak_all, err));
#if defined(__x86_64__)
    if (has_bf16())
        GN_TRY(measure_peak(flops_bf16, w, threads, &m->peak_bf16, err));
#endif
    for (int i = 0; i < threads; i++) {
        w[i] = (worker){.block = gn_slab_alloc(BLOCK), .copy = gn_slab_alloc(BLOCK)};
        if (!w[i].block || !w[i].copy) {
            status = gn_fail_memory(err, 2 * BLOCK, "a block to read");
            goto out;
        }
        memset(w[i].block, 1, BLOCK); /* pages of its own */
        memset(w[i].copy, 1, BLOCK);
    }
    GN_TRY(run_workers(w, threads, &seconds, err));
    m->read = (double)BLOCK * threads / seconds;
    for (int i = 0; i < threads; i++)
        w[i].copying = true;
    GN_TRY(run_workers(w, threads, &seconds, err));
    m->copy = 2 * (double)BLOCK * threads / seconds;
out:
    for (int i = 0; i < threads; i++) {
        gn_slab_free(w[i].block, BLOCK);
        gn_slab_free(w[i].copy, BLOCK);
    }
    gn_free(w);
    return status;
}

/* --- convolutions alone ----------------------------------------------------------------------------------------------- */

int gn_bench_part(gn_op op)
{
    return op == GN_OP_CONV ? 0 : op == GN_OP_CONV_DX ? 1 : op == GN_OP_CONV_DW ? 2 : -1;
}

/* Pass after pass over all of them, so that a disturbance does not hit all runs of one. */
genet_status gn_bench_convolve(gn_bench_convolutions *c, gn_bench_net *n, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_plan *p = n->plan;
    double *best = gn_calloc((size_t)p->step_count, sizeof *best), start = gn_now();
    memset(c, 0, sizeof *c);
    if (!best)
        return gn_fail_memory(err, (size_t)p->step_count * sizeof *best, "times of the convolutions");
    GN_TRY(gn_exec_run(n->exec, GN_FORWARD | GN_BACKWARD, err)); /* operands hold real values */
    for (int pass = 0; pass < LEAST_PASSES || (pass < MOST_PASSES && gn_now() - start < PASS_SECONDS); pass++)
        for (int i = 0; i < p->step_count; i++) {
            if (gn_bench_part(p->steps[i].op) < 0)
                continue;
            double before = gn_now();
            GN_TRY(gn_exec_run_step(n->exec, i, err));
            double seconds = gn_now() - before;
            if (pass == 0 || seconds < best[i])
                best[i] = seconds;
        }
    for (int i = 0; i < p->step_count; i++) {
        int part = gn_bench_part(p->steps[i].op);
        if (part < 0)
            continue;
        c->seconds[part] += best[i];
        c->macs[part] += (double)gn_step_macs(p, &p->steps[i]);
    }
out:
    gn_free(best);
    return status;
}

static void put_machine(gn_bench_report *r, const machine *m, int threads)
{
    char cpu[256];
    gn_cpu_name(cpu, sizeof cpu);
    gn_text_add(&r->text, "CPU        %s, %d threads\n", cpu, threads);
    gn_text_add(&r->text, "peak       %.1f GFLOP/s one thread, %.1f all (%s, f32)\n", 1e-9 * m->peak_one, 1e-9 * m->peak_all,
                m->kernel);
    if (m->peak_bf16 > 0)
        gn_text_add(&r->text, "           %.1f GFLOP/s all (avx512 bf16)\n", 1e-9 * m->peak_bf16);
    gn_text_add(&r->text, "memory     read %.1f GB/s, copy %.1f GB/s (read + written)\n\n", 1e-9 * m->read, 1e-9 * m->copy);
    gn_text_add(&r->json,
                "\"peak_flops_one\":%.4g,\"peak_flops\":%.4g,\"read_bytes_per_second\":%.4g,\"copy_bytes_per_second\":%.4g,"
                "\"peak_flops_bf16\":%.4g,",
                m->peak_one, m->peak_all, m->read, m->copy, m->peak_bf16);
}

static void put_convolutions(gn_bench_report *r, const gn_bench_convolutions *c, double peak, int batch)
{
    static const char *const names[] = {"forward", "data gradient", "weight gradient"};
    double all = 0, macs = 0;
    gn_text_add(&r->text, "convolutions alone, batch %d    ms an image   GFLOP/s   of peak\n", batch);
    gn_text_add(&r->json, ",\"batch\":%d,\"convolutions\":[", batch);
    for (int k = 0; k < 3; k++) {
        double flops = 2 * c->macs[k] / c->seconds[k];
        gn_text_add(&r->text, "  %-28s %11.2f %9.1f %8.0f %%\n", names[k], 1e3 * c->seconds[k] / batch, 1e-9 * flops,
                    100 * flops / peak);
        gn_text_add(&r->json, "%s{\"part\":\"%s\",\"seconds\":%.6f,\"macs\":%.0f}", k ? "," : "", names[k], c->seconds[k],
                    c->macs[k]);
        all += c->seconds[k];
        macs += c->macs[k];
    }
    gn_text_add(&r->text, "  %-28s %11.2f %9.1f %8.0f %%\n", "all", 1e3 * all / batch, 2e-9 * macs / all,
                200 * macs / all / peak);
    gn_text_add(&r->text, "a training step cannot be faster than %.2f images/s with these convolutions\n", batch / all);
    gn_text_add(&r->json, "],\"convolutions_images_per_second\":%.3f", batch / all);
}

genet_status gn_bench_limits(gn_bench_report *r, const gn_settings *s, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_bench_net n = {0};
    machine m = {0};
    gn_bench_convolutions c;
    int threads = gn_thread_count(s->threads);
    threads = threads > MAX_THREADS ? MAX_THREADS : threads;
    GN_TRY(measure_machine(&m, s->isa ? s->isa : "", threads, err));
    put_machine(r, &m, threads);
    GN_TRY(gn_bench_net_open(&n, s, (int)s->batch, true, err));
    gn_bench_describe(r, &n);
    GN_TRY(gn_bench_convolve(&c, &n, err));
    const double peak = n.map_type == GN_BF16 && m.peak_bf16 > 0 ? m.peak_bf16 : m.peak_all;
    put_convolutions(r, &c, peak, n.batch);
    GN_TRY(gn_bench_layers(r, &n, s->isa, peak, err));
out:
    gn_bench_net_close(&n);
    return status;
}
