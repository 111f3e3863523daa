/* SPDX-License-Identifier: Apache-2.0
 * Inference sessions. */
#include "infer/session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/quantized.h"
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

static genet_status load_int8(gn_session *s, const char *path, const gn_session_options *o, genet_error *err)
{
    genet_status status = gn_quantized_load(&s->checkpoint, &s->folded, path, err);
    if (status == GENET_OK && o->size && o->size != s->checkpoint.model->spec.size)
        status =
            gn_fail(err, GENET_MISMATCH,
                    "%s: is an int8 model for %d pixels, not %d; quantise the float model at that size: genet quantize --size %d",
                    path, s->checkpoint.model->spec.size, o->size, o->size);
    return status;
}

static genet_status load_model(gn_session *s, const char *path, const gn_session_options *o, genet_error *err)
{
    genet_status status = GENET_OK;
    bool int8;
    GN_TRY(gn_quantized_is(path, &int8, err));
    if (int8)
        return load_int8(s, path, o, err);
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

static void close_lane(gn_lane *lane)
{
    gn_exec_free(lane->exec);
    gn_plan_free(lane->plan);
    gn_free(lane->mix);
    gn_free(lane->pixels);
    memset(lane, 0, sizeof *lane);
}

static genet_status open_lane(gn_session *s, gn_lane *lane, int batch, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_model_spec *spec = &s->checkpoint.model->spec;
    gn_plan_options plan = {.batch = batch, .map_type = s->map_type};
    if (lane->exec)
        return GENET_OK;
    memcpy(plan.mean, s->checkpoint.preprocess.mean, sizeof plan.mean);
    memcpy(plan.std, s->checkpoint.preprocess.std, sizeof plan.std);
    lane->batch = batch;
    size_t picture = (size_t)spec->size * (size_t)spec->size * 3;
    lane->mix = gn_calloc((size_t)batch * 6, sizeof *lane->mix);
    lane->pixels = gn_calloc((size_t)batch, picture);
    if (!lane->mix || !lane->pixels) {
        status = gn_fail_memory(err, (size_t)batch * picture, "prepared pictures");
        goto out;
    }
    for (int i = 0; i < batch; i++) {
        lane->mix[6 * i] = (float)i;
        lane->mix[6 * i + 1] = 1;
    }
    GN_TRY(gn_folded_plan(s->folded, &plan, &lane->plan, err));
    GN_TRY(gn_exec_create(&lane->exec, s->device.backend, s->device.handle, lane->plan, &s->folded->weights, NULL, err));
    gn_exec_bind(lane->exec, lane->plan->mix, lane->mix);
out:
    if (status != GENET_OK)
        close_lane(lane);
    return status;
}

int gn_session_piece(int batch, int threads)
{
    int most = threads > batch / 4 ? batch : 4 * threads, pieces = (batch + most - 1) / most;
    return (batch + pieces - 1) / pieces;
}

genet_status gn_session_many(gn_session *s, const gn_lane **lane, genet_error *err)
{
    *lane = &s->many;
    return open_lane(s, &s->many, gn_session_piece(s->batch, s->device.threads), err);
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
    if (s->folded) /* int8 */
        snprintf(s->precision + strlen(s->precision), sizeof s->precision - strlen(s->precision),
                 "; the trunk's convolutions int8");
    else
        GN_TRY(gn_fold(&s->folded, s->checkpoint.model, s->averaged ? &s->checkpoint.ema : &s->checkpoint.weights, err));
out:
    if (status != GENET_OK)
        gn_session_close(s);
    return status;
}

void gn_session_close(gn_session *s)
{
    close_lane(&s->one);
    close_lane(&s->many);
    gn_folded_free(s->folded);
    gn_device_close(&s->device);
    gn_checkpoint_free(&s->checkpoint);
    gn_text_free(&s->notes);
    memset(s, 0, sizeof *s);
}

static genet_status run_lane(gn_session *s, gn_lane *lane, const unsigned char *pixels, int count, float *logits,
                             genet_error *err)
{
    const gn_model_spec *spec = &s->checkpoint.model->spec;
    size_t picture = (size_t)spec->size * (size_t)spec->size * 3;
    if (count < lane->batch) {
        memcpy(lane->pixels, pixels, (size_t)count * picture);
        pixels = lane->pixels;
    }
    gn_exec_bind(lane->exec, lane->plan->pixels, (void *)pixels);
    genet_status status = gn_exec_run(lane->exec, GN_FORWARD, err);
    if (status == GENET_OK)
        memcpy(logits, gn_exec_data(lane->exec, lane->plan->logits), (size_t)count * (size_t)spec->classes * sizeof *logits);
    return status;
}

/* A quarter of a piece or less goes picture by picture: a piece costs the same however few of its pictures count. */
genet_status gn_session_run(gn_session *s, const unsigned char *pixels, int count, float *logits, genet_error *err)
{
    const gn_model_spec *spec = &s->checkpoint.model->spec;
    size_t picture = (size_t)spec->size * (size_t)spec->size * 3;
    int piece = gn_session_piece(s->batch, s->device.threads);
    genet_status status = GENET_OK;
    if (count < 1 || count > s->batch)
        return gn_fail(err, GENET_INTERNAL, "%d pictures for a session of %d", count, s->batch);
    for (int done = 0, n; done < count; done += n) {
        int left = count - done;
        bool single = left == 1 || left <= piece / 4;
        gn_lane *lane = single ? &s->one : &s->many;
        n = single ? 1 : left < piece ? left : piece;
        GN_TRY(open_lane(s, lane, single ? 1 : piece, err));
        GN_TRY(run_lane(s, lane, pixels + (size_t)done * picture, n, logits + (size_t)done * (size_t)spec->classes, err));
    }
out:
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
