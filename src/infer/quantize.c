/* SPDX-License-Identifier: Apache-2.0
 * genet_quantize: score the float model, calibrate, write the int8 model, open what was written and score it. What can fail
 * because of the user's settings or data fails before the calibration begins. */
#include "genet/quantize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/config.h"
#include "formats/quantized.h"
#include "infer/calibrate.h"
#include "infer/evaluate.h"
#include "infer/summary.h"

typedef struct quantization {
    genet_quantization out; /* first: the public handle is this struct */
    genet_quantized_conv *convs;
    gn_weight_loss *losses;
    gn_map_range *ranges;
    gn_text notes;
} quantization;

/* One call of genet_quantize. */
typedef struct job {
    const gn_settings *s;
    quantization *q;
    gn_session session; /* of the float model */
    gn_preprocess stored; /* as the model has it, before the settings' own */
    void (*progress)(void *user, const char *what, int64_t done, int64_t all);
    void *user;
    const char *doing;
    genet_error *err;
} job;

static void tell(void *user, int64_t done, int64_t all)
{
    const job *j = user;
    if (j->progress)
        j->progress(j->user, j->doing, done, all);
}

static genet_status need_paths(const gn_settings *s, genet_error *err)
{
    if (!*s->model)
        return gn_fail(err, GENET_USAGE, "no model given: the float model to quantise is named by --model FILE");
    if (!*s->data)
        return gn_fail(err, GENET_USAGE,
                       "no pictures to calibrate with: --data PATH names class folders, a list file or tar shards");
    if (!*s->out)
        return gn_fail(err, GENET_USAGE, "no place to write to: --out FILE names it");
    if (gn_folder_exists(s->out))
        return gn_fail(err, GENET_USAGE, "--out %s is a folder; name the file to write", s->out);
    return GENET_OK;
}

static genet_status open_float(job *j)
{
    bool int8;
    const gn_settings *s = j->s;
    gn_map map = {0};
    gn_session_options options = gn_session_options_from(s, (int)s->batch);
    genet_status status = gn_quantized_is(s->model, &int8, j->err);
    if (status == GENET_OK && int8)
        status = gn_fail(j->err, GENET_MISMATCH, "%s: is an int8 model already; quantise the float checkpoint it was made from",
                         s->model);
    if (status == GENET_OK)
        status = gn_session_open(&j->session, s->model, &options, j->err);
    if (status == GENET_OK)
        status = gn_map_open(&map, s->model, j->err);
    if (status != GENET_OK)
        return status;
    j->q->out.bytes_before = map.bytes;
    gn_map_close(&map);
    if (j->session.notes.data)
        gn_text_add(&j->q->notes, "%s", j->session.notes.data);
    j->stored = j->session.checkpoint.preprocess;
    gn_session_use_settings(&j->session, s);
    return GENET_OK;
}

/* top-1, top-5 and loss of a session on --val. */
static genet_status score(job *j, gn_session *session, const char *doing, double *top1, double *top5, double *loss)
{
    gn_scores scores = {0};
    gn_dataset *set = NULL;
    j->doing = doing;
    genet_status status = gn_score_set(session, j->s, j->s->val, &scores, &set, tell, j, j->err);
    if (status == GENET_OK && scores.images == 0)
        status = gn_fail(j->err, GENET_DATA, "%s: none of its %lld images could be read", set->root, (long long)set->count);
    if (status == GENET_OK) {
        *top1 = gn_scores_top1(&scores);
        *top5 = gn_scores_top5(&scores);
        *loss = gn_scores_loss(&scores);
        if (scores.images < set->count && !j->q->out.val_images)
            gn_text_add(&j->q->notes, "%lld images of %s could not be read and are not counted\n",
                        (long long)(set->count - scores.images), j->s->val);
        j->q->out.val_images = scores.images;
    }
    gn_scores_free(&scores);
    gn_dataset_free(set);
    return status;
}

/* The pictures to calibrate with: every n-th of the set, which is sorted by class. */
static genet_status draw(job *j, gn_dataset **set)
{
    gn_dataset_options o = {.leaf_names = j->s->class_names == 1, .merge_classes = j->s->merge_classes};
    genet_status status = gn_dataset_open(set, j->s->data, &o, j->err);
    if (status != GENET_OK)
        return status;
    gn_dataset *d = *set;
    int64_t wanted = j->s->calibration_images;
    if (wanted >= d->count) {
        if (wanted > d->count && gn_settings_given(j->s, GN_OPTION_calibration_images))
            gn_text_add(&j->q->notes, "%s has %lld pictures: all were taken\n", j->s->data, (long long)d->count);
        return GENET_OK;
    }
    for (int64_t i = 0; i < wanted; i++) /* the place read is never behind the one written */
        d->samples[i] = d->samples[(int64_t)((double)d->count * (double)i / (double)wanted)];
    d->count = wanted;
    return GENET_OK;
}

static genet_status calibrate(job *j)
{
    gn_dataset *set = NULL;
    genet_status status = GENET_OK;
    size_t maps = (size_t)gn_quantized_maps(&j->session.checkpoint.model->spec);
    j->q->ranges = gn_calloc(maps, sizeof *j->q->ranges);
    if (!j->q->ranges)
        return gn_fail_memory(j->err, maps * sizeof *j->q->ranges, "the ranges of the maps");
    j->doing = "calibrating";
    GN_TRY(draw(j, &set));
    const gn_calibration c = {.session = &j->session, .set = set, .loader_threads = (int)j->s->loader_threads,
                              .strict = j->s->strict, .largest_only = j->s->calibration == GN_CHOICE_CALIBRATION_MAX,
                              .progress = tell, .user = j};
    GN_TRY(gn_calibrate(&c, j->q->ranges, &j->q->out.calibration_images, j->err));
    if (j->q->out.calibration_images < set->count)
        gn_text_add(&j->q->notes, "%lld of the pictures to calibrate with could not be read\n",
                    (long long)(set->count - j->q->out.calibration_images));
out:
    gn_dataset_free(set);
    return status;
}

/* How the network was made, for genet.quantized. */
static char *origin_of(const job *j)
{
    return gn_asprintf(
        "{\"scheme\":\"u8 maps with one scale, s8 weights with one scale an output channel, in the trunk's convolutions\","
        "\"calibration\":\"%s\",\"calibration_images\":%lld,\"averaged_weights\":%s}",
        j->s->calibration == GN_CHOICE_CALIBRATION_MAX ? "max" : "mse", (long long)j->q->out.calibration_images,
        j->session.averaged ? "true" : "false");
}

static genet_status write_int8(job *j)
{
    const gn_model_spec *spec = &j->session.checkpoint.model->spec;
    int maps = gn_quantized_maps(spec), count = 0;
    gn_checkpoint c = j->session.checkpoint; /* borrowed */
    gn_folded *f = NULL;
    genet_status status = GENET_OK;
    float *scales = gn_calloc((size_t)maps, sizeof *scales);
    j->q->losses = gn_calloc((size_t)maps / 3 * 4, sizeof *j->q->losses);
    c.quantized = origin_of(j);
    c.preprocess = j->stored;
    if (!scales || !j->q->losses || !c.quantized) {
        status = gn_fail_memory(j->err, (size_t)maps * sizeof *j->q->losses, "scales of the maps");
        goto out;
    }
    for (int i = 0; i < maps; i++)
        scales[i] = j->q->ranges[i].clip / 255;
    GN_TRY(gn_quantize(&f, j->session.folded, scales, j->q->losses, &count, j->err));
    GN_TRY(gn_quantized_save(&c, f, j->s->out, &j->q->out.bytes, j->err));
    j->q->out.conv_count = count;
out:
    gn_folded_free(f);
    gn_free(scales);
    gn_free(c.quantized);
    return status;
}

/* The file as a user would open it. */
static genet_status check_written(job *j)
{
    gn_session written = {0};
    gn_session_options options = gn_session_options_from(j->s, (int)j->s->batch);
    genet_quantization *r = &j->q->out;
    options.size = 0;
    genet_status status = gn_session_open(&written, j->s->out, &options, j->err);
    if (status == GENET_OK && *j->s->val) {
        gn_session_use_settings(&written, j->s);
        status = score(j, &written, "evaluating int8", &r->top1, &r->top5, &r->loss);
    }
    gn_session_close(&written);
    return status;
}

static genet_status fill(job *j)
{
    quantization *q = j->q;
    const gn_model_spec *spec = &j->session.checkpoint.model->spec;
    gn_text t = {0};
    q->convs = gn_calloc((size_t)q->out.conv_count, sizeof *q->convs);
    if (!q->convs)
        return gn_fail_memory(j->err, (size_t)q->out.conv_count * sizeof *q->convs, "the errors of the convolutions");
    for (int i = 0; i < q->out.conv_count; i++) {
        const gn_map_range *r = &q->ranges[gn_quantized_map_of(spec, q->losses[i].name)];
        q->convs[i] = (genet_quantized_conv){q->losses[i].name, r->largest, r->clip, r->error, q->losses[i].error};
    }
    gn_summary_network(&t, spec);
    gn_text_add(&t, ", %s form, %d classes, %d pixels", gn_form_name(spec->form), spec->classes, spec->size);
    snprintf(q->out.network, sizeof q->out.network, "%s", t.data ? t.data : "");
    bool failed = t.failed || q->notes.failed;
    gn_text_free(&t);
    q->out.convs = q->convs;
    q->out.notes = q->notes.data ? q->notes.data : "";
    return failed ? gn_fail_memory(j->err, q->notes.length, "notes") : GENET_OK;
}

genet_status genet_quantize(const genet_config *config,
                            void (*progress)(void *user, const char *what, int64_t done, int64_t all), void *user,
                            genet_quantization **result, genet_error *err)
{
    genet_status status = GENET_OK;
    double start = gn_now();
    job j = {.s = gn_config_settings(config), .progress = progress, .user = user, .err = err};
    *result = NULL;
    j.q = gn_calloc(1, sizeof *j.q);
    if (!j.q)
        return gn_fail_memory(err, sizeof *j.q, "a quantisation");
    genet_quantization *r = &j.q->out;
    r->top1 = r->top5 = r->loss = r->top1_before = r->top5_before = r->loss_before = NAN;
    GN_TRY(need_paths(j.s, err));
    GN_TRY(open_float(&j));
    if (*j.s->val)
        GN_TRY(score(&j, &j.session, "evaluating", &r->top1_before, &r->top5_before, &r->loss_before));
    GN_TRY(calibrate(&j));
    GN_TRY(write_int8(&j));
    GN_TRY(check_written(&j));
    GN_TRY(fill(&j));
    r->seconds = gn_now() - start;
    *result = r;
    j.q = NULL;
out:
    genet_quantization_free(j.q ? &j.q->out : NULL);
    gn_session_close(&j.session);
    return status;
}

void genet_quantization_free(genet_quantization *result)
{
    quantization *q = (quantization *)result;
    if (!q)
        return;
    gn_free(q->convs);
    gn_free(q->losses);
    gn_free(q->ranges);
    gn_text_free(&q->notes);
    gn_free(q);
}
