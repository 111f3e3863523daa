/* SPDX-License-Identifier: Apache-2.0
 * Colour operations on 8-bit RGB, to the bits of PIL's ImageEnhance, ImageOps and HSV conversion, which is what
 * torchvision's augmentations mean. Intermediate arithmetic is in float and truncates where PIL's does. */
#include <string.h>
#include "image/internal.h"

/* ITU-R 601 luma in 16-bit fixed point. */
static inline int luma(const unsigned char *p)
{
    return (int)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
}

/* from + factor * (to - from), truncated, clipped. */
static inline unsigned char blend(int from, int to, float factor)
{
    float v = (float)from + factor * (float)(to - from);
    return v <= 0 ? 0 : v >= 255 ? 255 : (unsigned char)v;
}

/* Blends every byte with one level; a table serves the 256 values. */
static void blend_level(unsigned char *rgb, size_t pixels, int level, float factor)
{
    unsigned char table[256];
    for (int v = 0; v < 256; v++)
        table[v] = blend(level, v, factor);
    for (size_t i = 0; i < pixels * 3; i++)
        rgb[i] = table[rgb[i]];
}

void gn_colour_brightness(unsigned char *rgb, size_t pixels, float factor)
{
    blend_level(rgb, pixels, 0, factor);
}

void gn_colour_contrast(unsigned char *rgb, size_t pixels, float factor)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < pixels; i++)
        sum += (uint64_t)luma(rgb + 3 * i);
    blend_level(rgb, pixels, (int)((double)sum / (double)pixels + 0.5), factor);
}

void gn_colour_saturation(unsigned char *rgb, size_t pixels, float factor)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3) {
        int grey = luma(rgb);
        for (int c = 0; c < 3; c++)
            rgb[c] = blend(grey, rgb[c], factor);
    }
}

/* The smoothed picture is the 3x3 mean with weight 5 in the middle (of 13); the border stays as it is. */
void gn_colour_sharpness(unsigned char *rgb, int width, int height, float factor, unsigned char *scratch)
{
    size_t stride = (size_t)width * 3;
    memcpy(scratch, rgb, stride * (size_t)height);
    for (int y = 1; y < height - 1; y++)
        for (size_t i = 3; i + 3 < stride; i++) {
            const unsigned char *p = scratch + stride * (size_t)y + i;
            int around = p[-3 - (ptrdiff_t)stride] + p[-(ptrdiff_t)stride] + p[3 - (ptrdiff_t)stride] + p[-3] + p[3]
                         + p[(ptrdiff_t)stride - 3] + p[stride] + p[stride + 3];
            int smooth = (2 * (around + 5 * p[0]) + 13) / 26;
            rgb[stride * (size_t)y + i] = blend(smooth, p[0], factor);
        }
    for (int y = 0; y < height; y++)
        for (size_t i = 0; i < stride; i++)
            if (y == 0 || y == height - 1 || i < 3 || i + 3 >= stride) {
                size_t at = stride * (size_t)y + i;
                rgb[at] = blend(scratch[at], scratch[at], factor);
            }
}

static inline unsigned char clip(int v)
{
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void to_hsv(const unsigned char *p, unsigned char hsv[3])
{
    int r = p[0], g = p[1], b = p[2];
    int top = r > g ? (r > b ? r : b) : (g > b ? g : b), low = r < g ? (r < b ? r : b) : (g < b ? g : b);
    hsv[0] = hsv[1] = 0;
    hsv[2] = (unsigned char)top;
    if (top == low)
        return;
    float range = (float)(top - low), s = range / (float)top;
    float rc = (float)(top - r) / range, gc = (float)(top - g) / range, bc = (float)(top - b) / range, h;
    if (r == top)
        h = bc - gc;
    else if (g == top)
        h = (float)(2.0 + rc - bc);
    else
        h = (float)(4.0 + gc - rc);
    double turn = h / 6.0 + 1.0; /* above 0.8 and below 2 */
    h = (float)(turn >= 1 ? turn - 1 : turn);
    hsv[0] = clip((int)(h * 255.0));
    hsv[1] = clip((int)(s * 255.0));
}

/* To the nearest level; v is not negative. */
static inline unsigned char nearest(double v)
{
    return clip((int)(v + 0.5));
}

static void from_hsv(const unsigned char hsv[3], unsigned char *p)
{
    int v = hsv[2];
    if (hsv[1] == 0) {
        p[0] = p[1] = p[2] = (unsigned char)v;
        return;
    }
    double turn = (float)hsv[0] * 6.0 / 255.0;
    int sector = (int)turn;
    float f = (float)(turn - (float)sector), s = (float)((float)hsv[1] / 255.0);
    unsigned char low = nearest((float)v * (1.0 - s)), falling = nearest((float)v * (1.0 - s * f));
    unsigned char rising = nearest((float)v * (1.0 - s * (1.0 - f))), high = (unsigned char)v;
    switch (sector % 6) {
    case 0: p[0] = high; p[1] = rising; p[2] = low; break;
    case 1: p[0] = falling; p[1] = high; p[2] = low; break;
    case 2: p[0] = low; p[1] = high; p[2] = rising; break;
    case 3: p[0] = low; p[1] = falling; p[2] = high; break;
    case 4: p[0] = rising; p[1] = low; p[2] = high; break;
    default: p[0] = high; p[1] = low; p[2] = falling; break;
    }
}

void gn_colour_hue(unsigned char *rgb, size_t pixels, unsigned char shift)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3) {
        unsigned char hsv[3];
        to_hsv(rgb, hsv);
        hsv[0] = (unsigned char)(hsv[0] + shift);
        from_hsv(hsv, rgb);
    }
}

void gn_colour_posterize(unsigned char *rgb, size_t pixels, int bits)
{
    unsigned char mask = (unsigned char)(0xFF << (8 - bits));
    for (size_t i = 0; i < pixels * 3; i++)
        rgb[i] &= mask;
}

void gn_colour_solarize(unsigned char *rgb, size_t pixels, double threshold)
{
    for (size_t i = 0; i < pixels * 3; i++)
        rgb[i] = rgb[i] < threshold ? rgb[i] : (unsigned char)(255 - rgb[i]);
}

static void histogram(const unsigned char *rgb, size_t pixels, int channel, uint64_t count[256])
{
    memset(count, 0, 256 * sizeof *count);
    for (size_t i = 0; i < pixels; i++)
        count[rgb[3 * i + (size_t)channel]]++;
}

static void look_up(unsigned char *rgb, size_t pixels, int channel, const unsigned char table[256])
{
    for (size_t i = 0; i < pixels; i++)
        rgb[3 * i + (size_t)channel] = table[rgb[3 * i + (size_t)channel]];
}

void gn_colour_autocontrast(unsigned char *rgb, size_t pixels)
{
    for (int c = 0; c < 3; c++) {
        uint64_t count[256];
        unsigned char table[256];
        histogram(rgb, pixels, c, count);
        int low = 0, high = 255;
        while (low < 255 && !count[low])
            low++;
        while (high > 0 && !count[high])
            high--;
        if (high <= low)
            continue;
        double scale = 255.0 / (high - low), offset = -low * scale;
        for (int v = 0; v < 256; v++)
            table[v] = clip((int)(v * scale + offset));
        look_up(rgb, pixels, c, table);
    }
}

void gn_colour_equalize(unsigned char *rgb, size_t pixels)
{
    for (int c = 0; c < 3; c++) {
        uint64_t count[256], last = 0;
        unsigned char table[256];
        histogram(rgb, pixels, c, count);
        int used = 0;
        for (int v = 0; v < 256; v++)
            if (count[v]) {
                used++;
                last = count[v];
            }
        uint64_t step = (pixels - last) / 255, n = step / 2;
        if (used <= 1 || step == 0)
            continue;
        for (int v = 0; v < 256; v++) {
            uint64_t level = n / step;
            table[v] = (unsigned char)(level > 255 ? 255 : level);
            n += count[v];
        }
        look_up(rgb, pixels, c, table);
    }
}
