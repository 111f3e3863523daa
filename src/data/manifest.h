/* SPDX-License-Identifier: Apache-2.0
 * Manifests: name, class, size and SHA-256 of every image of a set, to notice data that has changed. A text file: first
 * "genet-manifest 1", then a line an image: part ("data" or "val"), SHA-256, bytes, class, name, parted by tabs; control
 * characters and '%' in names are written %XX. */
#ifndef GN_DATA_MANIFEST_H
#define GN_DATA_MANIFEST_H
#include "base/file.h"
#include "data/dataset.h"

#define GN_MANIFEST_DATA "data"
#define GN_MANIFEST_VAL "val"

genet_status gn_manifest_begin(gn_writer *w, genet_error *err);
/* hash: 64 hexadecimal digits, or "-" for an image that cannot be read. */
genet_status gn_manifest_add(gn_writer *w, const char *part, const gn_dataset *d, const gn_sample *s, const char *hash,
                             genet_error *err);

/* Holds a set to the part of a manifest: reads and hashes every image on `threads` threads. whole: the set is all of the
 * part, so that what it lacks is a difference too (not so after caps or a split). GENET_DATA names the differences. */
genet_status gn_manifest_check(const char *path, const char *part, const gn_dataset *d, bool whole, int threads,
                               void (*progress)(void *user, int64_t done, int64_t all), void *user, genet_error *err);
#endif
