/* SPDX-License-Identifier: Apache-2.0
 * Files of int8 networks: safetensors with the table of model/quantize.h (NAME.weight of the quantised convolutions as I8,
 * everything else as F32), the metadata of a checkpoint, and genet.quantized, by which such a file is known
 * (docs/formats/quantized.md). It predicts, is evaluated and exported to ONNX; it is no checkpoint. */
#ifndef GN_FORMATS_QUANTIZED_H
#define GN_FORMATS_QUANTIZED_H
#include "formats/checkpoint.h"
#include "model/quantize.h"

/* *is: whether the file is one of these. Fails only where the file cannot be read; anything that is no safetensors file, or a
 * damaged one, is not. */
genet_status gn_quantized_is(const char *path, bool *is, genet_error *err);
/* c brings spec, classes, preprocessing, settings, progress and `quantized`; its weights are not looked at. Atomic; *bytes
 * (may be NULL) is the size of the file. */
genet_status gn_quantized_save(const gn_checkpoint *c, const gn_folded *f, const char *path, uint64_t *bytes, genet_error *err);
/* c gets model, classes, preprocessing, settings, progress, origin and `quantized`, but no weights; free it with
 * gn_checkpoint_free. Shapes, types, scales and numbers are checked. */
genet_status gn_quantized_load(gn_checkpoint *c, gn_folded **f, const char *path, genet_error *err);
/* The same from memory (fuzzing, tests); `path` names it in messages. */
genet_status gn_quantized_parse(gn_checkpoint *c, gn_folded **f, const unsigned char *data, size_t bytes, const char *path,
                                genet_error *err);
#endif
