/* SPDX-License-Identifier: Apache-2.0
 * Members of uncompressed tar files. Headers are read once, through libarchive; an image is later read at its offset. */
#ifndef GN_DATA_TAR_H
#define GN_DATA_TAR_H
#include "data/found.h"

typedef struct gn_member {
    const char *name; /* without a leading "./" or "/" and without a final '/' */
    const char *text; /* content of a .cls member, else NULL */
    uint64_t offset, size;
    int shard, group;
    bool folder;
} gn_member;

typedef struct gn_members {
    gn_member *items;
    int64_t count, capacity;
    int64_t ignored, links; /* hidden and the like; links, sparse files and devices, which are not read */
} gn_members;

/* Adds the members of one shard that lie below the folder `inside` ("" for all), with names relative to it; strings go to
 * memory. */
genet_status gn_tar_read(gn_members *m, gn_dataset_memory *memory, const char *path, int shard, const char *inside,
                         genet_error *err);
void gn_members_free(gn_members *m);

/* NULL, or what these first bytes of a file say about its compression: "gzip", "xz", ... */
const char *gn_compression_name(const unsigned char *bytes, size_t n);
/* Whether a 512-byte block is a tar header (its checksum fits). */
bool gn_tar_header(const unsigned char *block, size_t n);
#endif
