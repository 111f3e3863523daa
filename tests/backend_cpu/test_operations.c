/* SPDX-License-Identifier: Apache-2.0
 * Every operation of backend cpu against ref over the scenarios' edge shapes: step by step from the same values, f32 and bf16,
 * every instruction set that this CPU has, 1 to 3 threads. Outputs are NaN before a step, so that one left unwritten shows. */
#include <string.h>

#include "backend/scenarios.h"
#include "backend_cpu/compare.h"

static const char *isa;
static int threads;

/* gn_backend_cpu with the instruction set and threads of the running test. */
static genet_status open_with(void **device, const gn_backend_options *options, genet_error *err)
{
    gn_backend_options mine = *options;
    mine.isa = isa;
    mine.threads = threads;
    return gn_backend_cpu.open(device, &mine, err);
}

static void poison(rig *r, const gn_step *s)
{
    for (int o = 0; o < GN_MAX_OUT; o++)
        if (s->out[o] >= 0 && !read_first(s, o))
            memset(r->data[s->out[o]], 0xff, rig_tensor(r, s->out[o])->bytes);
}

static double largest_of(const rig *r, int tensor)
{
    double largest = 0;
    for (int64_t e = 0; tensor >= 0 && e < rig_tensor(r, tensor)->count; e++)
        largest = fmax(largest, fabs(rig_get(r, tensor, e)));
    return largest;
}

static void compare_step(const scenario *s, int variant, rig *ref, rig *cpu, int step)
{
    const gn_step *k = &cpu->plan->steps[step];
    for (int t = 0; t < cpu->plan->tensor_count; t++)
        rig_copy(ref, cpu, t);
    double gradient = largest_of(ref, incoming(k));
    poison(cpu, k);
    rig_run_step(ref, step);
    rig_run_step(cpu, step);
    for (int o = 0; o < GN_MAX_OUT; o++) {
        if (k->out[o] < 0)
            continue;
        const gn_tensor *t = rig_tensor(cpu, k->out[o]);
        double allowed = allowed_miss(cpu->plan, k, t, fmax(gradient, largest_of(ref, k->out[o])));
        for (int64_t e = 0; e < t->count; e++) {
            double found = rig_get(cpu, k->out[o], e), right = rig_get(ref, k->out[o], e);
            if (!(fabs(found - right) <= allowed))
                fail_msg(
                    "%s variant %d, step %d (%s) output %d element %lld on %s, %d threads, %s: %.9g, ref says %.9g, allowed %.2g",
                    s->name, variant, step, gn_op_name(k->op), o, (long long)e, isa, threads, gn_dtype_name(cpu->plan->map_type),
                    found, right, allowed);
        }
    }
}

static void compare_scenario(const scenario *s, int variant, gn_dtype type)
{
    gn_backend backend = gn_backend_cpu;
    rig ref, cpu;
    backend.open = open_with;
    rig_open(&ref, &gn_backend_ref, GN_F64, 1, variant % 2);
    rig_open(&cpu, &backend, type, 1, variant % 2);
    s->build(&ref, variant);
    s->build(&cpu, variant);
    rig_finish(&ref);
    rig_finish(&cpu);
    for (int i = 0; i < cpu.loss_count; i++) /* coefficients into the `do` tensors */
        for (int64_t e = 0; cpu.losses[i].gradient >= 0 && e < rig_tensor(&cpu, cpu.losses[i].gradient)->count; e++)
            rig_set(&cpu, cpu.losses[i].gradient, e, cpu.losses[i].coefficient[e]);
    for (int step = 0; step < cpu.plan->step_count; step++)
        compare_step(s, variant, &ref, &cpu, step);
    rig_close(&ref);
    rig_close(&cpu);
}

static void compare_all(const char *set, gn_dtype type)
{
    genet_error err;
    void *device;
    gn_backend_options options = {.threads = 1, .isa = set};
    if (gn_backend_cpu.open(&device, &options, &err) != GENET_OK) {
        print_message("%s: %s\n", set, err.text);
        skip();
    }
    gn_backend_cpu.close(device);
    isa = set;
    for (threads = 1; threads <= 3; threads++)
        for (int i = 0; i < scenario_count; i++)
            for (int v = 0; v < scenarios[i].variants; v++)
                compare_scenario(&scenarios[i], v, type);
}

#define EACH(set, name, type)                                                                                             \
    static void set##_##name(void **state)                                                                                \
    {                                                                                                                     \
        (void)state;                                                                                                      \
        compare_all(#set, type);                                                                                          \
    }
EACH(sse4, f32, GN_F32)
EACH(sse4, bf16, GN_BF16)
EACH(avx2, f32, GN_F32)
EACH(avx2, bf16, GN_BF16)
EACH(avx512, f32, GN_F32)
EACH(avx512, bf16, GN_BF16)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sse4_f32),  cmocka_unit_test(sse4_bf16),   cmocka_unit_test(avx2_f32),
        cmocka_unit_test(avx2_bf16), cmocka_unit_test(avx512_f32), cmocka_unit_test(avx512_bf16),
    };
    return cmocka_run_group_tests_name("operations of backend cpu", tests, NULL, NULL);
}
