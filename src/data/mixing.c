/* SPDX-License-Identifier: Apache-2.0
 * Mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899), with the box of the usual implementations. */
#include "data/mixing.h"
#include <math.h>
#include <stdbool.h>
#include "base/rng.h"

static int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

gn_mixing gn_mixing_box(double lambda, int y, int x, int height, int width)
{
    gn_mixing m;
    double side = sqrt(1 - lambda);
    int rows = (int)(height * side), columns = (int)(width * side);
    m.top = clamp(y - rows / 2, 0, height);
    m.bottom = clamp(y + (rows + 1) / 2, 0, height);
    m.left = clamp(x - columns / 2, 0, width);
    m.right = clamp(x + (columns + 1) / 2, 0, width);
    m.lambda = 1 - (double)(m.bottom - m.top) * (m.right - m.left) / ((double)height * width);
    if (m.lambda == 1) /* an empty box means mixup elsewhere */
        m.top = m.bottom = m.left = m.right = 0;
    return m;
}

gn_mixing gn_mixing_draw(uint64_t seed, uint32_t epoch, int64_t batch, int size, double mixup, double cutmix)
{
    gn_mixing m = {.lambda = 1};
    gn_rng rng = gn_rng_make(seed, epoch, (uint64_t)batch, GN_RNG_MIX);
    if (mixup <= 0 && cutmix <= 0)
        return m;
    bool box = cutmix > 0 && (mixup <= 0 || gn_rng_u32(&rng) >> 31);
    double lambda = gn_rng_beta(&rng, box ? cutmix : mixup);
    if (box) {
        int y = (int)gn_rng_below(&rng, (uint32_t)size), x = (int)gn_rng_below(&rng, (uint32_t)size);
        return gn_mixing_box(lambda, y, x, size, size);
    }
    m.lambda = lambda;
    return m;
}
