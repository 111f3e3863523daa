/* SPDX-License-Identifier: Apache-2.0
 * A small training in a temporary folder: a drawn data set, a narrow network on `ref`, settings by key and value. */
#ifndef TEST_SMALL_H
#define TEST_SMALL_H
#include "config/settings.h"
#include "formats/checkpoint.h"
#include "genet/data.h"
#include "genet/evaluate.h"
#include "genet/train.h"

#define SMALL_PATH 4200

/* Folder for one test program, with drawn pictures in data/train and data/val; removed by small_done. */
extern char small_root[64];
int small_make(void **state);
int small_done(void **state);
/* "root/name" in one of a few buffers. */
const char *small_path(const char *name);

/* What the callbacks saw. stop_at: stop_requested answers 1 from this call on (0: never). */
typedef struct small_seen {
    int stop_calls, stop_at, epochs, rows, progress, warnings;
    char log[16384], table[4096];
    uint64_t allocations, least_allocations; /* of a step: between two calls of stop_requested */
    int fault_after_epoch; /* writing fails from the end of this epoch on */
} small_seen;

/* Trains with the narrow network on the drawn data into root/out; settings come as key, value pairs ended by NULL and win over
 * the small ones. */
genet_status small_train(const char *out, small_seen *seen, genet_train_result *result, genet_error *err, ...);
/* Resumes root/out; pairs as above. */
genet_status small_resume(const char *out, small_seen *seen, genet_error *err, ...);
/* root/out/name; fails the test where it cannot be loaded. */
void small_load(gn_checkpoint *c, const char *out, const char *name);
/* Whether two checkpoints hold the same bits everywhere (weights, statistics, average, momentum) and the same progress. */
int small_equal(const gn_checkpoint *a, const gn_checkpoint *b);
/* metrics.jsonl without the times; fresh. */
char *small_metrics(const char *out);
#endif
