/* SPDX-License-Identifier: Apache-2.0
 * Lists of tar shards: those of a folder, or those that a pattern as x-{000..012}.tar names. */
#ifndef GN_DATA_SHARDS_H
#define GN_DATA_SHARDS_H
#include "base/error.h"

typedef struct gn_shards {
    char **paths;
    int count, capacity;
} gn_shards;

/* The .tar files of a folder that has no folders, sorted; none where it has folders. */
genet_status gn_shards_in_folder(gn_shards *s, const char *folder, genet_error *err);
/* {a..b} counts up or down, as wide as the wider bound where one starts with 0; several may follow each other. */
genet_status gn_shards_expand(gn_shards *s, const char *pattern, genet_error *err);
void gn_shards_free(gn_shards *s);
#endif
