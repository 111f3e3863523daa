/* SPDX-License-Identifier: Apache-2.0
 * Post-training quantisation: a float model as one whose convolutions are computed in 8 bits. */
#ifndef GENET_QUANTIZE_H
#define GENET_QUANTIZE_H
#include <stdint.h>
#include "genet/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One convolution: the map it reads and its weights. Errors are rms of what was lost / rms of the values, 0..1. */
typedef struct genet_quantized_conv {
    const char *name;             /* "layer1.0.conv2" */
    double largest, clip;         /* of the map: largest value in the calibration, value at which it is cut off */
    double map_error, weight_error;
} genet_quantized_conv;

/* top1, top5 in 0..1 and the loss (cross entropy) before and after on "val"; NaN without it. */
typedef struct genet_quantization {
    char network[256];            /* "GE-ResNet-50 theta-plus, ..." */
    int64_t calibration_images;   /* that could be read */
    uint64_t bytes_before, bytes; /* of the files */
    int conv_count;
    const genet_quantized_conv *convs; /* in the order of the network */
    int64_t val_images;           /* 0: nothing was measured */
    double top1_before, top5_before, loss_before, top1, top5, loss;
    double seconds;
    const char *notes;            /* lines, "" where nothing */
} genet_quantization;

/* Reads "model", "data" (pictures to calibrate with; their classes are not looked at), "out", "val" (may be empty),
 * "calibration-images" and "calibration" (and batch, threads, size, amp, ...) from the settings, writes the int8 model and, with
 * "val", scores both. progress (may be NULL) is told what is being done, and how much of it. Free the result with
 * genet_quantization_free. */
GENET_API genet_status genet_quantize(const genet_config *config,
                                      void (*progress)(void *user, const char *what, int64_t done, int64_t all), void *user,
                                      genet_quantization **result, genet_error *error);
GENET_API void genet_quantization_free(genet_quantization *result);

#ifdef __cplusplus
}
#endif
#endif
