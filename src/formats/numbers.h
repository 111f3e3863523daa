/* SPDX-License-Identifier: Apache-2.0
 * Little-endian numbers in unaligned bytes, and the conversions to float that model files need. The library runs on
 * little-endian machines only (asserted here), so tensors are copied as they are. */
#ifndef GN_FORMATS_NUMBERS_H
#define GN_FORMATS_NUMBERS_H
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "genet reads and writes tensors as little-endian memory");

static inline uint64_t gn_load_u64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint32_t gn_load_u32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline void gn_store_u64(unsigned char *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

/* count values at `in` (unaligned) to floats. A double beyond float's range becomes an infinity. */
void gn_convert_f32(const unsigned char *in, int64_t count, float *out);
void gn_convert_f64(const unsigned char *in, int64_t count, float *out);
void gn_convert_f16(const unsigned char *in, int64_t count, float *out);
void gn_convert_bf16(const unsigned char *in, int64_t count, float *out);
#endif
