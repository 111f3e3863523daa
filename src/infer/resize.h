/* SPDX-License-Identifier: Apache-2.0
 * A checkpoint at another input size than it was trained at: theta and theta-plus tie their gather kernels to the map. */
#ifndef GN_INFER_RESIZE_H
#define GN_INFER_RESIZE_H
#include "formats/checkpoint.h"

/* Makes the checkpoint's network one for inputs of `size` pixels. Kernels over the whole map are resampled (*resampled
 * counts them), everything else stays; momentum is dropped. Nothing happens where the size is the same. */
genet_status gn_checkpoint_resize(gn_checkpoint *c, int size, int *resampled, genet_error *err);
#endif
