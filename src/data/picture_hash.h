/* SPDX-License-Identifier: Apache-2.0
 * A short description of what a picture shows, so that copies are found that were scaled or compressed anew. */
#ifndef GN_DATA_PICTURE_HASH_H
#define GN_DATA_PICTURE_HASH_H
#include <stdbool.h>
#include <stdint.h>
#include "image/image.h"

/* bits: signs of the 8 x 8 lowest frequencies of the 32 x 32 grey picture against their median. tone: mean colours of its
 * 4 x 4 parts. flat: nearly one tone, where bits mean nothing. */
typedef struct gn_picture_hash {
    uint64_t bits;
    unsigned char tone[48];
    bool flat;
} gn_picture_hash;

/* small and scratch are reused memory. */
genet_status gn_picture_hash_make(const gn_image *im, gn_image *small, gn_image *scratch, gn_picture_hash *hash,
                                  genet_error *err);
int gn_picture_hash_bits(const gn_picture_hash *a, const gn_picture_hash *b); /* that differ */
/* Whether both show the same picture; never true for a flat one. */
bool gn_picture_hash_same(const gn_picture_hash *a, const gn_picture_hash *b);
#endif
