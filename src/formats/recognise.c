/* SPDX-License-Identifier: Apache-2.0
 * Recognising a network by its tensors. Everything is first translated to canonical names (names.c); what then cannot be
 * built, or is missing, is found when the tensors are held against the model's table (load.c). */
#include "formats/recognise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was seen of the gates. */
typedef struct sight {
    const gn_file_tensor *gather[4][3]; /* [stage][step - 1]: kernel of block 0 */
    bool mlp, basic_block, deep_stem;
    int last_block[4];
} sight;

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* The head's name ends every naming's list; what stands before it is the common prefix. moments.* belong to an optimiser. */
static bool find_head(const gn_file_tensors *t, const char *head, gn_recognised *r)
{
    size_t shortest = sizeof r->prefix;
    for (int i = 0; i < t->count; i++) {
        const char *name = t->items[i].name;
        size_t n = strlen(name) - (ends_with(name, head) ? strlen(head) : strlen(name));
        if (!ends_with(name, head) || n >= shortest || (n > 0 && name[n - 1] != '.') || !strncmp(name, "moments.", 8))
            continue;
        memcpy(r->prefix, name, n);
        r->prefix[n] = 0;
        shortest = n;
    }
    return shortest < sizeof r->prefix;
}

static bool any_contains(const gn_file_tensors *t, const char *part)
{
    for (int i = 0; i < t->count; i++)
        if (strncmp(t->items[i].name, "moments.", 8) && strstr(t->items[i].name, part))
            return true;
    return false;
}

static genet_status find_naming(gn_recognised *r, const gn_file_tensors *t, const char *path, genet_error *err)
{
    if (find_head(t, "end_point.weight", r)) {
        r->naming = GN_NAMES_MINDSPORE;
    } else if (find_head(t, "head.weight", r)) {
        r->naming = GN_NAMES_GENET;
    } else if (find_head(t, "fc.weight", r)) {
        bool ge = any_contains(t, ".se.gather.") || any_contains(t, ".se.mlp.");
        r->naming = ge ? GN_NAMES_TIMM_GE : any_contains(t, ".se.fc1.") ? GN_NAMES_TIMM_SE : GN_NAMES_TORCHVISION;
    } else {
        return gn_fail(err, GENET_FORMAT,
                       "%s: no classifier among its %d tensors (end_point.weight, fc.weight or head.weight; the first tensor is "
                       "\"%s\"): names of MindSpore's GENet_Res50, torchvision's and timm's ResNets and genet's own are known",
                       path, t->count, t->count ? t->items[0].name : "");
    }
    return GENET_OK;
}

/* "layerL.B." of a canonical name: stage 0..3 and block, and the rest behind it; NULL where it is none. */
static const char *in_block(const char *name, int *stage, int *block)
{
    int used = 0;
    if (sscanf(name, "layer%1d.%3d.%n", stage, block, &used) != 2 || !used || *stage < 1 || *stage > 4 || *block > 99)
        return NULL;
    --*stage;
    return name + used;
}

static void look_at(sight *s, gn_model_spec *spec, const char *name, const gn_file_tensor *tensor)
{
    int stage, block, step;
    const char *rest = in_block(name, &stage, &block);
    if (!rest) {
        if (!strcmp(name, "stem.conv.weight") && tensor->rank == 4)
            spec->stem = tensor->dim[0] <= 65536 ? (int)tensor->dim[0] : 0;
        else if (!strcmp(name, "head.weight") && tensor->rank >= 1)
            spec->classes = tensor->dim[0] <= INT32_MAX ? (int)tensor->dim[0] : 0;
        return;
    }
    if (block + 1 > spec->blocks[stage])
        spec->blocks[stage] = block + 1;
    if (stage == 0 && block == 0 && !strcmp(rest, "conv3.weight") && tensor->rank == 4)
        spec->width = tensor->dim[0] <= 65536 ? (int)tensor->dim[0] / 4 : 0;
    if (!strcmp(rest, "gate.mlp.fc1.weight"))
        s->mlp = true;
    if (block == 0 && sscanf(rest, "gate.gather.conv%1d.weight", &step) == 1 && step >= 1 && step <= 3 && tensor->rank == 4)
        s->gather[stage][step - 1] = tensor;
}

static int64_t kernel(const gn_file_tensor *t)
{
    return t && t->dim[2] == t->dim[3] ? t->dim[2] : 0;
}

/* The input size whose maps have the kernels' sides: the largest multiple first (224 before 223). */
static genet_status find_size(const sight *s, gn_model_spec *spec, const char *path, genet_error *err)
{
    bool dense = spec->form == GN_FORM_MINDSPORE;
    int64_t first = dense ? kernel(s->gather[0][1]) * 8 : kernel(s->gather[0][0]) * 4;
    for (int64_t size = first; first <= 1024 && size > first - 8 && size >= 32; size--) {
        bool all = true;
        spec->size = (int)size;
        for (int stage = 0; stage < 4; stage++) {
            int side = gn_model_side(spec, stage);
            int64_t k = kernel(s->gather[stage][dense && stage == 0 ? 1 : 0]);
            all = all && k == (dense && stage == 0 ? (side + 1) / 2 : side);
        }
        if (all)
            return GENET_OK;
    }
    return gn_fail(err, GENET_MISMATCH,
                   "%s: the gather kernels have sides %lld, %lld, %lld, %lld: no input size from 32 to 1024 has such maps", path,
                   (long long)kernel(s->gather[0][dense ? 1 : 0]), (long long)kernel(s->gather[1][0]),
                   (long long)kernel(s->gather[2][0]), (long long)kernel(s->gather[3][0]));
}

/* Variant, extent and size by the gather's kernels and the MLP. */
static genet_status find_gate(gn_recognised *r, const sight *s, const char *path, genet_error *err)
{
    gn_model_spec *spec = &r->spec;
    bool gather = s->gather[0][0] || s->gather[1][0] || s->gather[2][0] || s->gather[3][0];
    spec->size = 224;
    if (!gather) {
        bool published = spec->form == GN_FORM_MINDSPORE;
        spec->variant = s->mlp ? GN_SE : published ? GN_THETA_MINUS : GN_PLAIN;
        return GENET_OK;
    }
    spec->variant = s->mlp ? GN_THETA_PLUS : GN_THETA;
    bool local = spec->form == GN_FORM_PAPER;
    for (int stage = 0; stage < 4; stage++)
        local = local && kernel(s->gather[stage][0]) == 3;
    if (local) {
        spec->extent = s->gather[0][2] ? 8 : s->gather[0][1] ? 4 : 2;
        return GENET_OK;
    }
    if (r->naming == GN_NAMES_TIMM_GE)
        return gn_fail(err, GENET_UNSUPPORTED,
                       "%s: timm's Gather-Excite with a global extent and parameters pads its kernel and gathers a map, not one "
                       "number as the paper's; it cannot be converted (extents 2, 4 and 8 can)", path);
    return find_size(s, spec, path, err);
}

static int depth_of(const int blocks[4])
{
    static const int known[][5] = {{26, 2, 2, 2, 2}, {50, 3, 4, 6, 3}, {101, 3, 4, 23, 3}, {152, 3, 8, 36, 3}};
    for (int i = 0; i < 4; i++)
        if (!memcmp(known[i] + 1, blocks, 4 * sizeof *blocks))
            return known[i][0];
    return 0;
}

genet_status gn_recognise(gn_recognised *r, const gn_file_tensors *t, const char *path, genet_error *err)
{
    sight s = {0};
    char name[GN_NAME_SIZE];
    memset(r, 0, sizeof *r);
    genet_status status = find_naming(r, t, path, err);
    if (status != GENET_OK)
        return status;
    size_t skip = strlen(r->prefix);
    for (int i = 0; i < t->count; i++)
        if (!strncmp(t->items[i].name, r->prefix, skip) && gn_name_from(name, r->naming, t->items[i].name + skip))
            look_at(&s, &r->spec, name, &t->items[i]);
    const gn_file_tensor *dense = s.gather[0][0];
    r->spec.form = r->naming == GN_NAMES_MINDSPORE || (r->naming == GN_NAMES_GENET && dense && dense->dim[1] > 1)
                       ? GN_FORM_MINDSPORE : GN_FORM_PAPER;
    if (!r->spec.width && r->spec.blocks[0])
        return gn_fail(err, GENET_MISMATCH,
                       "%s: layer1.0 has no third convolution with four or more outputs: only bottleneck ResNets (50 layers and "
                       "more) can be built", path);
    if (!r->spec.stem || !r->spec.blocks[0] || !r->spec.blocks[1] || !r->spec.blocks[2] || !r->spec.blocks[3])
        return gn_fail(err, GENET_FORMAT, "%s: has %s names but no %s", path, gn_naming_text(r->naming),
                       r->spec.stem ? "four stages layer1 to layer4" : "stem convolution (7x7)");
    r->spec.depth = depth_of(r->spec.blocks);
    status = find_gate(r, &s, path, err);
    if (status == GENET_OK && (status = gn_model_check(&r->spec, err)) != GENET_OK) {
        gn_error_prefix(err, "%s", path);
        status = GENET_MISMATCH;
        if (err)
            err->status = status;
    }
    return status;
}
