/* SPDX-License-Identifier: Apache-2.0
 * Writing weights under other libraries' names (the table is names.c). */
#include "formats/foreign.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/metadata.h"
#include "formats/names.h"
#include "formats/safetensors.h"

static genet_status refuse(const gn_checkpoint *c, bool timm, genet_error *err)
{
    const gn_model_spec *s = &c->model->spec;
    if (s->form != GN_FORM_PAPER)
        return gn_fail(err, GENET_MISMATCH,
                       "a network of the mindspore form pads its maps on one side only, which torchvision's and timm's ResNets do "
                       "not; export it to mindspore, mindir or onnx");
    if (!timm && s->variant != GN_PLAIN)
        return gn_fail(err, GENET_MISMATCH, "torchvision has no %s network; timm's names carry it (--format safetensors-timm)",
                       gn_variant_name(s->variant));
    return GENET_OK;
}

const char *gn_foreign_caveat(const gn_model_spec *s, bool timm)
{
    bool weights = s->variant == GN_THETA || s->variant == GN_THETA_PLUS;
    if (timm && weights && s->extent == 0)
        return "timm's own layer pads a whole-map kernel and gathers a map, not one number: these weights load there only with "
               "padding 0";
    if (timm && s->variant >= GN_THETA_MINUS)
        return "timm 1.0's Gather-Excite layer needs its keyword mistake repaired for forms with an MLP or extra parameters";
    return "";
}

genet_status gn_foreign_write(const gn_checkpoint *c, const gn_weights *weights, bool timm, const char *path, uint64_t *bytes,
                              genet_error *err)
{
    const gn_weight_table *table = weights->table;
    gn_variant v = c->model->spec.variant;
    gn_naming naming = !timm || v == GN_PLAIN ? GN_NAMES_TORCHVISION : v == GN_SE ? GN_NAMES_TIMM_SE : GN_NAMES_TIMM_GE;
    gn_metadata m = {0};
    gn_st_tensor *t = NULL;
    char name[GN_NAME_SIZE];
    genet_status status;
    GN_TRY(refuse(c, timm, err));
    GN_TRY(gn_metadata_make(&m, c, timm ? "timm" : "torchvision", false, err));
    t = gn_calloc((size_t)table->count, sizeof *t);
    for (int i = 0; t && i < table->count; i++) {
        const gn_weight *w = &table->items[i];
        if (!gn_name_to(name, naming, w->name)) {
            status = gn_fail(err, GENET_INTERNAL, "%s has no name in %s", w->name, gn_naming_text(naming));
            goto out;
        }
        t[i] = (gn_st_tensor){.name = gn_strdup(name), .dtype = "F32", .rank = w->rank, .data = gn_weights_at(weights, i)};
        memcpy(t[i].dim, w->dim, sizeof w->dim);
        if (!t[i].name)
            status = gn_fail_memory(err, sizeof name, "names of tensors");
    }
    if (!t)
        status = gn_fail_memory(err, (size_t)table->count * sizeof *t, "the table of tensors");
    if (status == GENET_OK)
        status = gn_safetensors_write(path, t, table->count, (const char *const *)m.keys, (const char *const *)m.values, m.count,
                                      bytes, err);
out:
    for (int i = 0; t && i < table->count; i++)
        gn_free(t[i].name);
    gn_free(t);
    gn_metadata_free(&m);
    return status;
}
