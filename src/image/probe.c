/* SPDX-License-Identifier: Apache-2.0
 * What a picture file is, from its bytes: the kind, and the header of JPEG, PNG and WebP read without a library and
 * without decoding. Every offset is checked against the file's size before it is used. */
#include <ctype.h>
#include <string.h>
#include "image/internal.h"

static uint32_t big16(const unsigned char *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t big32(const unsigned char *p) { return big16(p) << 16 | big16(p + 2); }
static uint32_t little16(const unsigned char *p) { return (uint32_t)p[1] << 8 | p[0]; }
static uint32_t little24(const unsigned char *p) { return little16(p) | (uint32_t)p[2] << 16; }
static uint32_t little32(const unsigned char *p) { return little16(p) | little16(p + 2) << 16; }

int gn_exif_orientation(const unsigned char *tiff, size_t n)
{
    /* The WebP and PNG forms are bare TIFF; some writers put JPEG's "Exif\0\0" in front there too. */
    if (n >= 6 && memcmp(tiff, "Exif\0\0", 6) == 0) {
        tiff += 6;
        n -= 6;
    }
    if (n < 8)
        return 1;
    bool little = memcmp(tiff, "II*\0", 4) == 0;
    if (!little && memcmp(tiff, "MM\0*", 4) != 0)
        return 1;
    size_t at = little ? little32(tiff + 4) : big32(tiff + 4);
    if (at > n - 2)
        return 1;
    size_t entries = little ? little16(tiff + at) : big16(tiff + at);
    at += 2;
    for (size_t i = 0; i < entries && n - at >= 12; i++, at += 12) {
        const unsigned char *e = tiff + at;
        uint32_t tag = little ? little16(e) : big16(e), type = little ? little16(e + 2) : big16(e + 2);
        if (tag != 0x0112)
            continue;
        uint32_t value = 1;
        if (type == 3)
            value = little ? little16(e + 8) : big16(e + 8);
        else if (type == 4)
            value = little ? little32(e + 8) : big32(e + 8);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static genet_status set_size(gn_image_info *info, uint32_t width, uint32_t height, genet_error *err)
{
    if (width == 0 || height == 0)
        return gn_fail(err, GENET_DATA, "the header declares an empty picture, %u x %u pixels; the file is damaged",
                       (unsigned)width, (unsigned)height);
    if (width > GN_IMAGE_MAX_SIDE || height > GN_IMAGE_MAX_SIDE)
        return gn_fail(err, GENET_DATA, "the header declares %u x %u pixels; a side may have %d at most",
                       (unsigned)width, (unsigned)height, GN_IMAGE_MAX_SIDE);
    info->width = (int)width;
    info->height = (int)height;
    return GENET_OK;
}

/* A start-of-frame segment: kind of coding, size, components. */
static genet_status jpeg_frame(int marker, const unsigned char *p, size_t n, gn_image_info *info, genet_error *err)
{
    if (n < 6 || n < 6 + 3 * (size_t)p[5])
        return gn_fail(err, GENET_DATA, "damaged JPEG: its frame header is too short");
    if (marker != 0xC0 && marker != 0xC1 && marker != 0xC2 && marker != 0xC9 && marker != 0xCA)
        return gn_fail(err, GENET_DATA, "JPEG coding SOF%d (lossless or hierarchical) cannot be read; "
                       "save the picture as baseline or progressive JPEG, or as PNG", marker - 0xC0);
    info->bits = p[0];
    if (info->bits != 8)
        return gn_fail(err, GENET_DATA, "JPEG with %d bits a sample cannot be read, only 8; save it as PNG", info->bits);
    info->progressive = marker == 0xC2 || marker == 0xCA;
    info->arithmetic = marker >= 0xC9;
    switch (p[5]) {
    case 1: info->colour = GN_COLOUR_GRAY; break;
    case 3: info->colour = GN_COLOUR_RGB; break;
    case 4: info->colour = GN_COLOUR_CMYK; break;
    default: return gn_fail(err, GENET_DATA, "JPEG with %d colour components cannot be read, only 1, 3 or 4", p[5]);
    }
    return set_size(info, big16(p + 3), big16(p + 1), err);
}

static genet_status probe_jpeg(const unsigned char *b, size_t n, gn_image_info *info, size_t *scan, genet_error *err)
{
    bool frame = false, exif = false;
    for (size_t at = 2;;) {
        /* Garbage between segments is skipped as decoders do, fill bytes too. */
        while (at < n && b[at] != 0xFF)
            at++;
        while (at < n && b[at] == 0xFF)
            at++;
        if (at >= n)
            return gn_fail(err, GENET_DATA, "truncated JPEG: the file ends in its header, after %zu bytes", n);
        int marker = b[at++];
        if (marker == 0 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7))
            continue;
        if (marker == 0xD8 || marker == 0xD9)
            return gn_fail(err, GENET_DATA, "damaged JPEG: marker FF%02X stands before the first scan", marker);
        if (n - at < 2)
            return gn_fail(err, GENET_DATA, "truncated JPEG: the file ends in its header, after %zu bytes", n);
        size_t length = big16(b + at);
        if (length < 2)
            return gn_fail(err, GENET_DATA, "damaged JPEG: a segment of length %zu", length);
        if (length > n - at)
            return gn_fail(err, GENET_DATA, "truncated JPEG: the file ends in its header, after %zu bytes", n);
        const unsigned char *p = b + at + 2;
        if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
            if (frame)
                return gn_fail(err, GENET_DATA, "damaged JPEG: two frame headers");
            genet_status status = jpeg_frame(marker, p, length - 2, info, err);
            if (status != GENET_OK)
                return status;
            frame = true;
        } else if (marker == 0xE1 && !exif && length >= 8 && memcmp(p, "Exif\0\0", 6) == 0) {
            exif = true;
            info->orientation = gn_exif_orientation(p, length - 2);
        } else if (marker == 0xDA) {
            if (!frame)
                return gn_fail(err, GENET_DATA, "damaged JPEG: a scan stands before the frame header");
            *scan = at + length;
            return GENET_OK;
        }
        at += length;
    }
}

/* IHDR: width, height, bits, colour type. */
static genet_status png_head(const unsigned char *p, gn_image_info *info, genet_error *err)
{
    int type = p[9];
    info->bits = p[8];
    bool good = type == 0 ? info->bits == 1 || info->bits == 2 || info->bits == 4 || info->bits == 8 || info->bits == 16
                : type == 3 ? info->bits == 1 || info->bits == 2 || info->bits == 4 || info->bits == 8
                : (type == 2 || type == 4 || type == 6) && (info->bits == 8 || info->bits == 16);
    if (!good)
        return gn_fail(err, GENET_DATA, "damaged PNG: colour type %d with %d bits does not exist", type, info->bits);
    info->colour = type == 3 ? GN_COLOUR_PALETTE : type == 2 || type == 6 ? GN_COLOUR_RGB : GN_COLOUR_GRAY;
    info->alpha = type == 4 || type == 6;
    return set_size(info, big32(p), big32(p + 4), err);
}

static genet_status probe_png(const unsigned char *b, size_t n, gn_image_info *info, genet_error *err)
{
    if (n < 33 || big32(b + 8) != 13 || memcmp(b + 12, "IHDR", 4) != 0)
        return gn_fail(err, GENET_DATA, n < 33 ? "truncated PNG: the file ends in its header, after %zu bytes"
                                               : "damaged PNG: no IHDR chunk at its start (%zu bytes)", n);
    genet_status status = png_head(b + 16, info, err);
    if (status != GENET_OK)
        return status;
    /* eXIf may stand before or after the pixels; its place is found by hopping over the chunks. */
    for (size_t at = 33; n - at >= 12;) {
        size_t length = big32(b + at);
        const unsigned char *name = b + at + 4;
        if (length > n - at - 12)
            break;
        if (memcmp(name, "eXIf", 4) == 0) {
            info->orientation = gn_exif_orientation(b + at + 8, length);
            break;
        }
        if (memcmp(name, "tRNS", 4) == 0)
            info->alpha = true;
        if (memcmp(name, "IEND", 4) == 0)
            break;
        at += 12 + length;
    }
    return GENET_OK;
}

static genet_status webp_key_frame(const unsigned char *p, size_t n, gn_image_info *info, genet_error *err)
{
    if (n < 10)
        return gn_fail(err, GENET_DATA, "truncated WebP: the file ends in its picture's header");
    if ((p[0] & 1) != 0 || memcmp(p + 3, "\x9d\x01\x2a", 3) != 0)
        return gn_fail(err, GENET_DATA, "damaged WebP: its picture does not begin with a key frame");
    return set_size(info, little16(p + 6) & 0x3FFF, little16(p + 8) & 0x3FFF, err);
}

static genet_status webp_lossless(const unsigned char *p, size_t n, gn_image_info *info, genet_error *err)
{
    if (n < 5)
        return gn_fail(err, GENET_DATA, "truncated WebP: the file ends in its picture's header");
    if (p[0] != 0x2F)
        return gn_fail(err, GENET_DATA, "damaged WebP: no signature before the lossless picture");
    uint32_t v = little32(p + 1);
    info->alpha = (v >> 28 & 1) != 0;
    return set_size(info, (v & 0x3FFF) + 1, (v >> 14 & 0x3FFF) + 1, err);
}

/* RIFF chunks: VP8X (size, animation), VP8 or VP8L (the picture), EXIF. A VP8X file's size is that of the picture. */
static genet_status probe_webp(const unsigned char *b, size_t n, gn_image_info *info, genet_error *err)
{
    bool sized = false;
    info->bits = 8;
    info->colour = GN_COLOUR_RGB;
    for (size_t at = 12; n - at >= 8;) {
        const unsigned char *name = b + at, *p = b + at + 8;
        size_t length = little32(b + at + 4), here = n - at - 8;
        size_t have = length < here ? length : here;
        genet_status status = GENET_OK;
        if (memcmp(name, "VP8X", 4) == 0 && !sized) {
            if (have < 10)
                return gn_fail(err, GENET_DATA, "truncated WebP: the file ends in its header, after %zu bytes", n);
            if ((p[0] & 0x02) != 0)
                return gn_fail(err, GENET_DATA, "animated WebP cannot be read; save one picture of it");
            info->alpha = (p[0] & 0x10) != 0;
            status = set_size(info, little24(p + 4) + 1, little24(p + 7) + 1, err);
            sized = true;
        } else if (memcmp(name, "VP8 ", 4) == 0 && !sized) {
            status = webp_key_frame(p, have, info, err);
            sized = true;
        } else if (memcmp(name, "VP8L", 4) == 0 && !sized) {
            status = webp_lossless(p, have, info, err);
            sized = true;
        } else if (memcmp(name, "EXIF", 4) == 0) {
            info->orientation = gn_exif_orientation(p, have);
        }
        if (status != GENET_OK)
            return status;
        length += length & 1;
        if (length >= here)
            break;
        at += 8 + length;
    }
    if (!sized)
        return gn_fail(err, GENET_DATA, "truncated or damaged WebP: no picture in its %zu bytes", n);
    return GENET_OK;
}

/* Other formats that people have, to name them in the message. */
static const char *foreign_kind(const unsigned char *b, size_t n)
{
    static const struct {
        int at, length;
        const char *bytes, *name;
    } known[] = {
        {0, 4, "GIF8", "a GIF"}, {0, 2, "BM", "a BMP"}, {0, 4, "II*\0", "a TIFF"}, {0, 4, "MM\0*", "a TIFF"},
        {4, 8, "ftypavif", "an AVIF"}, {4, 8, "ftypheic", "a HEIC"}, {4, 8, "ftypheix", "a HEIC"},
        {4, 8, "ftypmif1", "a HEIF"}, {0, 12, "\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"},
        {0, 4, "\xff\x4f\xff\x51", "a JPEG 2000"}, {0, 2, "\xff\x0a", "a JPEG XL"},
        {0, 12, "\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL"}, {0, 4, "%PDF", "a PDF"}, {0, 4, "8BPS", "a Photoshop"},
        {0, 2, "PK", "a ZIP"}, {0, 2, "\x1f\x8b", "a gzip"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n >= (size_t)(known[i].at + known[i].length)
            && memcmp(b + known[i].at, known[i].bytes, (size_t)known[i].length) == 0)
            return known[i].name;
    size_t look = n < 64 ? n : 64, text = 0, zero = 0;
    for (size_t i = 0; i < look; i++) {
        text += isprint(b[i]) || isspace(b[i]) || (b[i] >= 0x80 && b[i] < 0xF8); /* UTF-8 has no byte from F8 on */
        zero += b[i] == 0;
    }
    return text == look ? "a text" : zero == look ? "a zeroed" : "an unknown";
}

genet_status gn_image_probe_scan(const unsigned char *bytes, size_t n, gn_image_info *info, size_t *scan,
                                 genet_error *err)
{
    *info = (gn_image_info){.kind = GN_IMAGE_UNKNOWN, .orientation = 1};
    *scan = 0;
    if (n == 0)
        return gn_fail(err, GENET_DATA, "the file is empty");
    if (n >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) {
        info->kind = GN_IMAGE_JPEG;
        return probe_jpeg(bytes, n, info, scan, err);
    }
    if (n >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0) {
        info->kind = GN_IMAGE_PNG;
        return probe_png(bytes, n, info, err);
    }
    if (n >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
        info->kind = GN_IMAGE_WEBP;
        return probe_webp(bytes, n, info, err);
    }
    return gn_fail(err, GENET_DATA, "neither JPEG, PNG nor WebP: %s file (unsupported), its first bytes are "
                   "%02X %02X %02X %02X; save the picture as one of the three",
                   foreign_kind(bytes, n), bytes[0], n > 1 ? bytes[1] : 0, n > 2 ? bytes[2] : 0, n > 3 ? bytes[3] : 0);
}

genet_status gn_image_probe(const unsigned char *bytes, size_t n, gn_image_info *info, genet_error *err)
{
    size_t scan;
    return gn_image_probe_scan(bytes, n, info, &scan, err);
}

genet_status gn_image_check_size(int width, int height, uint64_t max_pixels, genet_error *err)
{
    uint64_t limit = max_pixels != 0 ? max_pixels : GN_IMAGE_MAX_PIXELS, pixels = (uint64_t)width * (uint64_t)height;
    if (pixels > limit)
        return gn_fail(err, GENET_DATA, "the header declares %d x %d = %llu pixels, more than max-pixels (%llu) allows; "
                       "make the picture smaller, or raise max-pixels where the file is trusted", width, height,
                       (unsigned long long)pixels, (unsigned long long)limit);
    return GENET_OK;
}
