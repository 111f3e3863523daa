/* SPDX-License-Identifier: Apache-2.0
 * Tar shards: pairs and class folders, offsets, patterns, and tar files that cannot be used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "made.h"

static char *folder;

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

static void add_image(made_tar *t, const char *name, unsigned number)
{
    size_t n;
    unsigned char *bytes = made_jpeg_bytes(16, 12, number, &n);
    made_tar_add(t, name, '0', bytes, n);
    gn_free(bytes);
}

static void add_text(made_tar *t, const char *name, const char *text)
{
    made_tar_add(t, name, '0', text, strlen(text));
}

/* Sample i of d holds exactly picture `number`. */
static void assert_picture(const gn_dataset *d, int64_t i, unsigned number)
{
    size_t n, got, capacity = 0;
    unsigned char *bytes = made_jpeg_bytes(16, 12, number, &n), *read = NULL;
    assert_int_equal(gn_sample_read(&d->samples[i], &read, &capacity, &got, NULL), GENET_OK);
    assert_int_equal(got, n);
    assert_memory_equal(read, bytes, n);
    gn_free(read);
    gn_free(bytes);
}

static void pairs(void **state)
{
    (void)state;
    made_tar t = {0};
    add_image(&t, "a/000.jpg", 1);
    add_text(&t, "a/000.cls", "pear\n");
    add_text(&t, "a/000.json", "{}");
    add_text(&t, "a/001.cls", " apple ");
    add_image(&t, "a/001.JPEG", 2);
    add_text(&t, "a/002.txt", "no picture");
    add_image(&t, "a/003.jpg", 3); /* no label */
    add_image(&t, "b.x/004.seg.png", 4); /* the key runs to the first dot of the last part */
    add_text(&t, "b.x/004.cls", "pear");
    add_text(&t, "._000.cls", "junk");
    made_tar_end(&t, made_path(folder, "x.tar"));
    gn_dataset *d = opened(made_path(folder, "x.tar"), NULL);
    assert_int_equal(d->count, 3);
    assert_int_equal(d->class_count, 2);
    assert_string_equal(d->classes[0], "apple");
    assert_string_equal(d->samples[0].name, "a/001.JPEG");
    assert_picture(d, 0, 2);
    assert_picture(d, 1, 1);
    assert_picture(d, 2, 4);
    assert_int_equal(d->loose, 2);
    assert_int_equal(d->ignored, 1);
    gn_dataset_free(d);
}

static void numbered_pairs_in_shards(void **state)
{
    (void)state;
    for (int s = 8; s < 12; s++) {
        made_tar t = {0};
        for (int i = 0; i < 3; i++) {
            char name[32], text[16];
            snprintf(name, sizeof name, "%d%d.jpg", s, i);
            add_image(&t, name, (unsigned)(s * 10 + i));
            snprintf(name, sizeof name, "%d%d.cls", s, i);
            snprintf(text, sizeof text, "%d", (s + i) % 12);
            add_text(&t, name, text);
        }
        made_tar_end(&t, made_path(folder, "s/shard-%02d.tar", s));
    }
    gn_dataset *d = opened(made_path(folder, "s/shard-{08..11}.tar"), NULL), *whole = opened(made_path(folder, "s"), NULL),
               *few = opened(made_path(folder, "s/shard-{0..0}{8..9}.tar"), NULL);
    assert_int_equal(d->count, 12);
    assert_true(d->identity == whole->identity);
    assert_int_equal(few->count, 6);
    assert_string_equal(d->classes[0], "0");
    assert_string_equal(d->classes[1], "1");
    assert_string_equal(d->classes[2], "8");
    assert_string_equal(d->classes[d->class_count - 1], "11"); /* by value */
    assert_string_equal(few->samples[0].name, "shard-08.tar/80.jpg");
    assert_picture(few, 0, 80);
    gn_dataset_free(d);
    gn_dataset_free(whole);
    gn_dataset_free(few);
    refused(made_path(folder, "s/shard-{08..12}.tar"), NULL, GENET_IO, "shard-12.tar", NULL);
    refused(made_path(folder, "s/shard-{a..b}.tar"), NULL, GENET_USAGE, "{000..012}", NULL);
    refused(made_path(folder, "s/shard-{0..99999999}.tar"), NULL, GENET_USAGE, "more than", NULL);
}

static void class_folders(void **state)
{
    (void)state;
    made_tar t = {0};
    made_tar_add(&t, "./photos/", '5', NULL, 0);
    made_tar_add(&t, "./photos/empty/", '5', NULL, 0);
    made_tar_add(&t, "./photos/Fruit/", '5', NULL, 0);
    add_text(&t, "./photos/README", "hello");
    add_text(&t, "./photos/Fruit/notes.txt", "beside class folders");
    add_image(&t, "./photos/Fruit/Apple/1.jpg", 1);
    add_image(&t, "./photos/Veg/Onion/1", 2);
    add_image(&t, "./photos/Veg/Onion/2.png", 3);
    add_image(&t, "./photos/Veg/9.jpg", 4);
    add_image(&t, "./photos/.cache/x/9.jpg", 4);
    made_tar_add(&t, "./photos/Veg/link.jpg", '1', NULL, 0);
    made_tar_end(&t, made_path(folder, "photos.tar"));
    gn_dataset *d = opened(made_path(folder, "photos.tar"), NULL);
    const char *const names[] = {"Fruit/Apple", "Veg", "Veg/Onion", "empty"};
    const int64_t counts[] = {1, 1, 2, 0};
    assert_int_equal(d->class_count, 4);
    for (int c = 0; c < 4; c++) {
        assert_string_equal(d->classes[c], names[c]);
        assert_int_equal(d->class_total[c], counts[c]);
    }
    assert_int_equal(d->loose, 3); /* README, notes, the hard link */
    assert_int_equal(d->ignored, 1);
    assert_string_equal(d->samples[3].name, "Veg/Onion/2.png");
    assert_picture(d, 3, 3);
    gn_dataset_free(d);
    gn_dataset_options leaf = {.leaf_names = true};
    d = opened(made_path(folder, "photos.tar//photos/Veg/"), &leaf); /* a folder inside */
    assert_int_equal(d->class_count, 1);
    assert_string_equal(d->classes[0], "Onion");
    assert_int_equal(d->loose, 2); /* the link, and 9.jpg, which lies beside the class folders now */
    gn_dataset_free(d);
    refused(made_path(folder, "photos.tar/nothing"), NULL, GENET_DATA, "no class folders", "below 'nothing'", NULL);
}

static void the_same_as_a_folder(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", "c d", NULL};
    const int counts[] = {3, 2, 0};
    made_set(made_path(folder, "set"), names, counts);
    char *command = gn_asprintf("cd '%s' && tar cf plain.tar -C set . && tar --format=pax -cf pax.tar set", folder);
    int rc = system(command);
    gn_free(command);
    if (rc != 0) {
        print_message("skipped: no tar program\n");
        skip();
    }
    gn_dataset *d = opened(made_path(folder, "set"), NULL), *plain = opened(made_path(folder, "plain.tar"), NULL),
               *pax = opened(made_path(folder, "pax.tar"), NULL);
    assert_true(d->identity == plain->identity);
    assert_true(d->identity == pax->identity);
    assert_int_equal(pax->class_count, 3);
    gn_dataset_free(d);
    gn_dataset_free(plain);
    gn_dataset_free(pax);
}

static void any_bytes_in_names(void **state)
{
    (void)state;
    char *command = gn_asprintf("cd '%s' && tar --format=pax -cf pax.tar x && tar --format=gnu -cf gnu.tar x", folder);
    char longer[201];
    memset(longer, 'n', 200);
    longer[200] = '\0';
    made_jpeg(made_path(folder, "x/\xc3\xa4pfel/1.jpg"), 16, 12, 1);
    made_jpeg(made_path(folder, "x/\xff\xfe\n/%s.jpg", longer), 16, 12, 2);
    int rc = system(command);
    gn_free(command);
    if (rc != 0) {
        print_message("skipped: no tar program\n");
        skip();
    }
    const char *const files[] = {"pax.tar", "gnu.tar"};
    for (int i = 0; i < 2; i++) {
        gn_dataset *d = opened(made_path(folder, "%s", files[i]), NULL);
        assert_int_equal(d->class_count, 2);
        assert_string_equal(d->classes[0], "\xc3\xa4pfel");
        assert_string_equal(d->classes[1], "\xff\xfe\n");
        assert_int_equal(strlen(d->samples[1].name), 3 + 1 + 204);
        assert_picture(d, 0, 1);
        assert_picture(d, 1, 2);
        gn_dataset_free(d);
    }
}

static void unusable(void **state)
{
    (void)state;
    made_file(made_path(folder, "x.tar"), "\x1f\x8b\x08\x00 and so on", 14);
    refused(made_path(folder, "x.tar"), NULL, GENET_DATA, "compressed (gzip)", "unpack", NULL);
    made_file(made_path(folder, "x.tar.zst"), "\x28\xb5\x2f\xfd and so on", 14);
    refused(made_path(folder, "x.tar.zst"), NULL, GENET_DATA, "compressed (zstd)", NULL);
    made_tar t = {0};
    add_image(&t, "a/1.jpg", 1);
    add_image(&t, "a/2.jpg", 2);
    made_tar_end(&t, made_path(folder, "cut.tar"));
    assert_int_equal(truncate(made_path(folder, "cut.tar"), 512 + 1024 + 512 + 100), 0);
    refused(made_path(folder, "cut.tar"), NULL, GENET_DATA, "cut.tar", "cut off", NULL);
    add_text(&t, "1.cls", "a"); /* labels, and no picture */
    made_tar_end(&t, made_path(folder, "l.tar"));
    refused(made_path(folder, "l.tar"), NULL, GENET_DATA, "no image beside", NULL);
    add_image(&t, "1.jpg", 1);
    add_text(&t, "1.cls", " \n");
    made_tar_end(&t, made_path(folder, "e.tar"));
    refused(made_path(folder, "e.tar"), NULL, GENET_DATA, "1.cls", "no label", NULL);
    add_image(&t, "1.jpg", 1);
    made_tar_end(&t, made_path(folder, "flat.tar"));
    refused(made_path(folder, "flat.tar"), NULL, GENET_DATA, "no class folders", NULL);
    add_image(&t, "set/train/a/1.jpg", 1);
    add_image(&t, "set/val/a/1.jpg", 1);
    made_tar_end(&t, made_path(folder, "s.tar"));
    refused(made_path(folder, "s.tar"), NULL, GENET_DATA, "did you mean", "s.tar/set/train'", NULL);
    gn_dataset_free(opened(made_path(folder, "s.tar/set/train"), NULL));
    char deep[100] = "";
    for (int i = 0; i < 48; i++)
        strcat(deep, "d/");
    add_image(&t, deep, 1);
    t.bytes[t.n - 1] = 0;
    made_tar_end(&t, made_path(folder, "deep.tar"));
    refused(made_path(folder, "deep.tar"), NULL, GENET_DATA, "longer than", NULL);
    made_tar_add(&t, "a/b.jpg", '0', "x", 1);
    snprintf((char *)t.bytes + 124, 12, "77777777777"); /* a size far beyond the file; the checksum no longer fits */
    made_tar_end(&t, made_path(folder, "sum.tar"));
    refused(made_path(folder, "sum.tar"), NULL, GENET_DATA, "sum.tar", NULL);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ONE(pairs), ONE(numbered_pairs_in_shards), ONE(class_folders), ONE(the_same_as_a_folder),
        ONE(any_bytes_in_names), ONE(unusable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
