/* SPDX-License-Identifier: Apache-2.0
 * --resume: the settings, the state and the data of an interrupted run. Settings come from RUN/run.json; what the user
 * gives beside --resume wins, but a change of what the run computes is refused without --force-resume. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "formats/json.h"
#include "infer/build.h"
#include "train/run.h"

#define MAX_RUN_JSON ((size_t)64 << 20)

/* What run.json says and a resumed run is held to. */
typedef struct stored {
    char *settings, *started, *init, *identity, *val_identity, *device, *cpu, *map_type;
    int64_t threads;
} stored;

static void stored_free(stored *s)
{
    gn_free(s->settings);
    gn_free(s->started);
    gn_free(s->init);
    gn_free(s->identity);
    gn_free(s->val_identity);
    gn_free(s->device);
    gn_free(s->cpu);
    gn_free(s->map_type);
    memset(s, 0, sizeof *s);
}

static void take_string(gn_json *j, char **to)
{
    gn_free(*to);
    *to = NULL;
    gn_json_string(j, to);
}

/* The text of any value. */
static void take_value(gn_json *j, const char *text, char **to)
{
    gn_json_peek(j);
    size_t from = j->at;
    gn_json_skip(j);
    gn_free(*to);
    *to = gn_strndup(text + from, j->at - from);
    if (!*to && !j->fault) {
        j->no_memory = true;
        gn_json_fail(j, "not enough memory for a value");
    }
}

/* One object: members named in `keys` into `to`, "threads" into *threads. */
static void read_object(gn_json *j, const char *const *keys, char **const *to, int n, int64_t *threads)
{
    char *key;
    gn_json_object(j);
    while (gn_json_key(j, &key)) {
        int i = 0;
        while (i < n && strcmp(key, keys[i]))
            i++;
        if (i < n)
            take_string(j, to[i]);
        else if (threads && !strcmp(key, "threads"))
            gn_json_int(j, threads);
        else
            gn_json_skip(j);
        gn_free(key);
    }
}

static void read_member(gn_json *j, const char *key, const char *text, stored *s)
{
    if (!strcmp(key, "settings")) {
        take_value(j, text, &s->settings);
    } else if (!strcmp(key, "init")) {
        take_value(j, text, &s->init);
    } else if (!strcmp(key, "started")) {
        take_string(j, &s->started);
    } else if (!strcmp(key, "train")) {
        read_object(j, (const char *const[]){"identity"}, (char **const[]){&s->identity}, 1, NULL);
    } else if (!strcmp(key, "val")) {
        read_object(j, (const char *const[]){"identity"}, (char **const[]){&s->val_identity}, 1, NULL);
    } else if (!strcmp(key, "machine")) {
        read_object(j, (const char *const[]){"device", "map_type"}, (char **const[]){&s->device, &s->map_type}, 2, &s->threads);
    } else if (!strcmp(key, "build")) {
        read_object(j, (const char *const[]){"cpu"}, (char **const[]){&s->cpu}, 1, NULL);
    } else {
        gn_json_skip(j);
    }
}

static genet_status read_run_json(const char *folder, stored *s, genet_error *err)
{
    genet_status status = GENET_OK;
    unsigned char *bytes = NULL;
    size_t n;
    gn_json j;
    char *key, *path = gn_path_join(folder, "run.json");
    memset(s, 0, sizeof *s);
    if (!path) {
        status = gn_fail_memory(err, strlen(folder), "a path");
        goto out;
    }
    if (!gn_file_exists(path)) {
        status = gn_fail(err, GENET_IO, "%s holds no run to resume: there is no run.json in it", folder);
        goto out;
    }
    GN_TRY(gn_file_read(path, MAX_RUN_JSON, &bytes, &n, err));
    gn_json_start(&j, bytes, n);
    gn_json_object(&j);
    while (gn_json_key(&j, &key)) {
        read_member(&j, key, (const char *)bytes, s);
        gn_free(key);
    }
    gn_json_end(&j);
    if (j.fault || !s->settings)
        status = gn_fail(err, gn_json_status(&j), "%s is damaged: %s", path, j.fault ? j.fault : "it has no settings");
out:
    gn_free(path);
    gn_free(bytes);
    if (status != GENET_OK)
        stored_free(s);
    return status;
}

/* --- settings ---------------------------------------------------------------------------------------------------------- */

static genet_status refuse_changes(const gn_settings *before, const gn_run *r, genet_error *err)
{
    gn_text changes = {0};
    genet_status status = GENET_OK;
    int n = gn_settings_differences(before, r->settings, &changes);
    if (n && r->settings->force_resume) {
        gn_run_log(r, GENET_LOG_WARNING, "resuming with other settings (--force-resume): %s", changes.data ? changes.data : "");
    } else if (n) {
        for (size_t i = 0; i + 1 < changes.length; i++)
            if (changes.data[i] == '\n')
                changes.data[i] = ';';
        if (changes.length)
            changes.data[changes.length - 1] = '\0';
        status = gn_fail(err, GENET_MISMATCH, "resuming with other settings would change the result (%s): leave them as they "
                         "were, or say --force-resume", changes.data ? changes.data : "");
    }
    gn_text_free(&changes);
    return status;
}

genet_status gn_resume_settings(gn_run *r, const gn_settings *given, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_settings *before = NULL;
    stored s;
    GN_TRY(read_run_json(given->resume, &s, err));
    GN_TRY(gn_settings_create(&before, err));
    status = gn_settings_from_json(before, s.settings, err);
    if (status != GENET_OK) {
        gn_error_prefix(err, "%s/run.json", given->resume);
        goto out;
    }
    GN_TRY(gn_settings_copy(&r->settings, given, err));
    GN_TRY(gn_settings_adopt(r->settings, before, err));
    r->settings->max_steps = given->max_steps; /* of this invocation, as are resume and force-resume */
    r->settings->force_resume = given->force_resume;
    if (s.init)
        gn_text_add(&r->init_json, "%s", s.init);
    if (s.started)
        snprintf(r->started, sizeof r->started, "%s", s.started);
    GN_TRY(gn_settings_set(r->settings, "resume", given->resume, NULL, err));
    GN_TRY(gn_settings_set(r->settings, "out", given->resume, NULL, err));
    GN_TRY(refuse_changes(before, r, err));
out:
    gn_settings_free(before);
    stored_free(&s);
    return status;
}

/* --- state --------------------------------------------------------------------------------------------------------------- */

static genet_status load_last(const gn_run *r, gn_checkpoint *c, bool *found, genet_error *err)
{
    char *path = gn_folder_path(r, "last.safetensors");
    genet_status status = GENET_OK;
    *found = false;
    if (!path)
        return gn_fail_memory(err, strlen(r->folder), "a path");
    if (gn_file_exists(path)) {
        status = gn_checkpoint_load(c, path, err);
        *found = status == GENET_OK;
    }
    gn_free(path);
    return status;
}

genet_status gn_resume_classes(const gn_run *r, gn_checkpoint *c, bool *found, genet_error *err)
{
    return load_last(r, c, found, err);
}

static genet_status check_network(const gn_run *r, const gn_checkpoint *c, genet_error *err)
{
    const gn_model_spec *a = &c->model->spec, *b = &r->model->spec;
    if (a->variant == b->variant && a->form == b->form && memcmp(a->blocks, b->blocks, sizeof a->blocks) == 0 &&
        a->width == b->width && a->stem == b->stem && a->size == b->size && a->extent == b->extent && a->classes == b->classes)
        return GENET_OK;
    return gn_fail(err, GENET_MISMATCH, "%s/last.safetensors is another network (%s, size %d, %d classes) than this run's (%s, "
                   "size %d, %d classes)", r->folder, gn_variant_name(a->variant), a->size, a->classes,
                   gn_variant_name(b->variant), b->size, b->classes);
}

genet_status gn_resume_state(gn_run *r, bool *found, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_checkpoint c = {0};
    gn_update *u = &r->update;
    GN_TRY(load_last(r, &c, found, err));
    if (!*found)
        goto out;
    GN_TRY(check_network(r, &c, err));
    if (!c.progress) {
        status = gn_fail(err, GENET_FORMAT, "%s/last.safetensors holds no progress: it cannot be resumed", r->folder);
        goto out;
    }
    GN_TRY(gn_progress_parse(&r->progress, c.progress, "last.safetensors", err));
    gn_weights_copy(&u->weights, &c.weights);
    gn_update_start(u);
    if (c.momentum)
        memcpy(u->momentum, c.momentum, u->slab_bytes);
    else
        gn_run_log(r, GENET_LOG_WARNING, "%s/last.safetensors has no momentum; it starts at zero", r->folder);
    if (u->ema.table && c.has_ema)
        gn_weights_copy(&u->ema, &c.ema);
    if (r->progress.step > r->total_steps || r->progress.epochs_done > r->settings->epochs)
        status = gn_fail(err, GENET_MISMATCH, "%s/last.safetensors is at step %lld, behind the end of the run (%lld steps)",
                         r->folder, (long long)r->progress.step, (long long)r->total_steps);
out:
    gn_checkpoint_free(&c);
    return status;
}

/* --- data and machine ---------------------------------------------------------------------------------------------------- */

static genet_status compare_identity(const gn_run *r, const char *what, const char *before, const gn_dataset *set,
                                     genet_error *err)
{
    char now[24] = "";
    if (set)
        snprintf(now, sizeof now, "%016llx", (unsigned long long)set->identity);
    if (!before || !strcmp(before, now))
        return GENET_OK;
    if (r->settings->force_resume) {
        gn_run_log(r, GENET_LOG_WARNING, "the %s changed since the run began (--force-resume)", what);
        return GENET_OK;
    }
    return gn_fail(err, GENET_MISMATCH, "the %s changed since the run began (names, sizes or labels; %lld images now): bring "
                   "it back as it was, or say --force-resume", what, set ? (long long)set->count : 0LL);
}

genet_status gn_resume_compare(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    char device[256], cpu[256];
    stored s;
    GN_TRY(read_run_json(r->folder, &s, err));
    GN_TRY(compare_identity(r, "training set", s.identity, r->train, err));
    GN_TRY(compare_identity(r, "validation set", s.val_identity, r->val, err));
    r->device.backend->describe(r->device.handle, device, sizeof device);
    gn_cpu_name(cpu, sizeof cpu);
    if (s.cpu && strcmp(s.cpu, cpu))
        gn_run_log(r, GENET_LOG_INFO, "another machine than the run began on (%s, now %s): its sums round otherwise", s.cpu, cpu);
    if (s.threads && s.threads != r->device.threads)
        gn_run_log(r, GENET_LOG_INFO, "another number of threads than the run began with (%lld, now %d): sums may round otherwise",
                   (long long)s.threads, r->device.threads);
    else if (s.device && strcmp(s.device, device))
        gn_run_log(r, GENET_LOG_INFO, "another device than the run began on (%s, now %s)", s.device, device);
    if (s.map_type && strcmp(s.map_type, gn_dtype_name(r->map_type)))
        gn_run_log(r, GENET_LOG_WARNING, "another precision than the run began with (%s, now %s)", s.map_type,
                   gn_dtype_name(r->map_type));
out:
    stored_free(&s);
    return status;
}
