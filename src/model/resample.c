/* SPDX-License-Identifier: Apache-2.0
 * Gather kernels at another map size: theta and theta-plus tie their weights to the map they were trained on. */
#include "model/model.h"

/* Length of the overlap of [a0,a1) and [b0,b1). */
static double overlap(double a0, double a1, double b0, double b1)
{
    double from = a0 > b0 ? a0 : b0, to = a1 < b1 ? a1 : b1;
    return to > from ? to - from : 0;
}

/* A kernel is a density over the map: every new weight is the integral of the old density over the new pixel's share of the
 * map, so that the sum over the map, and with it the gather of a constant map, stays. */
void gn_gather_resample(const float *w, int64_t c, int h, int w_, float *out, int h2, int w2)
{
    for (int64_t k = 0; k < c; k++)
        for (int i = 0; i < h2; i++)
            for (int j = 0; j < w2; j++) {
                double top = (double)i * h / h2, bottom = (double)(i + 1) * h / h2;
                double left = (double)j * w_ / w2, right = (double)(j + 1) * w_ / w2, sum = 0;
                for (int y = (int)top; y < h && y < bottom; y++)
                    for (int x = (int)left; x < w_ && x < right; x++)
                        sum += w[(k * h + y) * w_ + x] * overlap(top, bottom, y, y + 1) * overlap(left, right, x, x + 1);
                out[(k * h2 + i) * w2 + j] = (float)sum;
            }
}
