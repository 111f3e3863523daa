/* SPDX-License-Identifier: Apache-2.0
 * Conversions of stored numbers to float. */
#include "formats/numbers.h"

void gn_convert_f32(const unsigned char *in, int64_t count, float *out)
{
    if (count > 0) /* an empty tensor may have no bytes at all, and NULL is no source */
        memcpy(out, in, (size_t)count * sizeof *out);
}

void gn_convert_f64(const unsigned char *in, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++) {
        double v;
        memcpy(&v, in + 8 * i, 8);
        out[i] = (float)v;
    }
}

void gn_convert_bf16(const unsigned char *in, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)(in[2 * i] | in[2 * i + 1] << 8) << 16;
        memcpy(&out[i], &bits, 4);
    }
}

void gn_convert_f16(const unsigned char *in, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t half = (uint32_t)(in[2 * i] | in[2 * i + 1] << 8);
        uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff, bits;
        if (exponent == 31) {
            bits = sign | 0x7f800000 | fraction << 13;
        } else if (exponent) {
            bits = sign | (exponent + 112) << 23 | fraction << 13;
        } else { /* zero and subnormals: fraction * 2^-24, exact in float */
            float v = (float)fraction * 0x1p-24f;
            memcpy(&bits, &v, 4);
            bits |= sign;
        }
        memcpy(&out[i], &bits, 4);
    }
}
