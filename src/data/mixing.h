/* SPDX-License-Identifier: Apache-2.0
 * Mixup and CutMix: which lambda and box a batch has. Place n is mixed with place batch-1-n; one draw for a batch, a
 * function of (seed, epoch, batch number). */
#ifndef GN_DATA_MIXING_H
#define GN_DATA_MIXING_H
#include <stdint.h>

typedef struct gn_mixing {
    double lambda; /* share of the place's own picture; 1: no mixing */
    int top, left, bottom, right; /* CutMix: rows top..bottom-1, columns left..right-1 are the partner's; empty: mixup */
} gn_mixing;

/* mixup, cutmix: the alpha of each, 0 for none; with both, one is drawn with even odds. */
gn_mixing gn_mixing_draw(uint64_t seed, uint32_t epoch, int64_t batch, int size, double mixup, double cutmix);
/* CutMix with lambda drawn before and the centre of the box: the clipped box and the lambda that follows from its area. */
gn_mixing gn_mixing_box(double lambda, int centre_y, int centre_x, int height, int width);
#endif
