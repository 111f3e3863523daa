/* SPDX-License-Identifier: Apache-2.0
 * ONNX: writing a network (onnx_write.c), and running a written one as a check (onnx_check.c). The two share no code: the
 * second reads only what the file says (docs/formats/onnx.md). */
#ifndef GN_FORMATS_ONNX_H
#define GN_FORMATS_ONNX_H
#include "formats/checkpoint.h"
#include "model/folded.h"

typedef struct gn_onnx_options {
    bool keep_norms; /* batch norms stay nodes of their own; else they are folded into the convolutions */
    bool pixels;     /* input uint8 (N,S,S,3), normalised inside; else float (N,3,S,S), normalised by the caller */
    int batch;       /* 0: any */
} gn_onnx_options;
/* Opset 17. Atomic; *bytes (may be NULL) is the size written. */
genet_status gn_onnx_write(const gn_checkpoint *c, const gn_weights *weights, const gn_onnx_options *options, const char *path,
                           uint64_t *bytes, genet_error *err);

/* An int8 network: QuantizeLinear and DequantizeLinear around its convolutions. c brings model, classes and preprocessing, no
 * weights. keep_norms is refused. */
genet_status gn_onnx_write_int8(const gn_checkpoint *c, const gn_folded *f, const gn_onnx_options *options, const char *path,
                                uint64_t *bytes, genet_error *err);

/* An ONNX file of the operators that gn_onnx_write emits, ready to run. */
typedef struct gn_onnx gn_onnx;
/* data must outlive it. Anything unknown, missing or contradictory is refused with its place. */
genet_status gn_onnx_open(gn_onnx **m, const unsigned char *data, size_t bytes, const char *path, genet_error *err);
void gn_onnx_close(gn_onnx *m);
/* Whether the input is uint8 pixels; its dimensions behind the batch; the number of classes. */
bool gn_onnx_takes_pixels(const gn_onnx *m);
void gn_onnx_input(const gn_onnx *m, int64_t dim[3]);
int64_t gn_onnx_classes(const gn_onnx *m);
/* Is called in every run with each map that a QuantizeLinear makes of uint8, in the order of the file, and may change its
 * numbers (dim[0] x dim[1] x ... of them); a status other than GENET_OK ends the run. */
typedef genet_status (*gn_onnx_watcher)(void *context, int rank, const int64_t *dim, unsigned char *numbers, genet_error *err);
void gn_onnx_watch(gn_onnx *m, gn_onnx_watcher watcher, void *context); /* NULL: nobody */
/* input: batch images of the declared type and shape; logits: (batch, classes). */
genet_status gn_onnx_run(gn_onnx *m, const void *input, int batch, float *logits, genet_error *err);
#endif
