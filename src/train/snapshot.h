/* SPDX-License-Identifier: Apache-2.0
 * Saving without stopping: the state is copied, a thread writes the copy. Files are replaced atomically; a save that
 * fails leaves the old file. best.safetensors and epoch-NNNN.safetensors are written before last.safetensors, so that a
 * run resumed from `last` never misses one. */
#ifndef GN_TRAIN_SNAPSHOT_H
#define GN_TRAIN_SNAPSHOT_H
#include "formats/checkpoint.h"
#include "train/update.h"

typedef struct gn_snapshot gn_snapshot;

/* Everything is borrowed and outlives the snapshot. */
typedef struct gn_snapshot_options {
    const char *folder;
    gn_model *model;
    const gn_update *update;
    char **classes;
    int class_count;
    const gn_preprocess *preprocess;
    const char *settings; /* JSON */
    int keep;             /* how many epoch-NNNN.safetensors stay */
} gn_snapshot_options;
genet_status gn_snapshot_create(gn_snapshot **s, const gn_snapshot_options *options, genet_error *err);
/* Waits for a save under way. */
void gn_snapshot_free(gn_snapshot *s);

typedef struct gn_snapshot_job {
    bool last, best;
    int epoch;            /* writes epoch-NNNN.safetensors too; 0: no */
    int64_t step;
    const char *progress; /* JSON; copied */
} gn_snapshot_job;
bool gn_snapshot_busy(gn_snapshot *s);
/* Copies the state and returns; a save under way is waited for first. Refuses values that are not finite with
 * GENET_NUMERIC: a file is always good to go on from. */
genet_status gn_snapshot_take(gn_snapshot *s, const gn_snapshot_job *job, genet_error *err);
/* Waits until nothing is being written. */
void gn_snapshot_wait(gn_snapshot *s);
/* What became of saves since the last call: the text of a failure goes into `failure` ("" without one). True where there
 * was one. */
bool gn_snapshot_failed(gn_snapshot *s, char *failure, size_t size);
/* Step of the last.safetensors on disk as far as this run wrote one, or -1. */
int64_t gn_snapshot_saved_step(gn_snapshot *s);
/* Bytes of a last.safetensors, about, and of a best.safetensors. */
uint64_t gn_snapshot_last_bytes(const gn_snapshot *s);
uint64_t gn_snapshot_model_bytes(const gn_snapshot *s);
/* Memory that the copy takes. */
size_t gn_snapshot_bytes(const gn_snapshot *s);
#endif
