/* SPDX-License-Identifier: Apache-2.0
 * PNG through libpng: palette, grey, RGB, 1 to 16 bits, interlaced. 16 bits keep their high byte; alpha and transparent
 * colours are dropped, not blended; gamma and colour profiles are ignored, as in the decoders networks are trained with. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <png.h>
#include "image/internal.h"

enum { CHUNK_BYTES = 8 << 20, CHUNKS = 1000 }; /* what one chunk may take, how many odd ones */

typedef struct reader {
    png_structp png;
    png_infop info;
    const unsigned char *bytes;
    size_t n, at;
    int width, height;
    unsigned char *rgb;
    bool truncated;
    char message[128];
} reader;

static void on_error(png_structp png, png_const_charp text)
{
    reader *r = png_get_error_ptr(png);
    snprintf(r->message, sizeof r->message, "%s", text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t count)
{
    reader *r = png_get_io_ptr(png);
    if (count > r->n - r->at) {
        r->truncated = true;
        png_error(png, "the data ends early");
    }
    memcpy(to, r->bytes + r->at, count);
    r->at += count;
}

/* Nothing is owned here: libpng leaves through longjmp, into gn_png_decode's helper. */
static void read_all(reader *r)
{
    /* Texts and profiles may be bombs of their own and are not needed; eXIf was read by the probe. */
    static const png_byte unwanted[] = "iCCP\0zTXt\0iTXt\0tEXt\0eXIf\0sPLT\0hIST\0pCAL\0sCAL";
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, unwanted, (int)(sizeof unwanted / 5));
    png_set_user_limits(r->png, GN_IMAGE_MAX_SIDE, GN_IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(r->png, CHUNK_BYTES);
    png_set_chunk_cache_max(r->png, CHUNKS);
    png_set_read_fn(r->png, r, on_read);
    png_read_info(r->png, r->info);
    if (png_get_image_width(r->png, r->info) != (png_uint_32)r->width
        || png_get_image_height(r->png, r->info) != (png_uint_32)r->height)
        png_error(r->png, "two headers that differ");
    png_set_strip_16(r->png);
    png_set_palette_to_rgb(r->png);
    png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_strip_alpha(r->png);
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    size_t stride = (size_t)r->width * 3;
    if (png_get_rowbytes(r->png, r->info) != stride)
        png_error(r->png, "rows of an unexpected form");
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < r->height; y++)
            png_read_row(r->png, r->rgb + stride * (size_t)y, NULL);
    png_read_end(r->png, NULL);
}

static bool guarded_read(reader *r)
{
    if (setjmp(png_jmpbuf(r->png)))
        return false;
    read_all(r);
    return true;
}

genet_status gn_png_decode(const unsigned char *bytes, size_t n, const gn_decode_options *options,
                           const gn_image_info *info, gn_image *out, genet_error *err)
{
    genet_status status = gn_image_resize_buffer(out, info->width, info->height, err);
    if (status != GENET_OK)
        return status;
    memset(out->rgb, 0, (size_t)out->width * (size_t)out->height * 3);
    reader r = {.bytes = bytes, .n = n, .width = info->width, .height = info->height, .rgb = out->rgb};
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (!r.info)
        status = gn_fail(err, GENET_MEMORY, "not enough memory to decode a PNG");
    else if (!guarded_read(&r)) {
        if (r.truncated && !options->allow_truncated)
            status = gn_fail(err, GENET_DATA, "truncated PNG: its data ends early, after %zu bytes", n);
        else if (!r.truncated)
            status = gn_fail(err, GENET_DATA, "damaged PNG: %s", r.message);
    }
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return status;
}
