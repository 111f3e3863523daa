/* SPDX-License-Identifier: Apache-2.0
 * What the tests of src/image share: files, hashes of pixels, and JPEG files drawn here in forms that no folder holds. */
#ifndef GN_TEST_PICTURES_H
#define GN_TEST_PICTURES_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "image/internal.h"

#define PICTURES "tests/data/images"

/* The folder of golden vectors, or NULL (then the caller skips; the reason is printed). */
const char *shared_folder(void);
/* A whole file in gn_ memory; fails the test where it cannot be read. */
unsigned char *read_picture(const char *folder, const char *name, size_t *n);
void hash_pixels(const unsigned char *rgb, size_t pixels, char hex[65]);

/* A drawn JPEG. kind: smooth slopes (0), or coloured squares with noise (1). h, v: sampling factors of the first component.
 * components 1, 3 or 4 (4: CMYK; adobe decides about the marker). orientation 0: no EXIF. */
typedef struct drawing {
    int width, height, kind, components, h, v, quality, orientation, restart;
    bool progressive, arithmetic, adobe, rgb_coded;
} drawing;
unsigned char *draw_jpeg(const drawing *d, size_t *n);

gn_decoder *new_decoder(void);
gn_prepare_scratch *new_scratch(void);
/* Decodes, failing the test with the error's text. */
void decode_or_fail(gn_decoder *d, const unsigned char *bytes, size_t n, gn_decode_options o, gn_image *out,
                    gn_image_info *info);
/* genet's rules at 224 pixels. */
gn_preprocess genet_rules(void);
#endif
