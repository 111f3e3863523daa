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

/* Measured on one core of a Zen 5, batches of 2 to 32, operands not in the caches, against oneDNN 3.2 and (batch 32) 2.6.3, which
 * are alike here, both held to the own kernel's instruction set (docs/performance.md has the figures):
 * - fewer than 32 channels or output channels leave register tiles half empty: 0.4 to 1.1 times oneDNN's rate. The stem's 3
 *   channels are 21 with its columns: 1.05 to 1.26 with 64 output channels, 0.9 to 1.0 with 32;
 * - 40 output channels of a 3x3 in tiles of 32: 0.85;
 * - AVX-512: 1.03 to 2.1 times from a few hundred pixels on (a batch's output pixels), 0.76 to 1.7 below, where laying the sums out
 *   takes its time and the outcome depends on the shape;
 * - AVX2: windows 1.09 to 2.0 times, from 98 pixels on; 1x1 1.02 to 1.34 times from 1,500 pixels on (0.98 for two of stage 4 at
 *   batch 32), 0.7 to 1.0 at fewer than 400, 0.88 to 1.02 for 256 channels to 64. */
bool gn_wgrad_wins(const gn_wgrad *own, const gn_conv_shape *g, int onednn_bits)
{
    const bool wide = strcmp(own->isa, "avx512") == 0, pointwise = g->r * g->s == 1;
    const int64_t pixels = g->n * g->p * g->q;
    if (onednn_bits > (wide ? 512 : 256))
        return false; /* it was not measured against wider vectors; they have twice its peak */
    if (g->k < 32 || (g->c < 32 && (g->c > 4 || g->k < 64)))
        return false;
    if (!pointwise && g->k < 128 && g->k % 32)
        return false;
    if (wide)
        return pixels >= 512;
    return pointwise ? pixels >= 1024 && !(g->k <= 64 && g->c >= 4 * g->k) : pixels >= 96;
}
