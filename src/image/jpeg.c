/* SPDX-License-Identifier: Apache-2.0
 * JPEG through libjpeg-turbo's classic interface: grey, RGB, YCbCr, CMYK and YCCK; baseline, progressive and arithmetic;
 * the whole picture or a box of it, at full size or reduced inside the inverse transform. One library handle is kept
 * between pictures.
 *
 * Invariants: the library's settings are its defaults (accurate integer transform, smooth chroma), so pixels equal those
 * of every decoder built on it; a box at full size equals the same box of the whole picture, because it is decoded with a
 * margin for the chroma filter. The library leaves through longjmp only inside guarded(), where nothing is owned. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>
#include "base/mem.h"
#include "image/internal.h"

enum {
    MAX_SCANS = 100, /* of a progressive file; real ones have about ten, a bomb repeats thousands over one large picture */
    MARGIN = 2,      /* columns beside the box that its chroma is interpolated from */
    ROWS = 4         /* rows asked from the library at once */
};

struct gn_jpeg {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    bool created, allow_truncated, truncated, too_many_scans;
    char message[JMSG_LENGTH_MAX];
    unsigned char *rows; /* ROWS rows of up to four components */
    size_t rows_size;
    /* The job of the body that guarded() runs. */
    const unsigned char *bytes;
    size_t n;
    bool cmyk, truncating;
    int eighths, first[2], width, height; /* the wanted pixels of the reduced picture */
    gn_image *out;
};

static void on_error(j_common_ptr c)
{
    gn_jpeg *j = c->client_data;
    c->err->format_message(c, j->message);
    longjmp(j->jump, 1);
}

/* Damage inside the coded data is a warning to the library, which goes on with what it has, and so do the decoders that
 * networks are usually trained with. */
static void on_message(j_common_ptr c, int level)
{
    if (level < 0)
        c->err->num_warnings++;
}

static void on_progress(j_common_ptr c)
{
    gn_jpeg *j = c->client_data;
    if (j->c.input_scan_number > MAX_SCANS) {
        j->too_many_scans = true;
        longjmp(j->jump, 1);
    }
}

static void source_nothing(j_decompress_ptr c) { (void)c; }

/* Called when the bytes are used up. */
static boolean source_refill(j_decompress_ptr c)
{
    static const JOCTET end_of_image[2] = {0xFF, JPEG_EOI};
    gn_jpeg *j = c->client_data;
    j->truncated = true;
    if (!j->allow_truncated)
        longjmp(j->jump, 1);
    c->src->next_input_byte = end_of_image;
    c->src->bytes_in_buffer = sizeof end_of_image;
    return TRUE;
}

static void source_skip(j_decompress_ptr c, long count)
{
    if (count <= 0)
        return;
    if ((size_t)count > c->src->bytes_in_buffer) {
        source_refill(c);
        return;
    }
    c->src->next_input_byte += count;
    c->src->bytes_in_buffer -= (size_t)count;
}

/* Runs body(j); false when the library gave up. The handle is ready for the next picture either way. */
static bool guarded(gn_jpeg *j, void (*body)(gn_jpeg *))
{
    if (setjmp(j->jump)) {
        if (j->created)
            jpeg_abort_decompress(&j->c);
        return false;
    }
    body(j);
    return true;
}

static void create_body(gn_jpeg *j)
{
    jpeg_create_decompress(&j->c);
    j->created = true;
}

genet_status gn_jpeg_create(gn_jpeg **out, genet_error *err)
{
    gn_jpeg *j = gn_calloc(1, sizeof *j);
    if (!j)
        return gn_fail_memory(err, sizeof *j, "JPEG decoder");
    j->c.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    j->c.client_data = j;
    if (!guarded(j, create_body)) {
        genet_status status = gn_fail(err, GENET_MEMORY, "the JPEG library does not start: %s", j->message);
        gn_jpeg_free(j);
        return status;
    }
    j->source.init_source = source_nothing;
    j->source.fill_input_buffer = source_refill;
    j->source.skip_input_data = source_skip;
    j->source.resync_to_restart = jpeg_resync_to_restart;
    j->source.term_source = source_nothing;
    j->progress.progress_monitor = on_progress;
    *out = j;
    return GENET_OK;
}

void gn_jpeg_free(gn_jpeg *j)
{
    if (!j)
        return;
    if (j->created)
        jpeg_destroy_decompress(&j->c);
    gn_free(j->rows);
    gn_free(j);
}

/* PIL's rounded division by 255. */
static inline unsigned divide255(unsigned v)
{
    v += 128;
    return (v + (v >> 8)) >> 8;
}

/* Stored CMYK to RGB. Adobe's files hold inverted ink (255 = none), others plain ink. */
static void cmyk_row(const unsigned char *in, unsigned char *out, int width, bool inverted, bool truncating)
{
    for (int x = 0; x < width; x++, in += 4, out += 3) {
        unsigned light = inverted ? in[3] : 255u - in[3];
        for (int i = 0; i < 3; i++) {
            unsigned v = inverted ? in[i] : 255u - in[i];
            out[i] = (unsigned char)(truncating ? v * light / 255 : light - divide255((255 - v) * light));
        }
    }
}

static void take_rows(gn_jpeg *j, JDIMENSION from, int components)
{
    struct jpeg_decompress_struct *c = &j->c;
    size_t row = (size_t)c->output_width * (size_t)components, cut = ((size_t)j->first[0] - from) * (size_t)components;
    JSAMPROW lines[ROWS];
    for (int i = 0; i < ROWS; i++)
        lines[i] = j->rows + row * (size_t)i;
    for (int y = 0; y < j->height;) {
        int want = j->height - y < ROWS ? j->height - y : ROWS;
        int got = (int)jpeg_read_scanlines(c, lines, (JDIMENSION)want);
        for (int i = 0; i < got; i++, y++) {
            unsigned char *to = j->out->rgb + (size_t)y * (size_t)j->width * 3;
            if (j->cmyk)
                cmyk_row(lines[i] + cut, to, j->width, c->saw_Adobe_marker, j->truncating);
            else
                memcpy(to, lines[i] + cut, (size_t)j->width * 3);
        }
    }
}

static void decode_body(gn_jpeg *j)
{
    struct jpeg_decompress_struct *c = &j->c;
    c->src = &j->source;
    c->progress = &j->progress;
    j->source.next_input_byte = j->bytes;
    j->source.bytes_in_buffer = j->n;
    jpeg_read_header(c, TRUE);
    c->out_color_space = j->cmyk ? JCS_CMYK : JCS_RGB;
    c->scale_num = (unsigned)j->eighths;
    c->scale_denom = 8;
    jpeg_start_decompress(c);
    JDIMENSION right = (JDIMENSION)(j->first[0] + j->width), bottom = (JDIMENSION)(j->first[1] + j->height);
    if (right > c->output_width || bottom > c->output_height)
        ERREXIT(c, JERR_BAD_CROP_SPEC);
    JDIMENSION from = j->first[0] > MARGIN ? (JDIMENSION)j->first[0] - MARGIN : 0;
    JDIMENSION to = right + MARGIN < c->output_width ? right + MARGIN : c->output_width;
    if (from > 0 || to < c->output_width) {
        JDIMENSION width = to - from;
        jpeg_crop_scanline(c, &from, &width);
    } else {
        from = 0;
    }
    if (j->first[1] > 0)
        jpeg_skip_scanlines(c, (JDIMENSION)j->first[1]);
    take_rows(j, from, j->cmyk ? 4 : 3);
    jpeg_abort_decompress(c);
}

/* Whether an end-of-image marker follows the first scan's start. Inside coded data FF D9 cannot occur. */
static bool has_end(const unsigned char *bytes, size_t n, size_t scan)
{
    for (size_t i = n; i >= scan + 2; i--)
        if (bytes[i - 1] == JPEG_EOI && bytes[i - 2] == 0xFF)
            return true;
    return false;
}

static genet_status failure(const gn_jpeg *j, genet_error *err)
{
    if (j->truncated)
        return gn_fail(err, GENET_DATA, "truncated JPEG: its coded data ends early, after %zu bytes", j->n);
    if (j->too_many_scans)
        return gn_fail(err, GENET_DATA, "JPEG with more than %d scans: not a photograph but a trap", MAX_SCANS);
    if (j->errors.msg_code == JERR_OUT_OF_MEMORY)
        return gn_fail(err, GENET_MEMORY, "not enough memory to decode a JPEG of %d x %d pixels",
                       (int)j->c.image_width, (int)j->c.image_height);
    return gn_fail(err, GENET_DATA, "damaged JPEG: %s", j->message);
}

genet_status gn_jpeg_decode(gn_jpeg *j, const unsigned char *bytes, size_t n, size_t scan,
                            const gn_decode_options *options, const gn_image_info *info, gn_box box, int eighths,
                            gn_image *out, int first[2], genet_error *err)
{
    if (!options->allow_truncated && !has_end(bytes, n, scan))
        return gn_fail(err, GENET_DATA, "truncated JPEG: no end-of-image marker in its %zu bytes", n);
    j->first[0] = first[0] = (int)((int64_t)box.left * eighths / 8);
    j->first[1] = first[1] = (int)((int64_t)box.top * eighths / 8);
    j->width = (int)(((int64_t)(box.left + box.width) * eighths + 7) / 8) - first[0];
    j->height = (int)(((int64_t)(box.top + box.height) * eighths + 7) / 8) - first[1];
    size_t need = (size_t)info->width * 4 * ROWS;
    if (need > j->rows_size) {
        unsigned char *rows = gn_realloc(j->rows, need);
        if (!rows)
            return gn_fail_memory(err, need, "rows of a JPEG");
        j->rows = rows;
        j->rows_size = need;
    }
    genet_status status = gn_image_resize_buffer(out, j->width, j->height, err);
    if (status != GENET_OK)
        return status;
    j->bytes = bytes;
    j->n = n;
    j->eighths = eighths;
    j->out = out;
    j->cmyk = info->colour == GN_COLOUR_CMYK;
    j->truncating = options->mindspore;
    j->allow_truncated = options->allow_truncated;
    j->truncated = j->too_many_scans = false;
    return guarded(j, decode_body) ? GENET_OK : failure(j, err);
}
