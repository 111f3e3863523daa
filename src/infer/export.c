/* SPDX-License-Identifier: Apache-2.0
 * genet_export and genet_import: settings to a file in another format, and the check of what was written. A file is written
 * beside its place, checked there, and takes its name only then. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/config.h"
#include "formats/foreign.h"
#include "formats/mindir.h"
#include "formats/mindspore_ckpt.h"
#include "formats/onnx.h"
#include "formats/quantized.h"
#include "genet/export.h"
#include "infer/export_check.h"
#include "infer/summary.h"

/* One export in progress. */
typedef struct job {
    const gn_settings *s;
    gn_checkpoint *c;
    const gn_weights *weights; /* the trained or the averaged ones */
    gn_folded *int8;           /* an int8 model, which has no others; else NULL */
    genet_export_result *result;
    genet_error *err;
} job;

static genet_status need_paths(const gn_settings *s, const char *what, genet_error *err)
{
    if (!*s->model)
        return gn_fail(err, GENET_USAGE, "no model given: the file to %s is named by --model FILE, or as an argument", what);
    if (!*s->out)
        return gn_fail(err, GENET_USAGE, "no place to write to: --out FILE names it");
    if (gn_folder_exists(s->out))
        return gn_fail(err, GENET_USAGE, "--out %s is a folder; name the file to write", s->out);
    return GENET_OK;
}

static void describe(genet_export_result *r, const gn_checkpoint *c)
{
    const gn_model_spec *s = &c->model->spec;
    gn_text t = {0};
    gn_summary_network(&t, s);
    gn_text_add(&t, ", %s form, %d classes, %d pixels", gn_form_name(s->form), s->classes, s->size);
    if (c->quantized)
        gn_text_add(&t, ", int8");
    if (t.data)
        snprintf(r->network, sizeof r->network, "%s", t.data);
    gn_text_free(&t);
}

/* --- export ----------------------------------------------------------------------------------------------------------------- */

/* Every weight that a file of weights holds is the one that was written. */
static genet_status check_weights(job *j, const char *path)
{
    gn_checkpoint back;
    genet_status status = gn_checkpoint_load(&back, path, j->err);
    if (status != GENET_OK)
        return status;
    const gn_weight_table *t = &back.model->weights;
    bool same = t->count == j->weights->table->count;
    for (int i = 0; same && i < t->count; i++)
        same = !memcmp(gn_weights_at(&back.weights, i), gn_weights_at(j->weights, i), (size_t)t->items[i].count * sizeof(float));
    gn_checkpoint_free(&back);
    j->result->read_back = same;
    return same ? GENET_OK : gn_fail(j->err, GENET_INTERNAL, "%s holds other weights than were written", path);
}

static genet_status refuse_air(genet_error *err)
{
    return gn_fail(err, GENET_UNSUPPORTED,
                   "AIR is written by Ascend's own software alone (MindSpore on a machine with CANN), its layout is not published; "
                   "export to mindir and let it be converted there, or to onnx, which atc reads too");
}

static genet_status write_weights(job *j, const char *path)
{
    gn_checkpoint plain = *j->c;
    switch (j->s->export_format) {
    case GN_CHOICE_FORMAT_MINDSPORE: {
        const float *momentum = j->s->keep_momentum ? j->c->momentum : NULL;
        return gn_mindspore_ckpt_write(j->c, j->weights, momentum, path, j->err);
    }
    case GN_CHOICE_FORMAT_TORCHVISION:
    case GN_CHOICE_FORMAT_TIMM: {
        bool timm = j->s->export_format == GN_CHOICE_FORMAT_TIMM;
        const char *caveat = gn_foreign_caveat(&j->c->model->spec, timm);
        if (*caveat)
            gn_export_note(j->result, "%s", caveat);
        return gn_foreign_write(j->c, j->weights, timm, path, NULL, j->err);
    }
    default: /* our own, for publishing: one set of weights, no optimiser, no progress */
        plain.weights = *j->weights;
        plain.has_ema = false;
        plain.momentum = j->s->keep_momentum ? j->c->momentum : NULL;
        plain.progress = NULL;
        return gn_checkpoint_save(&plain, path, NULL, j->err);
    }
}

static genet_status write_and_check(job *j, const char *path)
{
    const gn_settings *s = j->s;
    genet_status status = GENET_OK;
    switch (s->export_format) {
    case GN_CHOICE_FORMAT_AIR:
        return refuse_air(j->err);
    case GN_CHOICE_FORMAT_ONNX: {
        const gn_onnx_options o = {.keep_norms = s->keep_bn, .pixels = s->export_input == 1, .batch = (int)s->fixed_batch};
        if (j->int8)
            GN_TRY(gn_onnx_write_int8(j->c, j->int8, &o, path, NULL, j->err));
        else
            GN_TRY(gn_onnx_write(j->c, j->weights, &o, path, NULL, j->err));
        return gn_export_check(s, j->c, j->int8, path, j->result, j->err);
    }
    case GN_CHOICE_FORMAT_MINDIR:
        gn_export_note(j->result,
                       "a MINDIR runs in MindSpore alone and was not run here; the input is float (N,3,%d,%d), normalised",
                       j->c->model->spec.size, j->c->model->spec.size);
        return gn_mindir_write(j->c, j->weights, (int)s->fixed_batch, path, NULL, j->err);
    default:
        GN_TRY(write_weights(j, path));
        return check_weights(j, path);
    }
out:
    return status;
}

/* Writes beside the target, and renames what passed the check. */
static genet_status write_in_place(job *j)
{
    char *beside = gn_asprintf("%s.part%d", j->s->out, (int)getpid());
    gn_map map = {0};
    genet_status status;
    if (!beside)
        return gn_fail_memory(j->err, strlen(j->s->out), "a file name");
    GN_TRY(write_and_check(j, beside));
    GN_TRY(gn_map_open(&map, beside, j->err));
    j->result->bytes = map.bytes;
    gn_map_close(&map);
    GN_TRY(gn_file_rename(beside, j->s->out, j->err));
out:
    if (status != GENET_OK)
        unlink(beside);
    gn_free(beside);
    return status;
}

static genet_status load(job *j)
{
    const gn_settings *s = j->s;
    gn_checkpoint *c = j->c;
    bool int8;
    genet_status status = gn_quantized_is(s->model, &int8, j->err);
    if (status != GENET_OK)
        return status;
    if (int8 && s->export_format != GN_CHOICE_FORMAT_ONNX)
        return gn_fail(j->err, GENET_MISMATCH,
                       "%s: is an int8 model (genet quantize), which is exported as onnx alone: --format onnx, or export the float "
                       "model that it was made from", s->model);
    if (int8)
        return gn_quantized_load(c, &j->int8, s->model, j->err);
    GN_TRY(gn_checkpoint_load(c, s->model, j->err));
    j->weights = s->use_ema && c->has_ema ? &c->ema : &c->weights;
    if (j->weights == &c->ema)
        gn_export_note(j->result, "averaged weights (EMA); --no-use-ema takes the others");
out:
    return status;
}

genet_status genet_export(const genet_config *config, genet_export_result *result, genet_error *error)
{
    const gn_settings *s = gn_config_settings(config);
    gn_checkpoint c = {0};
    job j = {.s = s, .c = &c, .result = result, .err = error};
    genet_status status;
    memset(result, 0, sizeof *result);
    if (s->export_format == GN_CHOICE_FORMAT_AIR)
        return refuse_air(error);
    GN_TRY(need_paths(s, "export", error));
    GN_TRY(load(&j));
    if (*s->class_list)
        GN_TRY(gn_checkpoint_name_classes(&c, s->class_list, error));
    if (c.classes_unknown)
        gn_export_note(result, "the classes have no names (--class-list FILE gives them)");
    describe(result, &c);
    GN_TRY(write_in_place(&j));
out:
    gn_folded_free(j.int8);
    gn_checkpoint_free(&c);
    return status;
}

/* --- import ------------------------------------------------------------------------------------------------------------------- */

/* A gate without weights cannot be told from no gate: the user says it. The weights are the same. */
static genet_status apply_variant(gn_checkpoint *c, const gn_settings *s, genet_error *err)
{
    static const int extents[] = {0, 2, 4, 8}; /* options.def, "extent" */
    gn_model_spec *spec = &c->model->spec;
    gn_variant wanted = (gn_variant)s->variant;
    if (!gn_settings_given(s, GN_OPTION_variant))
        return GENET_OK;
    if (wanted == GN_THETA_MINUS && (spec->variant == GN_PLAIN || spec->variant == GN_THETA_MINUS)) {
        spec->variant = wanted;
        spec->extent = extents[s->extent];
        return gn_model_check(spec, err);
    }
    if (wanted != spec->variant)
        return gn_fail(err, GENET_MISMATCH, "%s holds a %s network, not %s: its weights say so", s->model,
                       gn_variant_name(spec->variant), gn_variant_name(wanted));
    return GENET_OK;
}

/* A network without gather kernels fits any input; its file does not say which it was trained on. */
static genet_status apply_size(gn_checkpoint *c, const gn_settings *s, genet_error *err)
{
    gn_model_spec *spec = &c->model->spec;
    bool tied = spec->extent == 0 && (spec->variant == GN_THETA || spec->variant == GN_THETA_PLUS);
    if (!gn_settings_given(s, GN_OPTION_size) || s->size == spec->size)
        return GENET_OK;
    if (tied)
        return gn_fail(err, GENET_MISMATCH, "%s was trained on %d pixels: its gather kernels say so; evaluate it with --size %lld "
                       "where they should be resampled", s->model, spec->size, (long long)s->size);
    spec->size = (int)s->size;
    c->preprocess.size = spec->size;
    return gn_model_check(spec, err);
}

genet_status genet_import(const genet_config *config, genet_export_result *result, genet_error *error)
{
    const gn_settings *s = gn_config_settings(config);
    gn_checkpoint c = {0};
    genet_status status;
    memset(result, 0, sizeof *result);
    GN_TRY(need_paths(s, "import", error));
    GN_TRY(gn_checkpoint_load(&c, s->model, error));
    GN_TRY(apply_variant(&c, s, error));
    GN_TRY(apply_size(&c, s, error));
    if (*s->class_list)
        GN_TRY(gn_checkpoint_name_classes(&c, s->class_list, error));
    if (c.classes_unknown)
        gn_export_note(result, "the file names no classes: they are 0 to %d (--class-list FILE names them)", c.class_count - 1);
    if (c.momentum && !s->keep_momentum) {
        gn_slab_free(c.momentum, (size_t)c.model->weights.param_count * sizeof(float));
        c.momentum = NULL;
        gn_export_note(result, "the optimiser's state was left out (--keep-momentum keeps it)");
    }
    describe(result, &c);
    GN_TRY(gn_checkpoint_save(&c, s->out, &result->bytes, error));
    job j = {.s = s, .c = &c, .weights = &c.weights, .result = result, .err = error};
    GN_TRY(check_weights(&j, s->out));
out:
    gn_checkpoint_free(&c);
    return status;
}
