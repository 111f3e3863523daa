/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of resampling, compiled once an instruction set: the including file defines KERNELS (the table's name),
 * KERNELS_NAME and LANES (32-bit lanes of its vectors: 4, 8 or 16). Integer arithmetic throughout, so every instruction
 * set gives the same bits.
 *
 * A lane holds four bytes as one word, taken apart by shifts: compilers widen bytes badly, and so nothing is widened. Along
 * a row a word is a pixel and the next one's red (or the slack behind the last pixel), which is dropped. */
#include <string.h>
#include "image/internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a pixel's red is the low byte of its word");

enum {
    HALF = 1 << 21, /* rounding of 22-bit weights */
    SHIFT = 22,
    TILE = 384 /* input pixels of LANES rows turned at once; 24 KiB at 16 lanes, within the first cache */
};
typedef int32_t lanes __attribute__((vector_size(LANES * 4)));
typedef uint32_t words __attribute__((vector_size(LANES * 4)));

/* Weights are not negative; their rounded sum can carry a level past 255 where there are thousands of them. */
static inline words level(lanes sum)
{
    words v = (words)sum >> SHIFT, top = (words){0} + 255;
    words over = (words)(v > top);
    return (v & ~over) | (top & over);
}

static inline unsigned char level_one(int sum)
{
    int v = sum >> SHIFT;
    return (unsigned char)(v > 255 ? 255 : v);
}

static inline words load_words(const void *p)
{
    words w;
    memcpy(&w, p, sizeof w);
    return w;
}

static void one_pixel(const unsigned char *p, const int *weight, int count, unsigned char *out)
{
    int sum[3] = {HALF, HALF, HALF};
    for (int t = 0; t < count; t++)
        for (int c = 0; c < 3; c++)
            sum[c] += p[t * 3 + c] * weight[t];
    for (int c = 0; c < 3; c++)
        out[c] = level_one(sum[c]);
}

/* Outputs x0..x1-1 of `rows` (1..LANES) rows from the tile, whose words are [pixel][row] from input pixel `base` on. The
 * last pixel of a row is stored without its fourth byte. */
static void weigh_tile(const uint32_t *tile, int base, int rows, unsigned char *out, size_t out_stride,
                       const gn_taps *taps, int x0, int x1)
{
    for (int x = x0; x < x1; x++) {
        const uint32_t *p = tile + (size_t)(taps->first[x] - base) * LANES;
        const int *weight = taps->weight + (size_t)x * (size_t)taps->span;
        lanes r = (lanes){0} + HALF, g = r, b = r;
        for (int t = 0; t < taps->count[x]; t++, p += LANES) {
            words w = load_words(p);
            r += (lanes)(w & 255) * weight[t];
            g += (lanes)(w >> 8 & 255) * weight[t];
            b += (lanes)(w >> 16 & 255) * weight[t];
        }
        words v = level(r) | level(g) << 8 | level(b) << 16;
        uint32_t pixel[LANES];
        memcpy(pixel, &v, sizeof v);
        unsigned char *to = out + (size_t)x * 3;
        if (x + 1 < taps->n)
            for (int i = 0; i < rows; i++)
                memcpy(to + out_stride * (size_t)i, &pixel[i], 4);
        else
            for (int i = 0; i < rows; i++)
                memcpy(to + out_stride * (size_t)i, &pixel[i], 3);
    }
}

/* LANES rows or fewer, in pieces whose input fits the tile; a single output wider than that is computed alone. */
static void triangle_group(const unsigned char *in, size_t in_stride, int rows, unsigned char *out, size_t out_stride,
                           const gn_taps *taps)
{
    uint32_t tile[TILE * LANES] __attribute__((aligned(64)));
    for (int x0 = 0, x1; x0 < taps->n; x0 = x1) {
        int low = taps->first[x0], high = low + taps->count[x0];
        for (x1 = x0 + 1; x1 < taps->n; x1++) {
            int begin = taps->first[x1], end = begin + taps->count[x1];
            begin = begin < low ? begin : low;
            end = end > high ? end : high;
            if (end - begin > TILE)
                break;
            low = begin;
            high = end;
        }
        if (high - low > TILE) {
            for (int i = 0; i < rows; i++)
                one_pixel(in + in_stride * (size_t)i + (size_t)low * 3, taps->weight + (size_t)x0 * (size_t)taps->span,
                          taps->count[x0], out + out_stride * (size_t)i + (size_t)x0 * 3);
            continue;
        }
        for (int i = 0; i < LANES; i++) {
            const unsigned char *p = in + in_stride * (size_t)(i < rows ? i : 0) + (size_t)low * 3;
            for (int k = 0; k < high - low; k++)
                memcpy(&tile[k * LANES + i], p + k * 3, 4);
        }
        weigh_tile(tile, low, rows, out, out_stride, taps, x0, x1);
    }
}

static void triangle_rows(const unsigned char *in, size_t in_stride, int rows, unsigned char *out, size_t out_stride,
                          const gn_taps *taps)
{
    for (int y = 0; y < rows; y += LANES)
        triangle_group(in + in_stride * (size_t)y, in_stride, rows - y < LANES ? rows - y : LANES,
                       out + out_stride * (size_t)y, out_stride, taps);
}

static inline void column_words(const unsigned char *p, size_t stride, int count, const int *weight, unsigned char *out)
{
    lanes sum[4];
    for (int i = 0; i < 4; i++)
        sum[i] = (lanes){0} + HALF;
    for (int t = 0; t < count; t++, p += stride) {
        words w = load_words(p);
        sum[0] += (lanes)(w & 255) * weight[t];
        sum[1] += (lanes)(w >> 8 & 255) * weight[t];
        sum[2] += (lanes)(w >> 16 & 255) * weight[t];
        sum[3] += (lanes)(w >> 24) * weight[t];
    }
    words v = level(sum[0]) | level(sum[1]) << 8 | level(sum[2]) << 16 | level(sum[3]) << 24;
    memcpy(out, &v, sizeof v);
}

static void triangle_column(const unsigned char *in, size_t in_stride, int count, const int *weight, unsigned char *out,
                            size_t n)
{
    const size_t step = sizeof(words);
    if (n < step) {
        for (size_t i = 0; i < n; i++) {
            int sum = HALF;
            for (int t = 0; t < count; t++)
                sum += in[in_stride * (size_t)t + i] * weight[t];
            out[i] = level_one(sum);
        }
        return;
    }
    for (size_t i = 0; i + step <= n; i += step)
        column_words(in + i, in_stride, count, weight, out + i);
    if (n % step) /* the last words once more, overlapping */
        column_words(in + n - step, in_stride, count, weight, out + n - step);
}

static void linear_row(const unsigned char *in, int16_t *out, const gn_taps *taps)
{
    for (int x = 0; x < taps->n; x++, out += 3) {
        const unsigned char *a = in + (size_t)taps->first[x] * 3, *b = a + (taps->count[x] - 1) * 3;
        int wa = taps->weight[2 * x], wb = taps->weight[2 * x + 1];
        for (int c = 0; c < 3; c++)
            out[c] = (int16_t)((a[c] * wa + b[c] * wb) >> 4);
    }
}

static void linear_column(const int16_t *a, const int16_t *b, int weight_a, int weight_b, unsigned char *out, size_t n)
{
    int16_t wa = (int16_t)weight_a, wb = (int16_t)weight_b;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)(((a[i] * wa >> 16) + (b[i] * wb >> 16) + 2) >> 2);
}

const gn_image_kernels KERNELS;
const gn_image_kernels KERNELS = {KERNELS_NAME, triangle_rows, triangle_column, linear_row, linear_column};
