/* SPDX-License-Identifier: Apache-2.0
 * WebP through libwebp at its defaults: lossy and lossless, one picture. Alpha is dropped, not blended. */
#include <string.h>
#include <webp/decode.h>
#include "image/internal.h"

static genet_status failure(VP8StatusCode code, size_t n, genet_error *err)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY: return gn_fail(err, GENET_MEMORY, "not enough memory to decode a WebP");
    case VP8_STATUS_UNSUPPORTED_FEATURE: return gn_fail(err, GENET_DATA, "this form of WebP cannot be read (animated?)");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return gn_fail(err, GENET_DATA, "truncated WebP: its data ends early, after %zu bytes", n);
    default: return gn_fail(err, GENET_DATA, "damaged WebP (libwebp's status %d)", (int)code);
    }
}

genet_status gn_webp_decode(const unsigned char *bytes, size_t n, const gn_decode_options *options,
                            const gn_image_info *info, gn_image *out, genet_error *err)
{
    /* libwebp would not miss what follows the picture itself. */
    uint64_t declared = ((uint64_t)bytes[4] | (uint64_t)bytes[5] << 8 | (uint64_t)bytes[6] << 16
                         | (uint64_t)bytes[7] << 24) + 8;
    if (declared > n && !options->allow_truncated)
        return gn_fail(err, GENET_DATA, "truncated WebP: %zu bytes of the %llu it declares", n,
                       (unsigned long long)declared);
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return gn_fail(err, GENET_UNSUPPORTED, "the libwebp that is installed does not fit the one built against");
    VP8StatusCode code = WebPGetFeatures(bytes, n, &config.input);
    if (code != VP8_STATUS_OK)
        return failure(code, n, err);
    if (config.input.has_animation || config.input.width != info->width || config.input.height != info->height)
        return gn_fail(err, GENET_DATA, "damaged or animated WebP: the sizes of its headers differ");
    genet_status status = gn_image_resize_buffer(out, info->width, info->height, err);
    if (status != GENET_OK)
        return status;
    size_t bytes_out = (size_t)out->width * (size_t)out->height * 3;
    memset(out->rgb, 0, bytes_out);
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->rgb;
    config.output.u.RGBA.stride = out->width * 3;
    config.output.u.RGBA.size = bytes_out;
    code = WebPDecode(bytes, n, &config);
    WebPFreeDecBuffer(&config.output);
    bool short_data = code == VP8_STATUS_SUSPENDED || code == VP8_STATUS_NOT_ENOUGH_DATA;
    if (code == VP8_STATUS_OK || (short_data && options->allow_truncated))
        return GENET_OK;
    return failure(code, n, err);
}
