/* SPDX-License-Identifier: Apache-2.0
 * RGB pixels to a JPEG in memory. libjpeg leaves through longjmp only inside compress(). */
#include "image/jpeg_write.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>
#include "base/mem.h"

typedef struct writer {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr to;
    jmp_buf jump;
    unsigned char **buffer;
    size_t *capacity;
    bool no_memory;
    char message[JMSG_LENGTH_MAX];
} writer;

static void on_error(j_common_ptr c)
{
    writer *w = c->client_data;
    c->err->format_message(c, w->message);
    longjmp(w->jump, 1);
}

static void on_message(j_common_ptr c, int level)
{
    (void)c;
    (void)level;
}

static bool grow(writer *w, size_t used)
{
    size_t capacity = *w->capacity ? *w->capacity * 2 : 16384;
    unsigned char *bigger = gn_realloc(*w->buffer, capacity);
    if (!bigger)
        return false;
    *w->buffer = bigger;
    *w->capacity = capacity;
    w->to.next_output_byte = bigger + used;
    w->to.free_in_buffer = capacity - used;
    return true;
}

static void to_start(j_compress_ptr c)
{
    writer *w = c->client_data;
    w->to.next_output_byte = *w->buffer;
    w->to.free_in_buffer = *w->capacity;
}

/* Called when the buffer is full to its last byte. */
static boolean to_full(j_compress_ptr c)
{
    writer *w = c->client_data;
    if (!grow(w, *w->capacity)) {
        w->no_memory = true;
        longjmp(w->jump, 1);
    }
    return TRUE;
}

static void to_end(j_compress_ptr c)
{
    (void)c;
}

static bool compress(writer *w, const gn_image *im, int quality)
{
    if (setjmp(w->jump))
        return false;
    jpeg_create_compress(&w->c);
    w->c.client_data = w;
    w->c.dest = &w->to;
    w->c.image_width = (JDIMENSION)im->width;
    w->c.image_height = (JDIMENSION)im->height;
    w->c.input_components = 3;
    w->c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&w->c);
    jpeg_set_quality(&w->c, quality, TRUE);
    jpeg_start_compress(&w->c, TRUE);
    while (w->c.next_scanline < w->c.image_height) {
        JSAMPROW row = im->rgb + (size_t)w->c.next_scanline * (size_t)im->width * 3;
        jpeg_write_scanlines(&w->c, &row, 1);
    }
    jpeg_finish_compress(&w->c);
    return true;
}

genet_status gn_jpeg_write(const gn_image *im, int quality, unsigned char **buffer, size_t *capacity, size_t *bytes,
                           genet_error *err)
{
    writer w = {.buffer = buffer, .capacity = capacity};
    if (im->width < 1 || im->height < 1 || im->width > JPEG_MAX_DIMENSION || im->height > JPEG_MAX_DIMENSION)
        return gn_fail(err, GENET_DATA, "a picture of %d x %d pixels cannot be a JPEG", im->width, im->height);
    if (*capacity == 0 && !grow(&w, 0))
        return gn_fail_memory(err, 16384, "a JPEG");
    w.to.init_destination = to_start;
    w.to.empty_output_buffer = to_full;
    w.to.term_destination = to_end;
    w.c.err = jpeg_std_error(&w.errors);
    w.errors.error_exit = on_error;
    w.errors.emit_message = on_message;
    w.c.client_data = &w;
    bool done = compress(&w, im, quality);
    *bytes = done ? *w.capacity - w.to.free_in_buffer : 0;
    jpeg_destroy_compress(&w.c);
    if (w.no_memory)
        return gn_fail_memory(err, *capacity * 2, "a JPEG");
    return done ? GENET_OK : gn_fail(err, GENET_INTERNAL, "JPEG: %s", w.message);
}
