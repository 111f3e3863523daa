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

/* --- audit ------------------------------------------------------------------------------------------------------- */

/* X(NAME, "name", text): what an audit looks for. Append-only. */
#define GENET_AUDIT_LIST(X)                                                                                           \
    X(BROKEN, "broken", "cannot be decoded: training skips it")                                                       \
    X(TRUNCATED, "truncated", "ends early: training skips it")                                                        \
    X(LEAK, "train-and-val", "is in the training and the validation set")                                             \
    X(TWO_LABELS, "two-labels", "is there under two classes")                                                         \
    X(DUPLICATE, "duplicate", "has the same bytes as another file")                                                   \
    X(SAME_PICTURE, "same-picture", "shows nearly the same picture as another file")                                  \
    X(CMYK, "cmyk", "is a CMYK JPEG, converted without a colour profile")                                             \
    X(EXIF_TURNED, "exif-turned", "is turned by its EXIF orientation")                                                \
    X(TINY, "tiny", "has a side of fewer than 32 pixels")                                                             \
    X(EXTREME_ASPECT, "extreme-aspect", "has one side more than 4 times the other")                                   \
    X(WRONG_NAME, "wrong-name", "is of another type than its name says (the bytes decide)")                           \
    X(EMPTY_CLASS, "empty-class", "has no images")                                                                    \
    X(TINY_CLASS, "tiny-class", "has fewer than 10 images")                                                           \
    X(FOREIGN_CLASS, "foreign-class", "is a class of the validation set that training lacks")                         \
    X(MISSING_CLASS, "missing-class", "is a class that the validation set lacks")

typedef enum genet_audit_kind {
#define X(name, word, text) GENET_AUDIT_##name,
    GENET_AUDIT_LIST(X)
#undef X
    GENET_AUDIT_KINDS
} genet_audit_kind;

/* Thresholds of the list above. Two files show the same picture when at most GENET_AUDIT_SAME_BITS bits of their 64-bit
 * DCT hashes (upright, 32 x 32 grey, the 8 x 8 lowest frequencies against their median) and the colours of their 4 x 4
 * parts differ by at most GENET_AUDIT_SAME_TONE of 255 on average; pictures of nearly one tone are not compared. */
enum {
    GENET_AUDIT_MIN_SIDE = 32,
    GENET_AUDIT_MAX_ASPECT = 4,
    GENET_AUDIT_MIN_CLASS = 10,
    GENET_AUDIT_SAME_BITS = 4,
    GENET_AUDIT_SAME_TONE = 6
};

/* One finding. file is relative to its set (or a class name); other, where not NULL, the earlier file that it repeats;
 * detail says more, or is NULL. in_val, other_in_val: of the validation set. */
typedef struct genet_audit_finding {
    genet_audit_kind kind;
    int in_val, other_in_val;
    const char *file, *other, *detail;
} genet_audit_finding;

/* findings are sorted by kind, then by set, class and name. counts: findings of each kind. */
typedef struct genet_audit_report {
    int64_t images, val_images;
    uint64_t bytes;
    int class_count;
    int64_t counts[GENET_AUDIT_KINDS];
    const genet_audit_finding *findings;
    int64_t finding_count;
    double seconds;
} genet_audit_report;

/* Reads and decodes every image of "data" (and "val", where set) once, on "threads" threads; caps do not count. manifest,
 * where not NULL, is the file to write names, sizes, classes and SHA-256 of all images to: a training with "manifest" set to
 * it refuses data that has changed. Nothing in the data folders is written. */
GENET_API genet_status genet_data_audit(const genet_config *config, const char *manifest,
                                        void (*progress)(void *user, int64_t done, int64_t all), void *user,
                                        genet_audit_report **report, genet_error *error);
GENET_API void genet_audit_report_free(genet_audit_report *report);
/* "broken", "cannot be decoded: ..."; static memory; NULL for a number that is no kind. */
GENET_API const char *genet_audit_name(genet_audit_kind kind);
GENET_API const char *genet_audit_text(genet_audit_kind kind);

#ifdef __cplusplus
}
#endif
#endif
