/* SPDX-License-Identifier: Apache-2.0
 * safetensors files: 8 bytes little-endian header length, a JSON header, raw little-endian tensors
 * (docs/formats/safetensors.md). */
#ifndef GN_FORMATS_SAFETENSORS_H
#define GN_FORMATS_SAFETENSORS_H
#include <stdint.h>
#include "base/file.h"
#include "base/text.h"

typedef struct gn_st_tensor {
    char *name;
    char dtype[8]; /* "F32", "F64", "F16", "BF16", "I32", "I64", "U8", ... as in the file */
    int rank;
    int64_t dim[8];
    int64_t count;
    const unsigned char *data; /* in the map; unaligned */
    uint64_t bytes;
} gn_st_tensor;

typedef struct gn_safetensors {
    gn_map map;
    gn_st_tensor *tensors; /* in file order */
    int count;
    char **meta_keys, **meta_values;
    int meta_count;
} gn_safetensors;
/* Checks everything: header length against file size, types, shapes, offsets in range, contiguous and not overlapping. */
genet_status gn_safetensors_open(gn_safetensors *f, const char *path, genet_error *err);
/* The same from memory that outlives f (fuzzing, tests); `path` only names it in messages. */
genet_status gn_safetensors_parse(gn_safetensors *f, const unsigned char *data, size_t bytes, const char *path,
                                  genet_error *err);
void gn_safetensors_close(gn_safetensors *f);
const gn_st_tensor *gn_safetensors_find(const gn_safetensors *f, const char *name); /* or NULL */
const char *gn_safetensors_meta(const gn_safetensors *f, const char *key);          /* or NULL */
/* Converts tensor t (F32, F64, F16, BF16) to floats in out (t->count of them). */
genet_status gn_st_to_f32(const gn_st_tensor *t, float *out, genet_error *err);

/* What to write: tensors with name, dtype, shape and data set (bytes is computed). Atomic; tensors are written from where
 * they lie. *written (may be NULL) is the size of the file. */
genet_status gn_safetensors_write(const char *path, const gn_st_tensor *tensors, int count, const char *const *meta_keys,
                                  const char *const *meta_values, int meta_count, uint64_t *written, genet_error *err);
#endif
