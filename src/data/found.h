/* SPDX-License-Identifier: Apache-2.0
 * What the sources (folder.c, list.c, tar.c) find, before classes.c turns it into a gn_dataset. Internal to data/.
 * Strings live in an arena that the data set and those split off it share. */
#ifndef GN_DATA_FOUND_H
#define GN_DATA_FOUND_H
#include <stdatomic.h>
#include <stddef.h>
#include "data/dataset.h"

/* Grows only; freed as a whole by its last user. */
typedef struct gn_dataset_memory {
    struct gn_arena_block *blocks;
    atomic_int users;
} gn_dataset_memory;
/* A copy of n bytes with a NUL behind it, or NULL. */
const char *gn_arena_put(gn_dataset_memory *m, const char *bytes, size_t n);
void gn_dataset_memory_release(gn_dataset_memory *m);

typedef struct gn_found {
    const char *path, *name; /* as in gn_sample */
    uint64_t offset, bytes, size;
    int group;
} gn_found;

/* A folder that holds files, or a label text of a list: what may become a class. */
typedef struct gn_group {
    const char *text; /* path below the root with '/', or the label */
    const char *name; /* its class name: text or its last part */
    int64_t files;
    int label;
} gn_group;

typedef struct gn_finds {
    gn_dataset_memory *memory;
    gn_found *items;
    int64_t count, capacity;
    gn_group *groups;
    int group_count, group_capacity;
    int *slots; /* open addressing over groups, -1 empty */
    int slot_count;
    int64_t ignored, loose, absent;
    bool labels; /* groups are texts of labels, not folders */
} gn_finds;

genet_status gn_finds_create(gn_finds *f, genet_error *err);
void gn_finds_free(gn_finds *f);
/* Number of the group with this text, made when new. */
genet_status gn_finds_group(gn_finds *f, const char *text, size_t n, int *group, genet_error *err);
genet_status gn_finds_add(gn_finds *f, const gn_found *item, genet_error *err);

/* Files that no one means as data: hidden ones, ._*, Thumbs.db, desktop.ini, __MACOSX. */
bool gn_ignored_name(const char *name, size_t n);
/* Whether a file starts like a JPEG, PNG or WebP. */
bool gn_image_signature(const unsigned char *bytes, size_t n);
/* "train", "val", "test" and their usual spellings: folders that hold class folders. */
bool gn_split_name(const char *name, size_t n);

/* Folders: a folder's path below root is its group. */
genet_status gn_scan_folder(gn_finds *f, const char *root, genet_error *err);
/* A list file: "path, label" a line; paths are relative to the list's folder. */
genet_status gn_scan_list(gn_finds *f, const char *path, genet_error *err);
/* Uncompressed tar files: WebDataset pairs (key.jpg, key.cls) or class folders; only members below `inside` ("" for all). */
genet_status gn_scan_tars(gn_finds *f, const char *const *shards, int shard_count, const char *inside, genet_error *err);

/* Names the classes, holds them to the expected ones, sorts, caps, and fills d's tables. */
genet_status gn_classes_resolve(gn_dataset *d, gn_finds *f, const gn_dataset_options *options, genet_error *err);

/* Marks `keep` of samples first .. first+n-1: those with the smallest random value of (seed, name). */
genet_status gn_draw_samples(const gn_sample *samples, int64_t n, int64_t keep, uint64_t seed, int purpose, bool *chosen,
                             genet_error *err);
#endif
