/* SPDX-License-Identifier: Apache-2.0
 * Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011). Nothing random has state: a value is a pure
 * function of (seed, epoch, sample, purpose, index), so order, thread count and resuming change nothing. */
#ifndef GN_BASE_RNG_H
#define GN_BASE_RNG_H
#include <stddef.h>
#include <stdint.h>

typedef enum gn_purpose {
    GN_RNG_INIT = 1,   /* weights; sample = index of the parameter */
    GN_RNG_SHUFFLE,    /* order of an epoch */
    GN_RNG_CROP,       /* random resized crop */
    GN_RNG_FLIP,
    GN_RNG_ROTATE,
    GN_RNG_JITTER,
    GN_RNG_ERASE,
    GN_RNG_RANDAUG,
    GN_RNG_MIX,        /* mixup and CutMix; sample = step */
    GN_RNG_CAP,        /* drawing N images of a class */
    GN_RNG_SPLIT,
    GN_RNG_MADE_DATA   /* the demonstration data set */
} gn_purpose;

/* A stream: seek anywhere, copy freely. next is the index of the next 32-bit word. */
typedef struct gn_rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t word[4];
    unsigned used;
} gn_rng;

/* One block of Philox4x32-10. */
void gn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

gn_rng gn_rng_make(uint64_t seed, uint32_t epoch, uint64_t sample, gn_purpose purpose);
uint32_t gn_rng_u32(gn_rng *rng);
/* Uniform in [0,1), 24 and 53 bits. */
float gn_rng_float(gn_rng *rng);
double gn_rng_double(gn_rng *rng);
/* Uniform integer in [0, n), n >= 1, without modulo bias. */
uint32_t gn_rng_below(gn_rng *rng, uint32_t n);
/* Standard normal (Box-Muller; two uniform doubles each). */
double gn_rng_normal(gn_rng *rng);
/* out[0..n-1] as n calls of gn_rng_double and gn_rng_normal would give them, bit for bit, at a tenth of the time. */
void gn_rng_doubles(gn_rng *rng, double *out, size_t n);
void gn_rng_normals(gn_rng *rng, double *out, size_t n);
/* Beta(a, a), a > 0 (two gamma draws, Marsaglia-Tsang). */
double gn_rng_beta(gn_rng *rng, double a);
/* Element i of a random permutation of 0..n-1 for (seed, epoch), without storing it (cycle-walking Feistel network). */
uint64_t gn_rng_permute(uint64_t seed, uint32_t epoch, uint64_t i, uint64_t n);
#endif
