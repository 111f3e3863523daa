/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints: one safetensors file with the weights under their canonical names, optionally "ema/<name>" and
 * "momentum/<name>", and metadata: genet.version, genet.model (JSON of the spec), genet.classes (JSON list, in order),
 * genet.preprocess (JSON), genet.settings (JSON), genet.progress (JSON); see docs/formats/checkpoint.md. Also opens MindSpore
 * .ckpt files and foreign safetensors (torchvision's, timm's names): what a file is, is taken from its bytes. */
#ifndef GN_FORMATS_CHECKPOINT_H
#define GN_FORMATS_CHECKPOINT_H
#include "image/prepare.h"
#include "model/weights.h"

typedef struct gn_checkpoint {
    gn_model *model;
    gn_weights weights;       /* f32 */
    bool has_ema;
    gn_weights ema;
    float *momentum;          /* parameter slab layout, or NULL; gn_slab_alloc(param_count * sizeof(float)) */
    char **classes;
    int class_count;          /* == model->spec.classes */
    bool classes_unknown;     /* a foreign file names no classes: classes are "0", "1", ... and fit any set of that many */
    gn_preprocess preprocess;
    char *settings;           /* JSON object, or NULL */
    char *progress;           /* JSON object: epoch, step, best metric, ...; or NULL */
    char *quantized;          /* JSON object: how an int8 network was made (formats/quantized.h); NULL for every checkpoint */
    char *origin;             /* "genet", "mindspore", "torchvision", "timm" */
} gn_checkpoint;

/* Loads with everything checked; messages name the file, the tensor, the value found and the one expected. */
genet_status gn_checkpoint_load(gn_checkpoint *c, const char *path, genet_error *err);
/* Safe on a zeroed one. */
void gn_checkpoint_free(gn_checkpoint *c);
/* Atomic. Returns the bytes written in *bytes where it is not NULL. Tensors are written from where they lie. */
genet_status gn_checkpoint_save(const gn_checkpoint *c, const char *path, uint64_t *bytes, genet_error *err);
/* Bytes that gn_checkpoint_save will write, about. */
uint64_t gn_checkpoint_size(const gn_checkpoint *c);
/* Replaces the class names by the lines of a file (one name a line, in the order of the outputs). */
genet_status gn_checkpoint_name_classes(gn_checkpoint *c, const char *list_path, genet_error *err);
#endif
