/* SPDX-License-Identifier: Apache-2.0
 * The tensors of a model file of any kind, as one table: name, type, shape, and where the bytes lie in the file. Filled by
 * the readers (safetensors, mindspore_ckpt), used by the recognition of foreign models and by the loader. */
#ifndef GN_FORMATS_TENSORS_H
#define GN_FORMATS_TENSORS_H
#include "formats/safetensors.h"

typedef struct gn_file_tensor {
    const char *name;          /* borrowed, or of `names` */
    char type[8];              /* safetensors' spelling; "?" for a type that holds no numbers */
    int rank;
    int64_t dim[8], count;
    int piece, piece_count;    /* its bytes, in order, in gn_file_tensors.pieces */
} gn_file_tensor;
typedef struct gn_file_piece {
    const unsigned char *data;
    uint64_t bytes;
} gn_file_piece;
typedef struct gn_file_tensors {
    gn_file_tensor *items; /* sorted by name; of two with one name the later in the file comes first */
    int count, room;
    gn_file_piece *pieces;
    int piece_count, piece_room;
    gn_text names;         /* storage for readers whose file has no terminated names */
} gn_file_tensors;

genet_status gn_file_tensors_from_safetensors(gn_file_tensors *t, const gn_safetensors *f, genet_error *err);
void gn_file_tensors_free(gn_file_tensors *t);
/* Adds an empty tensor / a piece of the last tensor; NULL and false without memory. */
gn_file_tensor *gn_file_tensors_add(gn_file_tensors *t);
bool gn_file_tensors_piece(gn_file_tensors *t, const unsigned char *data, uint64_t bytes);
void gn_file_tensors_sort(gn_file_tensors *t);
const gn_file_tensor *gn_file_tensors_find(const gn_file_tensors *t, const char *name);
/* Bytes of one element of a type in safetensors' spelling; 0 for an unknown one. */
unsigned gn_file_type_size(const char *type);
bool gn_file_type_is_float(const char *type);
/* count floats; the type must be a float's. */
genet_status gn_file_tensor_read(const gn_file_tensors *t, const gn_file_tensor *tensor, float *out, genet_error *err);
/* "(64,3,7,7)" into buf, returned. */
const char *gn_format_shape(char buf[96], int rank, const int64_t *dim);
/* Equal but for ones at the end. */
bool gn_shapes_agree(int rank_a, const int64_t *a, int rank_b, const int64_t *b);
#endif
