/* SPDX-License-Identifier: Apache-2.0
 * Where Winograd's passes run: the rule of winograd.h. */
#include "backend/cpu/winograd.h"

#include <string.h>

const gn_winograd *gn_winograd_find(const char *isa)
{
#if defined __x86_64__
    extern const gn_winograd gn_winograd_avx2, gn_winograd_avx512;
    static const gn_winograd *const all[] = {&gn_winograd_avx512, &gn_winograd_avx2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->isa, isa) == 0)
            return all[i];
#endif
    (void)isa;
    return NULL;
}

gn_conv_shape gn_winograd_gradient(const gn_conv_shape *g)
{
    gn_conv_shape t = {.n = g->n, .h = g->p, .w = g->q, .c = g->k, .p = g->h, .q = g->w, .k = g->c, .r = g->r, .s = g->s,
                       .stride = g->stride, .bf16 = g->bf16, .int8 = g->int8};
    for (int i = 0; i < 4; i++)
        t.pad[i] = (int)(i % 2 ? g->s : g->r) - 1 - g->pad[i];
    return t;
}

bool gn_winograd_can(const gn_conv_shape *g)
{
    if (g->bf16 || g->int8 || g->r != 3 || g->s != 3 || g->stride != 1 || g->c % 16 || g->k % 32)
        return false;
    for (int i = 0; i < 4; i++)
        if (g->pad[i] < 0 || g->pad[i] > 2)
            return false;
    return true;
}

/* Measured with two threads on a Zen 5, batches of 1 to 32, widths 1/4 and 1, against oneDNN 3.2 held to the own kernel's
 * instruction set (docs/performance.md): 1.2 to 2.0 times as fast from 14 x 14 pixels on, packing included; with 16 or 64 tiles of
 * a 7 x 7 map 0.6 to 1.2 times, because packing costs as much as the products; without packing 1.1 to 1.2 times even there. */
bool gn_winograd_wins(const gn_winograd *own, const gn_conv_shape *g, bool kept, int onednn_bits)
{
    if (!gn_winograd_can(g) || onednn_bits > (strcmp(own->isa, "avx512") == 0 ? 512 : 256))
        return false;
    return kept || g->n * g->p * g->q >= 196;
}
