/* SPDX-License-Identifier: Apache-2.0
 * genet_export and genet_import: settings to a file in another format, and the check of what was written. A file is written
 * beside its place, checked there, and takes its name only then. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "config/config.h"
#include "formats/foreign.h"
#include "formats/mindir.h"
#include "formats/mindspore_ckpt.h"
#include "formats/onnx.h"
#include "genet/export.h"
#include "infer/session.h"
#include "infer/summary.h"

#define ALLOWED 1e-4 /* of the logits' rms: float rounding over 150 layers stays near 2e-6 */

/* One export in progress. */
typedef struct job {
    const gn_settings *s;
    gn_checkpoint *c;
    const gn_weights *weights; /* the trained or the averaged ones */
    genet_export_result *result;
    genet_error *err;
} job;

static void note(genet_export_result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(genet_export_result *r, const char *format, ...)
{
    size_t used = strlen(r->notes);
    va_list args;
    va_start(args, format);
    int n = gn_vsnprintf(r->notes + used, sizeof r->notes - used, format, args);
    va_end(args);
    if (n > 0 && used + (size_t)n + 1 < sizeof r->notes)
        strcat(r->notes, "\n");
}

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
    if (t.data)
        snprintf(r->network, sizeof r->network, "%s", t.data);
    gn_text_free(&t);
}

/* --- checks ------------------------------------------------------------------------------------------------------------- */

static void compare(genet_export_result *r, const float *ours, const float *theirs, int64_t n)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)ours[i] - theirs[i]);
        square += (double)ours[i] * ours[i];
        if (!(d <= r->largest_difference))
            r->largest_difference = d;
    }
    r->logits_rms = sqrt(square / (double)n);
}

/* The graph's input from pixels: themselves, or normalised planes. */
static const void *graph_input(const gn_onnx *m, const gn_preprocess *p, const unsigned char *pixels, int count, float *planes)
{
    int64_t area = (int64_t)p->size * p->size;
    if (gn_onnx_takes_pixels(m))
        return pixels;
    for (int64_t i = 0; i < count * area; i++)
        for (int k = 0; k < 3; k++)
            planes[(i / area * 3 + k) * area + i % area] = (pixels[3 * i + k] - p->mean[k]) / p->std[k];
    return planes;
}

/* Runs the file and the network on the same random pictures. */
static genet_status run_both(job *j, gn_session *session, gn_onnx *graph, int count)
{
    int classes = j->c->model->spec.classes, size = j->c->model->spec.size;
    size_t n = (size_t)count * (size_t)size * (size_t)size * 3, logits = (size_t)count * (size_t)classes;
    unsigned char *pixels = gn_calloc(n, 1);
    float *planes = gn_calloc(n, sizeof *planes), *ours = gn_calloc(2 * logits, sizeof *ours), *theirs = ours + logits;
    gn_preprocess p = j->c->preprocess;
    genet_status status = GENET_OK;
    p.size = size;
    if (!pixels || !planes || !ours) {
        status = gn_fail_memory(j->err, n * 5, "the pictures of a check");
        goto out;
    }
    gn_rng rng = gn_rng_make(1, 0, 0, GN_RNG_MADE_DATA);
    for (size_t i = 0; i < n; i++)
        pixels[i] = (unsigned char)(gn_rng_u32(&rng) >> 24);
    GN_TRY(gn_session_run(session, pixels, count, ours, j->err));
    GN_TRY(gn_onnx_run(graph, graph_input(graph, &p, pixels, count, planes), count, theirs, j->err));
    compare(j->result, ours, theirs, (int64_t)logits);
    j->result->checked_images = count;
    if (!(j->result->largest_difference <= ALLOWED * j->result->logits_rms))
        status = gn_fail(j->err, GENET_INTERNAL,
                         "the written graph's logits differ from the network's by up to %.3g (their rms is %.3g): nothing was kept",
                         j->result->largest_difference, j->result->logits_rms);
out:
    gn_free(pixels);
    gn_free(planes);
    gn_free(ours);
    return status;
}

static genet_status check_onnx(job *j, const char *path, int fixed_batch)
{
    int count = j->s->check_images && fixed_batch ? fixed_batch : (int)j->s->check_images;
    const gn_session_options options = {.backend = "auto", .batch = count, .amp = GN_CHOICE_AMP_OFF, .use_ema = j->s->use_ema};
    gn_session session = {0};
    gn_map map = {0};
    gn_onnx *graph = NULL;
    genet_status status;
    if (!count) {
        note(j->result, "the written graph was not run (--check 0)");
        return GENET_OK;
    }
    GN_TRY(gn_map_open(&map, path, j->err));
    GN_TRY(gn_onnx_open(&graph, map.data, map.bytes, path, j->err));
    GN_TRY(gn_session_open(&session, j->s->model, &options, j->err));
    GN_TRY(run_both(j, &session, graph, count));
out:
    gn_session_close(&session);
    gn_onnx_close(graph);
    gn_map_close(&map);
    return status;
}

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

/* --- export ----------------------------------------------------------------------------------------------------------------- */

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
            note(j->result, "%s", caveat);
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
        GN_TRY(gn_onnx_write(j->c, j->weights, &o, path, NULL, j->err));
        return check_onnx(j, path, o.batch);
    }
    case GN_CHOICE_FORMAT_MINDIR:
        note(j->result, "a MINDIR runs in MindSpore alone and was not run here; the input is float (N,3,%d,%d), normalised",
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
    GN_TRY(gn_checkpoint_load(&c, s->model, error));
    if (*s->class_list)
        GN_TRY(gn_checkpoint_name_classes(&c, s->class_list, error));
    if (c.classes_unknown)
        note(result, "the classes have no names (--class-list FILE gives them)");
    j.weights = s->use_ema && c.has_ema ? &c.ema : &c.weights;
    if (j.weights == &c.ema)
        note(result, "averaged weights (EMA); --no-use-ema takes the others");
    describe(result, &c);
    GN_TRY(write_in_place(&j));
out:
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
        note(result, "the file names no classes: they are 0 to %d (--class-list FILE names them)", c.class_count - 1);
    if (c.momentum && !s->keep_momentum) {
        gn_slab_free(c.momentum, (size_t)c.model->weights.param_count * sizeof(float));
        c.momentum = NULL;
        note(result, "the optimiser's state was left out (--keep-momentum keeps it)");
    }
    describe(result, &c);
    GN_TRY(gn_checkpoint_save(&c, s->out, &result->bytes, error));
    job j = {.s = s, .c = &c, .weights = &c.weights, .result = result, .err = error};
    GN_TRY(check_weights(&j, s->out));
out:
    gn_checkpoint_free(&c);
    return status;
}
