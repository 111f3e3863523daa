/* SPDX-License-Identifier: Apache-2.0
 * What the files of src/image share: the readers of each format, resampling into caller's rows, and the operations that
 * augmentation is made of. Not for other folders, except their tests. */
#ifndef GN_IMAGE_INTERNAL_H
#define GN_IMAGE_INTERNAL_H
#include "base/rng.h"
#include "image/image.h"
#include "image/prepare.h"

/* --- headers (probe.c) ------------------------------------------------------------------------------------------ */
/* gn_image_probe; *scan is where a JPEG's first scan begins (0 for other kinds). */
genet_status gn_image_probe_scan(const unsigned char *bytes, size_t n, gn_image_info *info, size_t *scan,
                                 genet_error *err);
/* EXIF's orientation 1..8 from a TIFF block; 1 where it is absent or damaged. */
int gn_exif_orientation(const unsigned char *tiff, size_t n);
/* GENET_DATA when width x height pixels are more than the limit (0: the default) allows. */
genet_status gn_image_check_size(int width, int height, uint64_t max_pixels, genet_error *err);

/* --- formats ---------------------------------------------------------------------------------------------------- */
typedef struct gn_jpeg gn_jpeg;
genet_status gn_jpeg_create(gn_jpeg **j, genet_error *err);
void gn_jpeg_free(gn_jpeg *j);
/* Decodes `box` (stored orientation) at eighths/8 of its size (8, 4, 2 or 1). out becomes the smallest whole pixels that
 * cover the box in the reduced picture; first (column, row of out's corner there) is filled. scan as from the probe. */
genet_status gn_jpeg_decode(gn_jpeg *j, const unsigned char *bytes, size_t n, size_t scan,
                            const gn_decode_options *options, const gn_image_info *info, gn_box box, int eighths,
                            gn_image *out, int first[2], genet_error *err);
genet_status gn_png_decode(const unsigned char *bytes, size_t n, const gn_decode_options *options,
                           const gn_image_info *info, gn_image *out, genet_error *err);
genet_status gn_webp_decode(const unsigned char *bytes, size_t n, const gn_decode_options *options,
                            const gn_image_info *info, gn_image *out, genet_error *err);

/* Turns a picture stored with EXIF orientation 1..8 upright. */
genet_status gn_image_turn(const gn_image *in, int orientation, gn_image *out, genet_error *err);
/* The stored box that shows as `box` in the upright picture; width and height are the stored picture's. */
gn_box gn_image_stored_box(gn_box box, int orientation, int width, int height);

/* --- resampling (resize.c) ---------------------------------------------------------------------------------------- */
/* One resampling job: the box of `in` scaled to width x height, of which only `window` is computed, mirrored left to
 * right where asked, into rows of `stride` bytes at `out`. */
typedef struct gn_resample {
    const gn_image *in;
    gn_box crop;    /* the pixels that may enter; crop.width x crop.height */
    double part[4]; /* left, top, right, bottom inside the crop, in its pixels; triangle only */
    int width, height;
    gn_box window;
    bool mirror;
    gn_filter filter;
    unsigned char *out;
    size_t stride;
} gn_resample;
genet_status gn_resample_run(const gn_resample *job, gn_image *scratch, genet_error *err);
/* Makes `scratch` hold at least this many bytes (its width and height mean nothing then). */
genet_status gn_image_reserve(gn_image *scratch, size_t bytes, genet_error *err);

/* --- augmentation (augment.c, colour.c, randaug.c): pictures are (H, W, 3) bytes, changed in place --------------------- */
/* Random resized crop: torchvision's rule, or MindSpore's (seed-independent of the picture's bytes). */
gn_box gn_augment_crop(gn_rng *rng, int width, int height, const double area[2], const double aspect[2],
                       bool mindspore);
/* Bilinear rotation about the centre, degrees counter-clockwise; what comes from outside is `fill`. */
void gn_augment_rotate(unsigned char *rgb, int width, int height, double degrees, const unsigned char fill[3],
                       unsigned char *scratch);
/* Brightness, contrast, saturation (factor 1 +- amount) and hue (shift +- hue of the circle), in random order. */
void gn_augment_jitter(gn_rng *rng, unsigned char *rgb, int width, int height, double amount, double hue);
/* A box of 2 to 33 % of the area, width/height ratio 0.3 to 3.3, filled with one colour; false: none of ten tries fitted. */
bool gn_augment_erase(gn_rng *rng, unsigned char *rgb, int width, int height, const unsigned char fill[3]);
/* torchvision's RandAugment: `operations` drawn with replacement at magnitude bin 0..30. scratch: H*W*3 bytes. */
void gn_augment_randaug(gn_rng *rng, unsigned char *rgb, int width, int height, int operations, int magnitude,
                        unsigned char *scratch);

/* PIL's ImageEnhance on 8 bits: factor 1 changes nothing. */
void gn_colour_brightness(unsigned char *rgb, size_t pixels, float factor);
void gn_colour_contrast(unsigned char *rgb, size_t pixels, float factor);
void gn_colour_saturation(unsigned char *rgb, size_t pixels, float factor);
void gn_colour_sharpness(unsigned char *rgb, int width, int height, float factor, unsigned char *scratch);
/* Adds shift/256 of the circle to the hue (torchvision's adjust_hue over PIL's 8-bit HSV). */
void gn_colour_hue(unsigned char *rgb, size_t pixels, unsigned char shift);
void gn_colour_posterize(unsigned char *rgb, size_t pixels, int bits);
void gn_colour_solarize(unsigned char *rgb, size_t pixels, double threshold);
void gn_colour_autocontrast(unsigned char *rgb, size_t pixels);
void gn_colour_equalize(unsigned char *rgb, size_t pixels);

typedef enum gn_randaug_op {
    GN_RANDAUG_IDENTITY, GN_RANDAUG_SHEAR_X, GN_RANDAUG_SHEAR_Y, GN_RANDAUG_TRANSLATE_X, GN_RANDAUG_TRANSLATE_Y,
    GN_RANDAUG_ROTATE, GN_RANDAUG_BRIGHTNESS, GN_RANDAUG_COLOR, GN_RANDAUG_CONTRAST, GN_RANDAUG_SHARPNESS,
    GN_RANDAUG_POSTERIZE, GN_RANDAUG_SOLARIZE, GN_RANDAUG_AUTOCONTRAST, GN_RANDAUG_EQUALIZE, GN_RANDAUG_COUNT
} gn_randaug_op;
/* What bin 0..30 means for an operation on a picture of this size, before its sign: see golden README section 7. */
double gn_randaug_value(gn_randaug_op op, int magnitude, int width, int height);
/* Applies one operation at a signed value. */
void gn_randaug_apply(gn_randaug_op op, double value, unsigned char *rgb, int width, int height,
                      unsigned char *scratch);

/* --- kernels (kernels.inc.h compiled for several instruction sets) ---------------------------------------------------- */
/* Weights of one axis: output i is the sum over t < count[i] of weight[i*span + t] * in[first[i] + t]. */
typedef struct gn_taps {
    int n, span;
    int *first, *count, *weight;
} gn_taps;
typedef struct gn_image_kernels {
    const char *name;
    /* 22-bit weights. in: rows of pixels; out: taps->n pixels a row. */
    void (*triangle_rows)(const unsigned char *in, size_t in_stride, int rows, unsigned char *out, size_t out_stride,
                          const gn_taps *taps);
    /* One output row of n bytes from `count` rows of in at its weights. */
    void (*triangle_column)(const unsigned char *in, size_t in_stride, int count, const int *weight, unsigned char *out,
                            size_t n);
    /* 11-bit weights, span 2 and count 2, first[i] and first[i] + count[i] - 1 inside the row: sums >> 4. */
    void (*linear_row)(const unsigned char *in, int16_t *out, const gn_taps *taps);
    void (*linear_column)(const int16_t *a, const int16_t *b, int weight_a, int weight_b, unsigned char *out, size_t n);
} gn_image_kernels;
/* The kernels of an instruction set ("base", "avx2", "avx512"), NULL where this machine or build lacks it; NULL: the best. */
const gn_image_kernels *gn_image_kernels_get(const char *name);
#endif
