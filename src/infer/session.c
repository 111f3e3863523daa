/* SPDX-License-Identifier: Apache-2.0
 * Inference sessions. */
#include "infer/session.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "infer/resize.h"

gn_session_options gn_session_options_from(const gn_settings *s, int batch)
{
    return (gn_session_options){.backend = gn_device_backend_name(s), .isa = s->isa, .threads = s->threads, .batch = batch,
                                .size = gn_settings_given(s, GN_OPTION_size) ? (int)s->size : 0, .amp = s->amp,
                                .use_ema = s->use_ema};
}

void gn_session_use_settings(gn_session *session, const gn_settings *s)
{
    gn_preprocess *p = &session->checkpoint.preprocess;
    if (gn_settings_given(s, GN_OPTION_preprocess) && s->preprocess != GN_CHOICE_PREPROCESS_AUTO)
        p->mindspore = s->preprocess == GN_CHOICE_PREPROCESS_MINDSPORE;
    if (gn_settings_given(s, GN_OPTION_fit))
        p->pad = s->fit == 1;
    if (gn_settings_given(s, GN_OPTION_crop_share))
        p->crop_share = s->crop_share;
    if (gn_settings_given(s, GN_OPTION_exif))
        p->exif = s->exif;
    if (gn_settings_given(s, GN_OPTION_max_pixels))
        p->max_pixels = (uint64_t)s->max_pixels;
}

static genet_status load_model(gn_session *s, const char *path, const gn_session_options *o, genet_error *err)
{
    genet_status status = GENET_OK;
    GN_TRY(gn_checkpoint_load(&s->checkpoint, path, err));
    int trained_at = s->checkpoint.model->spec.size;
    if (o->size && o->size != trained_at) {
        GN_TRY(gn_checkpoint_resize(&s->checkpoint, o->size, &s->resampled, err));
        if (s->resampled)
            gn_text_add(&s->notes, "%d gather kernels resampled from %d to %d pixels of input\n", s->resampled, trained_at,
                        o->size);
    }
    s->averaged = o->use_ema && s->checkpoint.has_ema;
    if (s->averaged)
        gn_text_add(&s->notes, "averaged weights (EMA)\n");
out:
    return status;
}

static genet_status plan_model(gn_session *s, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_model *model = s->checkpoint.model;
    gn_plan_options plan = {.batch = s->batch, .map_type = s->map_type};
    memcpy(plan.mean, s->checkpoint.preprocess.mean, sizeof plan.mean);
    memcpy(plan.std, s->checkpoint.preprocess.std, sizeof plan.std);
    GN_TRY(gn_fold(&s->folded, model, s->averaged ? &s->checkpoint.ema : &s->checkpoint.weights, err));
    GN_TRY(gn_folded_plan(s->folded, &plan, &s->plan, err));
    GN_TRY(gn_exec_create(&s->exec, s->device.backend, s->device.handle, s->plan, &s->folded->weights, NULL, err));
    size_t picture = (size_t)model->spec.size * (size_t)model->spec.size * 3;
    s->mix = gn_calloc((size_t)s->batch * 6, sizeof *s->mix);
    s->pixels = gn_calloc((size_t)s->batch, picture);
    if (!s->mix || !s->pixels) {
        status = gn_fail_memory(err, (size_t)s->batch * picture, "prepared pictures");
        goto out;
    }
    for (int i = 0; i < s->batch; i++) {
        s->mix[6 * i] = (float)i;
        s->mix[6 * i + 1] = 1;
    }
    gn_exec_bind(s->exec, s->plan->mix, s->mix);
out:
    return status;
}

genet_status gn_session_open(gn_session *s, const char *model_path, const gn_session_options *options, genet_error *err)
{
    genet_status status = GENET_OK;
    memset(s, 0, sizeof *s);
    s->batch = options->batch;
    if (!model_path || !*model_path)
        return gn_fail(err, GENET_USAGE, "no model given: --model FILE names a checkpoint (.safetensors or MindSpore .ckpt)");
    GN_TRY(load_model(s, model_path, options, err));
    GN_TRY(gn_device_open(&s->device, options->backend, options->isa, options->threads, err));
    s->map_type = gn_device_precision(&s->device, options->amp, s->precision, sizeof s->precision);
    GN_TRY(plan_model(s, err));
out:
    if (status != GENET_OK)
        gn_session_close(s);
    return status;
}

void gn_session_close(gn_session *s)
{
    gn_exec_free(s->exec);
    gn_plan_free(s->plan);
    gn_folded_free(s->folded);
    gn_device_close(&s->device);
    gn_checkpoint_free(&s->checkpoint);
    gn_free(s->mix);
    gn_free(s->pixels);
    gn_text_free(&s->notes);
    memset(s, 0, sizeof *s);
}

genet_status gn_session_run(gn_session *s, const unsigned char *pixels, int count, float *logits, genet_error *err)
{
    const gn_model_spec *spec = &s->checkpoint.model->spec;
    size_t picture = (size_t)spec->size * (size_t)spec->size * 3;
    if (count < 1 || count > s->batch)
        return gn_fail(err, GENET_INTERNAL, "%d pictures for a session of %d", count, s->batch);
    if (count < s->batch) {
        memcpy(s->pixels, pixels, (size_t)count * picture);
        pixels = s->pixels;
    }
    gn_exec_bind(s->exec, s->plan->pixels, (void *)pixels);
    genet_status status = gn_exec_run(s->exec, GN_FORWARD, err);
    if (status == GENET_OK)
        memcpy(logits, gn_exec_data(s->exec, s->plan->logits), (size_t)count * (size_t)spec->classes * sizeof *logits);
    return status;
}

void gn_softmax(float *logits, int classes)
{
    float most = logits[0];
    double sum = 0;
    for (int k = 1; k < classes; k++)
        most = logits[k] > most ? logits[k] : most;
    for (int k = 0; k < classes; k++)
        sum += exp((double)(logits[k] - most));
    for (int k = 0; k < classes; k++)
        logits[k] = (float)(exp((double)(logits[k] - most)) / sum);
}
