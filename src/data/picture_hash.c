/* SPDX-License-Identifier: Apache-2.0
 * The DCT hash and the tones of a picture. */
#include "data/picture_hash.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "genet/data.h"

enum { SIDE = 32, LOW = 8, PARTS = 4, PART = SIDE / PARTS };
#define FLAT_DEVIATION 3.0 /* of 255 */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The LOW x LOW lowest frequencies of the type-II cosine transform, without scale. */
static void low_frequencies(double grey[SIDE][SIDE], double out[LOW][LOW])
{
    double wave[LOW][SIDE], rows[SIDE][LOW];
    for (int k = 0; k < LOW; k++)
        for (int i = 0; i < SIDE; i++)
            wave[k][i] = cos(3.14159265358979323846 * k * (2 * i + 1) / (2 * SIDE));
    for (int y = 0; y < SIDE; y++)
        for (int k = 0; k < LOW; k++) {
            rows[y][k] = 0;
            for (int x = 0; x < SIDE; x++)
                rows[y][k] += grey[y][x] * wave[k][x];
        }
    for (int j = 0; j < LOW; j++)
        for (int k = 0; k < LOW; k++) {
            out[j][k] = 0;
            for (int y = 0; y < SIDE; y++)
                out[j][k] += rows[y][k] * wave[j][y];
        }
}

static uint64_t against_median(double low[LOW][LOW])
{
    double sorted[LOW * LOW];
    uint64_t bits = 0;
    low[0][0] = 0; /* the mean says nothing about the shapes */
    memcpy(sorted, low, sizeof sorted);
    qsort(sorted, LOW * LOW, sizeof *sorted, by_value);
    double median = (sorted[LOW * LOW / 2 - 1] + sorted[LOW * LOW / 2]) / 2;
    for (int i = 0; i < LOW * LOW; i++)
        bits |= (uint64_t)(low[i / LOW][i % LOW] > median) << i;
    return bits;
}

genet_status gn_picture_hash_make(const gn_image *im, gn_image *small, gn_image *scratch, gn_picture_hash *hash,
                                  genet_error *err)
{
    double grey[SIDE][SIDE], low[LOW][LOW], sum = 0, squares = 0;
    unsigned tone[PARTS * PARTS * 3] = {0};
    genet_status status = gn_resize(im, (gn_box){0, 0, im->width, im->height}, SIDE, SIDE, GN_FILTER_TRIANGLE, small, scratch,
                                    err);
    if (status != GENET_OK)
        return status;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            const unsigned char *p = small->rgb + (y * SIDE + x) * 3;
            grey[y][x] = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
            sum += grey[y][x];
            squares += grey[y][x] * grey[y][x];
            for (int c = 0; c < 3; c++)
                tone[(y / PART * PARTS + x / PART) * 3 + c] += p[c];
        }
    for (int i = 0; i < PARTS * PARTS * 3; i++)
        hash->tone[i] = (unsigned char)(tone[i] / (PART * PART));
    double mean = sum / (SIDE * SIDE), var = squares / (SIDE * SIDE) - mean * mean;
    hash->flat = var < FLAT_DEVIATION * FLAT_DEVIATION;
    low_frequencies(grey, low);
    hash->bits = against_median(low);
    return GENET_OK;
}

int gn_picture_hash_bits(const gn_picture_hash *a, const gn_picture_hash *b)
{
    return __builtin_popcountll(a->bits ^ b->bits);
}

bool gn_picture_hash_same(const gn_picture_hash *a, const gn_picture_hash *b)
{
    int difference = 0;
    if (a->flat || b->flat || gn_picture_hash_bits(a, b) > GENET_AUDIT_SAME_BITS)
        return false;
    for (size_t i = 0; i < sizeof a->tone; i++)
        difference += abs(a->tone[i] - b->tone[i]);
    return difference <= GENET_AUDIT_SAME_TONE * (int)sizeof a->tone;
}
