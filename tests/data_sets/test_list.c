/* SPDX-License-Identifier: Apache-2.0
 * List files: fields, numbers as labels, bad lines, files that are not there. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "made.h"

static char *folder;

static int begin(void **state)
{
    (void)state;
    folder = made_begin();
    made_jpeg(made_path(folder, "img/1.jpg"), 8, 8, 1);
    made_jpeg(made_path(folder, "img/2.jpg"), 8, 8, 2);
    made_jpeg(made_path(folder, "img/with, comma.jpg"), 8, 8, 3);
    made_jpeg(made_path(folder, "img/say \"hi\".jpg"), 8, 8, 4);
    return 0;
}

static int end(void **state)
{
    (void)state;
    made_end(folder);
    return 0;
}

static gn_dataset *from(const char *text)
{
    made_text(made_path(folder, "list.txt"), text);
    return opened(made_path(folder, "list.txt"), NULL);
}

static void names_as_labels(void **state)
{
    (void)state;
    gn_dataset *d = from("\xef\xbb\xbfpath,label\r\n# a comment\r\n\r\n  img/2.jpg ,  pear  \r\nimg/1.jpg,apple,red,round\n"
                         "\"img/with, comma.jpg\",\"apple\"\nimg/say \"hi\".jpg\tpear, yellow");
    assert_int_equal(d->count, 4);
    assert_int_equal(d->class_count, 3);
    assert_string_equal(d->classes[0], "apple");
    assert_string_equal(d->classes[1], "pear");
    assert_string_equal(d->classes[2], "pear, yellow");
    assert_string_equal(d->samples[0].name, "img/1.jpg");
    assert_string_equal(d->samples[1].name, "img/with, comma.jpg");
    assert_string_equal(d->samples[3].name, "img/say \"hi\".jpg");
    assert_int_equal(d->absent, 0);
    unsigned char *bytes = NULL;
    size_t capacity = 0, n;
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(gn_sample_read(&d->samples[i], &bytes, &capacity, &n, NULL), GENET_OK);
    gn_free(bytes);
    gn_dataset_free(d);
}

static void quotes(void **state)
{
    (void)state;
    gn_dataset *d = from("\"img/say \"\"hi\"\".jpg\" , a\n\"img/1.jpg\",\" b \"\n");
    assert_string_equal(d->samples[1].name, "img/say \"hi\".jpg");
    assert_string_equal(d->classes[0], " b "); /* blanks inside quotes count */
    assert_string_equal(d->classes[1], "a");
    gn_dataset_free(d);
}

static void numbers_as_labels(void **state)
{
    (void)state;
    gn_dataset *d = from("img/1.jpg, 10, 0\nimg/2.jpg, 9, 0\nimg/1.jpg, 0, 0\n");
    assert_string_equal(d->classes[0], "0");
    assert_string_equal(d->classes[1], "9");
    assert_string_equal(d->classes[2], "10");
    gn_dataset_free(d);
    d = from("img/1.jpg, 10\nimg/2.jpg, 9\nimg/1.jpg, 09\n"); /* not all are plain numbers: by bytes, as names */
    assert_string_equal(d->classes[0], "09");
    assert_string_equal(d->classes[1], "10");
    assert_string_equal(d->classes[2], "9");
    gn_dataset_free(d);
    const char *const model[] = {"apple", "pear"};
    gn_dataset_options o = {.expect_classes = model, .expect_count = 2};
    made_text(made_path(folder, "list.txt"), "img/1.jpg,0\nimg/2.jpg,1\n");
    refused(made_path(folder, "list.txt"), &o, GENET_MISMATCH, "'0'", "numbers", "names into the list", NULL);
    const char *const numbered[] = {"0", "1", "2"};
    o = (gn_dataset_options){.expect_classes = numbered, .expect_count = 3};
    d = opened(made_path(folder, "list.txt"), &o);
    assert_int_equal(d->class_count, 3);
    gn_dataset_free(d);
}

static void bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *why;
    } cases[] = {
        {"img/1.jpg,a\nimg/2.jpg\n", "line 2", "no comma"},
        {"img/1.jpg,a\n\n#\nimg/2.jpg,  ,x\n", "line 4", "label is empty"},
        {",a\n", "line 1", "path is empty"},
        {"\"img/1.jpg,a\nimg/2.jpg,b\n", "line 1", "quote is not closed"},
        {"\"img/1.jpg\"x,a\n", "line 1", "closing quote"},
        {"img/1.jpg,a\none\ntwo\nthree\n", "line 2", "3 lines are wrong"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_text(made_path(folder, "list.txt"), cases[i].text);
        refused(made_path(folder, "list.txt"), NULL, GENET_DATA, "list.txt", cases[i].line, cases[i].why, NULL);
    }
    made_file(made_path(folder, "list.txt"), "img/1.jpg,a\nimg/\0.jpg,b\n", 25);
    refused(made_path(folder, "list.txt"), NULL, GENET_DATA, "line 2", "zero byte", NULL);
    made_text(made_path(folder, "list.txt"), "# nothing\n\n");
    refused(made_path(folder, "list.txt"), NULL, GENET_DATA, "lists no images", NULL);
    made_text(made_path(folder, "list.txt"), "");
    refused(made_path(folder, "list.txt"), NULL, GENET_DATA, "is empty", NULL);
}

static void absent_files(void **state)
{
    (void)state;
    gn_dataset *d = from("img/1.jpg,a\nimg/gone.jpg,a\nimg,b\n"); /* a folder is no image either */
    assert_int_equal(d->count, 3);
    assert_int_equal(d->absent, 2);
    gn_dataset_free(d);
    made_text(made_path(folder, "other/list.txt"), "img/1.jpg,a\nimg/2.jpg,a\n");
    refused(made_path(folder, "other/list.txt"), NULL, GENET_DATA, "not one of the 2 images", "other/img/1.jpg",
            "relative to the list's folder", NULL);
    char *text = gn_asprintf("%s/img/1.jpg,a\n../img/2.jpg,b\n", folder); /* absolute, and above */
    made_text(made_path(folder, "other/list.txt"), text);
    gn_free(text);
    d = opened(made_path(folder, "other/list.txt"), NULL);
    assert_int_equal(d->absent, 0);
    gn_dataset_free(d);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ONE(names_as_labels), ONE(quotes), ONE(numbers_as_labels), ONE(bad_lines), ONE(absent_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
