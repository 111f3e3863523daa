/* SPDX-License-Identifier: Apache-2.0
 * Random numbers by the million, for the initial weights: the same streams as rng.c's, in loops that compilers turn into
 * vector code. Nothing but additions, multiplications, divisions and square roots of IEEE doubles is used, in a fixed order:
 * the bits are the same on every machine, whatever its mathematics library. */
#include <math.h>
#include <string.h>

#include "base/rng.h"

/* Compiled for several instruction sets, chosen by the loader of shared objects. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

enum { BLOCKS = 64 }; /* of four words: two doubles, or one normal */

static inline double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A whole number below 2^52 as a double: below the leading bit of 2^52. */
static inline double whole(uint64_t n)
{
    return from_bits(n | UINT64_C(0x4330000000000000)) - 0x1p52;
}

/* gn_rng_double of two words. */
static inline double unit(uint32_t high, uint32_t low)
{
    return whole(high >> 5) * 0x1p-27 + whole(low >> 6) * 0x1p-53;
}

/* The doubles of BLOCKS blocks from `counter` on. */
CLONES static void draw_blocks(const uint32_t counter[4], const uint32_t key[2], double out[2 * BLOCKS])
{
    uint32_t c0[BLOCKS], c1[BLOCKS], c2[BLOCKS], c3[BLOCKS], k0 = key[0], k1 = key[1];
    for (uint32_t i = 0; i < BLOCKS; i++) {
        c0[i] = counter[0] + i;
        c1[i] = counter[1];
        c2[i] = counter[2];
        c3[i] = counter[3];
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            uint64_t p0 = UINT64_C(0xd2511f53) * c0[i], p1 = UINT64_C(0xcd9e8d57) * c2[i];
            c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
            c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
            c1[i] = (uint32_t)p1;
            c3[i] = (uint32_t)p0;
        }
        k0 += UINT32_C(0x9e3779b9);
        k1 += UINT32_C(0xbb67ae85);
    }
    for (int i = 0; i < BLOCKS; i++) {
        out[2 * i] = unit(c0[i], c1[i]);
        out[2 * i + 1] = unit(c2[i], c3[i]);
    }
}

/* log(x) for 0 < x <= 1: x = m * 2^e with m in [sqrt(1/2), sqrt(2)), log m = 2 atanh((m-1)/(m+1)) as its series. */
static inline double log_of(double x)
{
    uint64_t bits = to_bits(x), e = (bits - UINT64_C(0x3fe6a09e667f3bcd) + (UINT64_C(1024) << 52)) >> 52; /* + 1024 */
    double m = from_bits(bits - (e << 52) + (UINT64_C(1024) << 52)), s = (m - 1) / (m + 1), z = s * s, p = 1.0 / 19;
    p = p * z + 1.0 / 17;
    p = p * z + 1.0 / 15;
    p = p * z + 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    p = p * z + 1.0;
    return 2 * s * p + (whole(e) - 1024) * 0.69314718055994530942;
}

/* cos(2 pi u) for 0 <= u < 1: the nearest quarter turn, and the series of cosine or sine for the rest of at most pi/4. */
static inline double cos_turns(double u)
{
    double shifted = 4 * u + 0x1.8p52;
    uint64_t quarter = to_bits(shifted);
    double t = (u - 0.25 * (shifted - 0x1.8p52)) * 6.283185307179586476925286766559, z = t * t;
    double c = -1.0 / 87178291200, s = 1.0 / 6227020800;
    c = c * z + 1.0 / 479001600;
    c = c * z - 1.0 / 3628800;
    c = c * z + 1.0 / 40320;
    c = c * z - 1.0 / 720;
    c = c * z + 1.0 / 24;
    c = c * z - 1.0 / 2;
    c = c * z + 1.0;
    s = s * z - 1.0 / 39916800;
    s = s * z + 1.0 / 362880;
    s = s * z - 1.0 / 5040;
    s = s * z + 1.0 / 120;
    s = s * z - 1.0 / 6;
    s = (s * z + 1.0) * t;
    uint64_t odd = 0 - (quarter & 1), sign = ((quarter + 1) & 2) << 62;
    return from_bits(((to_bits(s) & odd) | (to_bits(c) & ~odd)) ^ sign);
}

/* Box-Muller: pairs of uniform numbers to normal ones. */
CLONES static void box_muller(const double *uniform, double *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = sqrt(-2.0 * log_of(1.0 - uniform[2 * i])) * cos_turns(uniform[2 * i + 1]);
}

void gn_rng_doubles(gn_rng *rng, double *out, size_t n)
{
    for (; n >= 2 * BLOCKS && rng->used == 4; n -= 2 * BLOCKS, out += 2 * BLOCKS) {
        draw_blocks(rng->counter, rng->key, out);
        rng->counter[0] += BLOCKS;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = gn_rng_double(rng);
}

void gn_rng_normals(gn_rng *rng, double *out, size_t n)
{
    double uniform[2 * BLOCKS];
    for (size_t at = 0; at < n; at += BLOCKS) {
        size_t count = n - at < BLOCKS ? n - at : BLOCKS;
        gn_rng_doubles(rng, uniform, 2 * count);
        box_muller(uniform, out + at, (int)count);
    }
}

double gn_rng_normal(gn_rng *rng)
{
    double value;
    gn_rng_normals(rng, &value, 1);
    return value;
}
