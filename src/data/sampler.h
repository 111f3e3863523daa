/* SPDX-License-Identifier: Apache-2.0
 * The order of an epoch: every image once, in a random order that needs no memory and can be entered anywhere. */
#ifndef GN_DATA_SAMPLER_H
#define GN_DATA_SAMPLER_H
#include <stdbool.h>
#include <stdint.h>

typedef struct gn_sampler {
    int64_t images;
    int batch;
    bool training; /* shuffled, incomplete last batch dropped; else in order, every image */
    uint64_t seed;
} gn_sampler;

int64_t gn_sampler_batches(const gn_sampler *s); /* a epoch */
/* Places of this batch that belong to images. */
int gn_sampler_places(const gn_sampler *s, int64_t batch);
/* The image at a position of the epoch, 0 .. images-1. */
int64_t gn_sampler_image(const gn_sampler *s, uint32_t epoch, int64_t position);
#endif
