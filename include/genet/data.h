/* SPDX-License-Identifier: Apache-2.0
 * Looking at a data set before training on it. */
#ifndef GENET_DATA_H
#define GENET_DATA_H
#include <stdint.h>
#include "genet/config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct genet_data_class {
    const char *name;
    int64_t images, kept; /* before and after caps */
} genet_data_class;
/* imbalance: largest class / smallest non-empty class, after caps. Sizes are of the images as stored. */
typedef struct genet_data_stats {
    int64_t images, kept, unreadable;
    int64_t ignored_files; /* hidden files, Thumbs.db and the like */
    int64_t loose_files;   /* beside class folders, or without a label: not taken */
    int64_t absent_files;  /* listed, or linked to, and not there: count as unreadable */
    int class_count, empty_classes;
    const genet_data_class *classes; /* byte-wise sorted: the order of the network's outputs */
    double imbalance_before, imbalance_after;
    int min_width, max_width, median_width, min_height, max_height, median_height;
    int64_t jpeg, png, webp, gray, cmyk, exif_turned;
} genet_data_stats;

/* Reads "data", caps and class naming from the settings, and the header of every image (not its pixels). */
GENET_API genet_status genet_data_stats_read(const genet_config *config, void (*progress)(void *user, int64_t done, int64_t all),
                                             void *user, genet_data_stats **stats, genet_error *error);
GENET_API void genet_data_stats_free(genet_data_stats *stats);
/* Draws the count of every class, before and after caps, as SVG. */
GENET_API genet_status genet_data_stats_plot(const genet_data_stats *stats, const char *path, genet_error *error);

/* Writes the demonstration data set: drawn shop-shelf products as JPEG files in class folders, with a long-tailed class
 * distribution, folder/train and folder/val. The same files for the same seed. */
GENET_API genet_status genet_data_draw_shelf(const char *folder, int classes, int images, int side, uint64_t seed,
                                             genet_error *error);

#ifdef __cplusplus
}
#endif
#endif
