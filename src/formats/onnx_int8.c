/* SPDX-License-Identifier: Apache-2.0
 * Whole numbers of a convolution in 8 bits (onnx_int8.h). genet adds a bias in float; ONNX's integer convolutions add it in
 * int32 to the sum of products, so half a unit of the scale is lost, and the bias and the sum have to fit together. */
#include "formats/onnx_int8.h"

#include <float.h>
#include <math.h>

#include "base/mem.h"

enum { MOST = 127, MOST_INPUT = 255 };

/* Largest magnitude of a bias that leaves room for the sum of `row` products. */
static double bias_room(int64_t row)
{
    double room = (double)INT32_MAX - (double)row * MOST * MOST_INPUT;
    return room > (1 << 30) ? room : 1 << 30;
}

/* The scale in which a row is written, given its own. A bias beyond room (a row that training has all but switched off) gets
 * the least scale in which it fits: the row's numbers shrink with it, what they lose is below 2^-31*row*255 of the bias. So
 * does a scale whose quotient by the input's step would be no full float. */
static double row_scale(const float *w, int64_t row, double scale, double bias, double step)
{
    double least = (double)FLT_MIN * fmax(step, 1);
    bool zero = true;
    for (int64_t i = 0; zero && i < row; i++)
        zero = w[i] == 0;
    if (zero && bias != 0)
        return fmax(fabs(bias) / (1 << 20), least); /* by a power of two: exact */
    return fmax(fmax(scale, fabs(bias) / bias_room(row)), least);
}

genet_status gn_onnx_int8_make(gn_onnx_int8 *out, void **block, const gn_graph *g, const gn_node *n, genet_error *err)
{
    const gn_weight *item = &g->weights->table->items[n->weight];
    const float *scale = gn_graph_weight(g, n->scale);
    int64_t k_all = item->dim[0], row = item->count / k_all;
    size_t bytes = (size_t)k_all * 3 * 4 + (size_t)item->count;
    float *numbers = gn_calloc(bytes, 1);
    *block = numbers;
    if (!numbers)
        return gn_fail_memory(err, bytes, "the weights of an ONNX graph in 8 bits");
    *out = (gn_onnx_int8){.weight_scale = numbers, .bias_scale = numbers + k_all, .bias = (int32_t *)(numbers + 2 * k_all),
                          .weight = (int8_t *)(numbers + 3 * k_all)};
    for (int64_t k = 0; k < k_all; k++) {
        const float *w = n->w + k * row;
        double unit = row_scale(w, row, scale[k], n->b[k], n->step);
        out->bias_scale[k] = (float)unit;
        out->weight_scale[k] = (float)(unit / n->step);
        if (!(fabsf(n->b[k]) <= FLT_MAX && out->weight_scale[k] <= FLT_MAX && out->bias_scale[k] <= FLT_MAX))
            return gn_fail(err, GENET_UNSUPPORTED,
                           "%s: row %lld has the scale %g over an input scale of %g, and the bias %g: ONNX has no "
                           "floats for that",
                           item->name, (long long)k, unit, (double)n->step, (double)n->b[k]);
        out->bias[k] = (int32_t)rint(n->b[k] / unit);
        for (int64_t i = 0; i < row; i++)
            out->weight[k * row + i] = (int8_t)rint(w[i] * (scale[k] / unit));
    }
    return GENET_OK;
}
