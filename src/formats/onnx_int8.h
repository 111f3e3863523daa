/* SPDX-License-Identifier: Apache-2.0
 * Private to the ONNX writer: the whole numbers of a convolution in 8 bits as ONNX holds them, where a bias is an int32 in
 * units of input step * weight scale. */
#ifndef GN_FORMATS_ONNX_INT8_H
#define GN_FORMATS_ONNX_INT8_H
#include "formats/graph.h"

typedef struct gn_onnx_int8 {
    int8_t *weight;      /* (K,C,R,S) */
    int32_t *bias;       /* (K) */
    float *weight_scale; /* (K) */
    float *bias_scale;   /* (K): weight_scale * the input's step, up to rounding */
} gn_onnx_int8;
/* Of a node with scale >= 0. All four lie in one block of memory, *block, for gn_free. A row whose bias has no int32 in its
 * scale gets a coarser one, a row of zeros a scale in which its bias is exact. */
genet_status gn_onnx_int8_make(gn_onnx_int8 *out, void **block, const gn_graph *g, const gn_node *n, genet_error *err);
#endif
