/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of resampling, compiled once an instruction set: the including file defines KERNELS (the table's name),
 * KERNELS_NAME and LANES (32-bit lanes of its vectors: 4, 8 or 16). Integer arithmetic throughout, so every instruction
 * set gives the same bits.
 *
 * A pixel is loaded as four bytes into four lanes, the fourth being the next pixel's red (or the slack behind the last
 * pixel); it is computed along and not kept. */
#include <string.h>
#include "image/internal.h"

enum {
    PIXELS = LANES / 4, /* pixels a vector */
    HALF = 1 << 21,     /* rounding of 22-bit weights */
    SHIFT = 22
};
typedef int32_t lanes __attribute__((vector_size(LANES * 4)));
typedef uint8_t lane_bytes __attribute__((vector_size(LANES)));

/* The pixel at p, p + stride, ...: one of each of PIXELS rows. */
static inline lanes load_rows(const unsigned char *p, size_t stride)
{
    uint32_t word[PIXELS];
    for (int r = 0; r < PIXELS; r++)
        memcpy(&word[r], p + stride * (size_t)r, 4);
    lane_bytes bytes;
    memcpy(&bytes, word, sizeof bytes);
    return __builtin_convertvector(bytes, lanes);
}

static inline lane_bytes to_bytes(lanes sum)
{
    lanes v = sum >> SHIFT;
    /* Weights are not negative; their rounded sum may exceed one where there are very many. */
    lanes top = (lanes){0} + 255;
    lanes over = v > top;
    return __builtin_convertvector((v & ~over) | (top & over), lane_bytes);
}

/* PIXELS rows at once; the last pixel of a row is stored without its fourth byte. */
static void triangle_group(const unsigned char *in, size_t in_stride, unsigned char *out, size_t out_stride,
                           const gn_taps *taps)
{
    for (int x = 0; x < taps->n; x++) {
        const unsigned char *p = in + (size_t)taps->first[x] * 3;
        const int *weight = taps->weight + (size_t)x * (size_t)taps->span;
        lanes sum = (lanes){0} + HALF;
        for (int t = 0; t < taps->count[x]; t++)
            sum += load_rows(p + t * 3, in_stride) * weight[t];
        lane_bytes bytes = to_bytes(sum);
        uint32_t word[PIXELS];
        memcpy(word, &bytes, sizeof bytes);
        for (int r = 0; r < PIXELS; r++) {
            unsigned char *to = out + out_stride * (size_t)r + (size_t)x * 3;
            if (x + 1 < taps->n)
                memcpy(to, &word[r], 4);
            else
                memcpy(to, &word[r], 3);
        }
    }
}

static void triangle_one(const unsigned char *in, unsigned char *out, const gn_taps *taps)
{
    for (int x = 0; x < taps->n; x++) {
        const unsigned char *p = in + (size_t)taps->first[x] * 3;
        const int *weight = taps->weight + (size_t)x * (size_t)taps->span;
        int sum[3] = {HALF, HALF, HALF};
        for (int t = 0; t < taps->count[x]; t++)
            for (int c = 0; c < 3; c++)
                sum[c] += p[t * 3 + c] * weight[t];
        for (int c = 0; c < 3; c++) {
            int v = sum[c] >> SHIFT;
            out[(size_t)x * 3 + (size_t)c] = (unsigned char)(v > 255 ? 255 : v);
        }
    }
}

static void triangle_rows(const unsigned char *in, size_t in_stride, int rows, unsigned char *out, size_t out_stride,
                          const gn_taps *taps)
{
    int y = 0;
    for (; y + PIXELS <= rows; y += PIXELS)
        triangle_group(in + in_stride * (size_t)y, in_stride, out + out_stride * (size_t)y, out_stride, taps);
    for (; y < rows; y++)
        triangle_one(in + in_stride * (size_t)y, out + out_stride * (size_t)y, taps);
}

static void triangle_column(const unsigned char *in, size_t in_stride, int count, const int *weight, unsigned char *out,
                            size_t n)
{
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        lanes a = (lanes){0} + HALF, b = a;
        const unsigned char *p = in + i;
        for (int t = 0; t < count; t++, p += in_stride) {
            lane_bytes low, high;
            memcpy(&low, p, sizeof low);
            memcpy(&high, p + LANES, sizeof high);
            a += __builtin_convertvector(low, lanes) * weight[t];
            b += __builtin_convertvector(high, lanes) * weight[t];
        }
        lane_bytes low = to_bytes(a), high = to_bytes(b);
        memcpy(out + i, &low, sizeof low);
        memcpy(out + i + LANES, &high, sizeof high);
    }
    for (; i < n; i++) {
        int sum = HALF;
        for (int t = 0; t < count; t++)
            sum += in[in_stride * (size_t)t + i] * weight[t];
        sum >>= SHIFT;
        out[i] = (unsigned char)(sum > 255 ? 255 : sum);
    }
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
