/* SPDX-License-Identifier: Apache-2.0
 * Models to and from other programs' formats. */
#ifndef GENET_EXPORT_H
#define GENET_EXPORT_H
#include <stdint.h>
#include "genet/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What was written. An exported graph that this library can run (ONNX) was run on `checked_images` random images beside the
 * network itself; a file of weights was read back. */
typedef struct genet_export_result {
    char network[256];         /* "GE-ResNet-50 theta-plus, ..." */
    uint64_t bytes;            /* of the file */
    int checked_images;        /* 0: the graph was not run */
    double largest_difference; /* between its logits and the network's, absolute */
    double logits_rms;         /* of the network's logits: the scale of the difference */
    int read_back;             /* the file was opened again and holds the same weights */
    char notes[1024];          /* what is worth knowing, lines; "" where nothing */
} genet_export_result;

/* Reads the settings' "model" and writes "out" in the "format" that they name (keep-bn, input, fixed-batch, check, use-ema,
 * keep-momentum, class-list). A graph whose logits differ from the network's by more than 1e-4 of their rms is not left. An int8
 * model (genet_quantize) is written as onnx alone; its graph is held against the network at every map of 8-bit numbers, and
 * largest_difference is what ties between two of them leave (docs/formats/onnx.md). */
GENET_API genet_status genet_export(const genet_config *config, genet_export_result *result, genet_error *error);
/* Reads the settings' "model" (MindSpore .ckpt, safetensors with the names of torchvision, timm or genet) and writes "out", a
 * checkpoint of genet's (variant and extent, where the file cannot tell; size, class-list, keep-momentum). */
GENET_API genet_status genet_import(const genet_config *config, genet_export_result *result, genet_error *error);

#ifdef __cplusplus
}
#endif
#endif
