/* SPDX-License-Identifier: Apache-2.0
 * Opening a model file of any kind: what it is, is taken from its bytes; then every tensor of the model's table is held
 * against the file (present, of a float type, of the right shape) before memory for weights is taken. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/metadata.h"
#include "formats/mindspore_ckpt.h"
#include "formats/numbers.h"
#include "formats/recognise.h"

/* One file being loaded. */
typedef struct loader {
    gn_checkpoint *c;
    gn_file_tensors tensors;
    gn_safetensors st;
    gn_recognised what;
    bool native;           /* genet.model is there: every tensor must be accounted for */
    const char *momentum;  /* what stands before the names of the optimiser's tensors */
    const char *path;
    genet_error *err;
} loader;

/* --- what is it? -------------------------------------------------------------------------------------------------------- */

static bool starts(const gn_map *m, size_t at, const char *text)
{
    size_t n = strlen(text);
    return m->bytes >= at + n && !memcmp(m->data + at, text, n);
}

static genet_status refuse_kind(const gn_map *m, const char *path, genet_error *err)
{
    if (starts(m, 0, "PK\x03\x04") || starts(m, 0, "\x80\x02") || starts(m, 0, "\x80\x03") || starts(m, 0, "\x80\x04"))
        return gn_fail(err, GENET_FORMAT,
                       "%s: is a PyTorch pickle (.pth, .pt), which is not read because loading one can run code. Convert it where "
                       "PyTorch is: python -c 'import sys, torch; from safetensors.torch import save_file; "
                       "s = torch.load(sys.argv[1], map_location=\"cpu\", weights_only=True); s = s.get(\"state_dict\", s); "
                       "save_file({k: v.contiguous() for k, v in s.items()}, sys.argv[2])' MODEL.pth MODEL.safetensors", path);
    if (m->bytes > 4 && m->data[0] == 0x0a && starts(m, 2, "0."))
        return gn_fail(err, GENET_FORMAT, "%s: is a MINDIR graph; weights are read from the .ckpt it was exported from", path);
    if (m->bytes > 2 && m->data[0] == 0x08 && m->data[1] < 0x20)
        return gn_fail(err, GENET_FORMAT, "%s: looks like an ONNX graph; weights are read from the checkpoint it was exported from",
                       path);
    return gn_fail(err, GENET_FORMAT, "%s: is no model file that is known here (safetensors, MindSpore .ckpt)", path);
}

static bool is_safetensors(const gn_map *m)
{
    return m->bytes > 9 && gn_load_u64(m->data) < UINT64_C(1) << 40 && m->data[8] == '{';
}

/* A Checkpoint's first byte is the key of its first Value, whose first byte is the key of the tag. */
static bool is_ckpt(const gn_map *m)
{
    if (gn_mindspore_ckpt_is_encrypted(m->data, m->bytes))
        return true;
    size_t at = 1;
    while (at < 11 && at < m->bytes && m->data[at] & 0x80)
        at++;
    return m->bytes > at + 1 && m->data[0] == 0x0a && m->data[at + 1] == 0x0a;
}

/* --- a file's tensors, and the network they make ------------------------------------------------------------------------ */

/* With metadata: the spec is said; the names may be another world's (an exported file). */
static genet_status read_said(loader *l)
{
    const char *names = gn_safetensors_meta(&l->st, "genet.names");
    if (gn_safetensors_meta(&l->st, "genet.quantized"))
        return gn_fail(l->err, GENET_MISMATCH,
                       "%s: is an int8 model (genet quantize): it predicts, evaluates and exports to onnx; training and other "
                       "exports start from the float checkpoint", l->path);
    genet_status status = gn_metadata_read(l->c, &l->what.spec, &l->st, l->path, l->err);
    if (status != GENET_OK)
        return status;
    gn_variant v = l->what.spec.variant;
    l->native = true;
    if (names && !strcmp(names, "torchvision"))
        l->what.naming = GN_NAMES_TORCHVISION;
    else if (names && !strcmp(names, "timm"))
        l->what.naming = v == GN_PLAIN ? GN_NAMES_TORCHVISION : v == GN_SE ? GN_NAMES_TIMM_SE : GN_NAMES_TIMM_GE;
    else if (names)
        return gn_fail(l->err, GENET_FORMAT, "%s: genet.names is \"%s\"; torchvision and timm are known", l->path, names);
    return GENET_OK;
}

static genet_status read_file(loader *l, const gn_map *m)
{
    static const char *const origins[GN_NAMES_COUNT] = {"genet", "mindspore", "torchvision", "timm", "timm"};
    genet_status status = GENET_OK;
    if (m->bytes == 0)
        return gn_fail(l->err, GENET_FORMAT, "%s: is empty", l->path);
    if (is_safetensors(m)) {
        GN_TRY(gn_safetensors_parse(&l->st, m->data, m->bytes, l->path, l->err));
        GN_TRY(gn_file_tensors_from_safetensors(&l->tensors, &l->st, l->err));
    } else if (is_ckpt(m)) {
        GN_TRY(gn_mindspore_ckpt_parse(&l->tensors, m->data, m->bytes, l->path, l->err));
    } else {
        return refuse_kind(m, l->path, l->err);
    }
    l->momentum = "momentum/";
    if (gn_safetensors_meta(&l->st, "genet.model"))
        return read_said(l);
    GN_TRY(gn_recognise(&l->what, &l->tensors, l->path, l->err));
    if (l->what.naming == GN_NAMES_MINDSPORE)
        l->momentum = "moments.";
    l->c->preprocess = gn_metadata_default_preprocess(l->what.spec.size, l->what.spec.form == GN_FORM_MINDSPORE);
    l->c->origin = gn_strdup(origins[l->what.naming]);
    if (!l->c->origin)
        status = gn_fail_memory(l->err, 16, "the origin of a model");
out:
    return status;
}

/* --- the table held against the file ------------------------------------------------------------------------------------ */

/* The file's tensor for table entry w in the set with this prefix ("", "ema/", "momentum/", "moments."), or NULL. */
static const gn_file_tensor *find(const loader *l, const char *set, const gn_weight *w, char name[256])
{
    char own[GN_NAME_SIZE];
    if (!gn_name_to(own, l->what.naming, w->name))
        snprintf(own, sizeof own, "%s", w->name);
    snprintf(name, 256, "%s%s%s", set, l->what.prefix, own);
    return gn_file_tensors_find(&l->tensors, name);
}

static genet_status check_set(const loader *l, const char *set, bool trainable_only)
{
    const gn_weight_table *table = &l->c->model->weights;
    const gn_model_spec *s = &l->c->model->spec;
    char name[256], found[96], wanted[96];
    for (int i = 0; i < table->count; i++) {
        const gn_weight *w = &table->items[i];
        if (trainable_only && !w->trainable)
            continue;
        const gn_file_tensor *t = find(l, set, w, name);
        if (!t)
            return gn_fail(l->err, GENET_FORMAT, "%s: tensor %s is missing: a %s network of the %s form needs it", l->path, name,
                           gn_variant_name(s->variant), gn_form_name(s->form));
        if (!gn_shapes_agree(t->rank, t->dim, w->rank, w->dim))
            return gn_fail(l->err, GENET_MISMATCH, "%s: tensor %s has shape %s, a %s network of width %d for %d classes needs %s",
                           l->path, name, gn_format_shape(found, t->rank, t->dim), gn_variant_name(s->variant), s->width,
                           s->classes, gn_format_shape(wanted, w->rank, w->dim));
        if (!gn_file_type_is_float(t->type))
            return gn_fail(l->err, GENET_FORMAT, "%s: tensor %s has type %s; weights are F32, F64, F16 or BF16", l->path, name,
                           t->type);
    }
    return GENET_OK;
}

/* Tensors that the network has no place for: in a native file any; in a foreign one those that are weights of ours
 * elsewhere (step counters and the like are passed over). */
static genet_status check_strangers(const loader *l)
{
    static const char *const sets[] = {"ema/", "momentum/", "moments."};
    char canonical[GN_NAME_SIZE];
    size_t skip = strlen(l->what.prefix);
    for (int i = 0; i < l->tensors.count; i++) {
        const char *name = l->tensors.items[i].name;
        for (int s = 0; s < 3; s++)
            if (!strncmp(name, sets[s], strlen(sets[s]))) {
                name += strlen(sets[s]);
                break;
            }
        bool known = !strncmp(name, l->what.prefix, skip) && gn_name_from(canonical, l->what.naming, name + skip);
        if (known ? gn_weight_find(&l->c->model->weights, canonical) < 0 : l->native)
            return gn_fail(l->err, GENET_MISMATCH, "%s: tensor %s has no place in a %s network of the %s form", l->path,
                           l->tensors.items[i].name, gn_variant_name(l->c->model->spec.variant),
                           gn_form_name(l->c->model->spec.form));
    }
    return GENET_OK;
}

static bool has_set(const loader *l, const char *set)
{
    for (int i = 0; i < l->tensors.count; i++)
        if (!strncmp(l->tensors.items[i].name, set, strlen(set)))
            return true;
    return false;
}

/* --- weights ------------------------------------------------------------------------------------------------------------ */

static genet_status fill_weights(const loader *l, const char *set, gn_weights *w)
{
    char name[256];
    genet_status status = gn_weights_create(w, &l->c->model->weights, GN_F32, l->err);
    for (int i = 0; status == GENET_OK && i < w->table->count; i++)
        status = gn_file_tensor_read(&l->tensors, find(l, set, &w->table->items[i], name), gn_weights_at(w, i), l->err);
    return status;
}

static genet_status fill_momentum(const loader *l)
{
    const gn_weight_table *table = &l->c->model->weights;
    char name[256];
    genet_status status = GENET_OK;
    l->c->momentum = gn_slab_alloc((size_t)table->param_count * sizeof(float));
    if (!l->c->momentum)
        return gn_fail_memory(l->err, (size_t)table->param_count * sizeof(float), "the optimiser's state");
    for (int i = 0; i < table->count && status == GENET_OK; i++)
        if (table->items[i].trainable)
            status = gn_file_tensor_read(&l->tensors, find(l, l->momentum, &table->items[i], name),
                                         l->c->momentum + table->items[i].offset, l->err);
    return status;
}

genet_status gn_checkpoint_load(gn_checkpoint *c, const char *path, genet_error *err)
{
    loader l = {.c = c, .path = path, .err = err};
    gn_map map = {0};
    genet_status status;
    memset(c, 0, sizeof *c);
    GN_TRY(gn_map_open(&map, path, err));
    GN_TRY(read_file(&l, &map));
    GN_TRY(gn_model_create(&c->model, &l.what.spec, err));
    bool ema = has_set(&l, "ema/"), momentum = has_set(&l, l.momentum);
    GN_TRY(check_set(&l, "", false));
    if (ema)
        GN_TRY(check_set(&l, "ema/", false));
    if (momentum)
        GN_TRY(check_set(&l, l.momentum, true));
    GN_TRY(check_strangers(&l));
    GN_TRY(fill_weights(&l, "", &c->weights));
    if (ema)
        GN_TRY(fill_weights(&l, "ema/", &c->ema));
    c->has_ema = ema;
    if (momentum)
        GN_TRY(fill_momentum(&l));
    if (!c->classes)
        GN_TRY(gn_metadata_number_classes(c, c->model->spec.classes, err));
out:
    gn_file_tensors_free(&l.tensors);
    gn_safetensors_close(&l.st);
    gn_map_close(&map);
    if (status != GENET_OK)
        gn_checkpoint_free(c);
    return status;
}
