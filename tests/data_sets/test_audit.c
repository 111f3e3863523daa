/* SPDX-License-Identifier: Apache-2.0
 * Audits: each kind of finding on a set made to have it; manifests and the changes they notice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jpeglib.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/audit.h"
#include "data/manifest.h"
#include "data/shelf_draw.h"
#include "genet/data.h"
#include "image/jpeg_write.h"
#include "made.h"

static char *folder;
enum { SIDE = 64 };

static int begin(void **state)
{
    (void)state;
    folder = made_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    made_end(folder);
    return 0;
}

/* A drawn product, scaled to side x side, compressed at this quality. */
static void product(const char *path, int number, int side, int quality)
{
    static float canvas[SIDE * SIDE * 6];
    gn_image im = {0}, scaled = {0}, scratch = {0};
    unsigned char *bytes = NULL;
    size_t capacity = 0, n;
    assert_int_equal(gn_image_resize_buffer(&im, SIDE, SIDE, NULL), GENET_OK);
    gn_shelf_draw(number % 40, 40, 2, (uint64_t)number, SIDE, canvas, &im);
    assert_int_equal(gn_resize(&im, (gn_box){0, 0, SIDE, SIDE}, side, side, GN_FILTER_TRIANGLE, &scaled, &scratch, NULL), 0);
    assert_int_equal(gn_jpeg_write(&scaled, quality, &bytes, &capacity, &n, NULL), GENET_OK);
    made_file(path, bytes, n);
    gn_free(bytes);
    gn_image_free(&im);
    gn_image_free(&scaled);
    gn_image_free(&scratch);
}

static void products(const char *class_folder, int first, int count)
{
    char *to = gn_strdup(class_folder);
    for (int i = 0; i < count; i++)
        product(made_path(to, "%02d.jpg", i), first + i, SIDE, 90);
    gn_free(to);
}

static void cmyk(const char *path)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL, row[40 * 4];
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = c.image_height = 40;
    c.input_components = 4;
    c.in_color_space = JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < 40; y++) {
        JSAMPROW rows[1] = {row};
        for (int x = 0; x < 160; x++)
            row[x] = (unsigned char)(x * y);
        jpeg_write_scanlines(&c, rows, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    made_file(path, bytes, n);
    free(bytes);
}

/* The file with an EXIF segment that says "turn by 90 degrees" behind its first marker. */
static void turn(const char *path)
{
    static const unsigned char exif[] = "\xff\xe1\x00\x22"
                                        "Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    unsigned char *old, all[65536];
    size_t n, m = 36;
    assert_int_equal(gn_file_read(path, sizeof all - m, &old, &n, NULL), GENET_OK);
    memcpy(all, old, 2);
    memcpy(all + 2, exif, m);
    memcpy(all + 2 + m, old + 2, n - 2);
    made_file(path, all, n + m);
    gn_free(old);
}

static void copy(const char *from, const char *to)
{
    unsigned char *bytes;
    size_t n;
    assert_int_equal(gn_file_read(from, 1000000, &bytes, &n, NULL), GENET_OK);
    made_file(to, bytes, n);
    gn_free(bytes);
}

static genet_audit_report *audited(const char *data, const char *val, const char *manifest)
{
    genet_config *c = NULL;
    genet_audit_report *r = NULL;
    genet_error err = {0};
    assert_int_equal(genet_config_create(&c, NULL), GENET_OK);
    assert_int_equal(genet_config_set(c, "data", data, NULL), GENET_OK);
    assert_int_equal(genet_config_set(c, "val", val, NULL), GENET_OK);
    assert_int_equal(genet_config_set(c, "cap-all", "1", NULL), GENET_OK); /* caps do not count */
    if (genet_data_audit(c, manifest, NULL, NULL, &r, &err) != GENET_OK)
        fail_msg("%s", err.text);
    genet_config_free(c);
    return r;
}

/* The finding about a file: exactly one of this kind; other and detail must hold these words (NULL: must be NULL). */
static void found(const genet_audit_report *r, genet_audit_kind kind, const char *file, const char *other,
                  const char *detail)
{
    for (int64_t i = 0; i < r->finding_count; i++) {
        const genet_audit_finding *f = &r->findings[i];
        if (f->kind != kind || strcmp(f->file, file) != 0)
            continue;
        if (!other != !f->other || (other && strcmp(other, f->other) != 0))
            fail_msg("%s %s: other is %s", genet_audit_name(kind), file, f->other ? f->other : "NULL");
        if (!detail != !f->detail || (detail && !strstr(f->detail, detail)))
            fail_msg("%s %s: detail is %s", genet_audit_name(kind), file, f->detail ? f->detail : "NULL");
        return;
    }
    fail_msg("%s was not found about %s", genet_audit_name(kind), file);
}

static void clean_set(void **state)
{
    (void)state;
    products(made_path(folder, "train/a"), 0, 12);
    products(made_path(folder, "train/b"), 12, 12);
    products(made_path(folder, "val/a"), 24, 2);
    products(made_path(folder, "val/b"), 26, 2);
    char *train = gn_strdup(made_path(folder, "train")), *val = gn_strdup(made_path(folder, "val"));
    genet_audit_report *r = audited(train, val, NULL);
    for (int64_t i = 0; i < r->finding_count; i++)
        print_message("%s %s\n", genet_audit_name(r->findings[i].kind), r->findings[i].file);
    assert_int_equal(r->finding_count, 0);
    assert_int_equal(r->images, 24);
    assert_int_equal(r->val_images, 4);
    assert_int_equal(r->class_count, 2);
    assert_true(r->bytes > 24 * 500);
    genet_audit_report_free(r);
    gn_free(train);
    gn_free(val);
}

static void odd_pictures(void **state)
{
    (void)state;
    products(made_path(folder, "a"), 0, 12);
    products(made_path(folder, "b"), 12, 3);
    made_text(made_path(folder, "a/text.jpg"), "this is no picture");
    made_file(made_path(folder, "a/nothing.jpg"), "", 0);
    assert_int_equal(symlink("gone", made_path(folder, "a/gone.jpg")), 0);
    product(made_path(folder, "a/cut.jpg"), 50, SIDE, 90);
    assert_int_equal(truncate(made_path(folder, "a/cut.jpg"), 900), 0);
    cmyk(made_path(folder, "a/cmyk.jpg"));
    product(made_path(folder, "a/turned.jpg"), 51, SIDE, 90);
    turn(made_path(folder, "a/turned.jpg"));
    product(made_path(folder, "a/small.jpg"), 52, 31, 90);
    made_jpeg(made_path(folder, "a/long.jpg"), 33, 133, 3);
    made_jpeg(made_path(folder, "a/not-so-long.jpg"), 132, 33, 4);
    product(made_path(folder, "a/name.png"), 53, SIDE, 90);
    assert_int_equal(gn_folder_make(made_path(folder, "empty"), NULL), GENET_OK);
    genet_audit_report *r = audited(folder, "", NULL);
    found(r, GENET_AUDIT_BROKEN, "a/text.jpg", NULL, "neither JPEG");
    found(r, GENET_AUDIT_BROKEN, "a/nothing.jpg", NULL, "empty");
    found(r, GENET_AUDIT_BROKEN, "a/gone.jpg", NULL, "cannot be opened");
    found(r, GENET_AUDIT_TRUNCATED, "a/cut.jpg", NULL, "");
    found(r, GENET_AUDIT_CMYK, "a/cmyk.jpg", NULL, NULL);
    found(r, GENET_AUDIT_EXIF_TURNED, "a/turned.jpg", NULL, "orientation 6");
    found(r, GENET_AUDIT_TINY, "a/small.jpg", NULL, "31 x 31");
    found(r, GENET_AUDIT_EXTREME_ASPECT, "a/long.jpg", NULL, "33 x 133");
    found(r, GENET_AUDIT_WRONG_NAME, "a/name.png", NULL, "JPEG");
    found(r, GENET_AUDIT_EMPTY_CLASS, "empty", NULL, NULL);
    found(r, GENET_AUDIT_TINY_CLASS, "b", NULL, "3 images");
    assert_int_equal(r->finding_count, 11);
    assert_int_equal(r->counts[GENET_AUDIT_BROKEN], 3);
    for (int64_t i = 1; i < r->finding_count; i++)
        assert_true(r->findings[i - 1].kind <= r->findings[i].kind);
    genet_audit_report_free(r);
}

static void repeats(void **state)
{
    (void)state;
    char *train = gn_strdup(made_path(folder, "train")), *val = gn_strdup(made_path(folder, "val"));
    products(made_path(train, "a"), 0, 12);
    products(made_path(train, "b"), 12, 12);
    products(made_path(val, "a"), 24, 2);
    products(made_path(val, "c"), 26, 2);
    copy(made_path(train, "a/03.jpg"), made_path(train, "a/copy.jpg"));
    product(made_path(train, "a/smaller.jpg"), 4, 48, 60); /* the picture of a/04.jpg, scaled and compressed anew */
    copy(made_path(train, "a/05.jpg"), made_path(train, "b/labelled-twice.jpg"));
    product(made_path(train, "b/scaled.jpg"), 6, 96, 80);
    copy(made_path(train, "b/07.jpg"), made_path(val, "a/leak.jpg")); /* in both sets, and under two classes */
    product(made_path(val, "a/leak-scaled.jpg"), 8, 96, 80);
    genet_audit_report *r = audited(train, val, NULL);
    found(r, GENET_AUDIT_DUPLICATE, "a/copy.jpg", "a/03.jpg", "same bytes");
    found(r, GENET_AUDIT_SAME_PICTURE, "a/smaller.jpg", "a/04.jpg", "of 64 bits");
    found(r, GENET_AUDIT_TWO_LABELS, "b/labelled-twice.jpg", "a/05.jpg", "same bytes");
    found(r, GENET_AUDIT_TWO_LABELS, "b/scaled.jpg", "a/06.jpg", "of 64 bits");
    found(r, GENET_AUDIT_LEAK, "a/leak.jpg", "b/07.jpg", "same bytes");
    found(r, GENET_AUDIT_TWO_LABELS, "a/leak.jpg", "b/07.jpg", "same bytes");
    found(r, GENET_AUDIT_LEAK, "a/leak-scaled.jpg", "a/08.jpg", "of 64 bits");
    found(r, GENET_AUDIT_FOREIGN_CLASS, "c", NULL, NULL);
    found(r, GENET_AUDIT_MISSING_CLASS, "b", NULL, NULL);
    assert_int_equal(r->finding_count, 9);
    genet_audit_report_free(r);
    gn_free(train);
    gn_free(val);
}

/* The buckets find what comparing all pairs finds. */
static void twins_by_brute_force(void **state)
{
    (void)state;
    enum { N = 3000 };
    gn_audit_image *images = gn_calloc(N, sizeof *images);
    gn_audit_twins *twins = gn_calloc(N, sizeof *twins);
    int pairs = 0, crossed = 0;
    srand(1);
    for (int i = 0; i < N; i++) {
        gn_audit_image *im = &images[i];
        im->decoded = i % 50 != 0;
        im->picture.flat = i % 31 == 0;
        im->label = rand() % 3;
        snprintf(im->sha, sizeof im->sha, "%064d", rand() % (4 * N));
        im->picture.bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
        if (i > 10 && rand() % 3 == 0) /* near an earlier one: 0 to 6 bits away */
            for (int k = (im->picture.bits = images[rand() % i].picture.bits, rand() % 7); k > 0; k--)
                im->picture.bits ^= (uint64_t)1 << rand() % 64;
    }
    assert_int_equal(gn_audit_find_twins(images, N, 3, twins, NULL), GENET_OK);
    for (int i = 0; i < N; i++) {
        int64_t want[4] = {-1, -1, -1, -1};
        for (int j = i - 1; j >= 0; j--) {
            bool bytes = strcmp(images[i].sha, images[j].sha) == 0, differs = images[i].label != images[j].label;
            bool same = images[i].decoded && images[j].decoded &&
                        gn_picture_hash_same(&images[i].picture, &images[j].picture);
            if (bytes)
                want[0] = j;
            if (bytes && differs)
                want[1] = j;
            if (same)
                want[2] = j;
            if (same && differs)
                want[3] = j;
        }
        assert_int_equal(twins[i].same_bytes, want[0]);
        assert_int_equal(twins[i].same_bytes_other_class, want[1]);
        assert_int_equal(twins[i].same_picture, want[2]);
        assert_int_equal(twins[i].same_picture_other_class, want[3]);
        pairs += want[2] >= 0;
        crossed += want[3] >= 0;
    }
    assert_true(pairs > 300 && crossed > 200);
    gn_free(images);
    gn_free(twins);
}

static genet_status held(const char *manifest, const gn_dataset *d, bool whole, genet_error *err)
{
    return gn_manifest_check(manifest, GN_MANIFEST_DATA, d, whole, 2, NULL, NULL, err);
}

/* The set of `train` differs from the manifest, and the error says how. */
static void differs(const char *manifest, const char *train, const char *how, const char *name)
{
    gn_dataset *d = opened(train, NULL);
    genet_error err = {0};
    assert_int_equal(held(manifest, d, true, &err), GENET_DATA);
    if (!strstr(err.text, how) || !strstr(err.text, name))
        fail_msg("'%s' and '%s' are not in: %s", how, name, err.text);
    gn_dataset_free(d);
}

static void manifest_notices(void **state)
{
    (void)state;
    char *train = gn_strdup(made_path(folder, "train")), *manifest = gn_strdup(made_path(folder, "photos.manifest"));
    products(made_path(train, "a"), 0, 4);
    products(made_path(train, "b\t%%\n"), 4, 4);
    made_file(made_path(train, "a/empty.jpg"), "", 0);
    genet_audit_report_free(audited(train, "", manifest));
    gn_dataset *d = opened(train, NULL);
    genet_error err = {0};
    if (held(manifest, d, true, &err) != GENET_OK)
        fail_msg("%s", err.text);
    gn_dataset_options capped = {.cap_all = 2};
    gn_dataset *few = opened(train, &capped);
    assert_int_equal(held(manifest, few, false, &err), GENET_OK);
    assert_int_equal(held(manifest, few, true, &err), GENET_DATA);
    gn_dataset_free(few);
    gn_dataset_free(d);

    unsigned char *bytes;
    size_t n;
    const char *path = made_path(train, "a/02.jpg");
    assert_int_equal(gn_file_read(path, 100000, &bytes, &n, NULL), GENET_OK);
    bytes[n / 2] ^= 1; /* of the same size */
    made_file(path, bytes, n);
    differs(manifest, train, "1 changed", "a/02.jpg");
    bytes[n / 2] ^= 1;
    made_file(path, bytes, n - 1);
    differs(manifest, train, "1 changed", "a/02.jpg");
    made_file(path, bytes, n);
    made_file(made_path(train, "a/new.jpg"), bytes, n);
    differs(manifest, train, "1 not in it", "a/new.jpg");
    assert_int_equal(unlink(made_path(train, "a/new.jpg")), 0);
    assert_int_equal(rename(made_path(train, "a/03.jpg"), made_path(train, "b\t%%\n/03a.jpg")), 0);
    differs(manifest, train, "1 of it gone", "a/03.jpg");
    differs(manifest, train, "1 not in it", "03a.jpg");
    assert_int_equal(rename(made_path(train, "b\t%%\n/03a.jpg"), made_path(train, "a/03.jpg")), 0);
    d = opened(train, NULL);
    assert_int_equal(held(manifest, d, true, &err), GENET_OK);
    assert_int_equal(gn_manifest_check(manifest, GN_MANIFEST_VAL, d, true, 1, NULL, NULL, &err), GENET_DATA);
    assert_non_null(strstr(err.text, "part 'val'"));
    gn_dataset_free(d);
    gn_free(bytes);
    gn_free(train);
    gn_free(manifest);
}

static void manifest_notices_labels(void **state)
{
    (void)state;
    char *list = gn_strdup(made_path(folder, "list.txt")), *manifest = gn_strdup(made_path(folder, "m"));
    products(made_path(folder, "img"), 0, 3);
    made_text(list, "img/00.jpg,a\nimg/01.jpg,b\nimg/02.jpg,b\n");
    genet_audit_report_free(audited(list, "", manifest));
    made_text(list, "img/00.jpg,a\nimg/01.jpg,a\nimg/02.jpg,b\n");
    differs(manifest, list, "1 of another class", "img/01.jpg");
    gn_free(list);
    gn_free(manifest);
}

static void damaged_manifests(void **state)
{
    (void)state;
    products(made_path(folder, "set/a"), 0, 2);
    char *set = gn_strdup(made_path(folder, "set")), *manifest = gn_strdup(made_path(folder, "m"));
    genet_audit_report_free(audited(set, "", manifest));
    gn_dataset *d = opened(set, NULL);
    unsigned char *bytes;
    size_t n;
    genet_error err = {0};
    assert_int_equal(gn_file_read(manifest, 100000, &bytes, &n, NULL), GENET_OK);
    for (size_t cut = 0; cut < n; cut++) { /* every beginning of it is refused */
        made_file(manifest, bytes, cut);
        assert_int_equal(held(manifest, d, true, &err), GENET_DATA);
    }
    for (size_t i = 0; i < n; i++) { /* and so is every change of one byte */
        unsigned char old = bytes[i];
        bytes[i] = old == '\t' ? ' ' : '\t';
        made_file(manifest, bytes, n);
        assert_int_equal(held(manifest, d, true, &err), GENET_DATA);
        bytes[i] = old;
    }
    assert_int_equal(held(made_path(folder, "nothing"), d, true, &err), GENET_IO);
    gn_free(bytes);
    gn_dataset_free(d);
    gn_free(set);
    gn_free(manifest);
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (int k = 0; k < GENET_AUDIT_KINDS; k++) {
        assert_true(strlen(genet_audit_name((genet_audit_kind)k)) > 2);
        assert_true(strlen(genet_audit_text((genet_audit_kind)k)) > 5);
    }
    assert_null(genet_audit_name(GENET_AUDIT_KINDS));
    assert_null(genet_audit_text((genet_audit_kind)-1));
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ONE(clean_set), ONE(odd_pictures), ONE(repeats), ONE(twins_by_brute_force), ONE(manifest_notices),
        ONE(manifest_notices_labels), ONE(damaged_manifests), ONE(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
