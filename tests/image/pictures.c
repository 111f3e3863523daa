/* SPDX-License-Identifier: Apache-2.0
 * See pictures.h. */
#include "pictures.h"

#include <jpeglib.h>

const char *shared_folder(void)
{
    const char *named = getenv("GENET_SHARED"), *folder = named ? named : "../shared";
    if (gn_folder_exists(folder))
        return folder;
    print_message("skipped: no folder of golden vectors at %s (GENET_SHARED names it)\n", folder);
    return NULL;
}

unsigned char *read_picture(const char *folder, const char *name, size_t *n)
{
    unsigned char *bytes = NULL;
    genet_error err;
    char *path = gn_path_join(folder, name);
    assert_non_null(path);
    if (gn_file_read(path, 1 << 28, &bytes, n, &err) != GENET_OK)
        fail_msg("%s", err.text);
    gn_free(path);
    return bytes;
}

void hash_pixels(const unsigned char *rgb, size_t pixels, char hex[65])
{
    gn_sha256 s;
    gn_sha256_init(&s);
    gn_sha256_add(&s, rgb, pixels * 3);
    gn_sha256_hex(&s, hex);
}

static unsigned char channel(const drawing *d, gn_rng *rng, int x, int y, int c)
{
    if (d->kind == 0)
        return (unsigned char)(c == 0 ? 20 + 200 * x / d->width : c == 1 ? 20 + 200 * y / d->height
                               : 120 + 100 * (x + y) / (d->width + d->height));
    uint64_t square = gn_mix64((uint64_t)(x / 7) * 1000003u + (uint64_t)(y / 5) * 101u + (uint64_t)c);
    return (unsigned char)((square & 127) + 32 + gn_rng_below(rng, 48));
}

static void exif_marker(struct jpeg_compress_struct *c, int orientation)
{
    unsigned char exif[] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0?\0\0\0\0\0\0";
    exif[24] = (unsigned char)orientation;
    jpeg_write_marker(c, JPEG_APP0 + 1, exif, 32);
}

static void settings(struct jpeg_compress_struct *c, const drawing *d)
{
    c->image_width = (JDIMENSION)d->width;
    c->image_height = (JDIMENSION)d->height;
    c->input_components = d->components;
    c->in_color_space = d->components == 1 ? JCS_GRAYSCALE : d->components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(c);
    if (d->rgb_coded)
        jpeg_set_colorspace(c, JCS_RGB);
    if (d->components == 4 && d->adobe)
        jpeg_set_colorspace(c, JCS_YCCK);
    if (d->components == 4)
        c->write_Adobe_marker = d->adobe;
    jpeg_set_quality(c, d->quality ? d->quality : 85, TRUE);
    c->comp_info[0].h_samp_factor = d->h ? d->h : 1;
    c->comp_info[0].v_samp_factor = d->v ? d->v : 1;
    if (d->components == 4) {
        c->comp_info[3].h_samp_factor = c->comp_info[0].h_samp_factor;
        c->comp_info[3].v_samp_factor = c->comp_info[0].v_samp_factor;
    }
    c->arith_code = d->arithmetic;
    c->restart_interval = (unsigned)d->restart;
    if (d->progressive)
        jpeg_simple_progression(c);
}

unsigned char *draw_jpeg(const drawing *d, size_t *n)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    gn_rng rng = gn_rng_make(7, 0, (uint64_t)d->width * 1000 + (uint64_t)d->height, GN_RNG_MADE_DATA);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &size);
    settings(&c, d);
    jpeg_start_compress(&c, TRUE);
    if (d->orientation)
        exif_marker(&c, d->orientation);
    unsigned char *row = gn_calloc((size_t)d->width, 4);
    assert_non_null(row);
    for (int y = 0; y < d->height; y++) {
        for (int x = 0; x < d->width; x++)
            for (int k = 0; k < d->components; k++)
                row[x * d->components + k] = channel(d, &rng, x, y, k);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    gn_free(row);
    /* Into gn_ memory of exactly the file's size, so that a sanitizer sees a byte read past it. */
    unsigned char *exact = gn_calloc(size, 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    free(bytes);
    *n = size;
    return exact;
}

gn_decoder *new_decoder(void)
{
    gn_decoder *d = NULL;
    genet_error err;
    assert_int_equal(gn_decoder_create(&d, &err), GENET_OK);
    return d;
}

gn_prepare_scratch *new_scratch(void)
{
    gn_prepare_scratch *s = NULL;
    genet_error err;
    assert_int_equal(gn_prepare_scratch_create(&s, &err), GENET_OK);
    return s;
}

void decode_or_fail(gn_decoder *d, const unsigned char *bytes, size_t n, gn_decode_options o, gn_image *out,
                    gn_image_info *info)
{
    genet_error err;
    if (gn_decode(d, bytes, n, &o, out, info, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

gn_preprocess genet_rules(void)
{
    gn_preprocess p = {.size = 224, .exif = true, .crop_share = 0.875};
    memcpy(p.mean, gn_imagenet_mean, sizeof p.mean);
    memcpy(p.std, gn_imagenet_std, sizeof p.std);
    return p;
}
