/* SPDX-License-Identifier: Apache-2.0
 * MINDIR, MindSpore's graph format, for inference (docs/formats/mindir.md). */
#ifndef GN_FORMATS_MINDIR_H
#define GN_FORMATS_MINDIR_H
#include "formats/checkpoint.h"

/* Writes the network with batch norms kept; input float (N,3,S,S), normalised. batch 0: any. Atomic; *bytes may be NULL. */
genet_status gn_mindir_write(const gn_checkpoint *c, const gn_weights *weights, int batch, const char *path, uint64_t *bytes,
                             genet_error *err);
#endif
