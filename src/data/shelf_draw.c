/* SPDX-License-Identifier: Apache-2.0
 * Packages on a shelf, drawn pixel by pixel: each pixel is taken back into the package's own coordinates (u to the right,
 * v downwards, both -1..1 over its height), where an outline, a pattern and an emblem are simple formulas. Edges are softened
 * over one pixel. */
#include "data/shelf_draw.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"

#define PI 3.14159265f

typedef struct colour {
    float r, g, b;
} colour;

static const colour palette[] = {{206, 43, 48},  {240, 190, 40}, {40, 130, 66},  {36, 82, 170},
                                 {232, 118, 34}, {116, 58, 140}, {236, 232, 222}, {28, 140, 150}};
enum { COLOURS = 8 };

typedef enum package { BOX, BOTTLE, CAN, BAG, JAR, PACKAGES } package;
typedef enum pattern { PANEL, BANDS, DIAGONALS, HALVES, CENTRE, CHEQUER, PATTERNS } pattern;
typedef enum emblem { DISC, RING, DIAMOND, TRIANGLE, CROSS, STAR, CRESCENT, BARS, CHEVRON, SQUARE, EMBLEMS } emblem;

typedef struct look {
    package package;
    pattern pattern;
    emblem emblem;
    colour main, second, ink;
    unsigned letters; /* bits of the line of print */
} look;

/* Where a package stands in the picture, in pixels and radians. */
typedef struct pose {
    float x, y, half_height, angle, shear, light;
} pose;

typedef struct canvas {
    float *rgb;
    int side;
} canvas;

/* --- classes ---------------------------------------------------------------------------------------------------------- */

static const char *const package_words[PACKAGES] = {"box", "bottle", "can", "bag", "jar"};

static look look_of(int product)
{
    int brand = product / 4, kind = product % 4;
    int main = brand * 3 % COLOURS, second = (main + 1 + brand / COLOURS % (COLOURS - 1) + brand % 3) % COLOURS;
    if (second == main)
        second = (main + 4) % COLOURS;
    look l = {.package = (package)(brand * 2 % PACKAGES), .pattern = (pattern)(brand % PATTERNS),
              .emblem = (emblem)(brand * 3 % EMBLEMS), .letters = 0x2d5u + (unsigned)brand * 0x9b5u};
    if (kind == 1) /* the same package with another emblem */
        l.emblem = (emblem)((l.emblem + 5) % EMBLEMS);
    if (kind == 2) { /* the same colours on another package */
        l.package = (package)((l.package + 1 + brand % 3) % PACKAGES);
        l.emblem = (emblem)((l.emblem + 2) % EMBLEMS);
    }
    if (kind == 3) { /* the same package and emblem, colours exchanged */
        l.pattern = (pattern)((l.pattern + 1) % PATTERNS);
        int other = main;
        main = second;
        second = other;
    }
    l.main = palette[main];
    l.second = palette[second];
    float grey = (l.second.r + l.second.g + l.second.b) / 3;
    l.ink = grey > 150 ? (colour){40, 30, 36} : (colour){246, 244, 236};
    return l;
}

void gn_shelf_name(int product, char name[64])
{
    static const char *const brands[] = {"alba",  "borea", "citra", "dolce", "estiva", "fiora", "granada",
                                         "helio", "ilona", "juno",  "kelta", "lumen",  "mirto", "nevada",
                                         "oriol", "pampa", "quinta", "rialto", "sorel", "tibur", "umbra",
                                         "verde", "wolga", "xenia", "yucca", "zefir"};
    static const char *const kinds[] = {"classic", "light", "classic", "family"};
    int brand = product / 4, n = (int)(sizeof brands / sizeof *brands);
    char again[16] = "";
    if (brand >= n)
        snprintf(again, sizeof again, "%d", brand / n + 1);
    snprintf(name, 64, "%s%s-%s-%s", brands[brand % n], again, kinds[product % 4], package_words[look_of(product).package]);
}

/* --- small mathematics -------------------------------------------------------------------------------------------------- */

static float clamp01(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static float smooth(float from, float to, float x)
{
    float t = clamp01((x - from) / (to - from));
    return t * t * (3 - 2 * t);
}

static colour mix(colour a, colour b, float t)
{
    return (colour){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

static colour scale(colour a, float t)
{
    return (colour){a.r * t, a.g * t, a.b * t};
}

static float uniform(gn_rng *rng, float from, float to)
{
    return from + (to - from) * gn_rng_float(rng);
}

/* --- packages ------------------------------------------------------------------------------------------------------------- */

/* Half the width of the outline at height v. */
static float half_width(package p, float v)
{
    switch (p) {
    case BOX:
        return 0.68f;
    case BOTTLE:
        return 0.15f + 0.29f * smooth(-0.55f, -0.15f, v) + (v < -0.84f ? 0.03f : 0);
    case CAN:
        return 0.56f - 0.05f * smooth(0.9f, 1, fabsf(v));
    case BAG:
        return 0.66f + 0.08f * cosf(v * PI / 2);
    case JAR:
        return v < -0.66f ? 0.5f : 0.5f + 0.12f * smooth(-0.66f, -0.4f, v);
    default:
        return 0.5f;
    }
}

/* Height of a package against the tallest. */
static float stature(package p)
{
    static const float heights[PACKAGES] = {0.96f, 1.06f, 0.8f, 0.92f, 0.78f};
    return heights[p];
}

/* Positive inside; about the distance to the outline. */
static float inside(package p, float u, float v)
{
    float top = 1 - fabsf(v);
    if (p == BAG) /* crimped seams */
        top += 0.03f * (fabsf(fmodf(u * 9 + 100, 2) - 1) - 0.5f);
    if (p == CAN || p == JAR || p == BOTTLE) /* seen a little from above: ends are arcs */
        top += 0.06f * (v > 0 ? 0.5f : -0.5f) * (u * u / 0.3f - 0.5f) * -1;
    float side = half_width(p, v) - fabsf(u);
    return side < top ? side : top;
}

static float shading(package p, float u, float v)
{
    float a = u / half_width(p, v);
    if (p == BOX)
        return a > 0.72f ? 0.66f : 1 - 0.06f * v;
    if (p == BAG)
        return 0.9f + 0.1f * sinf(u * 7 + v * 3) - 0.25f * a * a + (fabsf(v) > 0.9f ? -0.12f : 0);
    float round = sqrtf(clamp01(1 - a * a));
    float shine = expf(-(a + 0.42f) * (a + 0.42f) * 60);
    return 0.5f + 0.5f * round + 0.35f * shine;
}

/* 1 inside the emblem, in coordinates of its own radius. soft: pixels a unit. */
static float emblem_at(emblem e, float x, float y, float soft)
{
    float r = sqrtf(x * x + y * y), d = -1;
    switch (e) {
    case DISC:
        d = 0.85f - r;
        break;
    case RING:
        d = 0.2f - fabsf(r - 0.72f);
        break;
    case DIAMOND:
        d = 0.95f - fabsf(x) - fabsf(y);
        break;
    case TRIANGLE:
        d = fminf(0.7f - y, (y + 0.9f) * 0.5f - fabsf(x) * 0.88f);
        break;
    case CROSS:
        d = fmaxf(fminf(0.26f - fabsf(x), 0.9f - fabsf(y)), fminf(0.26f - fabsf(y), 0.9f - fabsf(x)));
        break;
    case STAR:
        d = 0.62f + 0.3f * cosf(5 * atan2f(x, -y)) - r;
        break;
    case CRESCENT:
        d = fminf(0.85f - r, sqrtf((x - 0.4f) * (x - 0.4f) + y * y) - 0.62f);
        break;
    case BARS:
        d = fminf(fminf(0.85f - fabsf(x), 0.85f - fabsf(y)), 0.17f - fabsf(fmodf(y + 3.12f, 0.62f) - 0.31f));
        break;
    case CHEVRON:
        d = fminf(0.24f - fabsf(y + 0.25f - 0.8f * fabsf(x)), 0.85f - fabsf(x));
        break;
    default:
        d = 0.7f - fmaxf(fabsf(x), fabsf(y));
        break;
    }
    return clamp01(d * soft + 0.5f);
}

static float pattern_at(pattern p, float a, float v, float soft)
{
    switch (p) {
    case PANEL:
        return clamp01((0.52f - fabsf(v - 0.12f)) * soft + 0.5f);
    case BANDS:
        return clamp01((0.11f - fabsf(fabsf(v - 0.12f) - 0.62f)) * soft + 0.5f);
    case DIAGONALS:
        return clamp01((0.16f - fabsf(fmodf(a + v + 8, 0.64f) - 0.32f)) * soft + 0.5f);
    case HALVES:
        return clamp01((v - 0.1f) * soft + 0.5f);
    case CENTRE:
        return clamp01((0.34f - fabsf(a)) * soft + 0.5f);
    default: {
        float x = fabsf(fmodf(a + 8, 0.8f) - 0.4f) - 0.2f, y = fabsf(fmodf(v + 8, 0.6f) - 0.3f) - 0.15f;
        return clamp01(x * y * soft * 6 + 0.5f);
    }
    }
}

/* Lids, caps and rims, which the print does not cover. */
static bool bare_part(package p, float v, colour *c)
{
    if ((p == BOTTLE && v < -0.84f) || (p == JAR && v < -0.66f)) {
        *c = (colour){70, 70, 76};
        return true;
    }
    if (p == CAN && fabsf(v) > 0.9f) {
        *c = (colour){190, 192, 196};
        return true;
    }
    return false;
}

static colour print_at(const look *l, float u, float v, float pixels)
{
    colour c = l->main;
    if (bare_part(l->package, v, &c))
        return c;
    float w = half_width(l->package, v);
    c = mix(c, l->second, pattern_at(l->pattern, u / w, v, pixels));
    float size = l->package == BOTTLE ? 0.34f : 0.4f, y = v - 0.08f;
    float plate = clamp01((size * 1.12f - sqrtf(u * u + y * y)) * pixels + 0.5f);
    c = mix(c, l->second, plate);
    c = mix(c, l->ink, emblem_at(l->emblem, u / size, y / size, size * pixels));
    if (v > 0.58f && v < 0.68f && fabsf(u) < 0.36f) { /* a line of print */
        int letter = (int)((u + 0.36f) * 14);
        if (l->letters >> letter & 1)
            c = mix(c, l->ink, 0.8f);
    }
    return c;
}

static void put(canvas *k, int x, int y, colour c, float cover)
{
    float *at = k->rgb + ((size_t)y * (size_t)k->side + (size_t)x) * 3;
    at[0] += (c.r - at[0]) * cover;
    at[1] += (c.g - at[1]) * cover;
    at[2] += (c.b - at[2]) * cover;
}

static void draw_package(canvas *k, const look *l, const pose *p)
{
    float reach = p->half_height * 1.3f, cosine = cosf(p->angle), sine = sinf(p->angle);
    int left = (int)fmaxf(0, p->x - reach), right = (int)fminf((float)k->side, p->x + reach + 1);
    int top = (int)fmaxf(0, p->y - reach), bottom = (int)fminf((float)k->side, p->y + reach + 1);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            float dx = ((float)x + 0.5f - p->x) / p->half_height, dy = ((float)y + 0.5f - p->y) / p->half_height;
            float u = cosine * dx + sine * dy, v = -sine * dx + cosine * dy;
            u += p->shear * v;
            float cover = clamp01(inside(l->package, u, v) * p->half_height + 0.5f);
            if (cover > 0)
                put(k, x, y, scale(print_at(l, u, v, p->half_height), shading(l->package, u, v) * p->light), cover);
        }
}

/* --- the scene -------------------------------------------------------------------------------------------------------------- */

/* One draw a statement: the order of arguments is each compiler's own. */
static colour random_colour(gn_rng *rng, colour from, colour to, float darkest, float brightest)
{
    colour c;
    c.r = uniform(rng, from.r, to.r);
    c.g = uniform(rng, from.g, to.g);
    c.b = uniform(rng, from.b, to.b);
    float light = uniform(rng, darkest, brightest);
    return scale(c, light);
}

static void draw_background(canvas *k, gn_rng *rng, float board)
{
    colour wall = random_colour(rng, (colour){150, 150, 145}, (colour){215, 210, 210}, 0.35f, 1);
    colour wood = random_colour(rng, (colour){120, 110, 80}, (colour){210, 190, 180}, 0.5f, 1.1f);
    float slats = uniform(rng, 0, 0.14f), wave = uniform(rng, 0.2f, 0.8f), slope = uniform(rng, -0.5f, 0.3f);
    for (int y = 0; y < k->side; y++)
        for (int x = 0; x < k->side; x++) {
            float below = (float)y - board, s = (float)k->side;
            colour c = scale(wall, 1 + slope * ((float)y / s - 0.5f) + slats * sinf((float)x * wave));
            c = mix(c, wood, clamp01(below + 0.5f));
            if (below > 0.06f * s && below < 0.14f * s) /* the price rail */
                c = (colour){225, 225, 220};
            put(k, x, y, c, 1);
        }
}

static void draw_tag(canvas *k, gn_rng *rng, float board)
{
    float s = (float)k->side, w = uniform(rng, 0.14f, 0.24f) * s, h = uniform(rng, 0.07f, 0.1f) * s;
    float x0 = uniform(rng, 0.05f, 0.95f) * s - w / 2, y0 = board + 0.045f * s;
    colour paper = gn_rng_below(rng, 2) ? (colour){250, 240, 120} : (colour){250, 250, 250};
    for (int y = (int)y0; y < (int)(y0 + h) && y < k->side; y++)
        for (int x = (int)fmaxf(x0, 0); x < (int)(x0 + w) && x < k->side; x++)
            put(k, x, y, (y - (int)y0) % 3 == 1 && gn_rng_below(rng, 2) ? (colour){40, 40, 40} : paper, 1);
}

static pose draw_pose(gn_rng *rng, const look *l, int side, float x, float board)
{
    pose p;
    p.half_height = uniform(rng, 0.33f, 0.44f) * (float)side * stature(l->package);
    p.x = x;
    p.y = board - p.half_height + uniform(rng, 0, 0.02f) * (float)side;
    p.angle = uniform(rng, -0.11f, 0.11f);
    p.shear = uniform(rng, -0.1f, 0.1f);
    p.light = uniform(rng, 0.85f, 1.1f);
    return p;
}

/* Neighbours on both sides; the product in question stands in the middle and in front. */
static void draw_products(canvas *k, gn_rng *rng, int product, int classes, float board)
{
    float s = (float)k->side, middle = uniform(rng, 0.43f, 0.57f) * s;
    for (int side = -1; side <= 1; side += 2) {
        float gap = uniform(rng, 0.5f, 0.72f) * s;
        if (gn_rng_below(rng, 5) == 0)
            continue;
        look l = look_of((int)gn_rng_below(rng, (uint32_t)classes));
        pose p = draw_pose(rng, &l, k->side, middle + (float)side * gap, board);
        draw_package(k, &l, &p);
    }
    look l = look_of(product);
    pose p = draw_pose(rng, &l, k->side, middle, board);
    draw_package(k, &l, &p);
}

/* Box blur along one axis, radius in pixels (a fraction counts), from one canvas into another. */
static void blur(const float *in, float *out, int side, float radius, bool down)
{
    size_t step = down ? (size_t)side * 3 : 3;
    float weight = 1 / (1 + 2 * radius);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            size_t at = ((size_t)y * (size_t)side + (size_t)x) * 3;
            int place = down ? y : x;
            for (size_t c = at; c < at + 3; c++) {
                float before = in[place > 0 ? c - step : c], after = in[place < side - 1 ? c + step : c];
                out[c] = (in[c] + radius * (before + after)) * weight;
            }
        }
}

/* Light from one side, its colour, noise of the sensor; rounds to bytes. */
static void develop(const float *rgb, gn_rng *rng, int side, unsigned char *out)
{
    float gain = uniform(rng, 0.6f, 1.2f), warm = uniform(rng, -0.1f, 0.1f), direction = uniform(rng, 0, 2 * PI);
    float slope = uniform(rng, 0, 0.5f), noise = uniform(rng, 1, 9);
    float dx = cosf(direction) * slope / (float)side, dy = sinf(direction) * slope / (float)side;
    float channel[3] = {gain * (1 + warm), gain, gain * (1 - warm)};
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            float light = 1 + dx * ((float)x - (float)side / 2) + dy * ((float)y - (float)side / 2);
            uint32_t bits = gn_rng_u32(rng);
            float grain = ((float)(bits & 255) + (float)(bits >> 8 & 255) + (float)(bits >> 16 & 255)) / 127.5f - 3;
            for (int c = 0; c < 3; c++) {
                float v = *rgb++ * channel[c] * light + grain * noise + 0.5f;
                *out++ = v < 0 ? 0 : v > 255 ? 255 : (unsigned char)v;
            }
        }
}

void gn_shelf_draw(int product, int classes, uint64_t seed, uint64_t number, int side, float *scratch, gn_image *out)
{
    size_t values = (size_t)side * (size_t)side * 3;
    gn_rng rng = gn_rng_make(seed, (uint32_t)product, number, GN_RNG_MADE_DATA);
    canvas k = {.rgb = scratch, .side = side};
    float board = uniform(&rng, 0.84f, 0.93f) * (float)side;
    memset(scratch, 0, values * sizeof *scratch);
    draw_background(&k, &rng, board);
    draw_products(&k, &rng, product, classes, board);
    draw_tag(&k, &rng, board);
    float radius = uniform(&rng, 0, 0.8f) * (float)side / 96;
    radius = radius > 1 ? 1 : radius;
    blur(scratch, scratch + values, side, radius, false);
    blur(scratch + values, scratch, side, radius, true);
    develop(scratch, &rng, side, out->rgb);
}
