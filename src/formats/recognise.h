/* SPDX-License-Identifier: Apache-2.0
 * Which network a file of bare tensors holds: whose names they are, and the variant, form, depth, width, extent, classes and
 * input size that follow from names and shapes. The order of tensors means nothing. */
#ifndef GN_FORMATS_RECOGNISE_H
#define GN_FORMATS_RECOGNISE_H
#include "formats/names.h"
#include "formats/tensors.h"
#include "model/model.h"

typedef struct gn_recognised {
    gn_naming naming;
    char prefix[64]; /* before every name: "", "module.", "network." */
    gn_model_spec spec;
} gn_recognised;
/* `path` names the file in messages. */
genet_status gn_recognise(gn_recognised *r, const gn_file_tensors *t, const char *path, genet_error *err);
#endif
