/* SPDX-License-Identifier: Apache-2.0
 * Which kernels this CPU can run. */
#include <string.h>

#include "backend/cpu/kernels.h"

#if defined __x86_64__
extern const gn_kernels gn_kernel_table_sse4_f32, gn_kernel_table_sse4_bf16, gn_kernel_table_avx2_f32, gn_kernel_table_avx2_bf16,
    gn_kernel_table_avx512_f32, gn_kernel_table_avx512_bf16;

static bool has_sse4(void)
{
    return __builtin_cpu_supports("sse4.1");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && has_avx2();
}

bool gn_cpu_has_bf16(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
}

/* From the best down. */
static const struct { bool (*runs)(void); const gn_kernels *f32, *bf16; } sets[] = {
    {has_avx512, &gn_kernel_table_avx512_f32, &gn_kernel_table_avx512_bf16},
    {has_avx2, &gn_kernel_table_avx2_f32, &gn_kernel_table_avx2_bf16},
    {has_sse4, &gn_kernel_table_sse4_f32, &gn_kernel_table_sse4_bf16},
};
static const char known[] = "sse4, avx2, avx512";
#else
extern const gn_kernels gn_kernel_table_base_f32, gn_kernel_table_base_bf16;

static bool always(void)
{
    return true;
}

bool gn_cpu_has_bf16(void)
{
    return false;
}

static const struct { bool (*runs)(void); const gn_kernels *f32, *bf16; } sets[] = {
    {always, &gn_kernel_table_base_f32, &gn_kernel_table_base_bf16},
};
static const char known[] = "base";
#endif

const gn_kernels *gn_kernels_find(const char *isa, bool bf16, genet_error *err)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const gn_kernels *k = bf16 ? sets[i].bf16 : sets[i].f32;
        if (isa && strcmp(isa, k->isa) != 0)
            continue;
        if (sets[i].runs())
            return k;
        if (isa) {
            gn_fail(err, GENET_UNSUPPORTED, "this CPU has no %s", isa);
            return NULL;
        }
    }
    if (isa)
        gn_fail(err, GENET_USAGE, "unknown instruction set \"%s\"; there are: %s", isa, known);
    else
        gn_fail(err, GENET_UNSUPPORTED, "this CPU has none of the instruction sets that the cpu backend is built for (%s); "
                                        "--backend ref runs on any", known);
    return NULL;
}
