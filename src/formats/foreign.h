/* SPDX-License-Identifier: Apache-2.0
 * Writing safetensors under the names of torchvision's and timm's ResNets. Reading them is gn_checkpoint_load's. */
#ifndef GN_FORMATS_FOREIGN_H
#define GN_FORMATS_FOREIGN_H
#include "formats/checkpoint.h"

/* timm: timm's names (plain, se, Gather-Excite), else torchvision's (plain alone). The paper form only. The metadata of a
 * checkpoint goes along, so that the file opens here again as what it was. Atomic; *bytes may be NULL. */
genet_status gn_foreign_write(const gn_checkpoint *c, const gn_weights *weights, bool timm, const char *path, uint64_t *bytes,
                              genet_error *err);
/* What somebody should know who loads such a file there; "" where the network is theirs exactly. */
const char *gn_foreign_caveat(const gn_model_spec *spec, bool timm);
#endif
