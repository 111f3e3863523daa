/* SPDX-License-Identifier: Apache-2.0
 * Pictures: bytes of a JPEG, PNG or WebP file to RGB pixels, resizing, and the one path that prepares pixels for
 * training, evaluation, prediction and serving. The libraries' own headers (turbojpeg/jpeglib, png, webp) appear in this folder
 * only. */
#ifndef GN_IMAGE_IMAGE_H
#define GN_IMAGE_IMAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* Pixels refused without another limit, and the longest side at all. */
#define GN_IMAGE_MAX_PIXELS UINT64_C(178956970)
#define GN_IMAGE_MAX_SIDE 1000000

/* RGB, 8 bits, rows from top to bottom without padding. Zero before first use; the buffer grows and is reused. Buffers
 * come from gn_image_resize_buffer alone: GN_IMAGE_SLACK readable bytes stand behind the last pixel, so that kernels may
 * load a pixel as four bytes. Pixels are undefined after it. */
#define GN_IMAGE_SLACK 16
typedef struct gn_image {
    int width, height;
    unsigned char *rgb; /* height*width*3 */
    size_t capacity;
} gn_image;
void gn_image_free(gn_image *im);
genet_status gn_image_resize_buffer(gn_image *im, int width, int height, genet_error *err);

typedef enum gn_image_kind { GN_IMAGE_UNKNOWN, GN_IMAGE_JPEG, GN_IMAGE_PNG, GN_IMAGE_WEBP } gn_image_kind;
typedef enum gn_colour { GN_COLOUR_RGB, GN_COLOUR_GRAY, GN_COLOUR_CMYK, GN_COLOUR_PALETTE } gn_colour;

/* What the file's header says. orientation is EXIF's 1..8 (1 where absent). */
typedef struct gn_image_info {
    gn_image_kind kind;
    int width, height; /* as stored, before the EXIF turn */
    int orientation;
    gn_colour colour;
    int bits;
    bool alpha, progressive, arithmetic;
} gn_image_info;

typedef struct gn_decode_options {
    uint64_t max_pixels;  /* refuse more (before memory is taken); 0: GN_IMAGE_MAX_PIXELS */
    bool exif;            /* turn the picture upright (never with mindspore) */
    bool mindspore;       /* the published decoder's rules: EXIF ignored, CMYK formula with truncation, WebP refused */
    bool allow_truncated; /* false: a truncated file is an error. true: what is missing is grey or black */
} gn_decode_options;

/* The kind is taken from the bytes, never from a name. Messages are without the file's name (the caller adds it).
 * Whatever is wrong with the bytes (damaged, truncated, too large, of a kind or form that cannot be read) is GENET_DATA;
 * every other status is not the picture's fault. */
genet_status gn_image_probe(const unsigned char *bytes, size_t n, gn_image_info *info, genet_error *err);
/* A decoder keeps library handles and scratch between pictures; one per thread. */
typedef struct gn_decoder gn_decoder;
genet_status gn_decoder_create(gn_decoder **d, genet_error *err);
void gn_decoder_free(gn_decoder *d);
genet_status gn_decode(gn_decoder *d, const unsigned char *bytes, size_t n, const gn_decode_options *options,
                       gn_image *out, gn_image_info *info, genet_error *err);

typedef struct gn_box {
    int left, top, width, height;
} gn_box;
/* Decodes only `box` (in upright coordinates, inside the picture) of a picture that will be resized to to_w x to_h. JPEG:
 * only the needed blocks, at the largest DCT reduction (1/8, 1/4, 1/2) that still leaves at least to_w x to_h pixels in
 * the box. out holds the smallest whole pixels that cover the box, `part` the (fractional) box inside it: left, top, width,
 * height in out's pixels. Without reduction (to_w or to_h larger than half the box; INT_MAX to have it so) out is the box
 * itself, bit-equal to that of gn_decode. Other formats decode whole and are cut. */
genet_status gn_decode_box(gn_decoder *d, const unsigned char *bytes, size_t n, const gn_decode_options *options,
                           gn_box box, int to_w, int to_h, gn_image *out, float part[4], genet_error *err);

typedef enum gn_filter {
    GN_FILTER_TRIANGLE, /* antialiased, exactly Pillow's 8-bit bilinear (golden/pytorch README section 6) */
    GN_FILTER_BILINEAR  /* plain, exactly OpenCV's INTER_LINEAR on 8 bits (golden/mindspore README section 5) */
} gn_filter;
/* Resizes the box of `in` to width x height; pixels outside the box never enter. scratch is reused memory; in, out and
 * scratch are three images. Both sides of in and out at most GN_IMAGE_MAX_SIDE. */
genet_status gn_resize(const gn_image *in, gn_box box, int width, int height, gn_filter filter, gn_image *out,
                       gn_image *scratch, genet_error *err);
/* The same from a fractional box (triangle only; weights as Pillow's resize(box=...): the filter may reach past the box,
 * not past `in`). */
genet_status gn_resize_part(const gn_image *in, const float part[4], int width, int height, gn_image *out,
                            gn_image *scratch, genet_error *err);
#endif
