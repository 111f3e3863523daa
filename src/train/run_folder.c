/* SPDX-License-Identifier: Apache-2.0
 * The folder of a run: run.json, bad-images.txt, room on the disk. The checkpoints in it are snapshot.c's, the metrics
 * metrics.c's, curves.svg is curves.c's. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "formats/json.h"
#include "genet/version.h"
#include "infer/build.h"
#include "train/run.h"

char *gn_folder_path(const gn_run *r, const char *name)
{
    return gn_path_join(r->folder, name);
}

genet_status gn_folder_check_new(const char *folder, genet_error *err)
{
    static const char *const ours[] = {"run.json", "last.safetensors", "best.safetensors", "metrics.jsonl"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        char *path = gn_path_join(folder, ours[i]);
        bool there = path && gn_file_exists(path);
        gn_free(path);
        if (!path)
            return gn_fail_memory(err, strlen(folder), "a path");
        if (there)
            return gn_fail(err, GENET_USAGE, "%s holds a run already (%s): go on with --resume %s, or name another --out",
                           folder, ours[i], folder);
    }
    return GENET_OK;
}

genet_status gn_folder_hold(gn_run *r, genet_error *err)
{
    if (!gn_folder_lock(&r->lock, r->folder))
        return gn_fail(err, GENET_USAGE, "another process is training in %s: wait for its end, or name another --out", r->folder);
    return GENET_OK;
}

/* --- run.json ---------------------------------------------------------------------------------------------------------- */

static void put_set(gn_text *t, const char *name, const char *path, const gn_dataset *d)
{
    gn_text_add(t, ",\"%s\":{\"path\":", name);
    gn_json_put_string(t, path);
    gn_text_add(t, ",\"images\":%lld,\"classes\":%d,\"ignored_files\":%lld,\"identity\":\"%016llx\"}", (long long)d->count,
                d->class_count, (long long)d->ignored, (unsigned long long)d->identity);
}

static void put_network(gn_text *t, const gn_run *r)
{
    const gn_model_spec *s = &r->model->spec;
    gn_text_add(t, ",\"network\":{\"variant\":\"%s\",\"form\":\"%s\",\"depth\":%d,\"blocks\":[%d,%d,%d,%d],\"width\":%d,"
                   "\"size\":%d,\"extent\":%d,\"classes\":%d,\"parameters\":%lld,\"macs\":%lld}",
                gn_variant_name(s->variant), gn_form_name(s->form), s->depth, s->blocks[0], s->blocks[1], s->blocks[2],
                s->blocks[3], s->width, s->size, s->extent, s->classes, (long long)r->model->weights.param_values,
                (long long)r->macs);
}

genet_status gn_folder_write_run_json(gn_run *r, genet_error *err)
{
    gn_text t = {0};
    char device[256];
    time_t now = time(NULL);
    struct tm utc;
    char *path = gn_folder_path(r, "run.json");
    if (!*r->started && gmtime_r(&now, &utc))
        strftime(r->started, sizeof r->started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    r->device.backend->describe(r->device.handle, device, sizeof device);
    gn_text_add(&t, "{\"genet\":\"%s\",\"started\":\"%s\",\"settings\":%s", GENET_VERSION, r->started, r->settings_json);
    put_network(&t, r);
    put_set(&t, "train", r->settings->data, r->train);
    if (r->val)
        put_set(&t, "val", *r->settings->val ? r->settings->val : r->settings->data, r->val);
    gn_text_add(&t, ",\"steps_per_epoch\":%lld,\"total_steps\":%lld", (long long)r->steps_per_epoch, (long long)r->total_steps);
    if (r->init_json.data)
        gn_text_add(&t, ",\"init\":%s", r->init_json.data);
    gn_text_add(&t, ",\"machine\":{\"backend\":\"%s\",\"device\":", r->device.backend->name);
    gn_json_put_string(&t, device);
    gn_text_add(&t, ",\"threads\":%d,\"precision\":", r->device.threads);
    gn_json_put_string(&t, r->precision);
    gn_text_add(&t, ",\"map_type\":\"%s\"},\"build\":", gn_dtype_name(r->map_type));
    gn_build_json(&t);
    gn_text_add(&t, "}\n");
    genet_status status = t.failed || !path ? gn_fail_memory(err, t.length, "run.json")
                                            : gn_file_write(path, t.data, t.length, err);
    gn_text_free(&t);
    gn_free(path);
    return status;
}

/* --- room -------------------------------------------------------------------------------------------------------------- */

genet_status gn_folder_check_space(const gn_run *r, genet_error *err)
{
    char have[32], need[32];
    uint64_t last = gn_snapshot_last_bytes(r->snapshot), model = gn_snapshot_model_bytes(r->snapshot);
    uint64_t free_bytes = gn_disk_free(r->folder);
    uint64_t kept = r->settings->save_epochs ? (uint64_t)r->settings->epochs / (uint64_t)r->settings->save_epochs : 0;
    if (kept > (uint64_t)r->settings->keep)
        kept = (uint64_t)r->settings->keep;
    /* last and best while they are replaced, and the kept ones with the one that is written before the oldest goes */
    uint64_t all = 2 * last + (r->val ? 2 * model : 0) + (kept ? (kept + 1) * model : 0);
    if (free_bytes < last)
        return gn_fail(err, GENET_IO, "the disk is full: %s are free at %s, one checkpoint takes %s; make room or name another "
                       "--out", gn_format_bytes(have, free_bytes), r->folder, gn_format_bytes(need, last));
    if (free_bytes < all)
        gn_run_log(r, GENET_LOG_WARNING, "%s are free at %s, but the checkpoints of this run will take up to %s",
                   gn_format_bytes(have, free_bytes), r->folder, gn_format_bytes(need, all));
    return GENET_OK;
}

/* --- broken images ------------------------------------------------------------------------------------------------------- */

/* Appends a line unless the file has it already (a resumed run finds the same images again). */
static void record_bad(const gn_run *r, const char *line)
{
    genet_error err;
    unsigned char *old = NULL;
    size_t bytes = 0;
    char *path = gn_folder_path(r, "bad-images.txt");
    if (!path)
        return;
    if (gn_file_exists(path) && gn_file_read(path, (size_t)256 << 20, &old, &bytes, &err) != GENET_OK)
        old = NULL;
    const char *found = old ? strstr((const char *)old, line) : NULL;
    if (!found && gn_file_append(path, line, strlen(line), &err) != GENET_OK)
        gn_run_log(r, GENET_LOG_WARNING, "%s", err.text);
    gn_free(old);
    gn_free(path);
}

static void note_bad_of(gn_run *r, const gn_loader *loader, const gn_dataset *set, int64_t *reported)
{
    char reason[256], name[1024], line[1536];
    int64_t sample;
    for (; loader && *reported < gn_loader_bad_count(loader); ++*reported) {
        if (!gn_loader_bad(loader, *reported, &sample, reason))
            return;
        const gn_sample *s = &set->samples[sample];
        gn_escape_name(name, sizeof name, s->bytes ? s->name : s->path);
        snprintf(line, sizeof line, "%s\t%s\n", name, reason);
        record_bad(r, line);
        r->bad_images++;
        gn_run_log(r, GENET_LOG_WARNING, "%s is broken and skipped: %s (%lld so far, all in bad-images.txt)", name, reason,
                   (long long)r->bad_images);
    }
}

void gn_folder_note_bad(gn_run *r)
{
    note_bad_of(r, r->loader, r->train, &r->reported_bad);
    note_bad_of(r, r->val_loader, r->val, &r->reported_val_bad);
}
