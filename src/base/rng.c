/* SPDX-License-Identifier: Apache-2.0
 * Philox4x32-10 and what is drawn from it.
 * The key is the seed; the counter is (block, epoch, sample low, purpose << 24 | sample high), so two streams never
 * share a block as long as sample < 2^56 and a stream draws fewer than 2^34 words. */
#include "base/rng.h"
#include <math.h>
#include "base/hash.h"

void gn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = UINT64_C(0xd2511f53) * c0, p1 = UINT64_C(0xcd9e8d57) * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += UINT32_C(0x9e3779b9);
        k1 += UINT32_C(0xbb67ae85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

gn_rng gn_rng_make(uint64_t seed, uint32_t epoch, uint64_t sample, gn_purpose purpose)
{
    return (gn_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                    .counter = {0, epoch, (uint32_t)sample, (uint32_t)purpose << 24 ^ (uint32_t)(sample >> 32)},
                    .used = 4};
}

uint32_t gn_rng_u32(gn_rng *rng)
{
    if (rng->used == 4) {
        gn_philox(rng->counter, rng->key, rng->word);
        rng->counter[0]++;
        rng->used = 0;
    }
    return rng->word[rng->used++];
}

float gn_rng_float(gn_rng *rng)
{
    return (float)(gn_rng_u32(rng) >> 8) * 0x1p-24f;
}

double gn_rng_double(gn_rng *rng)
{
    uint64_t high = gn_rng_u32(rng) >> 5, low = gn_rng_u32(rng) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

uint32_t gn_rng_below(gn_rng *rng, uint32_t n)
{
    /* Multiply and reject (Lemire): the high word is uniform once the low word is outside the short remainder. */
    uint64_t product = (uint64_t)gn_rng_u32(rng) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = -n % n;
        while ((uint32_t)product < threshold)
            product = (uint64_t)gn_rng_u32(rng) * n;
    }
    return (uint32_t)(product >> 32);
}

/* Logarithm of a Gamma(a, 1) draw; in logarithms because for a small a the value itself underflows. */
static double log_gamma_draw(gn_rng *rng, double a)
{
    double boost = 0.0;
    if (a < 1.0) {
        boost = log1p(-gn_rng_double(rng)) / a;
        a += 1.0;
    }
    double d = a - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = gn_rng_normal(rng), v = 1.0 + c * x;
        if (v <= 0.0)
            continue;
        v = v * v * v;
        double u = 1.0 - gn_rng_double(rng);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return log(d * v) + boost;
    }
}

double gn_rng_beta(gn_rng *rng, double a)
{
    double x = log_gamma_draw(rng, a), y = log_gamma_draw(rng, a);
    return 1.0 / (1.0 + exp(y - x));
}

uint64_t gn_rng_permute(uint64_t seed, uint32_t epoch, uint64_t i, uint64_t n)
{
    if (n < 2 || i >= n)
        return i;
    /* Halves of at least 3 bits: smaller ones give a Feistel network too few permutations. */
    unsigned half = 3;
    while (half < 32 && n > UINT64_C(1) << 2 * half)
        half++;
    uint64_t mask = (UINT64_C(1) << half) - 1;
    gn_rng keys = gn_rng_make(seed, epoch, 0, GN_RNG_SHUFFLE);
    uint64_t key = (uint64_t)gn_rng_u32(&keys) << 32;
    key |= gn_rng_u32(&keys);
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < 6; round++) {
            uint64_t mixed = gn_mix64(gn_mix64(key + round) ^ right);
            uint64_t next = left ^ (mixed & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}
