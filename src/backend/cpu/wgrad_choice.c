/* SPDX-License-Identifier: Apache-2.0
 * Which weight gradient runs: the rule of wgrad.h. */
#include "backend/cpu/wgrad.h"

#include <string.h>

const gn_wgrad *gn_wgrad_find(const char *isa)
{
#if defined __x86_64__
    extern const gn_wgrad gn_wgrad_avx2, gn_wgrad_avx512;
    static const gn_wgrad *const all[] = {&gn_wgrad_avx512, &gn_wgrad_avx2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->isa, isa) == 0)
            return all[i];
#endif
    (void)isa;
    return NULL;
}

bool gn_wgrad_wins(const gn_wgrad *own, const gn_conv_shape *g, int onednn_bits)
{
    (void)g;
    return (strcmp(own->isa, "avx512") == 0 ? 512 : 256) >= onednn_bits;
}
