/* SPDX-License-Identifier: Apache-2.0
 * Dense convolutions by oneDNN, versions 2.x and 3.x behind one door. Maps are NHWC, f32 or bf16 (in 8-bit inference u8);
 * weights and their gradients are f32 (K,C,R,S) outside and in the primitive's own format and type inside. Everything is made
 * in create; run and pack take no memory of the project's. */
#ifndef GN_CPU_ONEDNN_H
#define GN_CPU_ONEDNN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct gn_onednn gn_onednn;
genet_status gn_onednn_open(gn_onednn **o, genet_error *err);
void gn_onednn_close(gn_onednn *o);
/* "2.6.3" */
const char *gn_onednn_version(const gn_onednn *o);
/* True where oneDNN will use AVX-512 BF16 instructions or AMX (it may be held back by its own settings). */
bool gn_onednn_has_bf16(void);
/* Bits of the vectors that it will use (likewise): 128, 256, 512. */
int gn_onednn_vector_bits(void);

typedef enum gn_conv_kind { GN_CONV_FORWARD, GN_CONV_DATA, GN_CONV_WEIGHTS } gn_conv_kind;

/* x (N,H,W,C), w (K,C,R,S), y (N,P,Q,K). bias, add (y is added to), relu: forward only. */
typedef struct gn_conv_shape {
    int64_t n, h, w, c, p, q, k, r, s;
    int stride, pad[4]; /* top, left, bottom, right */
    bool bf16, bias, add, relu;
    bool int8, bytes; /* forward: x is u8, w whole numbers -127..127 (s8 inside), scale and bias a channel by gn_conv_pack_int8;
                         y is u8 with `bytes`, else f32 or bf16 */
} gn_conv_shape;

typedef struct gn_conv gn_conv;
/* For the number of OpenMP threads in force. GENET_UNSUPPORTED where oneDNN has nothing for shape and type on this CPU; with
 * int8 also where it has no implementation whose sums are exact (without VNNI or AMX pairs of products saturate in 16 bits). */
genet_status gn_conv_create(gn_conv **conv, gn_onednn *o, gn_conv_kind kind, const gn_conv_shape *shape, genet_error *err);
void gn_conv_free(gn_conv *conv);
const char *gn_conv_implementation(const gn_conv *conv); /* "onednn:brgconv:avx512_core" */

/* Bytes of the weights in the primitive's format (GN_CONV_WEIGHTS: of their gradient), 0 where that is f32 (K,C,R,S) as it
 * stands and pack is not needed; scratch that run and pack need. */
size_t gn_conv_packed_bytes(const gn_conv *conv);
size_t gn_conv_scratch_bytes(const gn_conv *conv);
/* Where both lie from now on, aligned to 64 bytes. */
genet_status gn_conv_place(gn_conv *conv, void *packed, void *scratch, genet_error *err);
/* f32 (K,C,R,S) -> the primitive's format. */
genet_status gn_conv_pack(gn_conv *conv, const float *w, genet_error *err);
/* The same for int8, with scale and bias (K): y = acc*scale + bias, over y_scale where y is u8. */
genet_status gn_conv_pack_int8(gn_conv *conv, const float *w, const float *scale, const float *bias, float y_scale,
                               genet_error *err);

/* forward: (x, w, bias, y); data: (dx, w, NULL, dy); weights: (x, dw, NULL, dy). w is read only where packed_bytes is 0; dw
 * is always written as f32 (K,C,R,S). */
genet_status gn_conv_run(gn_conv *conv, const void *x, const float *w, const float *bias, const void *y, genet_error *err);
#endif
