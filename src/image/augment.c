/* SPDX-License-Identifier: Apache-2.0
 * Augmentation in space: the random resized crop's box, rotation, erasing; and the order of the colour jitter. Every random
 * value comes from the caller's counter-based stream. */
#include <math.h>
#include <string.h>
#include "image/internal.h"

enum { TRIES = 10 };

static double between(gn_rng *rng, double low, double high)
{
    return low + (high - low) * gn_rng_double(rng);
}

/* torchvision's RandomResizedCrop: both sides from area and aspect, halves to even. */
static bool torch_try(gn_rng *rng, int width, int height, const double area[2], const double aspect[2], gn_box *box)
{
    double want = (double)width * height * between(rng, area[0], area[1]);
    double ratio = exp(between(rng, log(aspect[0]), log(aspect[1])));
    double w = rint(sqrt(want * ratio)), h = rint(sqrt(want / ratio));
    if (!(w >= 1 && h >= 1 && w <= width && h <= height))
        return false;
    *box = (gn_box){0, 0, (int)w, (int)h};
    return true;
}

/* MindSpore's: single precision, the height follows from the rounded width, zero is lifted to one (seed-spec 9.3). */
static bool mindspore_try(gn_rng *rng, int width, int height, const double area[2], const double aspect[2], gn_box *box)
{
    float share = (float)between(rng, area[0], area[1]);
    float ratio = expf((float)between(rng, logf((float)aspect[0]), logf((float)aspect[1])));
    double w = round(sqrt((double)width * height * share * ratio)), h = round(w / ratio);
    w = w < 1 ? 1 : w;
    h = h < 1 ? 1 : h;
    if (!(w <= width && h <= height))
        return false;
    *box = (gn_box){0, 0, (int)w, (int)h};
    return true;
}

/* After ten failures: the largest central box within the allowed aspects. */
static gn_box central_box(int width, int height, const double aspect[2], bool mindspore)
{
    double ratio = (double)width / height, w = width, h = height;
    if (ratio < aspect[0])
        h = mindspore ? round(width / aspect[0]) : rint(width / aspect[0]);
    else if (ratio > aspect[1])
        w = mindspore ? round(height * aspect[1]) : rint(height * aspect[1]);
    gn_box b = {0, 0, (int)fmin(fmax(w, 1), width), (int)fmin(fmax(h, 1), height)};
    /* MindSpore rounds the half pixel up, torchvision down. */
    b.left = (width - b.width + mindspore) / 2;
    b.top = (height - b.height + mindspore) / 2;
    return b;
}

gn_box gn_augment_crop(gn_rng *rng, int width, int height, const double area[2], const double aspect[2], bool mindspore)
{
    for (int i = 0; i < TRIES; i++) {
        gn_box box;
        if (!(mindspore ? mindspore_try : torch_try)(rng, width, height, area, aspect, &box))
            continue;
        box.left = (int)gn_rng_below(rng, (uint32_t)(width - box.width) + 1);
        box.top = (int)gn_rng_below(rng, (uint32_t)(height - box.height) + 1);
        return box;
    }
    return central_box(width, height, aspect, mindspore);
}

/* The colour between four corners, fx and fy in 1/256. */
static inline void mix_corners(const unsigned char *corner[4], unsigned fx, unsigned fy, unsigned char *out)
{
    unsigned weight[4] = {(256 - fx) * (256 - fy), fx * (256 - fy), (256 - fx) * fy, fx * fy};
    for (int c = 0; c < 3; c++)
        out[c] = (unsigned char)((corner[0][c] * weight[0] + corner[1][c] * weight[1] + corner[2][c] * weight[2]
                                  + corner[3][c] * weight[3] + (1u << 15)) >> 16);
}

/* Positions are pixels in 32-bit fixed point, u along and v down; what is outside is `fill`. */
static void sample_bilinear(const unsigned char *rgb, int width, int height, int64_t u, int64_t v,
                            const unsigned char fill[3], unsigned char *out)
{
    int64_t x = u >> 32, y = v >> 32;
    unsigned fx = (unsigned)(u >> 24 & 255), fy = (unsigned)(v >> 24 & 255);
    const unsigned char *corner[4];
    if (x >= 0 && y >= 0 && x < width - 1 && y < height - 1) {
        corner[0] = rgb + (y * width + x) * 3;
        corner[1] = corner[0] + 3;
        corner[2] = corner[0] + (ptrdiff_t)width * 3;
        corner[3] = corner[2] + 3;
    } else {
        for (int i = 0; i < 4; i++) {
            int64_t cx = x + (i & 1), cy = y + (i >> 1);
            corner[i] = cx >= 0 && cy >= 0 && cx < width && cy < height ? rgb + (cy * width + cx) * 3 : fill;
        }
    }
    mix_corners(corner, fx, fy, out);
}

void gn_augment_rotate(unsigned char *rgb, int width, int height, double degrees, const unsigned char fill[3],
                       unsigned char *scratch)
{
    const double one = 4294967296.0, half = 1 << 23; /* half of 1/256 pixel, for rounding to it */
    double angle = degrees * (3.14159265358979323846 / 180), cosine = cos(angle), sine = sin(angle);
    double cx = (width - 1) / 2.0, cy = (height - 1) / 2.0;
    int64_t du = llrint(cosine * one), dv = llrint(sine * one);
    memcpy(scratch, rgb, (size_t)width * (size_t)height * 3);
    for (int y = 0; y < height; y++) {
        int64_t u = llrint((cx - cx * cosine - (y - cy) * sine) * one + half);
        int64_t v = llrint((cy - cx * sine + (y - cy) * cosine) * one + half);
        for (int x = 0; x < width; x++, rgb += 3, u += du, v += dv)
            sample_bilinear(scratch, width, height, u, v, fill, rgb);
    }
}

void gn_augment_jitter(gn_rng *rng, unsigned char *rgb, int width, int height, double amount, double hue)
{
    size_t pixels = (size_t)width * (size_t)height;
    int order[4] = {0, 1, 2, 3};
    for (int i = 3; i > 0; i--) {
        int k = (int)gn_rng_below(rng, (uint32_t)i + 1), keep = order[i];
        order[i] = order[k];
        order[k] = keep;
    }
    float factor[3];
    for (int i = 0; i < 3; i++)
        factor[i] = (float)between(rng, fmax(0, 1 - amount), 1 + amount);
    double shift = between(rng, -hue, hue);
    for (int i = 0; i < 4; i++)
        switch (order[i]) {
        case 0: if (amount > 0) gn_colour_brightness(rgb, pixels, factor[0]); break;
        case 1: if (amount > 0) gn_colour_contrast(rgb, pixels, factor[1]); break;
        case 2: if (amount > 0) gn_colour_saturation(rgb, pixels, factor[2]); break;
        default: if (hue > 0) gn_colour_hue(rgb, pixels, (unsigned char)(int)(shift * 255)); break;
        }
}

bool gn_augment_erase(gn_rng *rng, unsigned char *rgb, int width, int height, const unsigned char fill[3])
{
    for (int i = 0; i < TRIES; i++) {
        double area = (double)width * height * between(rng, 0.02, 0.33);
        double ratio = exp(between(rng, log(0.3), log(3.3)));
        int w = (int)rint(sqrt(area * ratio)), h = (int)rint(sqrt(area / ratio));
        if (w < 1 || h < 1 || w >= width || h >= height)
            continue;
        int left = (int)gn_rng_below(rng, (uint32_t)(width - w) + 1), top = (int)gn_rng_below(rng, (uint32_t)(height - h) + 1);
        for (int y = top; y < top + h; y++)
            for (int x = left; x < left + w; x++)
                memcpy(rgb + ((size_t)y * (size_t)width + (size_t)x) * 3, fill, 3);
        return true;
    }
    return false;
}
