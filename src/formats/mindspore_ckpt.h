/* SPDX-License-Identifier: Apache-2.0
 * MindSpore's .ckpt: a serialised Checkpoint message, one Value a parameter or slice, optionally a CRC trailer
 * (docs/formats/mindspore-ckpt.md). */
#ifndef GN_FORMATS_MINDSPORE_CKPT_H
#define GN_FORMATS_MINDSPORE_CKPT_H
#include "formats/checkpoint.h"
#include "formats/tensors.h"

/* Fills t from a file's bytes, which must outlive it. Encrypted files are refused by name. */
genet_status gn_mindspore_ckpt_parse(gn_file_tensors *t, const unsigned char *data, size_t bytes, const char *path,
                                     genet_error *err);
/* True for the first bytes of an encrypted checkpoint. */
bool gn_mindspore_ckpt_is_encrypted(const unsigned char *data, size_t bytes);
/* Writes the network's tensors in the published network's order and, with momentum, moments.*; mindspore form only. */
genet_status gn_mindspore_ckpt_write(const gn_checkpoint *c, const gn_weights *weights, const float *momentum,
                                     const char *path, genet_error *err);
#endif
