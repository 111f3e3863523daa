/* SPDX-License-Identifier: Apache-2.0
 * What a model file holds, and what this build can do. */
#ifndef GENET_MODEL_H
#define GENET_MODEL_H
#include "genet/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A description of the checkpoint named by "model": network, classes, preprocessing, training. As text (lines) or JSON;
 * fresh memory, free with genet_free. */
GENET_API genet_status genet_model_describe(const genet_config *config, int as_json, char **text, genet_error *error);
/* Version, CPU, instruction sets, libraries and their versions, backends; fresh memory, free with genet_free. */
GENET_API genet_status genet_build_describe(int as_json, char **text, genet_error *error);

#ifdef __cplusplus
}
#endif
#endif
