/* SPDX-License-Identifier: Apache-2.0
 * Snapshots. One worker thread; `lock` guards busy, stop, the outcome and the job; the copies belong to the worker while
 * busy and to the caller otherwise. */
#include "train/snapshot.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/threads.h"

struct gn_snapshot {
    gn_snapshot_options options;
    gn_checkpoint copy; /* its slabs are this struct's own; names, model and preprocess are borrowed */
    gn_snapshot_job job;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started, busy, stop, failed;
    int64_t saved_step;
    char failure[GENET_ERROR_SIZE];
};

/* --- writing, in the worker ------------------------------------------------------------------------------------------ */

static int compare_epochs(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static char *epoch_path(const gn_snapshot *s, int epoch)
{
    return gn_asprintf("%s/epoch-%04d.safetensors", s->options.folder, epoch);
}

/* Removes all but the newest `keep` epoch files. What cannot be listed or removed stays. */
static void prune(const gn_snapshot *s)
{
    int epochs[4096], count = 0;
    DIR *d = opendir(s->options.folder);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL && count < 4096;) {
        int epoch, end = 0;
        if (sscanf(e->d_name, "epoch-%d.safetensors%n", &epoch, &end) == 1 && end > 0 && !e->d_name[end] && epoch > 0)
            epochs[count++] = epoch;
    }
    closedir(d);
    qsort(epochs, (size_t)count, sizeof *epochs, compare_epochs);
    for (int i = s->options.keep; i < count; i++) {
        char *path = epoch_path(s, epochs[i]);
        if (path)
            unlink(path);
        gn_free(path);
    }
}

static genet_status check_space(const gn_snapshot *s, const gn_checkpoint *c, genet_error *err)
{
    char have[32], need[32];
    uint64_t bytes = gn_checkpoint_size(c), free_bytes = gn_disk_free(s->options.folder);
    if (free_bytes >= bytes)
        return GENET_OK;
    return gn_fail(err, GENET_IO, "the disk is full: %s are free at %s, a checkpoint takes %s; make room",
                   gn_format_bytes(have, free_bytes), s->options.folder, gn_format_bytes(need, bytes));
}

static genet_status write_file(const gn_snapshot *s, char *path, bool with_momentum, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_checkpoint c = s->copy;
    if (!path)
        return gn_fail_memory(err, 0, "a checkpoint's name");
    if (!with_momentum)
        c.momentum = NULL;
    GN_TRY(check_space(s, &c, err));
    GN_TRY(gn_checkpoint_save(&c, path, NULL, err));
out:
    gn_free(path);
    return status;
}

/* The records up to the saved step are on the disk before it: a resumed run writes only those after it. */
static genet_status sync_metrics(const gn_snapshot *s, genet_error *err)
{
    char *path = gn_path_join(s->options.folder, "metrics.jsonl");
    genet_status status = path ? gn_file_sync(path, err) : gn_fail_memory(err, 0, "the name of the metrics");
    gn_free(path);
    return status;
}

static genet_status write_job(gn_snapshot *s, genet_error *err)
{
    genet_status status = GENET_OK;
    if (s->job.best)
        GN_TRY(write_file(s, gn_path_join(s->options.folder, "best.safetensors"), false, err));
    if (s->job.epoch) {
        GN_TRY(write_file(s, epoch_path(s, s->job.epoch), false, err));
        prune(s);
    }
    if (s->job.last) {
        GN_TRY(sync_metrics(s, err));
        GN_TRY(write_file(s, gn_path_join(s->options.folder, "last.safetensors"), true, err));
    }
out:
    return status;
}

static void *work(void *argument)
{
    gn_snapshot *s = argument;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->busy && !s->stop)
            pthread_cond_wait(&s->changed, &s->lock);
        if (!s->busy)
            break;
        pthread_mutex_unlock(&s->lock);
        genet_error err = {0};
        genet_status status = write_job(s, &err);
        pthread_mutex_lock(&s->lock);
        if (status != GENET_OK) {
            s->failed = true;
            snprintf(s->failure, sizeof s->failure, "%s", err.text);
        } else if (s->job.last) {
            s->saved_step = s->job.step;
        }
        s->busy = false;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void touch_weights(gn_weights *w)
{
    memset(w->params, 1, (size_t)w->table->param_count * sizeof(float));
    memset(w->state, 1, (size_t)w->table->state_count * sizeof(float));
}

/* --- the caller's side ----------------------------------------------------------------------------------------------- */

genet_status gn_snapshot_create(gn_snapshot **out_snapshot, const gn_snapshot_options *options, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_update *u = options->update;
    *out_snapshot = NULL;
    gn_snapshot *s = gn_calloc(1, sizeof *s);
    if (!s)
        return gn_fail_memory(err, sizeof *s, "snapshots");
    s->options = *options;
    s->saved_step = -1;
    s->copy = (gn_checkpoint){.model = options->model, .has_ema = u->ema.table != NULL, .classes = options->classes,
                              .class_count = options->class_count, .preprocess = *options->preprocess,
                              .settings = (char *)options->settings, .origin = (char *)"genet"};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    GN_TRY(gn_weights_create(&s->copy.weights, u->weights.table, GN_F32, err));
    if (s->copy.has_ema)
        GN_TRY(gn_weights_create(&s->copy.ema, u->weights.table, GN_F32, err));
    s->copy.momentum = gn_slab_alloc(u->slab_bytes);
    if (!s->copy.momentum) {
        status = gn_fail_memory(err, u->slab_bytes, "a copy of the state to save");
        goto out;
    }
    /* Pages are taken now, not by the first save: that would stop a step for longer than all later ones. */
    touch_weights(&s->copy.weights);
    if (s->copy.has_ema)
        touch_weights(&s->copy.ema);
    memset(s->copy.momentum, 1, u->slab_bytes);
    if (gn_thread_start(&s->thread, work, s) != 0) {
        status = gn_fail(err, GENET_MEMORY, "no thread can be started to write checkpoints");
        goto out;
    }
    s->started = true;
    *out_snapshot = s;
    s = NULL;
out:
    gn_snapshot_free(s);
    return status;
}

void gn_snapshot_free(gn_snapshot *s)
{
    if (!s)
        return;
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    gn_slab_free(s->copy.momentum, s->options.update->slab_bytes);
    gn_weights_free(&s->copy.weights);
    gn_weights_free(&s->copy.ema);
    gn_free(s->copy.progress);
    gn_free(s);
}

bool gn_snapshot_busy(gn_snapshot *s)
{
    pthread_mutex_lock(&s->lock);
    bool busy = s->busy;
    pthread_mutex_unlock(&s->lock);
    return busy;
}

void gn_snapshot_wait(gn_snapshot *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->busy)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* Copies n floats; false where one is not finite (exponent all ones). */
static bool copy_finite(float *to, const float *from, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
        to[i] = from[i];
    }
    return !bad;
}

static bool copy_weights(gn_weights *to, const gn_weights *from)
{
    bool params = copy_finite(to->params, from->params, (size_t)from->table->param_count);
    bool state = copy_finite(to->state, from->state, (size_t)from->table->state_count);
    return params && state;
}

genet_status gn_snapshot_take(gn_snapshot *s, const gn_snapshot_job *job, genet_error *err)
{
    const gn_update *u = s->options.update;
    gn_snapshot_wait(s);
    char *progress = gn_strdup(job->progress);
    if (!progress)
        return gn_fail_memory(err, strlen(job->progress), "the progress of a checkpoint");
    gn_free(s->copy.progress);
    s->copy.progress = progress;
    bool finite = copy_weights(&s->copy.weights, &u->weights);
    if (s->copy.has_ema)
        finite = copy_weights(&s->copy.ema, &u->ema) && finite;
    finite = copy_finite(s->copy.momentum, u->momentum, u->slab_bytes / sizeof(float)) && finite;
    if (!finite)
        return gn_fail(err, GENET_NUMERIC, "weights are not finite numbers after step %lld", (long long)job->step);
    pthread_mutex_lock(&s->lock);
    s->job = *job;
    s->job.progress = NULL;
    s->busy = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return GENET_OK;
}

bool gn_snapshot_failed(gn_snapshot *s, char *failure, size_t size)
{
    pthread_mutex_lock(&s->lock);
    bool failed = s->failed;
    snprintf(failure, size, "%s", failed ? s->failure : "");
    s->failed = false;
    pthread_mutex_unlock(&s->lock);
    return failed;
}

int64_t gn_snapshot_saved_step(gn_snapshot *s)
{
    pthread_mutex_lock(&s->lock);
    int64_t step = s->saved_step;
    pthread_mutex_unlock(&s->lock);
    return step;
}

uint64_t gn_snapshot_last_bytes(const gn_snapshot *s)
{
    return gn_checkpoint_size(&s->copy);
}

uint64_t gn_snapshot_model_bytes(const gn_snapshot *s)
{
    gn_checkpoint c = s->copy;
    c.momentum = NULL;
    return gn_checkpoint_size(&c);
}

size_t gn_snapshot_bytes(const gn_snapshot *s)
{
    const gn_weight_table *t = s->copy.weights.table;
    size_t weights = (size_t)(t->param_count + t->state_count) * sizeof(float);
    return weights * (1 + s->copy.has_ema) + s->options.update->slab_bytes;
}
