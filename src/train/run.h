/* SPDX-License-Identifier: Apache-2.0
 * Everything one training holds, and the parts of train.c that stand in files of their own. Private to train/. */
#ifndef GN_TRAIN_RUN_H
#define GN_TRAIN_RUN_H
#include "base/file.h"
#include "data/loader.h"
#include "exec/exec.h"
#include "infer/device.h"
#include "infer/scores.h"
#include "train/metrics.h"
#include "train/progress.h"
#include "train/snapshot.h"
#include "train/train.h"
#include "train/update.h"

typedef struct gn_run {
    genet_train_callbacks callbacks;
    gn_settings *settings;  /* resolved: what run.json and the checkpoints say */
    char *settings_json;
    char *folder;
    char started[32];       /* when the run first began, UTC */
    bool resumed;
    size_t program_bytes;   /* memory of the process before the run was opened */
    gn_lock lock;           /* of the folder: two processes never write one run */
    gn_interval every;      /* checkpoint-every */

    gn_dataset *train, *val; /* val NULL without a validation set */
    gn_preprocess preprocess;
    gn_loader *loader, *val_loader;
    int64_t steps_per_epoch, total_steps, batches_per_epoch;
    int64_t reported_bad, reported_val_bad, bad_images;

    gn_device device;
    gn_dtype map_type;
    char precision[160];
    gn_model *model;
    int64_t macs;
    gn_update update;
    gn_plan *plan, *eval_plan;
    gn_exec *exec, *eval_exec;
    gn_schedule schedule;
    int64_t *drops;

    gn_checkpoint init;      /* --init, until the weights were taken from it */
    gn_text init_json;       /* what became of it, for run.json */

    gn_train_progress progress;
    gn_metrics metrics;
    gn_snapshot *snapshot;
} gn_run;

/* One line to the log callback. */
void gn_run_log(const gn_run *r, genet_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- open.c: from settings to a run that is ready for its first step -------------------------------------------------- */
genet_status gn_run_open(gn_run *r, const gn_settings *settings, const genet_train_callbacks *callbacks, genet_error *err);
void gn_run_close(gn_run *r); /* safe on a zeroed one */
/* Weights as at the start of the run: initial values, or those of --init. */
genet_status gn_run_fill_weights(gn_run *r, genet_error *err);
/* Memory of the run by parts, bytes. */
typedef struct gn_run_memory {
    size_t program; /* what the process held before: code, libraries, the caller's own */
    size_t weights, activations, copies, ring, total;
} gn_run_memory;
gn_run_memory gn_run_measure(const gn_run *r);

/* --- resume.c: going on ------------------------------------------------------------------------------------------------ */
/* settings of an interrupted run with what the user changed; refuses changes of the result. */
genet_status gn_resume_settings(gn_run *r, const gn_settings *given, genet_error *err);
/* Loads last.safetensors into the run; *found is false where the run never wrote one. */
genet_status gn_resume_state(gn_run *r, bool *found, genet_error *err);
/* last.safetensors, for the class list that the data are held to. */
genet_status gn_resume_classes(const gn_run *r, gn_checkpoint *c, bool *found, genet_error *err);
/* Compares the data and the machine with those that run.json names. */
genet_status gn_resume_compare(gn_run *r, genet_error *err);

/* --- init.c: starting from another model --------------------------------------------------------------------------------- */
/* Loads --init and lets it say what the user did not about the network. */
genet_status gn_init_load(gn_run *r, genet_error *err);
/* Takes its weights; rows of the head by class name. */
genet_status gn_init_take(gn_run *r, genet_error *err);

/* --- run_folder.c: what lies in RUN ---------------------------------------------------------------------------------------- */
genet_status gn_folder_check_new(const char *folder, genet_error *err);
/* Keeps other processes out of the run until it is closed. */
genet_status gn_folder_hold(gn_run *r, genet_error *err);
genet_status gn_folder_write_run_json(gn_run *r, genet_error *err);
/* Refuses a disk that cannot take one checkpoint, warns of one that cannot take what the run will keep. */
genet_status gn_folder_check_space(const gn_run *r, genet_error *err);
/* Names broken images found since the last call in the log and in bad-images.txt. */
void gn_folder_note_bad(gn_run *r);
char *gn_folder_path(const gn_run *r, const char *name); /* fresh, or NULL */

/* --- table.c, validate.c ------------------------------------------------------------------------------------------------------ */
void gn_run_table(const gn_run *r);
genet_status gn_run_validate(gn_run *r, gn_weights *weights, gn_scores *scores, genet_error *err);
#endif
