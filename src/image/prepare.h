/* SPDX-License-Identifier: Apache-2.0
 * The one preprocessing path: file bytes to the (size, size, 3) u8 pixels that the network's first step normalises.
 * Training, evaluation, prediction and serving all call gn_prepare; its settings travel with every checkpoint. */
#ifndef GN_IMAGE_PREPARE_H
#define GN_IMAGE_PREPARE_H
#include "base/rng.h"
#include "image/image.h"

typedef struct gn_preprocess {
    int size;          /* output side */
    bool mindspore;    /* published rules: plain bilinear, EXIF ignored, MindSpore's decode and rounding */
    bool exif;
    bool pad;          /* evaluation: pad to a square (mean colour), else shorter side + centre crop */
    double crop_share; /* evaluation: size / shorter side, 224/256 = 0.875 (shorter side = round(size/crop_share)) */
    float mean[3], std[3]; /* 0..255 scale: 123.675 116.28 103.53, 58.395 57.12 57.375 */
    uint64_t max_pixels;
} gn_preprocess;
extern const float gn_imagenet_mean[3], gn_imagenet_std[3];

typedef struct gn_augment {
    double area[2], aspect[2];
    bool fast_decode;
    double flip, rotate, jitter, hue, erase;
    int randaug, randaug_magnitude;
} gn_augment;

typedef struct gn_prepare_scratch gn_prepare_scratch; /* decoder + buffers, one per thread */
genet_status gn_prepare_scratch_create(gn_prepare_scratch **s, genet_error *err);
void gn_prepare_scratch_free(gn_prepare_scratch *s);

/* Seconds that a scratch has spent so far on training pictures: decoding, resizing, and everything after it. */
typedef struct gn_prepare_times {
    double decode, resize, augment;
} gn_prepare_times;
gn_prepare_times gn_prepare_spent(const gn_prepare_scratch *s);

/* Writes size*size*3 bytes. info (may be NULL) tells what the file was. A picture that cannot be read is GENET_DATA.
 *
 * augment NULL: evaluation. Shorter side round(size/crop_share), longer side rounded down, central crop (offset rounded half
 * to even; under the mindspore rules down); or pad. Never a reduced decode.
 *
 * Otherwise training, in this order: random resized crop (fast_decode: only its box is decoded, reduced where it is at least
 * four times the output; never reduced under the mindspore rules), flip, rotation (bilinear, filled with the mean colour),
 * RandAugment, colour jitter, erasing (mean colour). Every random value is a function of (seed, epoch, sample, purpose). */
genet_status gn_prepare(gn_prepare_scratch *s, const unsigned char *bytes, size_t n, const gn_preprocess *p,
                        const gn_augment *augment, uint64_t seed, uint32_t epoch, uint64_t sample, unsigned char *out,
                        gn_image_info *info, genet_error *err);
#endif
