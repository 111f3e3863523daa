/* SPDX-License-Identifier: Apache-2.0
 * Writing JPEG: for the demonstration data set and for tests. */
#ifndef GN_IMAGE_JPEG_WRITE_H
#define GN_IMAGE_JPEG_WRITE_H
#include "image/image.h"

/* Baseline JPEG, 4:2:0, quality 1..100, into a buffer that grows and is reused (*buffer, *capacity; free with gn_free).
 * The same pixels give the same bytes. */
genet_status gn_jpeg_write(const gn_image *im, int quality, unsigned char **buffer, size_t *capacity, size_t *bytes,
                           genet_error *err);
#endif
