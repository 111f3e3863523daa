/* SPDX-License-Identifier: Apache-2.0
 * Class folders: names, order, what is ignored, expected classes, caps, splits, and the errors of unusable folders. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

static void sorted_classes(void **state)
{
    (void)state;
    const char *const names[] = {"pear", "Zebra", "apple", "\xc3\xa4pfel", "apple2", "empty", NULL};
    const int counts[] = {3, 1, 2, 1, 1, 0};
    made_set(folder, names, counts);
    gn_dataset *d = opened(folder, NULL);
    const char *const order[] = {"Zebra", "apple", "apple2", "empty", "pear", "\xc3\xa4pfel"};
    const int64_t images[] = {1, 2, 1, 0, 3, 1};
    assert_int_equal(d->class_count, 6);
    for (int c = 0; c < 6; c++) {
        assert_string_equal(d->classes[c], order[c]);
        assert_int_equal(d->class_total[c], images[c]);
        assert_int_equal(d->class_kept[c], images[c]);
    }
    assert_int_equal(d->count, 8);
    for (int64_t i = 1; i < d->count; i++) {
        assert_true(d->samples[i - 1].label <= d->samples[i].label);
        if (d->samples[i - 1].label == d->samples[i].label)
            assert_true(strcmp(d->samples[i - 1].name, d->samples[i].name) < 0);
    }
    assert_string_equal(d->samples[0].name, "Zebra/000.jpg");
    assert_int_equal(strncmp(d->samples[0].path, folder, strlen(folder)), 0);
    gn_text missing = {0};
    assert_int_equal(gn_dataset_missing_classes(d, &missing), 1);
    assert_string_equal(missing.data, "empty");
    gn_text_free(&missing);
    assert_int_equal(gn_dataset_check_training(d, NULL), GENET_OK);
    gn_dataset_free(d);
}

static void any_bytes_in_names(void **state)
{
    (void)state;
    made_jpeg(made_path(folder, "new\nline/\xff\xfe.jpg"), 8, 8, 1);
    made_jpeg(made_path(folder, "'quo\"te\\/ spaced name .png"), 8, 8, 2); /* a JPEG called .png */
    made_jpeg(made_path(folder, "\x01%%s%%n/no-extension"), 8, 8, 3);
    gn_dataset *d = opened(folder, NULL);
    assert_int_equal(d->class_count, 3);
    assert_string_equal(d->classes[0], "\x01%s%n");
    assert_string_equal(d->classes[1], "'quo\"te\\");
    assert_string_equal(d->classes[2], "new\nline");
    unsigned char *bytes = NULL;
    size_t capacity = 0, n;
    for (int64_t i = 0; i < d->count; i++) {
        assert_int_equal(gn_sample_read(&d->samples[i], &bytes, &capacity, &n, NULL), GENET_OK);
        assert_int_equal(n, d->samples[i].size);
        assert_int_equal(bytes[0], 0xff);
    }
    gn_free(bytes);
    gn_dataset_free(d);
}

static void ignored_files(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", NULL};
    const int counts[] = {2, 2};
    made_set(folder, names, counts);
    const char *const junk[] = {".DS_Store", "a/.DS_Store", "a/._000.jpg", "a/Thumbs.db", "a/thumbs.DB", "b/desktop.ini",
                                "b/.hidden.jpg"};
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++)
        made_text(made_path(folder, "%s", junk[i]), "x");
    made_jpeg(made_path(folder, ".ipynb_checkpoints/1.jpg"), 8, 8, 1);
    made_jpeg(made_path(folder, "a/.ipynb_checkpoints/000-checkpoint.jpg"), 8, 8, 1);
    made_text(made_path(folder, "README.txt"), "x");
    gn_dataset *d = opened(folder, NULL);
    assert_int_equal(d->class_count, 2);
    assert_int_equal(d->count, 4);
    assert_int_equal(d->ignored, 9);
    assert_int_equal(d->loose, 1);
    gn_dataset_free(d);
}

static void links(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", NULL};
    const int counts[] = {1, 1};
    made_set(folder, names, counts);
    char *elsewhere = made_begin();
    made_jpeg(made_path(elsewhere, "x.jpg"), 8, 8, 9);
    assert_int_equal(symlink(made_path(elsewhere, "x.jpg"), made_path(folder, "a/link.jpg")), 0);
    assert_int_equal(symlink(elsewhere, made_path(folder, "c")), 0);
    assert_int_equal(symlink("..", made_path(folder, "a/up")), 0);
    assert_int_equal(symlink(".", made_path(folder, "b/here")), 0);
    assert_int_equal(symlink("gone.jpg", made_path(folder, "b/dangling.jpg")), 0);
    assert_int_equal(mkfifo(made_path(folder, "a/pipe"), 0600), 0);
    gn_dataset *d = opened(folder, NULL);
    assert_int_equal(d->class_count, 3);
    assert_int_equal(d->class_total[0], 2);
    assert_int_equal(d->class_total[1], 2);
    assert_int_equal(d->class_total[2], 1);
    assert_int_equal(d->absent, 1);
    assert_int_equal(d->ignored, 3); /* two loops, one pipe */
    unsigned char *bytes = NULL;
    size_t capacity = 0, n;
    genet_error err = {0};
    assert_string_equal(d->samples[3].name, "b/dangling.jpg");
    assert_int_equal(gn_sample_read(&d->samples[3], &bytes, &capacity, &n, &err), GENET_IO);
    assert_non_null(strstr(err.text, "cannot be opened"));
    gn_dataset_free(d);
    made_end(elsewhere);
}

static void nested_by_path_and_leaf(void **state)
{
    (void)state;
    made_jpeg(made_path(folder, "Fruit/Apple/Granny/1.jpg"), 8, 8, 1);
    made_jpeg(made_path(folder, "Fruit/Apple/Pink/1.jpg"), 8, 8, 2);
    made_jpeg(made_path(folder, "Veg/Onion/1.jpg"), 8, 8, 3);
    made_text(made_path(folder, "Veg/README"), "notes on vegetables"); /* beside class folders, and no image */
    gn_dataset *d = opened(folder, NULL);
    assert_int_equal(d->class_count, 3);
    assert_string_equal(d->classes[0], "Fruit/Apple/Granny");
    assert_string_equal(d->classes[2], "Veg/Onion");
    assert_int_equal(d->loose, 1);
    gn_dataset_free(d);
    gn_dataset_options leaf = {.leaf_names = true};
    d = opened(folder, &leaf);
    assert_int_equal(d->class_count, 3);
    assert_string_equal(d->classes[0], "Granny");
    assert_string_equal(d->classes[1], "Onion");
    gn_dataset_free(d);

    made_jpeg(made_path(folder, "Fruit/5.jpg"), 8, 8, 3); /* an image beside class folders is a class of its own */
    made_jpeg(made_path(folder, "Dried/Onion/1.jpg"), 8, 8, 4);
    d = opened(folder, NULL);
    assert_int_equal(d->class_count, 5);
    assert_string_equal(d->classes[1], "Fruit");
    gn_dataset_free(d);
    refused(folder, &leaf, GENET_DATA, "'Dried/Onion'", "'Veg/Onion'", "--merge-classes", "--class-names path", NULL);
    leaf.merge_classes = true;
    d = opened(folder, &leaf);
    assert_int_equal(d->class_count, 4);
    assert_string_equal(d->classes[2], "Onion");
    assert_int_equal(d->class_total[2], 2);
    gn_dataset_free(d);
}

static void expected_classes(void **state)
{
    (void)state;
    const char *const names[] = {"pear", "apple", "new", NULL};
    const int counts[] = {2, 1, 0};
    made_set(folder, names, counts);
    const char *const model[] = {"plum", "pear", "apple"}; /* any order: the model's stays */
    gn_dataset_options o = {.expect_classes = model, .expect_count = 3, .expect_owner = "the model m.safetensors"};
    gn_dataset *d = opened(folder, &o); /* 'new' is unknown, but empty */
    assert_int_equal(d->class_count, 3);
    for (int c = 0; c < 3; c++)
        assert_string_equal(d->classes[c], model[c]);
    assert_int_equal(d->samples[0].label, 1);
    assert_int_equal(d->samples[2].label, 2);
    assert_int_equal(d->class_total[0], 0);
    gn_text missing = {0};
    assert_int_equal(gn_dataset_missing_classes(d, &missing), 1);
    assert_string_equal(missing.data, "plum");
    gn_text_free(&missing);
    gn_dataset_free(d);
    made_jpeg(made_path(folder, "new/1.jpg"), 8, 8, 7);
    refused(folder, &o, GENET_MISMATCH, "'new'", "the model m.safetensors", "'plum'", "rename", NULL);
}

static void expected_by_leaf(void **state)
{
    (void)state;
    made_jpeg(made_path(folder, "Fruit/Apple/1.jpg"), 8, 8, 1);
    made_jpeg(made_path(folder, "Veg/Onion/1.jpg"), 8, 8, 2);
    const char *const leaves[] = {"Apple", "Onion"}, *const paths[] = {"Fruit/Apple", "Veg/Onion"},
                      *const moved[] = {"Fruit/Apple", "Vegetables/Onion"};
    gn_dataset_options o = {.expect_classes = leaves, .expect_count = 2};
    refused(folder, &o, GENET_MISMATCH, "--class-names leaf makes them fit", NULL);
    o.leaf_names = true;
    gn_dataset_free(opened(folder, &o));
    o.expect_classes = paths;
    refused(folder, &o, GENET_MISMATCH, "--class-names path makes them fit", NULL);
    o.leaf_names = false;
    gn_dataset_free(opened(folder, &o));
    o.expect_classes = moved;
    refused(folder, &o, GENET_MISMATCH, "'Veg/Onion'", "'Vegetables/Onion'", "trained with --class-names leaf", NULL);
}

static void caps(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", "other", NULL};
    const int counts[] = {5, 3, 40};
    made_set(folder, names, counts);
    const char *const list[] = {"other=7", "a=2"};
    gn_dataset_options o = {.caps = list, .cap_count = 2, .seed = 5};
    gn_dataset *d = opened(folder, &o), *again = opened(folder, &o);
    assert_int_equal(d->count, 2 + 3 + 7);
    assert_int_equal(d->class_total[2], 40);
    assert_int_equal(d->class_kept[2], 7);
    for (int64_t i = 0; i < d->count; i++)
        assert_string_equal(d->samples[i].name, again->samples[i].name);
    assert_true(d->identity == again->identity);
    o.seed = 6;
    gn_dataset *other = opened(folder, &o);
    assert_int_equal(other->count, d->count);
    assert_true(other->identity != d->identity);
    /* With more images of the class, most of the drawn ones stay: the draw is by name. */
    o.seed = 5;
    for (int i = 40; i < 44; i++)
        made_jpeg(made_path(folder, "other/%03d.jpg", i), 8, 8, (unsigned)i);
    gn_dataset *grown = opened(folder, &o);
    int same = 0;
    for (int64_t i = 5; i < d->count; i++)
        for (int64_t j = 5; j < grown->count; j++)
            same += strcmp(d->samples[i].name, grown->samples[j].name) == 0;
    assert_true(same >= 3);
    gn_dataset_free(grown);
    gn_dataset_free(other);
    gn_dataset_free(again);
    gn_dataset_free(d);

    gn_dataset_options all = {.cap_all = 4, .caps = list, .cap_count = 1};
    d = opened(folder, &all);
    assert_int_equal(d->class_kept[0], 4);
    assert_int_equal(d->class_kept[1], 3);
    assert_int_equal(d->class_kept[2], 7); /* its own cap wins */
    gn_dataset_free(d);
    const char *const wrong[] = {"othr=7", "a", "a=", "a=0", "a=-3", "a=3x", "=4", "a=99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        gn_dataset_options bad = {.caps = wrong + i, .cap_count = 1};
        refused(folder, &bad, GENET_USAGE, wrong[i], i ? "CLASS=N" : "did you mean 'other'", NULL);
    }
}

static void split(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", "c", "d", "e", NULL};
    const int counts[] = {20, 2, 1, 0, 7};
    const int64_t held[] = {4, 1, 0, 0, 1};
    made_set(folder, names, counts);
    gn_dataset *d = opened(folder, NULL), *h = NULL, *d2 = opened(folder, NULL), *h2 = NULL;
    assert_int_equal(gn_dataset_split(d, 0.2, 3, &h, NULL), GENET_OK);
    assert_int_equal(d->count + h->count, 30);
    for (int c = 0; c < 5; c++) {
        assert_int_equal(h->class_kept[c], held[c]);
        assert_int_equal(d->class_kept[c] + h->class_kept[c], counts[c]);
        assert_string_equal(h->classes[c], names[c]);
    }
    for (int64_t i = 0; i < h->count; i++)
        for (int64_t j = 0; j < d->count; j++)
            assert_string_not_equal(h->samples[i].name, d->samples[j].name);
    assert_int_equal(gn_dataset_split(d2, 0.2, 3, &h2, NULL), GENET_OK);
    assert_true(h->identity == h2->identity && d->identity == d2->identity && d->identity != h->identity);
    gn_dataset_free(d); /* the part held out lives on its own */
    assert_string_equal(h->classes[0], "a");
    assert_int_equal(strncmp(h->samples[0].name, "a/", 2), 0);
    gn_dataset_free(h);
    gn_dataset_free(d2);
    gn_dataset_free(h2);
    d = opened(folder, NULL);
    assert_int_equal(gn_dataset_split(d, 0, 3, &h, NULL), GENET_USAGE);
    assert_int_equal(gn_dataset_split(d, 1, 3, &h, NULL), GENET_USAGE);
    gn_dataset_free(d);
}

static void identity(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", NULL};
    const int counts[] = {2, 2};
    made_set(folder, names, counts);
    gn_dataset *d = opened(folder, NULL);
    uint64_t before = d->identity;
    gn_dataset_free(d);
    d = opened(made_path(folder, "."), NULL); /* not where it lies, but what it holds */
    assert_true(d->identity == before);
    gn_dataset_free(d);
    assert_int_equal(rename(made_path(folder, "a/001.jpg"), made_path(folder, "a/002.jpg")), 0);
    d = opened(folder, NULL);
    assert_true(d->identity != before);
    gn_dataset_free(d);
    assert_int_equal(rename(made_path(folder, "a/002.jpg"), made_path(folder, "b/001a.jpg")), 0);
    assert_int_equal(rename(made_path(folder, "b/001a.jpg"), made_path(folder, "a/001.jpg")), 0);
    d = opened(folder, NULL);
    assert_true(d->identity == before);
    gn_dataset_free(d);
    made_text(made_path(folder, "a/001.jpg"), "other bytes");
    d = opened(folder, NULL);
    assert_true(d->identity != before);
    gn_dataset_free(d);
}

static void unusable(void **state)
{
    (void)state;
    refused("", NULL, GENET_USAGE, "--data", NULL);
    refused(made_path(folder, "nothing"), NULL, GENET_IO, "does not exist", NULL);
    refused(made_path(folder, "no/where"), NULL, GENET_IO, "does not exist", "neither does the folder", NULL);
    refused(folder, NULL, GENET_DATA, "no images", "empty", NULL);
    assert_int_equal(gn_folder_make(made_path(folder, "classes/a"), NULL), GENET_OK);
    assert_int_equal(gn_folder_make(made_path(folder, "classes/b"), NULL), GENET_OK);
    refused(made_path(folder, "classes"), NULL, GENET_DATA, "2 class folders", "not one image", NULL);
    refused(made_path(folder, "clases"), NULL, GENET_IO, "did you mean", "classes", NULL);
    made_jpeg(made_path(folder, "flat/1.jpg"), 8, 8, 1);
    refused(made_path(folder, "flat"), NULL, GENET_DATA, "images but no class folders", "path, label", NULL);
    refused(made_path(folder, "flat/1.jpg"), NULL, GENET_DATA, "is one image", NULL);
    made_text(made_path(folder, "texts/1.txt"), "x");
    refused(made_path(folder, "texts"), NULL, GENET_DATA, "no images", NULL);
    made_jpeg(made_path(folder, "set/train/a/1.jpg"), 8, 8, 1);
    made_jpeg(made_path(folder, "set/Validation/a/1.jpg"), 8, 8, 1);
    refused(made_path(folder, "set"), NULL, GENET_DATA, "train/", "did you mean", "set/train'", NULL);
    made_jpeg(made_path(folder, "set/more/1.jpg"), 8, 8, 1);
    refused(made_path(folder, "set"), NULL, GENET_DATA, "several parts", NULL);
    made_jpeg(made_path(folder, "one/a/1.jpg"), 8, 8, 1);
    gn_dataset *d = opened(made_path(folder, "one"), NULL);
    genet_error err = {0};
    assert_int_equal(gn_dataset_check_training(d, &err), GENET_DATA);
    assert_non_null(strstr(err.text, "one class only ('a')"));
    gn_dataset_free(d);
    char deep[2048] = "deep";
    for (int i = 0; i < 60; i++)
        strcat(deep, "/d");
    made_jpeg(made_path(folder, "%s/1.jpg", deep), 8, 8, 1);
    refused(made_path(folder, "deep"), NULL, GENET_DATA, "folders deep", NULL);
}

static void unreadable_folder(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", NULL};
    const int counts[] = {1, 1};
    made_set(folder, names, counts);
    bool root = geteuid() == 0; /* root may read every folder: become nobody for a moment */
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(made_path(folder, "b"), 0), 0);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    refused(folder, NULL, GENET_IO, "cannot open", "/b'", NULL); /* never a class fewer without a word */
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(made_path(folder, "b"), 0700), 0);
}

static void reading_samples(void **state)
{
    (void)state;
    made_file(made_path(folder, "a/empty.jpg"), "", 0);
    made_text(made_path(folder, "b/1.jpg"), "hello");
    gn_dataset *d = opened(folder, NULL);
    unsigned char *bytes = NULL;
    size_t capacity = 0, n;
    genet_error err = {0};
    assert_int_equal(gn_sample_read(&d->samples[0], &bytes, &capacity, &n, &err), GENET_DATA);
    assert_string_equal(err.text, "is empty");
    assert_int_equal(gn_sample_read(&d->samples[1], &bytes, &capacity, &n, &err), GENET_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "hello", 5);
    gn_sample wide = d->samples[1];
    wide.bytes = 9; /* a file that has shrunk */
    assert_int_equal(gn_sample_read(&wide, &bytes, &capacity, &n, &err), GENET_IO);
    assert_non_null(strstr(err.text, "5 of 9"));
    wide.bytes = (uint64_t)1 << 40;
    assert_int_equal(gn_sample_read(&wide, &bytes, &capacity, &n, &err), GENET_DATA);
    assert_int_equal(truncate(d->samples[1].path, (off_t)2 << 30), 0);
    assert_int_equal(gn_sample_read(&d->samples[1], &bytes, &capacity, &n, &err), GENET_DATA); /* before memory is taken */
    assert_true(capacity < 4096);
    gn_free(bytes);
    gn_dataset_free(d);
}

/* No more file handles: never a reason to take good images for broken ones. */
static void out_of_handles(void **state)
{
    (void)state;
    made_jpeg(made_path(folder, "a/1.jpg"), 8, 8, 1);
    gn_dataset *d = opened(folder, NULL);
    struct rlimit before, none = {3, 3};
    unsigned char *bytes = NULL;
    size_t capacity = 0, n;
    genet_error err = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    genet_status status = gn_sample_read(&d->samples[0], &bytes, &capacity, &n, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, GENET_MEMORY);
    assert_int_equal(gn_sample_read(&d->samples[0], &bytes, &capacity, &n, &err), GENET_OK);
    gn_free(bytes);
    gn_dataset_free(d);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ONE(sorted_classes), ONE(any_bytes_in_names), ONE(ignored_files), ONE(links), ONE(nested_by_path_and_leaf),
        ONE(expected_classes), ONE(expected_by_leaf), ONE(caps), ONE(split), ONE(identity), ONE(unusable),
        ONE(unreadable_folder), ONE(reading_samples), ONE(out_of_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
