/* SPDX-License-Identifier: Apache-2.0
 * Bytes that mean harm, or are simply broken: every prefix of a file of each kind, changed bytes, declared sizes that
 * would not fit, bombs, foreign formats, and memory that runs out. All end in one clear line. */
#include "base/fault.h"
#include "pictures.h"

enum { LIMIT = 1 << 20, CHANGED = 250 };

typedef struct sample {
    const char *name;
    unsigned char *bytes;
    size_t n;
} sample;

/* One file of each kind and coding, small. */
static int small_files(sample files[16])
{
    static const char *const names[] = {"tiny.jpg", "drawn-cmyk.jpg", "drawn-exif7.png", "drawn-4bit.png",
                                        "drawn-gray-alpha.png", "made_gray16_100x140.png", "drawn-exif7.webp",
                                        "drawn-lossless.webp"};
    static const drawing drawn[] = {
        {.width = 40, .height = 33, .components = 3, .kind = 1, .h = 2, .v = 2, .progressive = true, .orientation = 6},
        {.width = 40, .height = 33, .components = 3, .kind = 1, .h = 2, .v = 2, .arithmetic = true},
        {.width = 40, .height = 33, .components = 1, .kind = 1, .progressive = true, .arithmetic = true},
        {.width = 40, .height = 33, .components = 3, .kind = 1, .restart = 2},
    };
    int count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++, count++) {
        files[count].name = names[i];
        files[count].bytes = read_picture(PICTURES, names[i], &files[count].n);
    }
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++, count++) {
        files[count].name = "drawn JPEG";
        files[count].bytes = draw_jpeg(&drawn[i], &files[count].n);
    }
    return count;
}

static void free_files(sample *files, int count)
{
    for (int i = 0; i < count; i++)
        gn_free(files[i].bytes);
}

static void check_status(genet_status status, const genet_error *err, const char *name)
{
    if (status != GENET_OK && status != GENET_DATA)
        fail_msg("%s: status %d, %s", name, status, err->text);
    if (status != GENET_OK && (err->text[0] == '\0' || strchr(err->text, '\n')))
        fail_msg("%s: not one line: \"%s\"", name, err->text);
}

/* The whole path on a copy of exactly n bytes. Returns the status of the strict decode. */
static genet_status walk(gn_decoder *d, gn_prepare_scratch *s, const unsigned char *bytes, size_t n, const char *name)
{
    unsigned char *copy = malloc(n ? n : 1), out[32 * 32 * 3];
    gn_image image = {0};
    gn_image_info info;
    genet_error err = {0};
    gn_preprocess p = genet_rules();
    gn_augment a = {.area = {0.08, 1}, .aspect = {0.75, 1.33}, .fast_decode = true, .flip = 0.5};
    gn_decode_options strict = {.max_pixels = LIMIT, .exif = true}, loose = strict;
    loose.allow_truncated = true;
    p.size = 32;
    p.max_pixels = LIMIT;
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    check_status(gn_image_probe(copy, n, &info, &err), &err, name);
    check_status(gn_decode(d, copy, n, &loose, &image, &info, &err), &err, name);
    check_status(gn_prepare(s, copy, n, &p, &a, 1, 0, n, out, NULL, &err), &err, name);
    check_status(gn_prepare(s, copy, n, &p, NULL, 1, 0, n, out, NULL, &err), &err, name);
    genet_status status = gn_decode(d, copy, n, &strict, &image, &info, &err);
    check_status(status, &err, name);
    gn_image_free(&image);
    free(copy);
    return status;
}

static void prefixes(void **state)
{
    (void)state;
    sample files[16];
    int count = small_files(files);
    gn_decoder *d = new_decoder();
    gn_prepare_scratch *s = new_scratch();
    for (int i = 0; i < count; i++) {
        for (size_t n = 0; n < files[i].n; n++)
            if (walk(d, s, files[i].bytes, n, files[i].name) != GENET_DATA)
                fail_msg("%s cut to %zu of %zu bytes was taken for whole", files[i].name, n, files[i].n);
        assert_int_equal(walk(d, s, files[i].bytes, files[i].n, files[i].name), GENET_OK);
    }
    gn_decoder_free(d);
    gn_prepare_scratch_free(s);
    free_files(files, count);
}

static void changed_bytes(void **state)
{
    (void)state;
    sample files[16];
    int count = small_files(files), refused = 0;
    gn_decoder *d = new_decoder();
    gn_prepare_scratch *s = new_scratch();
    gn_rng rng = gn_rng_make(3, 0, 0, GN_RNG_MADE_DATA);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < CHANGED; k++) {
            unsigned char *copy = gn_calloc(files[i].n, 1);
            assert_non_null(copy);
            memcpy(copy, files[i].bytes, files[i].n);
            int changes = 1 + (int)gn_rng_below(&rng, 6);
            for (int c = 0; c < changes; c++) {
                /* Half of them among the headers. */
                size_t range = c % 2 && files[i].n > 160 ? 160 : files[i].n;
                copy[gn_rng_below(&rng, (uint32_t)range)] = (unsigned char)gn_rng_u32(&rng);
            }
            refused += walk(d, s, copy, files[i].n, files[i].name) == GENET_DATA;
            gn_free(copy);
        }
    assert_true(refused > count * CHANGED / 4); /* the changes do harm */
    gn_decoder_free(d);
    gn_prepare_scratch_free(s);
    free_files(files, count);
}

/* The frame header's segment of a JPEG: where its bytes begin. */
static unsigned char *frame_header(unsigned char *bytes, size_t n)
{
    for (size_t i = 2; i + 9 < n; i++)
        if (bytes[i] == 0xFF && (bytes[i + 1] == 0xC0 || bytes[i + 1] == 0xC2))
            return bytes + i + 4;
    fail_msg("no frame header");
    return NULL;
}

static void expect_refusal(const unsigned char *bytes, size_t n, uint64_t max_pixels, const char *says)
{
    gn_decoder *d = new_decoder();
    gn_image image = {0};
    gn_decode_options o = {.max_pixels = max_pixels};
    genet_error err = {0};
    uint64_t before = gn_alloc_count();
    assert_int_equal(gn_decode(d, bytes, n, &o, &image, NULL, &err), GENET_DATA);
    if (!strstr(err.text, says))
        fail_msg("the message does not hold \"%s\": %s", says, err.text);
    if (gn_alloc_count() != before)
        fail_msg("memory was taken before the refusal: %s", err.text);
    gn_image_free(&image);
    gn_decoder_free(d);
}

static void declared_sizes(void **state)
{
    (void)state;
    size_t n;
    unsigned char *bytes = read_picture(PICTURES, "tiny.jpg", &n), *frame = frame_header(bytes, n);
    expect_refusal(bytes, n, 599, "20 x 30 = 600 pixels");
    memcpy(frame + 1, "\x4e\x20\x4e\x20", 4);
    expect_refusal(bytes, n, 0, "20000 x 20000 = 400000000 pixels");
    memcpy(frame + 1, "\0\0\0\x14", 4);
    expect_refusal(bytes, n, 0, "empty picture");
    gn_free(bytes);
    bytes = read_picture(PICTURES, "drawn-4bit.png", &n);
    memcpy(bytes + 16, "\0\x01\0\0\0\x01\0\0", 8);
    expect_refusal(bytes, n, 0, "65536 x 65536");
    memcpy(bytes + 16, "\xff\xff\xff\xff\0\0\0\x01", 8);
    expect_refusal(bytes, n, UINT64_MAX, "a side may have 1000000");
    gn_free(bytes);
}

/* A progressive file whose first scan is repeated 150 times: each repetition would visit every block again. */
static void many_scans(void **state)
{
    (void)state;
    drawing form = {.width = 64, .height = 64, .components = 3, .progressive = true};
    size_t n, scan, segment, repeat = 150;
    unsigned char *bytes = draw_jpeg(&form, &n);
    gn_image_info info;
    assert_int_equal(gn_image_probe_scan(bytes, n, &info, &scan, NULL), GENET_OK);
    size_t begin = scan - 2, end = scan;
    while (!(bytes[begin] == 0xFF && bytes[begin + 1] == 0xDA))
        begin--;
    while (!(bytes[end] == 0xFF && bytes[end + 1] != 0 && (bytes[end + 1] & 0xF8) != 0xD0))
        end++;
    segment = end - begin;
    unsigned char *bomb = gn_calloc(n + segment * repeat, 1);
    assert_non_null(bomb);
    memcpy(bomb, bytes, end);
    for (size_t i = 0; i < repeat; i++)
        memcpy(bomb + end + segment * i, bytes + begin, segment);
    memcpy(bomb + end + segment * repeat, bytes + end, n - end);
    gn_decoder *d = new_decoder();
    gn_image image = {0};
    genet_error err;
    gn_decode_options o = {0};
    decode_or_fail(d, bytes, n, o, &image, NULL);
    assert_int_equal(gn_decode(d, bomb, n + segment * repeat, &o, &image, NULL, &err), GENET_DATA);
    assert_non_null(strstr(err.text, "more than 100 scans"));
    decode_or_fail(d, bytes, n, o, &image, NULL); /* and the decoder goes on working */
    gn_image_free(&image);
    gn_decoder_free(d);
    gn_free(bomb);
    gn_free(bytes);
}

static void foreign_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } files[] = {
        {"", 0, "empty"},
        {"This is no picture.\n", 20, "a text file"},
        {"GIF89a\x01\0\x01\0", 10, "a GIF file"},
        {"BM\x5e\x23\0\0", 6, "a BMP file"},
        {"\0\0\0\x1c" "ftypavif\0\0\0\0", 16, "an AVIF file"},
        {"\0\0\0\x18" "ftypheic\0\0\0\0", 16, "a HEIC file"},
        {"%PDF-1.7\n", 9, "a PDF file"},
        {"\0\0\0\0\0\0\0\0", 8, "a zeroed file"},
        {"\xff\xd8\xfe", 3, "an unknown file"},
        {"\x89PNG\r\n\x1a\r", 8, "an unknown file"},
        {"RIFF\x10\0\0\0WEBX", 12, "an unknown file"},
        {"RIFF\x04\0\0\0WEBP", 12, "no picture"},
        {"\xff\xd8\xff\xd9", 4, "before the first scan"},
        {"\xff\xd8\xff\xc3\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0", 15, "lossless"},
        {"\xff\xd8\xff\xc1\0\x0b\x0c\0\x08\0\x08\x01\x01\x11\0", 15, "12 bits"},
        {"\xff\xd8\xff\xc0\0\x0e\x08\0\x08\0\x08\x02\x01\x11\0\x02\x11\0", 18, "2 colour components"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        expect_refusal((const unsigned char *)files[i].bytes, files[i].n, 0, files[i].says);
}

/* What is missing may be asked for: the upper part of a cut JPEG equals the whole's. */
static void truncated_on_request(void **state)
{
    (void)state;
    size_t n;
    unsigned char *bytes = read_picture(PICTURES, "grocery4.jpg", &n);
    gn_decoder *d = new_decoder();
    gn_image whole = {0}, part = {0};
    decode_or_fail(d, bytes, n, (gn_decode_options){0}, &whole, NULL);
    decode_or_fail(d, bytes, n * 3 / 4, (gn_decode_options){.allow_truncated = true}, &part, NULL);
    assert_int_equal(part.height, whole.height);
    size_t half = (size_t)whole.width * 3 * (size_t)(whole.height / 2);
    assert_memory_equal(part.rgb, whole.rgb, half);
    assert_memory_not_equal(part.rgb + half, whole.rgb + half, half);
    gn_image_free(&whole);
    gn_image_free(&part);
    gn_decoder_free(d);
    gn_free(bytes);
}

/* The n-th allocation fails, for every n until none is left; a leak would show under AddressSanitizer. */
static void memory_runs_out(void **state)
{
    (void)state;
    static const char *const names[] = {"exif6.jpg", "drawn-exif7.png", "lossy.webp"};
    unsigned char *out = gn_calloc(224 * 224, 3);
    gn_preprocess p = genet_rules();
    gn_augment a = {.area = {0.08, 1}, .aspect = {0.75, 1.33}, .fast_decode = true, .randaug = 1};
    int failures = 0;
    for (int i = 0; i < 3; i++) {
        size_t n;
        unsigned char *bytes = read_picture(PICTURES, names[i], &n);
        for (int64_t nth = 1;; nth++) {
            gn_prepare_scratch *s = NULL;
            genet_error err = {0};
            gn_fault_arm(GN_FAULT_ALLOCATION, nth);
            genet_status status = gn_prepare_scratch_create(&s, &err);
            if (status == GENET_OK)
                status = gn_prepare(s, bytes, n, &p, &a, 1, 0, 0, out, NULL, &err);
            bool fired = gn_fault_fired() > 0;
            gn_fault_disarm();
            gn_prepare_scratch_free(s);
            assert_int_equal(status, fired ? GENET_MEMORY : GENET_OK);
            failures += fired;
            if (!fired)
                break;
        }
        gn_free(bytes);
    }
    assert_true(failures >= 12);
    gn_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes),      cmocka_unit_test(changed_bytes), cmocka_unit_test(declared_sizes),
        cmocka_unit_test(many_scans),    cmocka_unit_test(foreign_kinds), cmocka_unit_test(truncated_on_request),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests_name("image hostile", tests, NULL, NULL);
}
