/* SPDX-License-Identifier: Apache-2.0
 * The Grocery Store photographs, read straight from their tar: real class folders whose names differ between parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "data/loader.h"
#include "made.h"

static const char *inside(const char *part)
{
    static char paths[4][4096];
    static int next;
    char *to = paths[next++ % 4];
    snprintf(to, 4096, "%s/grocery/%s", made_shared(), part);
    return to;
}

static gn_dataset *part(const char *name, bool leaf, const gn_dataset *expected)
{
    gn_dataset_options o = {.leaf_names = leaf};
    if (expected) {
        o.expect_classes = (const char *const *)expected->classes;
        o.expect_count = expected->class_count;
    }
    return opened(inside(name), &o);
}

static void classes_by_leaf(void **state)
{
    (void)state;
    if (!made_shared())
        skip();
    gn_dataset *train = part("train", true, NULL), *val = part("val", true, train), *test = part("test", true, train);
    gn_text names = {0};
    assert_int_equal(train->class_count, 81);
    assert_int_equal(val->class_count, 81);
    assert_int_equal(test->class_count, 81);
    assert_int_equal(train->count, 2640);
    assert_int_equal(val->count, 296);
    assert_int_equal(test->count, 2485);
    assert_int_equal(gn_dataset_missing_classes(train, NULL), 0);
    assert_int_equal(gn_dataset_missing_classes(test, NULL), 0);
    assert_int_equal(gn_dataset_missing_classes(val, &names), 21);
    assert_non_null(strstr(names.data, "(21 in all)"));
    int64_t most = 0, fewest = 1000;
    for (int c = 0; c < 81; c++) {
        most = train->class_total[c] > most ? train->class_total[c] : most;
        fewest = train->class_total[c] < fewest ? train->class_total[c] : fewest;
    }
    assert_int_equal(most, 70);
    assert_int_equal(fewest, 16);
    gn_text_free(&names);
    gn_dataset_free(train);
    gn_dataset_free(val);
    gn_dataset_free(test);
}

static void classes_by_path(void **state)
{
    (void)state;
    if (!made_shared())
        skip();
    gn_dataset *train = part("train", false, NULL), *test = part("test", false, NULL);
    int together = train->class_count;
    for (int c = 0; c < test->class_count; c++) {
        bool there = false;
        for (int k = 0; k < train->class_count; k++)
            there |= strcmp(test->classes[c], train->classes[k]) == 0;
        together += !there;
    }
    assert_int_equal(together, 82); /* one mushroom lies in different folders */
    gn_dataset_options o = {.expect_classes = (const char *const *)train->classes, .expect_count = train->class_count,
                            .expect_owner = "the training set"};
    refused(inside("test"), &o, GENET_MISMATCH, "1 class that the training set does not know", "Brown-Cap-Mushroom",
            "trained with --class-names leaf they would fit", NULL);
    gn_dataset_free(train);
    gn_dataset_free(test);
}

static void parts_are_no_classes(void **state)
{
    (void)state;
    if (!made_shared())
        skip();
    refused(made_shared(), NULL, GENET_DATA, "did you mean", "grocery.tar/grocery/train'", NULL);
}

static uint64_t first_batches(const gn_dataset *d, int threads)
{
    gn_loader_options o = {.batch = 32, .threads = threads, .training = true, .seed = 1};
    o.preprocess = (gn_preprocess){.size = 112, .exif = true, .crop_share = 0.875, .max_pixels = 10000000};
    o.augment = (gn_augment){.area = {0.08, 1}, .aspect = {0.75, 1.333}, .fast_decode = true, .flip = 0.5};
    gn_loader *l = NULL;
    genet_error err = {0};
    uint64_t h = GN_FNV_START;
    if (gn_loader_create(&l, d, &o, &err) != GENET_OK || gn_loader_seek(l, 2, 80, 6, &err) != GENET_OK)
        fail_msg("%s", err.text);
    for (int i = 0; i < 6; i++) {
        gn_batch *b;
        if (gn_loader_next(l, &b, NULL, &err) != GENET_OK)
            fail_msg("%s", err.text);
        h = gn_fnv1a(h, b->pixels, (size_t)32 * 112 * 112 * 3);
        h = gn_fnv1a(h, b->labels, 64 * sizeof *b->labels);
        gn_loader_release(l, b);
    }
    assert_int_equal(gn_loader_bad_count(l), 0);
    gn_loader_free(l);
    return h;
}

static void batches_of_photographs(void **state)
{
    (void)state;
    if (!made_shared())
        skip();
    gn_dataset *d = part("train", true, NULL);
    uint64_t one = first_batches(d, 1);
    assert_true(one == first_batches(d, 2));
    assert_true(one == first_batches(d, 5));
    gn_dataset_free(d);
}

/* The lists name the same photographs as the folders; here as a list beside an unpacked part. */
static void list_of_photographs(void **state)
{
    (void)state;
    if (!made_shared())
        skip();
    char *folder = made_begin();
    char *command = gn_asprintf("tar xf '%s' -C '%s' grocery/val grocery/val.txt", made_shared(), folder);
    int rc = system(command);
    gn_free(command);
    if (rc != 0) {
        print_message("skipped: no tar program\n");
        made_end(folder);
        skip();
    }
    gn_dataset *list = opened(made_path(folder, "grocery/val.txt"), NULL),
               *tree = opened(made_path(folder, "grocery/val"), NULL), *tar = part("val", false, NULL);
    assert_int_equal(list->count, 296);
    assert_int_equal(list->absent, 0);
    assert_int_equal(list->class_count, 60);
    assert_string_equal(list->classes[1], "1"); /* the fine label, as a number: by value */
    assert_string_equal(list->classes[list->class_count - 1], "80");
    assert_true(tree->identity == tar->identity);
    gn_dataset_free(list);
    gn_dataset_free(tree);
    gn_dataset_free(tar);
    made_end(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_by_leaf),       cmocka_unit_test(classes_by_path),
        cmocka_unit_test(parts_are_no_classes),  cmocka_unit_test(batches_of_photographs),
        cmocka_unit_test(list_of_photographs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
