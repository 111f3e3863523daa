/* SPDX-License-Identifier: Apache-2.0
 * Pictures: probed, decoded whole by both sets of rules, and prepared for evaluation and for training, under a cap on
 * pixels that keeps an input within memory and time. */
#include <stdint.h>
#include <string.h>

#include "image/prepare.h"

enum { SIDE = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_decoder *decoder = NULL;
    gn_prepare_scratch *scratch = NULL;
    gn_image image = {0};
    gn_image_info info;
    genet_error err;
    unsigned char out[SIDE * SIDE * 3];
    gn_decode_options options = {.max_pixels = 1 << 18, .exif = true, .allow_truncated = true};
    gn_preprocess p = {.size = SIDE, .exif = true, .crop_share = 0.875, .std = {58, 57, 57}, .max_pixels = 1 << 18};
    gn_augment augment = {.area = {0.08, 1}, .aspect = {0.75, 1.33}, .fast_decode = true, .flip = 0.5, .rotate = 10,
                          .jitter = 0.4, .hue = 0.1, .erase = 0.5, .randaug = 2, .randaug_magnitude = 9};
    memcpy(p.mean, gn_imagenet_mean, sizeof p.mean);
    gn_image_probe(data, size, &info, &err);
    if (gn_decoder_create(&decoder, &err) != GENET_OK || gn_prepare_scratch_create(&scratch, &err) != GENET_OK)
        goto out;
    gn_decode(decoder, data, size, &options, &image, &info, &err);
    options.mindspore = true;
    options.allow_truncated = false;
    gn_decode(decoder, data, size, &options, &image, &info, &err);
    gn_prepare(scratch, data, size, &p, NULL, 1, 0, size, out, &info, &err);
    gn_prepare(scratch, data, size, &p, &augment, 1, 0, size, out, NULL, &err);
    p.pad = true;
    gn_prepare(scratch, data, size, &p, NULL, 1, 0, size, out, NULL, &err);
out:
    gn_image_free(&image);
    gn_decoder_free(decoder);
    gn_prepare_scratch_free(scratch);
    return 0;
}
