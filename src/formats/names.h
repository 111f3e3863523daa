/* SPDX-License-Identifier: Apache-2.0
 * What each world calls the weights. One table (names.c) maps our canonical names to those of the published MindSpore model,
 * of torchvision's ResNet, and of timm's SE-ResNet and its Gather-Excite layer. */
#ifndef GN_FORMATS_NAMES_H
#define GN_FORMATS_NAMES_H
#include <stdbool.h>

typedef enum gn_naming {
    GN_NAMES_GENET,
    GN_NAMES_MINDSPORE,   /* mindspore-ai/models research/cv/GENet_Res50 */
    GN_NAMES_TORCHVISION, /* torchvision.models.resnet; timm's resnet has the same */
    GN_NAMES_TIMM_SE,     /* timm seresnet50: se.fc1, se.fc2 */
    GN_NAMES_TIMM_GE,     /* timm attn_layer 'ge': se.gather.convK, se.gather.normK, se.mlp.fc1, se.mlp.fc2 */
    GN_NAMES_COUNT
} gn_naming;

#define GN_NAME_SIZE 96

const char *gn_naming_text(gn_naming n); /* "MindSpore's GENet_Res50" */
/* Name of a canonical tensor in naming n; false where that world has no such tensor. */
bool gn_name_to(char out[GN_NAME_SIZE], gn_naming n, const char *canonical);
/* Canonical name of a foreign one; false for a tensor that is none of ours (a step counter, an optimiser's state). */
bool gn_name_from(char out[GN_NAME_SIZE], gn_naming n, const char *foreign);
#endif
