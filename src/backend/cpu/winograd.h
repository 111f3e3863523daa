/* SPDX-License-Identifier: Apache-2.0
 * The own forward pass and data gradient of dense f32 3x3 convolutions with stride 1 in NHWC, by Winograd's F(2x2,3x3) (Lavin,
 * Gray 2015, arXiv:1509.09308): 16 multiply-adds make 4 outputs where a direct convolution takes 36. The data gradient is the
 * forward pass of dy with the weights turned about (gn_winograd_gradient). Which of this and oneDNN's runs is a rule
 * (gn_winograd_wins), not a measurement at run time.
 *
 * Like the kernels of kernels.h: `all` threads call pack and run; nothing takes memory; shares depend on the shape and `all`
 * alone, and no sum on either. Transforms add and halve: errors are a few times those of the direct sums. */
#ifndef GN_CPU_WINOGRAD_H
#define GN_CPU_WINOGRAD_H
#include "backend/cpu/onednn.h"

/* One instruction set's version. x (N,H,W,C), w (K,C,3,3), y (N,P,Q,K); bias, add and relu as in gn_conv_shape (add: y is added
 * to). turned: w is (C,K,3,3), a forward pass's, to be exchanged and turned by half a circle. packed: packed_bytes; scratch:
 * scratch_bytes(shape, all); both aligned to 64. */
typedef struct gn_winograd {
    const char *isa; /* "avx2" */
    size_t (*packed_bytes)(const gn_conv_shape *shape);
    size_t (*scratch_bytes)(const gn_conv_shape *shape, int all);
    void (*pack)(const gn_conv_shape *shape, const float *w, bool turned, float *packed, int me, int all);
    void (*run)(const gn_conv_shape *shape, const float *x, const float *packed, const float *bias, float *y, float *scratch,
                int me, int all);
} gn_winograd;

/* Of an instruction set that this CPU has been found to run (gn_kernels_find); NULL for a set without one. */
const gn_winograd *gn_winograd_find(const char *isa);

/* The shape whose forward pass, with turned weights, is the data gradient of a shape with stride 1: (N,P,Q,K) to (N,H,W,C). */
gn_conv_shape gn_winograd_gradient(const gn_conv_shape *shape);

/* True for shapes that it computes: f32, 3x3, stride 1, padding of at most 2, C a multiple of 16 and K of 32. */
bool gn_winograd_can(const gn_conv_shape *shape);

/* True where it can and is faster than oneDNN's with vectors of onednn_bits (gn_onednn_vector_bits). kept: packed weights serve
 * many runs; else they are packed for every one. */
bool gn_winograd_wins(const gn_winograd *own, const gn_conv_shape *shape, bool kept, int onednn_bits);
#endif
