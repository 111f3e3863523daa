/* SPDX-License-Identifier: Apache-2.0
 * Drawing packages on a shelf: what the demonstration data set consists of. */
#ifndef GN_DATA_SHELF_DRAW_H
#define GN_DATA_SHELF_DRAW_H
#include <stdint.h>
#include "base/error.h"
#include "image/image.h"

#define GN_SHELF_MAX_CLASSES 1000

/* "alba-classic-box": four products share a brand and its two colours; they differ in package, pattern or emblem. */
void gn_shelf_name(int product, char name[64]);
/* Draws one photograph of a product, side x side: neighbours, light, blur and noise are functions of (seed, number).
 * canvas holds side*side*3 floats of scratch, twice. */
void gn_shelf_draw(int product, int classes, uint64_t seed, uint64_t number, int side, float *canvas, gn_image *out);
#endif
