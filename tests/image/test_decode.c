/* SPDX-License-Identifier: Apache-2.0
 * Decoding: a box alone equals the box of the whole for every JPEG form; reduced boxes stay near the full decode; turning
 * upright; headers; limits. */
#include <limits.h>

#include "pictures.h"

static const drawing forms[] = {
    {.components = 3, .kind = 1},
    {.components = 3, .kind = 1, .h = 2},
    {.components = 3, .kind = 1, .v = 2},
    {.components = 3, .kind = 1, .h = 2, .v = 2},
    {.components = 3, .kind = 1, .h = 4},
    {.components = 3, .kind = 1, .h = 4, .v = 2},
    {.components = 3, .kind = 1, .v = 4},
    {.components = 3, .kind = 1, .h = 2, .v = 2, .quality = 35, .restart = 3},
    {.components = 3, .kind = 1, .h = 2, .v = 2, .progressive = true},
    {.components = 3, .kind = 1, .h = 2, .v = 2, .arithmetic = true},
    {.components = 3, .kind = 1, .h = 2, .progressive = true, .arithmetic = true},
    {.components = 3, .kind = 1, .rgb_coded = true},
    {.components = 1, .kind = 1},
    {.components = 1, .kind = 1, .h = 2, .v = 2},
    {.components = 4, .kind = 1},
    {.components = 4, .kind = 1, .h = 2, .v = 2, .adobe = true},
};
static const int sizes[][2] = {{97, 83}, {1, 1}, {8, 200}, {161, 16}, {131, 130}};
enum { FORMS = sizeof forms / sizeof *forms, SIZES = sizeof sizes / sizeof *sizes, BOXES = 24 };

static gn_box random_box(gn_rng *rng, int width, int height)
{
    gn_box b = {.width = 1 + (int)gn_rng_below(rng, (uint32_t)width), .height = 1 + (int)gn_rng_below(rng, (uint32_t)height)};
    b.left = (int)gn_rng_below(rng, (uint32_t)(width - b.width) + 1);
    b.top = (int)gn_rng_below(rng, (uint32_t)(height - b.height) + 1);
    return b;
}

static void check_same(const gn_image *whole, const gn_image *cut, gn_box b, const char *what)
{
    assert_int_equal(cut->width, b.width);
    assert_int_equal(cut->height, b.height);
    for (int y = 0; y < b.height; y++)
        if (memcmp(cut->rgb + (size_t)y * (size_t)b.width * 3,
                   whole->rgb + ((size_t)(b.top + y) * (size_t)whole->width + (size_t)b.left) * 3, (size_t)b.width * 3))
            fail_msg("%s: row %d of box %d,%d %d x %d differs from the whole picture's", what, y, b.left, b.top, b.width,
                     b.height);
}

static void boxes_of(gn_decoder *d, const drawing *form, gn_rng *rng)
{
    size_t n;
    unsigned char *bytes = draw_jpeg(form, &n);
    gn_image whole = {0}, cut = {0};
    gn_decode_options o = {.exif = true};
    genet_error err;
    float part[4];
    char what[128];
    snprintf(what, sizeof what, "%d components, %dx%d, %s%s, turned %d", form->components, form->h, form->v,
             form->progressive ? "progressive" : "sequential", form->arithmetic ? " arithmetic" : "", form->orientation);
    decode_or_fail(d, bytes, n, o, &whole, NULL);
    for (int i = 0; i < BOXES; i++) {
        gn_box b = random_box(rng, whole.width, whole.height);
        int to = i % 2 ? INT_MAX : b.width; /* neither asks for a reduction */
        if (gn_decode_box(d, bytes, n, &o, b, to, b.height, &cut, part, &err) != GENET_OK)
            fail_msg("%s: %s", what, err.text);
        check_same(&whole, &cut, b, what);
        assert_true(part[0] == 0 && part[1] == 0 && part[2] == (float)b.width && part[3] == (float)b.height);
    }
    gn_image_free(&whole);
    gn_image_free(&cut);
    gn_free(bytes);
}

static void boxes_equal_whole(void **state)
{
    (void)state;
    gn_decoder *d = new_decoder();
    gn_rng rng = gn_rng_make(1, 0, 0, GN_RNG_MADE_DATA);
    for (int f = 0; f < FORMS; f++)
        for (int s = 0; s < SIZES; s++) {
            drawing form = forms[f];
            form.width = sizes[s][0];
            form.height = sizes[s][1];
            form.orientation = (f + s) % 9;
            boxes_of(d, &form, &rng);
        }
    gn_decoder_free(d);
}

/* A PNG and a WebP decode whole; their boxes are cuts. */
static void boxes_of_other_kinds(void **state)
{
    (void)state;
    static const char *const names[] = {"drawn-exif7.png", "drawn-exif7.webp", "palette.png"};
    gn_decoder *d = new_decoder();
    gn_rng rng = gn_rng_make(2, 0, 0, GN_RNG_MADE_DATA);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n;
        unsigned char *bytes = read_picture(PICTURES, names[i], &n);
        gn_image whole = {0}, cut = {0};
        gn_decode_options o = {.exif = true};
        genet_error err;
        float part[4];
        decode_or_fail(d, bytes, n, o, &whole, NULL);
        for (int k = 0; k < 5; k++) {
            gn_box b = random_box(&rng, whole.width, whole.height);
            assert_int_equal(gn_decode_box(d, bytes, n, &o, b, 1, 1, &cut, part, &err), GENET_OK);
            check_same(&whole, &cut, b, names[i]);
        }
        gn_image_free(&whole);
        gn_image_free(&cut);
        gn_free(bytes);
    }
    gn_decoder_free(d);
}

typedef struct difference {
    double mean;
    int most;
} difference;

/* A box resized to side x side from the decode reduced by `shrink` (which asking for `to` must give), against the same from
 * the full decode. */
static difference reduced_against_full(gn_decoder *d, const unsigned char *bytes, size_t n, gn_box b, int to, int shrink,
                                       int side)
{
    gn_image whole = {0}, cut = {0}, a = {0}, f = {0}, scratch = {0};
    gn_decode_options o = {.exif = true};
    genet_error err;
    float part[4];
    difference r = {0};
    decode_or_fail(d, bytes, n, o, &whole, NULL);
    assert_int_equal(gn_resize(&whole, b, side, side, GN_FILTER_TRIANGLE, &f, &scratch, &err), GENET_OK);
    assert_int_equal(gn_decode_box(d, bytes, n, &o, b, to, to, &cut, part, &err), GENET_OK);
    /* The reduction that was asked for: the smallest cover of the box at 1/shrink. */
    assert_in_range(cut.width, b.width / shrink, b.width / shrink + 2);
    assert_in_range(cut.height, b.height / shrink, b.height / shrink + 2);
    assert_true(part[2] == (float)b.width / (float)shrink && part[3] == (float)b.height / (float)shrink);
    assert_true(part[2] >= (float)to && part[3] >= (float)to);
    assert_int_equal(gn_resize_part(&cut, part, side, side, &a, &scratch, &err), GENET_OK);
    for (int i = 0; i < side * side * 3; i++) {
        int e = abs(a.rgb[i] - f.rgb[i]);
        r.mean += e / (double)(side * side * 3);
        r.most = e > r.most ? e : r.most;
    }
    gn_image_free(&whole);
    gn_image_free(&cut);
    gn_image_free(&a);
    gn_image_free(&f);
    gn_image_free(&scratch);
    return r;
}

/* On slopes both ways of averaging agree to rounding: at most 3 levels; half a pixel of misplacement would make a
 * difference of more at the steepest. All orientations and reductions. */
static void reduced_slopes(void **state)
{
    (void)state;
    gn_decoder *d = new_decoder();
    for (int orientation = 1; orientation <= 8; orientation++) {
        drawing form = {.width = 403, .height = 389, .components = 3, .h = 2, .v = 2, .quality = 98,
                        .orientation = orientation, .progressive = orientation % 2 == 0};
        size_t n;
        unsigned char *bytes = draw_jpeg(&form, &n);
        for (int shrink = 2; shrink <= 8; shrink *= 2) {
            gn_box b = {13 + orientation, 29, 331, 327};
            difference r = reduced_against_full(d, bytes, n, b, 325 / shrink, shrink, 325 / shrink);
            if (r.most > 3 || r.mean > 0.6)
                fail_msg("turned %d at 1/%d: mean %.2f, largest %d levels", orientation, shrink, r.mean, r.most);
        }
        gn_free(bytes);
    }
    gn_decoder_free(d);
}

/* At 1/8 a pixel is its block's constant term, the mean of 64: within 2 levels (rounding of the means and of the colour
 * conversion) of the full decode's mean over the same block, at the very place. */
static void eighth_is_block_mean(void **state)
{
    (void)state;
    drawing form = {.width = 160, .height = 120, .components = 3, .kind = 1, .quality = 95};
    size_t n;
    unsigned char *bytes = draw_jpeg(&form, &n);
    gn_decoder *d = new_decoder();
    gn_image whole = {0}, cut = {0};
    gn_decode_options o = {0};
    genet_error err;
    float part[4];
    decode_or_fail(d, bytes, n, o, &whole, NULL);
    assert_int_equal(gn_decode_box(d, bytes, n, &o, (gn_box){34, 20, 96, 88}, 12, 11, &cut, part, &err), GENET_OK);
    assert_int_equal(cut.width, 13); /* columns 32..135, rows 16..111 */
    assert_int_equal(cut.height, 12);
    assert_true(part[0] == 0.25f && part[1] == 0.5f && part[2] == 12 && part[3] == 11);
    for (int y = 0; y < 12; y++)
        for (int x = 0; x < 13; x++)
            for (int c = 0; c < 3; c++) {
                double sum = 0;
                for (int k = 0; k < 64; k++)
                    sum += whole.rgb[((16 + 8 * y + k / 8) * whole.width + 32 + 8 * x + k % 8) * 3 + c];
                if (fabs(sum / 64 - cut.rgb[(y * 13 + x) * 3 + c]) > 2)
                    fail_msg("block %d,%d: mean %.2f, reduced %d", x, y, sum / 64, cut.rgb[(y * 13 + x) * 3 + c]);
            }
    gn_image_free(&whole);
    gn_image_free(&cut);
    gn_decoder_free(d);
    gn_free(bytes);
}

/* Photographs, from a reduction that keeps twice the wanted size (what gn_prepare asks for): the transform's low-pass and
 * the triangle's differ by 2 levels on average at most. */
static void reduced_photographs(void **state)
{
    (void)state;
    static const char *const names[] = {"photo0.jpg", "grocery4.jpg"};
    gn_decoder *d = new_decoder();
    for (int i = 0; i < 2; i++) {
        size_t n;
        unsigned char *bytes = read_picture(PICTURES, names[i], &n);
        for (int shrink = 2; shrink <= 8; shrink *= 2) {
            difference r = reduced_against_full(d, bytes, n, (gn_box){11, 5, 320, 336}, 320 / shrink, shrink,
                                                160 / shrink);
            if (r.mean > 2)
                fail_msg("%s at 1/%d: mean difference %.2f levels", names[i], shrink, r.mean);
        }
        gn_free(bytes);
    }
    gn_decoder_free(d);
}

/* EXIF 2.3, tag 274: where the stored top left and top right corners show. */
static void turning(void **state)
{
    (void)state;
    enum { TL, TR, BL, BR };
    static const int shows[9][2] = {{0, 0}, {TL, TR}, {TR, TL}, {BR, BL}, {BL, BR}, {TL, BL}, {TR, BR}, {BR, TR}, {BL, TL}};
    gn_image in = {0}, out = {0};
    genet_error err;
    assert_int_equal(gn_image_resize_buffer(&in, 5, 3, &err), GENET_OK);
    for (int i = 0; i < 5 * 3 * 3; i++)
        in.rgb[i] = (unsigned char)(i / 3);
    for (int o = 1; o <= 8; o++) {
        assert_int_equal(gn_image_turn(&in, o, &out, &err), GENET_OK);
        assert_int_equal(out.width, o >= 5 ? 3 : 5);
        assert_int_equal(out.height, o >= 5 ? 5 : 3);
        for (int k = 0; k < 2; k++) {
            int x = shows[o][k] == TR || shows[o][k] == BR ? out.width - 1 : 0;
            int y = shows[o][k] == BL || shows[o][k] == BR ? out.height - 1 : 0;
            assert_int_equal(out.rgb[(y * out.width + x) * 3], k == 0 ? 0 : 4);
        }
        for (int y = 0; y < out.height; y++)
            for (int x = 0; x < out.width; x++) {
                gn_box b = gn_image_stored_box((gn_box){x, y, 1, 1}, o, 5, 3);
                assert_int_equal(out.rgb[(y * out.width + x) * 3 + 1], b.top * 5 + b.left);
            }
    }
    gn_image_free(&in);
    gn_image_free(&out);
}

static void headers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        gn_image_info info;
    } want[] = {
        {"progressive.jpg", {GN_IMAGE_JPEG, 320, 270, 1, GN_COLOUR_RGB, 8, false, true, false}},
        {"exif6.jpg", {GN_IMAGE_JPEG, 340, 250, 6, GN_COLOUR_RGB, 8, false, false, false}},
        {"gray.jpg", {GN_IMAGE_JPEG, 300, 260, 1, GN_COLOUR_GRAY, 8, false, false, false}},
        {"drawn-cmyk.jpg", {GN_IMAGE_JPEG, 52, 40, 1, GN_COLOUR_CMYK, 8, false, false, false}},
        {"drawn-exif7.png", {GN_IMAGE_PNG, 52, 40, 7, GN_COLOUR_RGB, 8, false, false, false}},
        {"palette.png", {GN_IMAGE_PNG, 270, 230, 1, GN_COLOUR_PALETTE, 8, true, false, false}},
        {"drawn-1bit.png", {GN_IMAGE_PNG, 52, 40, 1, GN_COLOUR_GRAY, 1, false, false, false}},
        {"made_gray16_100x140.png", {GN_IMAGE_PNG, 100, 140, 1, GN_COLOUR_GRAY, 16, false, false, false}},
        {"drawn-exif7.webp", {GN_IMAGE_WEBP, 52, 40, 7, GN_COLOUR_RGB, 8, false, false, false}},
        {"lossy.webp", {GN_IMAGE_WEBP, 310, 245, 1, GN_COLOUR_RGB, 8, false, false, false}},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        size_t n;
        unsigned char *bytes = read_picture(PICTURES, want[i].name, &n);
        gn_image_info info;
        genet_error err;
        const gn_image_info *w = &want[i].info;
        assert_int_equal(gn_image_probe(bytes, n, &info, &err), GENET_OK);
        if (info.kind != w->kind || info.width != w->width || info.height != w->height || info.colour != w->colour
            || info.orientation != w->orientation || info.bits != w->bits || info.alpha != w->alpha
            || info.progressive != w->progressive || info.arithmetic != w->arithmetic)
            fail_msg("%s: kind %d, %d x %d, turned %d, colour %d, %d bits, alpha %d", want[i].name, info.kind, info.width,
                     info.height, info.orientation, info.colour, info.bits, info.alpha);
        gn_free(bytes);
    }
    drawing form = {.width = 9, .height = 8, .components = 3, .arithmetic = true, .progressive = true, .orientation = 3};
    size_t n;
    unsigned char *bytes = draw_jpeg(&form, &n);
    gn_image_info info;
    assert_int_equal(gn_image_probe(bytes, n, &info, NULL), GENET_OK);
    assert_true(info.arithmetic && info.progressive && info.orientation == 3);
    gn_free(bytes);
}

static void orientation_tag(void **state)
{
    (void)state;
    unsigned char big[] = "MM\0*\0\0\0\x08\0\x02\x01\x0f\0\x02\0\0\0\x01\0\0\0\0\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    unsigned char little[] = "II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0";
    assert_int_equal(gn_exif_orientation(big, sizeof big - 1), 6);
    assert_int_equal(gn_exif_orientation(little, sizeof little - 1), 8);
    little[18] = 9;
    assert_int_equal(gn_exif_orientation(little, sizeof little - 1), 1);
    for (size_t n = 0; n < sizeof big - 1; n++) {
        int o = gn_exif_orientation(big, n);
        assert_true(o == 1 || (o == 6 && n >= 34));
    }
    big[7] = 0xff; /* the directory far outside */
    big[4] = 0xff;
    assert_int_equal(gn_exif_orientation(big, sizeof big - 1), 1);
}

/* CMYK without Adobe's marker is plain ink: genet's rounded formula and the published truncating one are 1 apart at most,
 * and inverting it instead would be far off. */
static void plain_cmyk(void **state)
{
    (void)state;
    size_t n;
    unsigned char *bytes = read_picture(PICTURES, "made_cmyk_noadobe_120x80.jpg", &n);
    gn_decoder *d = new_decoder();
    gn_image a = {0}, b = {0};
    int differing = 0;
    decode_or_fail(d, bytes, n, (gn_decode_options){0}, &a, NULL);
    decode_or_fail(d, bytes, n, (gn_decode_options){.mindspore = true}, &b, NULL);
    for (int i = 0; i < a.width * a.height * 3; i++) {
        assert_in_range(a.rgb[i] - b.rgb[i] + 1, 0, 2);
        differing += a.rgb[i] != b.rgb[i];
    }
    assert_true(differing > 0);
    gn_image_free(&a);
    gn_image_free(&b);
    gn_decoder_free(d);
    gn_free(bytes);
}

static void boxes_outside(void **state)
{
    (void)state;
    size_t n;
    unsigned char *bytes = read_picture(PICTURES, "tiny.jpg", &n);
    gn_decoder *d = new_decoder();
    gn_image out = {0};
    gn_decode_options o = {.exif = true};
    float part[4];
    static const gn_box bad[] = {{0, 0, 21, 30}, {0, 0, 20, 31}, {-1, 0, 5, 5}, {0, 0, 0, 5}, {19, 0, 2, 1},
                                 {INT_MAX, 0, INT_MAX, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(gn_decode_box(d, bytes, n, &o, bad[i], 8, 8, &out, part, NULL), GENET_INTERNAL);
    gn_image_free(&out);
    gn_decoder_free(d);
    gn_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_equal_whole),   cmocka_unit_test(boxes_of_other_kinds), cmocka_unit_test(reduced_slopes),
        cmocka_unit_test(eighth_is_block_mean),
        cmocka_unit_test(reduced_photographs), cmocka_unit_test(turning),              cmocka_unit_test(headers),
        cmocka_unit_test(orientation_tag),     cmocka_unit_test(plain_cmyk),           cmocka_unit_test(boxes_outside),
    };
    return cmocka_run_group_tests_name("image decode", tests, NULL, NULL);
}
