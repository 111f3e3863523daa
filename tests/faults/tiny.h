/* SPDX-License-Identifier: Apache-2.0
 * The smallest whole training through the public API, in a temporary folder: a drawn set, a narrow network on `ref`. For
 * tests that repeat it hundreds of times. */
#ifndef TEST_TINY_H
#define TEST_TINY_H
#include <stdbool.h>
#include <stddef.h>
#include "genet/genet.h"

#define TINY_PATH 512

/* Makes the temporary folder and draws root/data/train and root/data/val; tiny_done removes it. 0 is success. */
int tiny_make(void **state);
int tiny_done(void **state);
/* The folder, and one made by another process. */
const char *tiny_root(void);
void tiny_adopt(const char *root);
/* "root/name" in one of a few buffers. */
const char *tiny_path(const char *name);

/* Fresh settings for `ref` on one thread with these besides: "key value key value", words without blanks. */
genet_status tiny_config(genet_config **c, const char *words, genet_error *err);
/* Trains into root/out, with these settings besides the tiny ones. *warnings (may be NULL) counts warnings. */
genet_status tiny_train(const char *out, const char *words, int *warnings, genet_error *err);
genet_status tiny_resume(const char *out, const char *words, int *warnings, genet_error *err);

/* Copies the files of folder root/from into a fresh root/to; removes root/name. */
void tiny_copy(const char *from, const char *to);
void tiny_remove(const char *name);
/* Whether root/name/last.safetensors and best.safetensors of two runs hold the same tensors and progress, and metrics.jsonl
 * the same but for the times; says what differs. */
bool tiny_same(const char *one, const char *other);
/* Whether a model file can be loaded whole. Where not, the text is in err. */
bool tiny_loads(const char *path, genet_error *err);
/* Files in root/name whose names hold `part`. */
int tiny_count(const char *name, const char *part);
#endif
