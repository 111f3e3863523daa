/* SPDX-License-Identifier: Apache-2.0
 * From settings to a run that is ready for its first step: settings, data, device, network, plans, folder. Nothing is
 * written before everything else has succeeded. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/manifest.h"
#include "infer/summary.h"
#include "train/run.h"

void gn_run_log(const gn_run *r, genet_log_level level, const char *format, ...)
{
    char line[4096];
    va_list args;
    if (!r->callbacks.log)
        return;
    va_start(args, format);
    gn_vsnprintf(line, sizeof line, format, args);
    va_end(args);
    r->callbacks.log(r->callbacks.user, level, line);
}

/* --- settings ------------------------------------------------------------------------------------------------------------ */

static genet_status open_settings(gn_run *r, const gn_settings *given, genet_error *err)
{
    genet_status status = GENET_OK;
    r->resumed = *given->resume != '\0';
    if (r->resumed)
        GN_TRY(gn_resume_settings(r, given, err));
    else
        GN_TRY(gn_settings_copy(&r->settings, given, err));
    GN_TRY(gn_settings_check(r->settings, err));
    if (!*r->settings->data)
        status = gn_fail(err, GENET_USAGE, "no data given: --data PATH names class folders, a list file or tar shards");
    else if (!*r->settings->out)
        status = gn_fail(err, GENET_USAGE, "no place for the result given: --out FOLDER takes checkpoints, metrics and curves");
    else if (!r->resumed)
        status = gn_folder_check_new(r->settings->out, err);
    if (status != GENET_OK)
        goto out;
    if (!gn_parse_interval(r->settings->checkpoint_every, &r->every))
        r->every = (gn_interval){.epochs = 1};
    r->folder = gn_strdup(r->settings->out);
    if (!r->folder)
        status = gn_fail_memory(err, strlen(r->settings->out), "the name of the run");
    else if (r->resumed)
        status = gn_folder_hold(r, err);
out:
    return status;
}

/* --- data ---------------------------------------------------------------------------------------------------------------- */

static gn_dataset_options data_options(const gn_settings *s)
{
    return (gn_dataset_options){.leaf_names = s->class_names == GN_CHOICE_CLASS_NAMES_LEAF, .merge_classes = s->merge_classes,
                                .seed = (uint64_t)s->seed};
}

static void say_missing(const gn_run *r, const gn_dataset *set, const char *what)
{
    gn_text names = {0};
    int missing = gn_dataset_missing_classes(set, &names);
    if (missing)
        gn_run_log(r, GENET_LOG_INFO, "%d of %d classes have no image in the %s set: %s", missing, set->class_count, what,
                   names.data ? names.data : "");
    gn_text_free(&names);
}

/* --manifest: both sets as they were when it was written. */
static genet_status check_manifest(const gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *s = r->settings;
    int threads = gn_thread_count(s->loader_threads);
    bool whole = s->cap.count == 0 && s->cap_all == 0 && s->val_split == 0;
    if (!*s->manifest)
        return GENET_OK;
    GN_TRY(gn_manifest_check(s->manifest, GN_MANIFEST_DATA, r->train, whole, threads, NULL, NULL, err));
    if (r->val && *s->val)
        GN_TRY(gn_manifest_check(s->manifest, GN_MANIFEST_VAL, r->val, true, threads, NULL, NULL, err));
    else if (r->val)
        GN_TRY(gn_manifest_check(s->manifest, GN_MANIFEST_DATA, r->val, false, threads, NULL, NULL, err));
    gn_run_log(r, GENET_LOG_INFO, "the data are those of %s", s->manifest);
out:
    return status;
}

/* The class contract: the training set's names, or on resume those of the checkpoint, hold for everything after. */
static genet_status open_data(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *s = r->settings;
    gn_dataset_options o = data_options(s);
    gn_checkpoint last = {0};
    bool found = false;
    if (r->resumed)
        GN_TRY(gn_resume_classes(r, &last, &found, err));
    o.caps = (const char *const *)s->cap.items;
    o.cap_count = s->cap.count;
    o.cap_all = s->cap_all;
    if (found) {
        o.expect_classes = (const char *const *)last.classes;
        o.expect_count = last.class_count;
        o.expect_owner = "the run to resume";
    }
    GN_TRY(gn_dataset_open(&r->train, s->data, &o, err));
    GN_TRY(gn_dataset_check_training(r->train, err));
    if (*s->val) {
        o = data_options(s);
        o.expect_classes = (const char *const *)r->train->classes;
        o.expect_count = r->train->class_count;
        o.expect_owner = "the training set";
        GN_TRY(gn_dataset_open(&r->val, s->val, &o, err));
        say_missing(r, r->val, "validation");
    } else if (s->val_split > 0) {
        GN_TRY(gn_dataset_split(r->train, s->val_split, (uint64_t)s->seed, &r->val, err));
    } else {
        gn_run_log(r, GENET_LOG_INFO, "no validation set (--val or --val-split): nothing tells which epoch is the best");
    }
    say_missing(r, r->train, "training");
    GN_TRY(check_manifest(r, err));
out:
    gn_checkpoint_free(&last);
    return status;
}

static gn_preprocess preprocess_from(const gn_settings *s)
{
    bool mindspore = s->preprocess == GN_CHOICE_PREPROCESS_MINDSPORE ||
                     (s->preprocess == GN_CHOICE_PREPROCESS_AUTO && s->form == GN_FORM_MINDSPORE);
    gn_preprocess p = {.size = (int)s->size, .mindspore = mindspore, .exif = s->exif && !mindspore, .pad = s->fit == 1,
                       .crop_share = s->crop_share, .max_pixels = (uint64_t)s->max_pixels};
    memcpy(p.mean, gn_imagenet_mean, sizeof p.mean);
    memcpy(p.std, gn_imagenet_std, sizeof p.std);
    return p;
}

static gn_augment augment_from(const gn_settings *s)
{
    return (gn_augment){.area = {s->area_min, s->area_max}, .aspect = {s->aspect_min, s->aspect_max},
                        .fast_decode = s->fast_decode, .flip = s->flip, .rotate = s->rotate, .jitter = s->jitter,
                        .hue = s->jitter_hue, .erase = s->erase, .randaug = (int)s->randaug,
                        .randaug_magnitude = (int)s->randaug_magnitude};
}

static genet_status open_loaders(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *s = r->settings;
    gn_loader_options o = {.batch = (int)s->batch, .threads = (int)s->loader_threads, .training = true,
                           .seed = (uint64_t)s->seed, .preprocess = r->preprocess, .augment = augment_from(s),
                           .mixup = s->mixup, .cutmix = s->cutmix, .strict = s->strict};
    GN_TRY(gn_loader_create(&r->loader, r->train, &o, err));
    r->batches_per_epoch = gn_loader_batches(r->loader);
    r->steps_per_epoch = r->batches_per_epoch / s->accumulate;
    r->total_steps = r->steps_per_epoch * s->epochs;
    if (r->steps_per_epoch == 0) {
        status = gn_fail(err, GENET_DATA, "%s has %lld images: less than one step of %lld batches of %lld; use a smaller --batch "
                         "or --accumulate", s->data, (long long)r->train->count, (long long)s->accumulate, (long long)s->batch);
        goto out;
    }
    if (r->val) {
        o.training = false;
        GN_TRY(gn_loader_create(&r->val_loader, r->val, &o, err));
    }
out:
    return status;
}

/* --- network ------------------------------------------------------------------------------------------------------------- */

static genet_status open_model(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *s = r->settings;
    static const int extents[] = {0, 2, 4, 8}; /* options.def */
    gn_model_spec spec = {.variant = (gn_variant)s->variant, .form = (gn_form)s->form, .depth = (int)s->depth,
                          .width = gn_model_width(s->width), .size = (int)s->size, .extent = extents[s->extent],
                          .classes = r->train->class_count};
    gn_update_options o = {.momentum = s->momentum, .decay = s->decay, .nesterov = s->nesterov, .ema_keep = s->ema,
                           .accumulate = (int)s->accumulate, .freeze_body = s->freeze};
    GN_TRY(gn_model_create(&r->model, &spec, err));
    GN_TRY(gn_summary_macs(r->model, &r->macs, err));
    GN_TRY(gn_update_create(&r->update, r->device.backend, r->device.handle, &r->model->weights, GN_F32, &o, err));
out:
    return status;
}

genet_status gn_run_fill_weights(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *s = r->settings;
    gn_init init = s->init == GN_CHOICE_INIT_MINDSPORE || (s->init == GN_CHOICE_INIT_AUTO && s->form == GN_FORM_MINDSPORE)
                       ? GN_INIT_MINDSPORE
                       : GN_INIT_TORCH;
    gn_weights_init(&r->update.weights, init, s->zero_gamma, (uint64_t)s->seed);
    if (*s->init_from) {
        if (!r->init.model)
            GN_TRY(gn_checkpoint_load(&r->init, s->init_from, err));
        GN_TRY(gn_init_take(r, err));
        gn_checkpoint_free(&r->init);
    }
    gn_update_start(&r->update);
    gn_progress_start(&r->progress);
out:
    return status;
}

static genet_status open_plans(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *s = r->settings;
    bool published = s->smoothing_form == 1;
    gn_plan_options o = {.batch = (int)s->batch, .map_type = r->map_type, .training = true, .head_only = s->freeze,
                         .low_memory = s->memory == 1,
                         .exact_loss_gradient = !published, .grad_scale = 1.0 / (double)s->accumulate};
    memcpy(o.mean, r->preprocess.mean, sizeof o.mean);
    memcpy(o.std, r->preprocess.std, sizeof o.std);
    gn_smoothing(s->label_smoothing, r->model->spec.classes, published, &o.on, &o.off);
    GN_TRY(gn_model_plan(r->model, &o, &r->plan, err));
    GN_TRY(gn_exec_create(&r->exec, r->device.backend, r->device.handle, r->plan, &r->update.weights, r->update.grads, err));
    if (r->val) {
        o.training = o.head_only = false;
        GN_TRY(gn_model_plan(r->model, &o, &r->eval_plan, err));
        GN_TRY(gn_exec_create(&r->eval_exec, r->device.backend, r->device.handle, r->eval_plan, &r->update.weights, NULL, err));
    }
out:
    return status;
}

/* --- folder and saving ----------------------------------------------------------------------------------------------------- */

/* Settings as they are in the end go into run.json and into every checkpoint. */
static genet_status resolve_settings(gn_run *r, genet_error *err)
{
    char warmup[32];
    gn_text t = {0};
    gn_format_real(warmup, gn_settings_warmup(r->settings));
    genet_status status = gn_settings_set(r->settings, "warmup", warmup, NULL, err);
    if (status != GENET_OK)
        return status;
    gn_settings_json(r->settings, false, &t);
    if (t.failed) {
        gn_text_free(&t);
        return gn_fail_memory(err, t.length, "the settings");
    }
    r->settings_json = t.data;
    return GENET_OK;
}

static genet_status open_folder(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    GN_TRY(resolve_settings(r, err));
    gn_snapshot_options o = {.folder = r->folder, .model = r->model, .update = &r->update, .classes = r->train->classes,
                             .class_count = r->train->class_count, .preprocess = &r->preprocess,
                             .settings = r->settings_json, .keep = (int)r->settings->keep};
    GN_TRY(gn_snapshot_create(&r->snapshot, &o, err));
    GN_TRY(gn_folder_make(r->folder, err));
    GN_TRY(gn_folder_hold(r, err));
    GN_TRY(gn_folder_check_space(r, err));
    GN_TRY(gn_folder_write_run_json(r, err));
    GN_TRY(gn_metrics_open(&r->metrics, r->folder, r->progress.step, r->progress.epochs_done, err));
out:
    return status;
}

static genet_status open_state(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    bool found = false;
    if (r->resumed) {
        GN_TRY(gn_resume_compare(r, err));
        GN_TRY(gn_resume_state(r, &found, err));
        if (found && r->progress.epochs_done == r->settings->epochs)
            gn_run_log(r, GENET_LOG_INFO, "%s is complete (%lld steps): nothing is left to do", r->folder,
                       (long long)r->progress.step);
        else if (found)
            gn_run_log(r, GENET_LOG_INFO, "resuming %s after step %lld of %lld (epoch %d of %lld)", r->folder,
                       (long long)r->progress.step, (long long)r->total_steps, r->progress.epochs_done + 1,
                       (long long)r->settings->epochs);
        else
            gn_run_log(r, GENET_LOG_INFO, "%s has no checkpoint yet: it begins anew", r->folder);
    }
    if (!found)
        GN_TRY(gn_run_fill_weights(r, err));
out:
    return status;
}

static void say_unused(const gn_run *r)
{
    if (gn_settings_given(r->settings, GN_OPTION_loss_scale) || gn_settings_given(r->settings, GN_OPTION_loss_scale_mode))
        gn_run_log(r, GENET_LOG_INFO, "loss scale: not applied, %s has the range of f32 (it is for half types with a narrow one)",
                   gn_dtype_name(r->map_type));
    if (r->settings->freeze && r->settings->init_from[0] == '\0' && !r->resumed)
        gn_run_log(r, GENET_LOG_WARNING, "--freeze-body without --init: the body keeps its random weights");
}

genet_status gn_run_open(gn_run *r, const gn_settings *settings, const genet_train_callbacks *callbacks, genet_error *err)
{
    genet_status status = GENET_OK;
    memset(r, 0, sizeof *r);
    r->program_bytes = (size_t)gn_memory_now();
    gn_progress_start(&r->progress);
    if (callbacks)
        r->callbacks = *callbacks;
    GN_TRY(open_settings(r, settings, err));
    if (!r->resumed)
        GN_TRY(gn_init_load(r, err));
    GN_TRY(open_data(r, err));
    GN_TRY(gn_device_open_settings(&r->device, r->settings, err));
    r->map_type = gn_device_precision(&r->device, r->settings->amp, r->precision, sizeof r->precision);
    r->preprocess = preprocess_from(r->settings);
    GN_TRY(open_model(r, err));
    GN_TRY(open_loaders(r, err));
    r->drops = gn_calloc((size_t)r->settings->step_epochs.count + 1, sizeof *r->drops);
    if (!r->drops) {
        status = gn_fail_memory(err, sizeof *r->drops, "the schedule");
        goto out;
    }
    r->schedule = gn_schedule_from(r->settings, r->steps_per_epoch, r->drops);
    size_t before = (size_t)gn_memory_now();
    GN_TRY(open_plans(r, err));
    size_t after = (size_t)gn_memory_now();
    r->program_bytes += after > before ? after - before : 0; /* primitives and their code; slabs are not touched yet */
    GN_TRY(open_state(r, err));
    GN_TRY(open_folder(r, err));
    say_unused(r);
    gn_run_table(r);
out:
    return status;
}

void gn_run_close(gn_run *r)
{
    gn_snapshot_free(r->snapshot);
    gn_metrics_free(&r->metrics);
    gn_exec_free(r->exec);
    gn_exec_free(r->eval_exec);
    gn_plan_free(r->plan);
    gn_plan_free(r->eval_plan);
    gn_update_free(&r->update);
    gn_loader_free(r->loader);
    gn_loader_free(r->val_loader);
    gn_checkpoint_free(&r->init);
    gn_text_free(&r->init_json);
    gn_device_close(&r->device);
    gn_model_free(r->model);
    gn_dataset_free(r->train);
    gn_dataset_free(r->val);
    gn_settings_free(r->settings);
    gn_free(r->settings_json);
    gn_free(r->drops);
    gn_free(r->folder);
    gn_folder_unlock(&r->lock);
    memset(r, 0, sizeof *r);
}

gn_run_memory gn_run_measure(const gn_run *r)
{
    gn_run_memory m = {.program = r->program_bytes, .weights = gn_update_bytes(&r->update), .activations = gn_exec_bytes(r->exec),
                       .copies = gn_snapshot_bytes(r->snapshot)};
    size_t picture = (size_t)r->preprocess.size * (size_t)r->preprocess.size * 3;
    m.ring = 3 * (size_t)r->settings->batch * picture * (r->val ? 2 : 1);
    if (r->eval_exec)
        m.activations += gn_exec_bytes(r->eval_exec);
    m.total = m.program + m.weights + m.activations + m.copies + m.ring;
    return m;
}
