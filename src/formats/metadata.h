/* SPDX-License-Identifier: Apache-2.0
 * Private to formats/: the metadata that travels with a model (genet.model, genet.classes, genet.preprocess, ...), written
 * into checkpoints, exported safetensors and ONNX files alike, and read back from safetensors. */
#ifndef GN_FORMATS_METADATA_H
#define GN_FORMATS_METADATA_H
#include "formats/checkpoint.h"
#include "formats/safetensors.h"

#define GN_METADATA_MAX 12

typedef struct gn_metadata {
    char *keys[GN_METADATA_MAX], *values[GN_METADATA_MAX];
    int count;
} gn_metadata;
/* The metadata of c. names: which naming the tensors have ("torchvision", "timm"; NULL for genet's own);
 * with_training: settings and progress too. */
genet_status gn_metadata_make(gn_metadata *m, const gn_checkpoint *c, const char *names, bool with_training,
                              genet_error *err);
void gn_metadata_free(gn_metadata *m);

/* Fills classes, preprocess, settings, progress, origin of c and *spec from f, which has genet.model. Nothing in c is
 * believed before the tensors were held against it. */
genet_status gn_metadata_read(gn_checkpoint *c, gn_model_spec *spec, const gn_safetensors *f, const char *path,
                              genet_error *err);
/* Names "0", "1", ... for a file that has none. */
genet_status gn_metadata_number_classes(gn_checkpoint *c, int count, genet_error *err);
void gn_metadata_free_classes(gn_checkpoint *c);
/* Preprocessing of a model whose file says nothing: genet's, or the published rules. */
gn_preprocess gn_metadata_default_preprocess(int size, bool mindspore);
#endif
