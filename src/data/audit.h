/* SPDX-License-Identifier: Apache-2.0
 * Inside an audit: what is remembered of every image, and who repeats whom. */
#ifndef GN_DATA_AUDIT_H
#define GN_DATA_AUDIT_H
#include "data/dataset.h"
#include "data/picture_hash.h"

/* Images of the training set first, then those of the validation set, each in its set's order. */
typedef struct gn_audit_image {
    gn_image_info info;
    gn_picture_hash picture;
    char sha[65];   /* SHA-256 as 64 digits, or "-" */
    char *reason;   /* why it cannot be decoded, or NULL; gn_free */
    int label;      /* one number for a class name in both sets */
    bool decoded;   /* picture is there */
    bool truncated;
} gn_audit_image;

/* The earliest image that an image repeats, and the earliest of another class; -1: none. */
typedef struct gn_audit_twins {
    int64_t same_bytes, same_bytes_other_class;
    int64_t same_picture, same_picture_other_class;
} gn_audit_twins;
genet_status gn_audit_find_twins(const gn_audit_image *images, int64_t count, int threads, gn_audit_twins *twins,
                                 genet_error *err);
#endif
