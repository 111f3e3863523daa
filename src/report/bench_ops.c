/* SPDX-License-Identifier: Apache-2.0
 * Where the time of a plan goes: a table by operation, and the slowest steps. Multiply-adds and bytes are what the step
 * needs at least (plan/cost.c), so GB/s counts every operand once. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "report/bench.h"

#define SLOWEST 12

typedef struct operation {
    gn_op op;
    double seconds, macs, bytes;
    int steps;
    const char *implementation;
    bool several; /* implementations */
} operation;

static int slower_first(const void *a, const void *b)
{
    double x = ((const operation *)a)->seconds, y = ((const operation *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static int gather(const gn_bench_net *n, const double *best, operation all[GN_OP_COUNT], double *total)
{
    int count = 0;
    memset(all, 0, GN_OP_COUNT * sizeof *all);
    *total = 0;
    for (int i = 0; i < n->plan->step_count; i++) {
        const gn_step *s = &n->plan->steps[i];
        operation *o = &all[s->op];
        const char *implementation = gn_exec_implementation(n->exec, i);
        o->op = s->op;
        o->several = o->several || (o->steps && strcmp(o->implementation, implementation));
        o->implementation = implementation;
        o->steps++;
        o->seconds += best[i];
        o->macs += n->pieces * (double)gn_step_macs(n->plan, s);
        o->bytes += n->pieces * (double)gn_step_bytes(n->plan, s);
        *total += best[i];
    }
    for (int k = 0; k < GN_OP_COUNT; k++)
        if (all[k].steps)
            all[count++] = all[k];
    qsort(all, (size_t)count, sizeof *all, slower_first);
    return count;
}

static void put_table(gn_bench_report *r, const operation *all, int count, double total)
{
    gn_text_add(&r->text, "operation        steps        ms  share        MB   GFLOP/s     GB/s  implementation\n");
    gn_text_add(&r->json, ",\"operations\":[");
    for (int k = 0; k < count; k++) {
        const operation *o = &all[k];
        double flops = o->seconds > 0 ? 2e-9 * o->macs / o->seconds : 0, bytes = o->seconds > 0 ? 1e-9 * o->bytes / o->seconds : 0;
        gn_text_add(&r->text, "%-16s %5d %9.2f %5.1f%% %9.1f %9.1f %8.1f  %s%s\n", gn_op_name(o->op), o->steps, 1e3 * o->seconds,
                    total > 0 ? 100 * o->seconds / total : 0, 1e-6 * o->bytes, flops, bytes, o->implementation,
                    o->several ? ", ..." : "");
        gn_text_add(&r->json, "%s{\"op\":\"%s\",\"steps\":%d,\"seconds\":%.6f,\"macs\":%.0f,\"bytes\":%.0f}", k ? "," : "",
                    gn_op_name(o->op), o->steps, o->seconds, o->macs, o->bytes);
    }
    gn_text_add(&r->text, "all              %5s %9.2f\n\n", "", 1e3 * total);
    gn_text_add(&r->json, "]");
}

typedef struct slow_step {
    int step;
    double seconds;
} slow_step;

static int slower_step_first(const void *a, const void *b)
{
    const slow_step *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : x->step - y->step;
}

static void put_steps(gn_bench_report *r, const gn_bench_net *n, const double *best)
{
    int count = n->plan->step_count;
    slow_step *all = gn_calloc((size_t)count, sizeof *all);
    if (!all) {
        r->text.failed = r->json.failed = true;
        return;
    }
    for (int i = 0; i < count; i++)
        all[i] = (slow_step){i, best[i]};
    qsort(all, (size_t)count, sizeof *all, slower_step_first);
    gn_text_add(&r->text, "slowest steps                              ms        MB   GFLOP/s     GB/s  implementation\n");
    gn_text_add(&r->json, ",\"steps\":[");
    for (int i = 0; i < count; i++) {
        const gn_step *s = &n->plan->steps[all[i].step];
        double seconds = all[i].seconds > 0 ? all[i].seconds : 1e-9;
        double macs = n->pieces * (double)gn_step_macs(n->plan, s), bytes = n->pieces * (double)gn_step_bytes(n->plan, s);
        if (i < SLOWEST)
            gn_text_add(&r->text, "%-14s %-22s %8.2f %9.1f %9.1f %8.1f  %s\n", gn_op_name(s->op), s->label, 1e3 * seconds,
                        1e-6 * bytes, 2e-9 * macs / seconds, 1e-9 * bytes / seconds, gn_exec_implementation(n->exec, all[i].step));
        gn_text_add(&r->json, "%s{\"step\":%d,\"op\":\"%s\",\"label\":", i ? "," : "", all[i].step, gn_op_name(s->op));
        gn_json_put_string(&r->json, s->label);
        gn_text_add(&r->json, ",\"seconds\":%.6f,\"macs\":%.0f,\"bytes\":%.0f,\"implementation\":", all[i].seconds, macs, bytes);
        gn_json_put_string(&r->json, gn_exec_implementation(n->exec, all[i].step));
        gn_text_add(&r->json, "}");
    }
    gn_text_add(&r->text, "\n");
    gn_text_add(&r->json, "]");
    gn_free(all);
}

void gn_bench_operations(gn_bench_report *r, const gn_bench_net *n, const double *best)
{
    operation all[GN_OP_COUNT];
    double total;
    int count = gather(n, best, all, &total);
    put_table(r, all, count, total);
    put_steps(r, n, best);
}
