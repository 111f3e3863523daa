/* SPDX-License-Identifier: Apache-2.0
 * RandAugment (Cubuk et al., 2019) with torchvision's operations and strengths. Movements take the nearest pixel; what
 * comes from outside the picture is black. */
#include <math.h>
#include <string.h>
#include "image/internal.h"

enum { BINS = 31 };

/* Output pixel (x, y) shows the input at (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]), positions being pixel centres;
 * 16-bit fixed point, as in PIL. */
static void affine_nearest(unsigned char *rgb, int width, int height, const double m[6], unsigned char *scratch)
{
    int64_t a[6];
    memcpy(scratch, rgb, (size_t)width * (size_t)height * 3);
    for (int i = 0; i < 6; i++) {
        double v = m[i];
        if (i % 3 == 2)
            v += m[i - 2] * 0.5 + m[i - 1] * 0.5;
        a[i] = (int64_t)floor(v * 65536 + 0.5);
    }
    for (int y = 0; y < height; y++) {
        int64_t u = a[2] + a[1] * y, v = a[5] + a[4] * y;
        for (int x = 0; x < width; x++, u += a[0], v += a[3], rgb += 3) {
            int64_t sx = u >> 16, sy = v >> 16;
            if (sx >= 0 && sx < width && sy >= 0 && sy < height)
                memcpy(rgb, scratch + (sy * width + sx) * 3, 3);
            else
                memset(rgb, 0, 3);
        }
    }
}

double gn_randaug_value(gn_randaug_op op, int magnitude, int width, int height)
{
    double share = (double)magnitude / (BINS - 1);
    switch (op) {
    case GN_RANDAUG_SHEAR_X:
    case GN_RANDAUG_SHEAR_Y: return 0.3 * share;
    case GN_RANDAUG_TRANSLATE_X: return floor(150.0 / 331.0 * width * share);
    case GN_RANDAUG_TRANSLATE_Y: return floor(150.0 / 331.0 * height * share);
    case GN_RANDAUG_ROTATE: return 30 * share;
    case GN_RANDAUG_BRIGHTNESS:
    case GN_RANDAUG_COLOR:
    case GN_RANDAUG_CONTRAST:
    case GN_RANDAUG_SHARPNESS: return 0.9 * share;
    case GN_RANDAUG_POSTERIZE: return 8 - rint(magnitude / ((BINS - 1) / 4.0));
    case GN_RANDAUG_SOLARIZE: return 255 * (1 - share);
    default: return 0;
    }
}

/* About the middle of the picture, counter-clockwise. */
static void rotate_nearest(unsigned char *rgb, int width, int height, double degrees, unsigned char *scratch)
{
    double angle = -degrees * (3.14159265358979323846 / 180), cx = width / 2.0, cy = height / 2.0;
    /* Fifteen decimals, so that a right angle has clean zeros. */
    double c = rint(cos(angle) * 1e15) / 1e15, s = rint(sin(angle) * 1e15) / 1e15;
    const double m[6] = {c, s, cx - c * cx - s * cy, -s, c, cy + s * cx - c * cy};
    affine_nearest(rgb, width, height, m, scratch);
}

void gn_randaug_apply(gn_randaug_op op, double value, unsigned char *rgb, int width, int height, unsigned char *scratch)
{
    size_t pixels = (size_t)width * (size_t)height;
    float factor = (float)(1 + value);
    switch (op) {
    case GN_RANDAUG_SHEAR_X: affine_nearest(rgb, width, height, (double[6]){1, value, 0, 0, 1, 0}, scratch); break;
    case GN_RANDAUG_SHEAR_Y: affine_nearest(rgb, width, height, (double[6]){1, 0, 0, value, 1, 0}, scratch); break;
    case GN_RANDAUG_TRANSLATE_X: affine_nearest(rgb, width, height, (double[6]){1, 0, -value, 0, 1, 0}, scratch); break;
    case GN_RANDAUG_TRANSLATE_Y: affine_nearest(rgb, width, height, (double[6]){1, 0, 0, 0, 1, -value}, scratch); break;
    case GN_RANDAUG_ROTATE: rotate_nearest(rgb, width, height, value, scratch); break;
    case GN_RANDAUG_BRIGHTNESS: gn_colour_brightness(rgb, pixels, factor); break;
    case GN_RANDAUG_COLOR: gn_colour_saturation(rgb, pixels, factor); break;
    case GN_RANDAUG_CONTRAST: gn_colour_contrast(rgb, pixels, factor); break;
    case GN_RANDAUG_SHARPNESS: gn_colour_sharpness(rgb, width, height, factor, scratch); break;
    case GN_RANDAUG_POSTERIZE: gn_colour_posterize(rgb, pixels, (int)value); break;
    case GN_RANDAUG_SOLARIZE: gn_colour_solarize(rgb, pixels, value); break;
    case GN_RANDAUG_AUTOCONTRAST: gn_colour_autocontrast(rgb, pixels); break;
    case GN_RANDAUG_EQUALIZE: gn_colour_equalize(rgb, pixels); break;
    default: break;
    }
}

static bool takes_sign(gn_randaug_op op)
{
    return op >= GN_RANDAUG_SHEAR_X && op <= GN_RANDAUG_SHARPNESS;
}

void gn_augment_randaug(gn_rng *rng, unsigned char *rgb, int width, int height, int operations, int magnitude,
                        unsigned char *scratch)
{
    for (int i = 0; i < operations; i++) {
        gn_randaug_op op = (gn_randaug_op)gn_rng_below(rng, GN_RANDAUG_COUNT);
        double value = gn_randaug_value(op, magnitude, width, height);
        if (takes_sign(op) && gn_rng_below(rng, 2))
            value = -value;
        gn_randaug_apply(op, value, rgb, width, height, scratch);
    }
}
