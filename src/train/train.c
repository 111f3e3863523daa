/* SPDX-License-Identifier: Apache-2.0
 * The training, to be read from the bottom upwards: gn_train opens the run (open.c), train_epochs walks the epochs, an
 * epoch is its steps, the validation and the record of it. A step is: the next batch, forward and backward through the
 * plan, one update. Nothing random has state, so that the place in the run (progress.step) is all there is to restore. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/config.h"
#include "infer/summary.h"
#include "train/curves.h"
#include "train/run.h"

#define MAX_REWINDS 10
#define RECORDS_AN_EPOCH 50

/* What is measured, not computed: dies with the process. */
typedef struct clockwork {
    double start, epoch_start, epoch_wait, report_time, report_wait, record_time, record_wait, save_time;
    double step_seconds, validation_seconds; /* moving mean of a step; last validation */
    int64_t epoch_images, report_images, record_images;
    double step_loss;   /* sum over the images of the last step */
    int64_t step_images;
    int64_t steps;      /* of this process */
    int64_t saved_step; /* when the last save was asked for */
    bool reported;
} clockwork;

typedef struct training {
    gn_run *run;
    clockwork time;
    bool aimed;        /* the loader delivers from where we are */
    bool save_pending; /* a save is due and waits for the one before it */
    int64_t rewound_to; /* step of the checkpoint that was gone back to last, or -1 */
} training;

/* --- saving -------------------------------------------------------------------------------------------------------------- */

/* Failures of saves since the last look, loudly; training goes on. */
static void look_at_saves(training *t)
{
    char failure[GENET_ERROR_SIZE];
    if (gn_snapshot_failed(t->run->snapshot, failure, sizeof failure))
        gn_run_log(t->run, GENET_LOG_WARNING, "NOT SAVED, the older checkpoint stays: %s", failure);
}

static genet_status save(training *t, bool last, bool best, int epoch, genet_error *err)
{
    gn_run *r = t->run;
    gn_text progress = {0};
    gn_progress_json(&r->progress, &progress);
    if (progress.failed) {
        gn_text_free(&progress);
        return gn_fail_memory(err, progress.length, "the progress of a checkpoint");
    }
    gn_snapshot_job job = {.last = last, .best = best, .epoch = epoch, .step = r->progress.step, .progress = progress.data};
    genet_status status = gn_snapshot_take(r->snapshot, &job, err);
    gn_text_free(&progress);
    if (last) {
        t->time.save_time = gn_now();
        t->time.saved_step = r->progress.step;
        t->save_pending = false;
    }
    return status;
}

/* Saves and waits until it is on disk: before the process ends. */
static genet_status save_now(training *t, genet_error *err)
{
    gn_run *r = t->run;
    genet_status status = save(t, true, false, 0, err);
    if (status != GENET_OK)
        return status;
    gn_snapshot_wait(r->snapshot);
    look_at_saves(t);
    if (gn_snapshot_saved_step(r->snapshot) == r->progress.step)
        return GENET_OK;
    return gn_fail(err, GENET_IO, "step %lld could not be saved in %s; the checkpoint there is older", (long long)r->progress.step,
                   r->folder);
}

static bool save_due(training *t)
{
    const gn_run *r = t->run;
    bool asked = r->callbacks.save_requested && r->callbacks.save_requested(r->callbacks.user);
    bool steps = r->every.steps > 0 && r->progress.step - t->time.saved_step >= r->every.steps;
    bool seconds = r->every.seconds > 0 && gn_now() - t->time.save_time >= r->every.seconds;
    t->save_pending = t->save_pending || asked || steps || seconds;
    return t->save_pending;
}

/* --- one step -------------------------------------------------------------------------------------------------------------- */

/* Sends the loader to the place of the run, through as many batches as follow without a gap: to the end where an epoch has
 * a whole number of steps, to the end of the epoch where accumulation leaves batches over. */
static genet_status aim(training *t, genet_error *err)
{
    gn_run *r = t->run;
    int64_t done = r->progress.step - r->progress.epochs_done * r->steps_per_epoch, n = r->settings->accumulate;
    bool gaps = r->batches_per_epoch % n != 0;
    int64_t steps = gaps ? r->steps_per_epoch - done : r->total_steps - r->progress.step;
    t->aimed = true;
    return gn_loader_seek(r->loader, (uint32_t)r->progress.epochs_done, done * n, steps * n, err);
}

/* Losses and hits of a batch that ran; false where a loss is not finite. */
static bool count_batch(training *t, const gn_batch *b)
{
    gn_run *r = t->run;
    const float *losses = gn_exec_data(r->exec, r->plan->losses), *logits = gn_exec_data(r->exec, r->plan->logits);
    int classes = r->model->spec.classes;
    double sum = 0;
    for (int i = 0; i < b->count; i++) {
        sum += (double)losses[i];
        r->progress.hits += gn_rank_of(logits + (int64_t)i * classes, classes, b->labels[2 * i]) == 0;
    }
    t->time.step_loss += sum;
    t->time.step_images += b->count;
    r->progress.loss_sum += sum;
    r->progress.window_loss += sum;
    r->progress.images += b->count;
    r->progress.window_images += b->count;
    return isfinite(sum);
}

static genet_status micro_batch(training *t, genet_error *err)
{
    gn_run *r = t->run;
    gn_batch *b = NULL;
    double waited = 0;
    genet_status status;
    GN_TRY(gn_loader_next(r->loader, &b, &waited, err));
    if (!b)
        return gn_fail(err, GENET_INTERNAL, "the loader ended before the run");
    t->time.epoch_wait += waited;
    t->time.report_wait += waited;
    t->time.record_wait += waited;
    gn_exec_bind(r->exec, r->plan->pixels, b->pixels);
    gn_exec_bind(r->exec, r->plan->mix, b->mix);
    gn_exec_bind(r->exec, r->plan->labels, b->labels);
    gn_exec_bind(r->exec, r->plan->lambda, b->lambda);
    GN_TRY(gn_exec_run(r->exec, GN_FORWARD | GN_BACKWARD, err));
    t->time.epoch_images += b->count;
    t->time.report_images += b->count;
    t->time.record_images += b->count;
    if (!count_batch(t, b))
        status = gn_fail(err, GENET_NUMERIC, "the loss of step %lld (epoch %d) is not a finite number",
                         (long long)r->progress.step + 1, r->progress.epochs_done + 1);
out:
    if (b)
        gn_loader_release(r->loader, b);
    return status;
}

static double rate_now(const gn_run *r)
{
    return gn_schedule_rate(&r->schedule, r->progress.step) * r->progress.rate_scale;
}

static genet_status one_step(training *t, genet_error *err)
{
    gn_run *r = t->run;
    genet_status status = GENET_OK;
    double start = gn_now();
    bool due = false;
    gn_update_forget(&r->update);
    t->time.step_loss = 0;
    t->time.step_images = 0;
    while (!due) {
        GN_TRY(micro_batch(t, err));
        due = gn_update_add(&r->update);
    }
    gn_update_apply(&r->update, rate_now(r));
    gn_exec_weights_changed(r->exec);
    r->progress.step++;
    double seconds = gn_now() - start;
    t->time.step_seconds = t->time.steps++ ? 0.95 * t->time.step_seconds + 0.05 * seconds : seconds;
out:
    return status;
}

/* --- reports ----------------------------------------------------------------------------------------------------------------- */

static bool mixed(const gn_run *r)
{
    return r->settings->mixup > 0 || r->settings->cutmix > 0;
}

static double train_top1(const gn_run *r)
{
    return mixed(r) || !r->progress.images ? NAN : (double)r->progress.hits / (double)r->progress.images;
}

static double train_loss(const gn_run *r)
{
    return r->progress.images ? r->progress.loss_sum / (double)r->progress.images : NAN;
}

static double rate_before(const gn_run *r)
{
    return gn_schedule_rate(&r->schedule, r->progress.step - 1) * r->progress.rate_scale;
}

static double eta(const training *t)
{
    const gn_run *r = t->run;
    int epochs = (int)r->settings->epochs - r->progress.epochs_done;
    int64_t validations = r->settings->eval_every ? epochs / r->settings->eval_every : 1;
    return (double)(r->total_steps - r->progress.step) * t->time.step_seconds +
           (r->val ? (double)validations * t->time.validation_seconds : 0);
}

/* A progress line: the first step, then every log-every seconds, and an epoch's last step. */
static void report(training *t)
{
    gn_run *r = t->run;
    double now = gn_now(), since = now - t->time.report_time, every = r->settings->log_every > 0 ? r->settings->log_every : 1;
    int64_t step = r->progress.step - r->progress.epochs_done * r->steps_per_epoch;
    if (t->time.reported && since < every && step != r->steps_per_epoch)
        return;
    genet_progress p = {.epoch = r->progress.epochs_done + 1, .epochs = (int)r->settings->epochs, .step = step,
                        .steps = r->steps_per_epoch, .global_step = r->progress.step, .total_steps = r->total_steps,
                        .loss = train_loss(r), .top1 = train_top1(r),
                        .step_loss = t->time.step_images ? t->time.step_loss / (double)t->time.step_images : NAN,
                        .rate = rate_before(r),
                        .images_per_second = (double)t->time.report_images / fmax(since, 1e-9),
                        .data_wait = t->time.report_wait / fmax(since, 1e-9), .eta_seconds = eta(t)};
    if (r->callbacks.progress)
        r->callbacks.progress(r->callbacks.user, &p);
    t->time.reported = true;
    t->time.report_time = now;
    t->time.report_wait = 0;
    t->time.report_images = 0;
}

/* A metrics record a fiftieth of the epoch; at places that depend on the step alone. */
static void record_step(training *t)
{
    gn_run *r = t->run;
    genet_error err;
    int64_t step = r->progress.step - r->progress.epochs_done * r->steps_per_epoch;
    int64_t every = r->steps_per_epoch / RECORDS_AN_EPOCH;
    if (step % (every > 0 ? every : 1) != 0)
        return;
    double now = gn_now(), since = fmax(now - t->time.record_time, 1e-9);
    gn_step_record record = {.epoch = r->progress.epochs_done + 1, .step = r->progress.step, .rate = rate_before(r),
                             .loss = r->progress.window_loss / (double)r->progress.window_images,
                             .seconds = now - t->time.start, .images_per_second = (double)t->time.record_images / since,
                             .data_wait = t->time.record_wait / since};
    if (gn_metrics_step(&r->metrics, &record, &err) != GENET_OK)
        gn_run_log(r, GENET_LOG_WARNING, "%s", err.text);
    r->progress.window_loss = 0;
    r->progress.window_images = 0;
    t->time.record_time = now;
    t->time.record_wait = 0;
    t->time.record_images = 0;
}

static void draw_curves(const gn_run *r)
{
    genet_error err;
    gn_text title = {0}, subtitle = {0};
    char images[32], name[512], *path = gn_folder_path(r, "curves.svg");
    gn_escape_name(name, sizeof name, r->folder);
    gn_text_add(&title, "%s", name);
    gn_summary_network(&subtitle, &r->model->spec);
    gn_text_add(&subtitle, "; %d classes, %s images, batch %lld", r->train->class_count,
                gn_format_count(images, r->train->count), (long long)(r->settings->batch * r->settings->accumulate));
    gn_curves curves = {.title = title.data ? title.data : "", .subtitle = subtitle.data ? subtitle.data : "",
                        .epochs = r->metrics.epochs, .count = r->metrics.count, .all_epochs = (int)r->settings->epochs,
                        .schedule = &r->schedule, .steps_per_epoch = r->steps_per_epoch,
                        .rate_scale = r->progress.rate_scale, .smoothed = r->settings->label_smoothing > 0 || mixed(r)};
    if (!path || gn_curves_write(&curves, path, &err) != GENET_OK)
        gn_run_log(r, GENET_LOG_WARNING, "curves.svg was not drawn: %s", path ? err.text : "not enough memory");
    gn_free(path);
    gn_text_free(&title);
    gn_text_free(&subtitle);
}

/* --- one epoch -------------------------------------------------------------------------------------------------------- */

static bool stop_wanted(const training *t)
{
    const gn_run *r = t->run;
    bool enough = r->settings->max_steps > 0 && t->time.steps >= r->settings->max_steps &&
                  r->progress.step < r->total_steps;
    return enough || (r->callbacks.stop_requested && r->callbacks.stop_requested(r->callbacks.user));
}

static genet_status stop(training *t, genet_error *err)
{
    gn_run *r = t->run;
    genet_status status = save_now(t, err);
    if (status != GENET_OK)
        return status;
    return gn_fail(err, GENET_INTERRUPTED, "stopped after step %lld of %lld; go on with --resume %s", (long long)r->progress.step,
                   (long long)r->total_steps, r->folder);
}

static genet_status run_steps(training *t, genet_error *err)
{
    gn_run *r = t->run;
    genet_status status = GENET_OK;
    int64_t end = (r->progress.epochs_done + 1) * r->steps_per_epoch;
    if (r->progress.step < end && (!t->aimed || r->batches_per_epoch % r->settings->accumulate))
        GN_TRY(aim(t, err));
    while (r->progress.step < end) {
        GN_TRY(one_step(t, err));
        record_step(t);
        report(t);
        gn_folder_note_bad(r);
        look_at_saves(t);
        if (save_due(t) && !gn_snapshot_busy(r->snapshot))
            GN_TRY(save(t, true, false, 0, err));
        if (stop_wanted(t))
            GN_TRY(stop(t, err));
    }
out:
    return status;
}

static bool validation_due(const gn_run *r)
{
    int epoch = r->progress.epochs_done + 1;
    return r->val && (epoch == r->settings->epochs || (r->settings->eval_every && epoch % r->settings->eval_every == 0));
}

/* Fills the record's validation; with an average both it and the current weights are scored. */
static genet_status validate(training *t, gn_epoch_record *e, genet_error *err)
{
    gn_run *r = t->run;
    gn_scores scores;
    genet_status status = GENET_OK;
    double start = gn_now();
    GN_TRY(gn_run_validate(r, &r->update.weights, &scores, err));
    e->val_loss = gn_scores_loss(&scores);
    e->val_top1 = gn_scores_top1(&scores);
    e->val_top5 = gn_scores_top5(&scores);
    if (r->update.ema.table) {
        GN_TRY(gn_run_validate(r, &r->update.ema, &scores, err));
        e->ema_loss = gn_scores_loss(&scores);
        e->ema_top1 = gn_scores_top1(&scores);
        e->ema_top5 = gn_scores_top5(&scores);
    }
    t->time.validation_seconds = gn_now() - start;
out:
    return status;
}

/* The best epoch has the highest top-1 of what a user will run: the average where there is one. Ties: the lower loss. */
static void judge(gn_run *r, gn_epoch_record *e)
{
    gn_train_progress *p = &r->progress;
    double top1 = r->update.ema.table ? e->ema_top1 : e->val_top1, loss = r->update.ema.table ? e->ema_loss : e->val_loss;
    p->val_loss = e->val_loss;
    p->val_top1 = e->val_top1;
    p->val_top5 = e->val_top5;
    p->ema_top1 = e->ema_top1;
    p->ema_top5 = e->ema_top5;
    if (!isfinite(top1) || top1 < p->best_top1 || (top1 == p->best_top1 && !(loss < p->best_loss)))
        return;
    e->best = true;
    p->best_epoch = e->epoch;
    p->best_top1 = top1;
    p->best_loss = loss;
}

static void tell_epoch(const training *t, const gn_epoch_record *e)
{
    gn_run *r = t->run;
    genet_epoch_report report = {.epoch = e->epoch, .epochs = (int)r->settings->epochs, .has_val = isfinite(e->val_top1),
                                 .is_best = e->best, .has_ema = isfinite(e->ema_top1), .train_loss = e->train_loss,
                                 .train_top1 = e->train_top1, .val_loss = e->val_loss, .val_top1 = e->val_top1,
                                 .val_top5 = e->val_top5, .ema_top1 = e->ema_top1, .ema_top5 = e->ema_top5,
                                 .seconds = e->seconds, .images_per_second = e->images_per_second,
                                 .data_wait = e->data_wait, .bad_images = r->bad_images};
    if (r->callbacks.epoch)
        r->callbacks.epoch(r->callbacks.user, &report);
}

/* Which files the end of this epoch writes, in one snapshot. */
static genet_status save_epoch(training *t, const gn_epoch_record *e, genet_error *err)
{
    gn_run *r = t->run;
    bool final = e->epoch == r->settings->epochs;
    bool last = final || (r->every.epochs > 0 && e->epoch % r->every.epochs == 0) || save_due(t);
    int kept = r->settings->save_epochs && e->epoch % r->settings->save_epochs == 0 ? e->epoch : 0;
    return last || e->best || kept ? save(t, last, e->best, kept, err) : GENET_OK;
}

static genet_status end_epoch(training *t, genet_error *err)
{
    gn_run *r = t->run;
    genet_status status = GENET_OK;
    genet_error warning;
    double seconds = fmax(gn_now() - t->time.epoch_start, 1e-9);
    gn_epoch_record e = {.epoch = r->progress.epochs_done + 1, .step = r->progress.step, .rate = rate_before(r),
                         .train_loss = train_loss(r), .train_top1 = train_top1(r), .val_loss = NAN, .val_top1 = NAN,
                         .val_top5 = NAN, .ema_loss = NAN, .ema_top1 = NAN, .ema_top5 = NAN, .seconds = seconds,
                         .images_per_second = (double)t->time.epoch_images / seconds,
                         .data_wait = t->time.epoch_wait / seconds};
    if (validation_due(r)) {
        status = validate(t, &e, err);
        if (status == GENET_INTERRUPTED)
            status = stop(t, err);
        if (status != GENET_OK)
            goto out;
        judge(r, &e);
    }
    gn_folder_note_bad(r);
    r->progress.epochs_done = e.epoch;
    gn_progress_next_epoch(&r->progress);
    if (gn_metrics_epoch(&r->metrics, &e, &warning) != GENET_OK)
        gn_run_log(r, GENET_LOG_WARNING, "%s", warning.text);
    draw_curves(r);
    tell_epoch(t, &e);
    GN_TRY(save_epoch(t, &e, err));
out:
    return status;
}

static genet_status run_epoch(training *t, genet_error *err)
{
    genet_status status = GENET_OK;
    clockwork *c = &t->time;
    c->epoch_start = c->report_time = c->record_time = gn_now();
    c->epoch_wait = c->report_wait = c->record_wait = 0;
    c->epoch_images = c->report_images = c->record_images = 0;
    GN_TRY(run_steps(t, err));
    GN_TRY(end_epoch(t, err));
out:
    return status;
}

/* --- a loss that is not finite ---------------------------------------------------------------------------------------- */

static genet_status give_up(training *t, genet_error *err)
{
    gn_run *r = t->run;
    char *path = gn_folder_path(r, "last.safetensors"), what[512];
    snprintf(what, sizeof what, "%.500s", err->text);
    gn_snapshot_wait(r->snapshot);
    look_at_saves(t);
    bool saved = path && gn_file_exists(path);
    gn_free(path);
    if (saved)
        return gn_fail(err, GENET_NUMERIC, "%s; the last good checkpoint is %s/last.safetensors. A lower --rate or a longer "
                       "--warmup may help, and --on-nan rewind goes on from it at half the rate", what, r->folder);
    return gn_fail(err, GENET_NUMERIC, "%s; no checkpoint was written before. A lower --rate or a longer --warmup may help", what);
}

/* Back to the last checkpoint at half the rate. One that has led here before is no good (its weights are finite but already
 * running away): then back to the start. */
static genet_status rewind_run(training *t, genet_error *err)
{
    gn_run *r = t->run;
    genet_status status = GENET_OK;
    double scale = r->progress.rate_scale / 2;
    int rewinds = r->progress.rewinds + 1;
    bool found = false;
    if (rewinds > MAX_REWINDS)
        return give_up(t, err);
    gn_run_log(r, GENET_LOG_WARNING, "%s: going back at half the rate (%d of %d times)", err->text, rewinds, MAX_REWINDS);
    gn_snapshot_wait(r->snapshot);
    look_at_saves(t);
    GN_TRY(gn_resume_state(r, &found, err));
    if (!found || r->progress.step == t->rewound_to) {
        GN_TRY(gn_run_fill_weights(r, err));
        found = false;
    }
    t->rewound_to = found ? r->progress.step : -1;
    r->progress.rate_scale = scale;
    r->progress.rewinds = rewinds;
    gn_exec_weights_changed(r->exec);
    gn_metrics_free(&r->metrics);
    GN_TRY(gn_metrics_open(&r->metrics, r->folder, r->progress.step, r->progress.epochs_done, err));
    gn_run_log(r, GENET_LOG_WARNING, "going on after step %lld with %g times the rate", (long long)r->progress.step, scale);
    t->aimed = false;
    t->time.saved_step = r->progress.step;
out:
    return status;
}

/* --- the run ---------------------------------------------------------------------------------------------------------- */

static genet_status train_epochs(training *t, genet_error *err)
{
    gn_run *r = t->run;
    while (r->progress.epochs_done < r->settings->epochs) {
        genet_status status = run_epoch(t, err);
        if (status == GENET_NUMERIC)
            status = r->settings->on_nan == 1 ? rewind_run(t, err) : give_up(t, err);
        if (status != GENET_OK)
            return status;
    }
    return GENET_OK;
}

/* The last state has to be on disk for the run to have succeeded. */
static genet_status finish(training *t, genet_error *err)
{
    gn_run *r = t->run;
    gn_snapshot_wait(r->snapshot);
    look_at_saves(t);
    if (gn_snapshot_saved_step(r->snapshot) == r->progress.step || t->time.steps == 0)
        return GENET_OK;
    return save_now(t, err);
}

static void path_if_there(const gn_run *r, const char *name, char *out, size_t size)
{
    char *path = gn_folder_path(r, name);
    snprintf(out, size, "%s", path && gn_file_exists(path) ? path : "");
    gn_free(path);
}

static void fill_result(const training *t, genet_train_result *result)
{
    const gn_run *r = t->run;
    const gn_train_progress *p = &r->progress;
    bool averaged = isfinite(p->ema_top1);
    *result = (genet_train_result){.epochs_done = p->epochs_done, .steps_done = p->step, .best_top1 = p->best_top1,
                                   .final_top1 = averaged ? p->ema_top1 : p->val_top1,
                                   .final_top5 = averaged ? p->ema_top5 : p->val_top5, .seconds = gn_now() - t->time.start,
                                   .peak_memory = (int64_t)gn_memory_peak()};
    if (!r->folder)
        return;
    path_if_there(r, "best.safetensors", result->best_model, sizeof result->best_model);
    path_if_there(r, "last.safetensors", result->last_model, sizeof result->last_model);
}

genet_status gn_train(const gn_settings *settings, const genet_train_callbacks *callbacks, genet_train_result *result,
                      genet_error *err)
{
    genet_status status = GENET_OK;
    gn_run run;
    genet_error own;
    training t = {.run = &run, .time = {.start = gn_now()}, .rewound_to = -1};
    err = err ? err : &own; /* messages are passed on between the parts */
    GN_TRY(gn_run_open(&run, settings, callbacks, err));
    t.time.save_time = gn_now();
    t.time.saved_step = run.progress.step;
    GN_TRY(train_epochs(&t, err));
    GN_TRY(finish(&t, err));
out:
    if (result)
        fill_result(&t, result);
    gn_run_close(&run);
    return status;
}

genet_status genet_train(const genet_config *config, const genet_train_callbacks *callbacks, genet_train_result *result,
                         genet_error *error)
{
    return gn_train(gn_config_settings(config), callbacks, result, error);
}
