/* SPDX-License-Identifier: Apache-2.0
 * Picture buffers, turning upright, and the decoder that chooses among the formats. */
#include "image/image.h"
#include <string.h>
#include "base/mem.h"
#include "image/internal.h"

enum { ROOM_BELOW = 64 << 20 };

struct gn_decoder {
    gn_jpeg *jpeg;
    gn_image stored; /* before the EXIF turn, or whole before a cut */
    gn_image turned;
};

void gn_image_free(gn_image *im)
{
    if (!im)
        return;
    gn_free(im->rgb);
    *im = (gn_image){0};
}

genet_status gn_image_reserve(gn_image *im, size_t bytes, genet_error *err)
{
    if (bytes <= im->capacity)
        return GENET_OK;
    /* Some room to grow, so that a stream of pictures of mixed sizes stops asking soon. */
    size_t room = bytes < ROOM_BELOW ? bytes + bytes / 4 : bytes;
    unsigned char *rgb = gn_calloc(1, room);
    if (!rgb)
        return gn_fail_memory(err, room, "pixels");
    gn_free(im->rgb);
    im->rgb = rgb;
    im->capacity = room;
    return GENET_OK;
}

genet_status gn_image_resize_buffer(gn_image *im, int width, int height, genet_error *err)
{
    if (width < 1 || height < 1)
        return gn_fail(err, GENET_INTERNAL, "a picture buffer of %d x %d pixels", width, height);
    /* Both are below 2^31: the product of three factors fits 64 bits. */
    uint64_t bytes = (uint64_t)width * (uint64_t)height * 3 + GN_IMAGE_SLACK;
    if (bytes > PTRDIFF_MAX)
        return gn_fail(err, GENET_MEMORY, "a picture of %d x %d pixels does not fit the address space", width, height);
    genet_status status = gn_image_reserve(im, (size_t)bytes, err);
    if (status == GENET_OK) {
        im->width = width;
        im->height = height;
    }
    return status;
}

/* Where the upright pixel (x, y) is stored. EXIF 2.3, tag 274: which stored side shows as top and left. */
static void stored_pixel(int x, int y, int orientation, int width, int height, int *sx, int *sy)
{
    bool swapped = orientation >= 5;
    int u = swapped ? y : x, v = swapped ? x : y;
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    *sx = from_right ? width - 1 - u : u;
    *sy = from_bottom ? height - 1 - v : v;
}

gn_box gn_image_stored_box(gn_box box, int orientation, int width, int height)
{
    int x0, y0, x1, y1;
    stored_pixel(box.left, box.top, orientation, width, height, &x0, &y0);
    stored_pixel(box.left + box.width - 1, box.top + box.height - 1, orientation, width, height, &x1, &y1);
    int left = x0 < x1 ? x0 : x1, top = y0 < y1 ? y0 : y1;
    return (gn_box){left, top, (x0 < x1 ? x1 : x0) - left + 1, (y0 < y1 ? y1 : y0) - top + 1};
}

genet_status gn_image_turn(const gn_image *in, int orientation, gn_image *out, genet_error *err)
{
    bool swapped = orientation >= 5;
    int width = swapped ? in->height : in->width, height = swapped ? in->width : in->height;
    genet_status status = gn_image_resize_buffer(out, width, height, err);
    if (status != GENET_OK)
        return status;
    for (int y = 0; y < height; y++) {
        int x0, y0, x1, y1;
        stored_pixel(0, y, orientation, in->width, in->height, &x0, &y0);
        stored_pixel(1, y, orientation, in->width, in->height, &x1, &y1);
        const unsigned char *from = in->rgb + ((ptrdiff_t)y0 * in->width + x0) * 3;
        ptrdiff_t step = ((ptrdiff_t)(y1 - y0) * in->width + (x1 - x0)) * 3;
        unsigned char *to = out->rgb + (size_t)y * (size_t)width * 3;
        for (int x = 0; x < width; x++, to += 3) {
            const unsigned char *p = from + step * x;
            to[0] = p[0];
            to[1] = p[1];
            to[2] = p[2];
        }
    }
    return GENET_OK;
}

genet_status gn_decoder_create(gn_decoder **out, genet_error *err)
{
    gn_decoder *d = gn_calloc(1, sizeof *d);
    if (!d)
        return gn_fail_memory(err, sizeof *d, "decoder");
    genet_status status = gn_jpeg_create(&d->jpeg, err);
    if (status != GENET_OK) {
        gn_decoder_free(d);
        return status;
    }
    *out = d;
    return GENET_OK;
}

void gn_decoder_free(gn_decoder *d)
{
    if (!d)
        return;
    gn_jpeg_free(d->jpeg);
    gn_image_free(&d->stored);
    gn_image_free(&d->turned);
    gn_free(d);
}

/* Header, limits, and the orientation that will be undone (1: none). */
static genet_status open_picture(const unsigned char *bytes, size_t n, const gn_decode_options *options,
                                 gn_image_info *info, size_t *scan, int *orientation, genet_error *err)
{
    genet_status status = gn_image_probe_scan(bytes, n, info, scan, err);
    if (status != GENET_OK)
        return status;
    if (options->mindspore && info->kind == GN_IMAGE_WEBP)
        return gn_fail(err, GENET_DATA, "WebP is refused under the published (mindspore) preprocessing, as MindSpore does; "
                       "use preprocess genet, or save the picture as PNG");
    *orientation = options->exif && !options->mindspore ? info->orientation : 1;
    return gn_image_check_size(info->width, info->height, options->max_pixels, err);
}

genet_status gn_decode(gn_decoder *d, const unsigned char *bytes, size_t n, const gn_decode_options *options,
                       gn_image *out, gn_image_info *info, genet_error *err)
{
    gn_image_info own;
    size_t scan;
    int orientation, first[2];
    if (!info)
        info = &own;
    genet_status status = open_picture(bytes, n, options, info, &scan, &orientation, err);
    if (status != GENET_OK)
        return status;
    gn_image *to = orientation == 1 ? out : &d->stored;
    gn_box all = {0, 0, info->width, info->height};
    if (info->kind == GN_IMAGE_JPEG)
        status = gn_jpeg_decode(d->jpeg, bytes, n, scan, options, info, all, 8, to, first, err);
    else if (info->kind == GN_IMAGE_PNG)
        status = gn_png_decode(bytes, n, options, info, to, err);
    else
        status = gn_webp_decode(bytes, n, options, info, to, err);
    if (status != GENET_OK || orientation == 1)
        return status;
    return gn_image_turn(&d->stored, orientation, out, err);
}

/* The fractional box `part` of a stored picture, in upright coordinates. */
static void turn_part(float part[4], int orientation, int width, int height)
{
    float left = part[0], top = part[1], w = part[2], h = part[3];
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    float u = from_right ? (float)width - left - w : left, v = from_bottom ? (float)height - top - h : top;
    bool swapped = orientation >= 5;
    part[0] = swapped ? v : u;
    part[1] = swapped ? u : v;
    part[2] = swapped ? h : w;
    part[3] = swapped ? w : h;
}

static genet_status jpeg_box(gn_decoder *d, const unsigned char *bytes, size_t n, size_t scan,
                             const gn_decode_options *options, const gn_image_info *info, int orientation, gn_box box,
                             int eighths, gn_image *out, float part[4], genet_error *err)
{
    gn_box stored = gn_image_stored_box(box, orientation, info->width, info->height);
    gn_image *to = orientation == 1 ? out : &d->stored;
    int first[2];
    genet_status status = gn_jpeg_decode(d->jpeg, bytes, n, scan, options, info, stored, eighths, to, first, err);
    if (status != GENET_OK)
        return status;
    double scale = eighths / 8.0;
    part[0] = (float)(stored.left * scale - first[0]);
    part[1] = (float)(stored.top * scale - first[1]);
    part[2] = (float)(stored.width * scale);
    part[3] = (float)(stored.height * scale);
    if (orientation == 1)
        return GENET_OK;
    turn_part(part, orientation, to->width, to->height);
    return gn_image_turn(to, orientation, out, err);
}

static genet_status copy_box(const gn_image *in, gn_box box, gn_image *out, genet_error *err)
{
    genet_status status = gn_image_resize_buffer(out, box.width, box.height, err);
    if (status != GENET_OK)
        return status;
    for (int y = 0; y < box.height; y++)
        memcpy(out->rgb + (size_t)y * (size_t)box.width * 3,
               in->rgb + ((size_t)(box.top + y) * (size_t)in->width + (size_t)box.left) * 3, (size_t)box.width * 3);
    return GENET_OK;
}

genet_status gn_decode_box(gn_decoder *d, const unsigned char *bytes, size_t n, const gn_decode_options *options,
                           gn_box box, int to_w, int to_h, gn_image *out, float part[4], genet_error *err)
{
    gn_image_info info;
    size_t scan;
    int orientation;
    genet_status status = open_picture(bytes, n, options, &info, &scan, &orientation, err);
    if (status != GENET_OK)
        return status;
    int width = orientation >= 5 ? info.height : info.width, height = orientation >= 5 ? info.width : info.height;
    if (box.left < 0 || box.top < 0 || box.width < 1 || box.height < 1 || box.width > width - box.left
        || box.height > height - box.top)
        return gn_fail(err, GENET_INTERNAL, "box %d,%d %d x %d outside a picture of %d x %d", box.left, box.top,
                       box.width, box.height, width, height);
    if (info.kind == GN_IMAGE_JPEG) {
        int eighths = 8;
        while (eighths > 1 && (int64_t)box.width * eighths >= (int64_t)to_w * 16
               && (int64_t)box.height * eighths >= (int64_t)to_h * 16)
            eighths /= 2;
        return jpeg_box(d, bytes, n, scan, options, &info, orientation, box, eighths, out, part, err);
    }
    status = gn_decode(d, bytes, n, options, &d->turned, NULL, err);
    if (status != GENET_OK)
        return status;
    part[0] = part[1] = 0;
    part[2] = (float)box.width;
    part[3] = (float)box.height;
    return copy_box(&d->turned, box, out, err);
}
