/* SPDX-License-Identifier: Apache-2.0
 * Vectors of channels for one instruction set (GN_ISA_BITS) and one map type (GN_MAP_BF16), on the compiler's vector extension.
 * No fast-math: what is fused says so (muladd). Comparisons give lanes of ones and zeros; keep() lets lanes pass. */
#ifndef GN_CPU_LANES_H
#define GN_CPU_LANES_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined __FMA__ || defined __AVX512F__
#include <immintrin.h>
#endif

enum { LANES = GN_ISA_BITS / 32 };
typedef float vec __attribute__((vector_size(GN_ISA_BITS / 8)));
typedef int32_t ivec __attribute__((vector_size(GN_ISA_BITS / 8)));
typedef uint32_t uvec __attribute__((vector_size(GN_ISA_BITS / 8)));
typedef uint16_t hvec __attribute__((vector_size(GN_ISA_BITS / 16)));
typedef uint8_t bvec __attribute__((vector_size(GN_ISA_BITS / 32)));
#define INLINE inline __attribute__((always_inline))

#if GN_MAP_BF16
typedef uint16_t map_t;
#else
typedef float map_t;
#endif

/* a*b + c, rounded once where the instruction set has it. */
static INLINE vec muladd(vec a, vec b, vec c)
{
#if GN_ISA_BITS == 512
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif GN_ISA_BITS == 256 && defined __FMA__
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

static INLINE vec same(float v)
{
    return v - (vec){0};
}

static INLINE vec keep(vec v, ivec lanes)
{
    return (vec)((ivec)v & lanes);
}

static INLINE vec choose(ivec lanes, vec yes, vec no)
{
    return (vec)(((ivec)yes & lanes) | ((ivec)no & ~lanes));
}

/* max(0, v); a NaN passes. */
static INLINE vec positive(vec v)
{
    return keep(v, ~(v < 0));
}

/* f32 vectors: n < LANES reads or writes only the first n. Reading gives zero behind them. */
static INLINE vec load_f(const float *p, int n)
{
    vec v = {0};
    if (n >= LANES)
        memcpy(&v, p, sizeof v);
    else
        memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

static INLINE void store_f(float *p, vec v, int n)
{
    if (n >= LANES)
        memcpy(p, &v, sizeof v);
    else
        memcpy(p, &v, (size_t)n * sizeof *p);
}

/* gcc 12 makes two halves of these conversions, and single bytes of load_b's and store_b's. */
static INLINE vec widen(hvec h)
{
#if GN_ISA_BITS == 512
    return (vec)((uvec)_mm512_cvtepu16_epi32((__m256i)h) << 16);
#else
    return (vec)(__builtin_convertvector(h, uvec) << 16);
#endif
}

static INLINE hvec low_halves(uvec v)
{
#if GN_ISA_BITS == 512
    return (hvec)_mm512_cvtepi32_epi16((__m512i)v);
#else
    return __builtin_convertvector(v, hvec);
#endif
}

/* Nearest, ties to even; a NaN stays one. */
static INLINE hvec narrow(vec v)
{
    uvec bits = (uvec)v, nan = (uvec)(v != v);
    uvec rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return low_halves((rounded & ~nan) | ((bits >> 16 | 0x40) & nan));
}

static INLINE vec load_h(const uint16_t *p, int n)
{
    hvec h = {0};
    if (n >= LANES)
        memcpy(&h, p, sizeof h);
    else
        memcpy(&h, p, (size_t)n * sizeof *p);
    return widen(h);
}

static INLINE void store_h(uint16_t *p, vec v, int n)
{
    hvec h = narrow(v);
    if (n >= LANES)
        memcpy(p, &h, sizeof h);
    else
        memcpy(p, &h, (size_t)n * sizeof *p);
}

#if GN_MAP_BF16
#define load load_h
#define store store_h
#else
#define load load_f
#define store store_f
#endif

/* Bytes as integers, and back (the values fit). */
static INLINE ivec load_b(const uint8_t *p, int n)
{
    uint8_t b[16] = {0};
    memcpy(b, p, n >= LANES ? LANES : (size_t)n);
#if GN_ISA_BITS == 512
    return (ivec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)b));
#elif GN_ISA_BITS == 256 && defined __FMA__
    return (ivec)_mm256_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)b));
#else
    bvec v;
    memcpy(&v, b, sizeof v);
    return __builtin_convertvector(v, ivec);
#endif
}

static INLINE void store_b(uint8_t *p, ivec v, int n)
{
#if GN_ISA_BITS == 512
    const __m128i b = _mm512_cvtepi32_epi8((__m512i)v);
#else
    const bvec b = __builtin_convertvector(v, bvec);
#endif
    memcpy(p, &b, n >= LANES ? LANES : (size_t)n);
}

/* Rows of scratch memory are padded and aligned. */
static INLINE vec row_get(const float *row, int64_t c)
{
    return *(const vec *)(const void *)(row + c);
}

static INLINE void row_put(float *row, int64_t c, vec v)
{
    *(vec *)(void *)(row + c) = v;
}

/* The statement for every vector of channels begin..end-1, with c its first channel and n its number of lanes, a constant
 * but for the last. */
#define EACH_VECTOR(c, n, begin, end, ...)                                                                            \
    do {                                                                                                              \
        int64_t c = (begin);                                                                                          \
        for (; c + LANES <= (end); c += LANES) {                                                                      \
            enum { n = LANES };                                                                                       \
            __VA_ARGS__;                                                                                              \
        }                                                                                                             \
        if (c < (end)) {                                                                                              \
            const int n = (int)((end) - c);                                                                           \
            __VA_ARGS__;                                                                                              \
        }                                                                                                             \
    } while (0)

/* The statement for pixels 0..total-1, four at a time, then one at a time: p the first, count how many. Sums over pixels
 * then touch their row in memory once for four. */
#define EACH_FOUR(p, count, total, ...)                                                                               \
    do {                                                                                                              \
        int64_t p = 0;                                                                                                \
        for (; p + 4 <= (total); p += 4) {                                                                            \
            enum { count = 4 };                                                                                       \
            __VA_ARGS__;                                                                                              \
        }                                                                                                             \
        for (; p < (total); p++) {                                                                                    \
            enum { count = 1 };                                                                                       \
            __VA_ARGS__;                                                                                              \
        }                                                                                                             \
    } while (0)
#endif
