/* SPDX-License-Identifier: Apache-2.0
 * Data sets: class folders, nested class folders, list files, tar shards. A data set is read once into a table of
 * samples; nothing in the data folder is ever written. */
#ifndef GN_DATA_DATASET_H
#define GN_DATA_DATASET_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"

typedef struct gn_sample {
    const char *path; /* file, or shard for tar; bytes as the file system has them; owned by the data set */
    const char *name; /* path shown and used as identity: relative to the data set's root */
    uint64_t offset;  /* tar: where the member's bytes start */
    uint64_t bytes;   /* tar: member size; otherwise 0 (the whole file) */
    uint64_t size;    /* bytes of the image when the set was opened; 0 where the file was absent */
    int label;
} gn_sample;

typedef struct gn_dataset {
    char *root;
    gn_sample *samples;   /* sorted by class, then by name bytes */
    int64_t count;
    char **classes;       /* byte-wise sorted names (a list of numbers: by value); with expect_classes: that list */
    int class_count;
    int64_t *class_total; /* images of a class before caps */
    int64_t *class_kept;  /* after */
    int64_t ignored;      /* hidden files, ._*, Thumbs.db, ... that were not taken */
    int64_t loose;        /* files in no class folder (beside class folders), or tar members without a label: not taken */
    int64_t absent;       /* list entries and links whose file is not there: taken, and found broken when read */
    uint64_t identity;    /* FNV-1a over names, sizes and labels: changes when the set changes */
    struct gn_dataset_memory *memory;
} gn_dataset;

typedef struct gn_dataset_options {
    bool leaf_names, merge_classes;
    const char *const *caps; /* "CLASS=N" */
    int cap_count;
    int64_t cap_all;
    uint64_t seed;
    /* Class list to hold the set to (NULL: the set's own folders). A class not in it is refused with the differences and
     * the remedy; one that the set lacks is allowed (missing counts them). */
    const char *const *expect_classes;
    int expect_count;
    const char *expect_owner; /* "the model runs/first/best.safetensors", for messages */
} gn_dataset_options;

/* class-names, merge-classes, cap, cap-all and seed of the settings (borrowed); no expected classes. */
gn_dataset_options gn_dataset_options_from(const gn_settings *s);

/* path: a folder of class folders; a list file; a .tar, a folder of .tar files, or a pattern as x-{000..012}.tar; a folder
 * inside a tar as photos.tar/photos/train. A set without a single image is an error; a class without one is not. */
genet_status gn_dataset_open(gn_dataset **d, const char *path, const gn_dataset_options *options, genet_error *err);
void gn_dataset_free(gn_dataset *d);
/* Whether something can be learnt from it: at least two classes with images. */
genet_status gn_dataset_check_training(const gn_dataset *d, genet_error *err);
/* Bytes of a sample into a buffer that grows and is reused (*buffer, *capacity). What is wrong with the file is GENET_IO or
 * GENET_DATA, with a text that goes on after its name; GENET_MEMORY is not the file's fault. */
genet_status gn_sample_read(const gn_sample *s, unsigned char **buffer, size_t *capacity, size_t *bytes, genet_error *err);
/* Moves round(share * images) images of every class from d into a fresh set: of a class with two or more at least one and
 * not all, of a class with one none. Which ones depends on (seed, name) alone. */
genet_status gn_dataset_split(gn_dataset *d, double share, uint64_t seed, gn_dataset **held_out, genet_error *err);
/* Classes that this set has no image of. names (may be NULL) gets "a, b, c", at most 20 of them. */
int gn_dataset_missing_classes(const gn_dataset *d, gn_text *names);
#endif
