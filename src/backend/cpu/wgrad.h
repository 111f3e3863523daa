/* SPDX-License-Identifier: Apache-2.0
 * The own weight gradient of a dense f32 convolution in NHWC, beside oneDNN's. Which of the two runs is a rule (gn_wgrad_wins),
 * not a measurement at run time: it depends on shape, instruction sets and oneDNN's version alone.
 *
 * Like the kernels of kernels.h: `all` threads call run, everybody waits between the phases; shares and the order of sums
 * depend on the shape and `all` alone; nothing takes memory. */
#ifndef GN_CPU_WGRAD_H
#define GN_CPU_WGRAD_H
#include "backend/cpu/onednn.h"

enum { GN_WGRAD_PHASES = 2 };

/* One instruction set's version. x (N,H,W,C), dy (N,P,Q,K), dw (K,C,R,S); scratch: scratch_bytes(shape, all) bytes, aligned
 * to 64. */
typedef struct gn_wgrad {
    const char *isa; /* "avx2" */
    size_t (*scratch_bytes)(const gn_conv_shape *shape, int all);
    void (*run)(const gn_conv_shape *shape, const float *x, const float *dy, float *dw, float *scratch, int phase, int me,
                int all);
} gn_wgrad;

/* Of an instruction set that this CPU has been found to run (gn_kernels_find); NULL for a set without one. */
const gn_wgrad *gn_wgrad_find(const char *isa);

/* True where the own weight gradient is faster than oneDNN's that uses vectors of onednn_bits (gn_onednn_vector_bits). */
bool gn_wgrad_wins(const gn_wgrad *own, const gn_conv_shape *shape, int onednn_bits);
#endif
