/* SPDX-License-Identifier: Apache-2.0
 * Statistics, their plot, and the drawn shelf. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/shelf_draw.h"
#include "genet/data.h"
#include "image/image.h"
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

static genet_config *config_for(const char *data)
{
    genet_config *c = NULL;
    assert_int_equal(genet_config_create(&c, NULL), GENET_OK);
    assert_int_equal(genet_config_set(c, "data", data, NULL), GENET_OK);
    return c;
}

static void count_progress(void *user, int64_t done, int64_t all)
{
    int64_t *last = user;
    assert_true(done >= *last && done <= all);
    *last = done;
}

static void counts(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b<&>", "empty", NULL};
    const int images[] = {40, 4, 0};
    made_set(folder, names, images);
    made_text(made_path(folder, "a/notes.jpg"), "no picture");
    made_text(made_path(folder, "a/.hidden"), "x");
    made_text(made_path(folder, "README"), "x");
    genet_config *c = config_for(folder);
    assert_int_equal(genet_config_set(c, "cap", "a=10", NULL), GENET_OK);
    genet_data_stats *s = NULL;
    genet_error err = {0};
    int64_t done = 0;
    if (genet_data_stats_read(c, count_progress, &done, &s, &err) != GENET_OK)
        fail_msg("%s", err.text);
    assert_int_equal(done, 14);
    assert_int_equal(s->images, 45);
    assert_int_equal(s->kept, 14);
    assert_int_equal(s->class_count, 3);
    assert_int_equal(s->empty_classes, 1);
    assert_int_equal(s->ignored_files, 1);
    assert_int_equal(s->loose_files, 1);
    assert_string_equal(s->classes[1].name, "b<&>");
    assert_int_equal(s->classes[0].images, 41);
    assert_int_equal(s->classes[0].kept, 10);
    assert_true(fabs(s->imbalance_before - 41 / 4.0) < 1e-12);
    assert_true(fabs(s->imbalance_after - 10 / 4.0) < 1e-12);
    assert_int_equal(s->jpeg + s->unreadable, 14);
    assert_int_equal(s->min_width, 24);
    assert_int_equal(s->max_width, 28);
    assert_int_equal(s->min_height, 20);
    assert_int_equal(s->max_height, 22);
    assert_true(s->median_width > 24 && s->median_width < 28);

    unsigned char *svg = NULL;
    size_t n;
    assert_int_equal(genet_data_stats_plot(s, made_path(folder, "p.svg"), &err), GENET_OK);
    assert_int_equal(gn_file_read(made_path(folder, "p.svg"), 1000000, &svg, &n, NULL), GENET_OK);
    assert_non_null(strstr((char *)svg, "b&lt;&amp;&gt;"));
    assert_non_null(strstr((char *)svg, "10 of 41"));
    assert_non_null(strstr((char *)svg, "logarithmic scale"));
    assert_non_null(strstr((char *)svg, "</svg>"));
    gn_free(svg);
    assert_int_equal(genet_data_stats_plot(s, made_path(folder, "no/such/p.svg"), &err), GENET_IO);
    genet_data_stats_free(s);
    genet_config_free(c);
    c = config_for(made_path(folder, "nothing"));
    assert_int_equal(genet_data_stats_read(c, NULL, NULL, &s, &err), GENET_IO);
    assert_null(s);
    genet_config_free(c);
}

static void many_classes(void **state)
{
    (void)state;
    enum { CLASSES = 400 };
    genet_data_class classes[CLASSES];
    char name[8 * CLASSES];
    for (int c = 0; c < CLASSES; c++) {
        snprintf(name + 8 * c, 8, "c%03d", c);
        classes[c] = (genet_data_class){name + 8 * c, c == 7 ? 0 : 1 + 10000 / (c + 1), c == 7 ? 0 : 1 + 1000 / (c + 1)};
    }
    genet_data_stats s = {.class_count = CLASSES, .classes = classes, .images = 66000, .kept = 7000};
    unsigned char *svg = NULL;
    size_t n;
    assert_int_equal(genet_data_stats_plot(&s, made_path(folder, "p.svg"), NULL), GENET_OK);
    assert_int_equal(gn_file_read(made_path(folder, "p.svg"), 1000000, &svg, &n, NULL), GENET_OK);
    assert_non_null(strstr((char *)svg, "most: c000 10,001"));
    assert_non_null(strstr((char *)svg, "fewest: c007 0"));
    assert_null(strstr((char *)svg, "nan"));
    assert_null(strstr((char *)svg, "inf"));
    gn_free(svg);
}

static void shelf(void **state)
{
    (void)state;
    genet_error err = {0};
    char *first = gn_strdup(made_path(folder, "shelf")), *second = gn_strdup(made_path(folder, "again"));
    if (genet_data_draw_shelf(first, 12, 400, 48, 3, &err) != GENET_OK)
        fail_msg("%s", err.text);
    assert_int_equal(genet_data_draw_shelf(second, 12, 400, 48, 3, &err), GENET_OK);
    gn_dataset *train = opened(made_path(first, "train"), NULL), *val = opened(made_path(first, "val"), NULL),
               *again = opened(made_path(second, "train"), NULL);
    assert_int_equal(train->count + val->count, 400);
    assert_int_equal(train->class_count, 12);
    assert_int_equal(val->class_count, 12);
    int64_t most = 0, fewest = 400;
    for (int c = 0; c < 12; c++) {
        most = train->class_total[c] > most ? train->class_total[c] : most;
        fewest = train->class_total[c] < fewest ? train->class_total[c] : fewest;
        assert_true(val->class_total[c] >= 2);
        assert_string_equal(train->classes[c], val->classes[c]);
    }
    assert_true(most >= 5 * fewest); /* a long tail */
    assert_true(train->identity == again->identity);
    unsigned char *bytes[2] = {NULL, NULL};
    size_t capacity[2] = {0, 0}, n[2];
    gn_image_info info;
    for (int64_t i = 0; i < train->count; i += 17) {
        assert_int_equal(gn_sample_read(&train->samples[i], &bytes[0], &capacity[0], &n[0], NULL), GENET_OK);
        assert_int_equal(gn_sample_read(&again->samples[i], &bytes[1], &capacity[1], &n[1], NULL), GENET_OK);
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(bytes[0], bytes[1], n[0]);
        assert_int_equal(gn_image_probe(bytes[0], n[0], &info, NULL), GENET_OK);
        assert_true(info.kind == GN_IMAGE_JPEG && info.width == 48 && info.height == 48);
    }
    assert_int_equal(genet_data_draw_shelf(first, 12, 400, 48, 3, &err), GENET_USAGE); /* never over what is there */
    assert_int_equal(genet_data_draw_shelf(second, 1, 400, 48, 3, &err), GENET_USAGE);
    assert_int_equal(genet_data_draw_shelf(second, 12, 47, 48, 3, &err), GENET_USAGE);
    assert_int_equal(genet_data_draw_shelf(second, 12, 400, 4, 3, &err), GENET_USAGE);
    for (int i = 0; i < 2; i++)
        gn_free(bytes[i]);
    gn_free(first);
    gn_free(second);
    gn_dataset_free(train);
    gn_dataset_free(val);
    gn_dataset_free(again);
}

static void shelf_names_differ(void **state)
{
    (void)state;
    for (int a = 0; a < GN_SHELF_MAX_CLASSES; a++)
        for (int b = 0; b < a; b++) {
            char x[64], y[64];
            gn_shelf_name(a, x);
            gn_shelf_name(b, y);
            assert_string_not_equal(x, y);
        }
}

/* Mean colour alone must not tell the products apart: the nearest class mean, learnt on 40 pictures of each. */
static void shelf_is_not_about_mean_colour(void **state)
{
    (void)state;
    enum { CLASSES = 12, LEARN = 40, ASK = 20, SIDE = 48 };
    float *canvas = gn_calloc(SIDE * SIDE * 6, sizeof *canvas);
    gn_image im = {0};
    double mean[CLASSES][3] = {{0}};
    int right = 0;
    assert_non_null(canvas);
    assert_int_equal(gn_image_resize_buffer(&im, SIDE, SIDE, NULL), GENET_OK);
    for (int number = 0; number < LEARN + ASK; number++)
        for (int c = 0; c < CLASSES; c++) {
            double sum[3] = {0}, best = 1e300;
            int found = -1;
            gn_shelf_draw(c, CLASSES, 9, (uint64_t)number, SIDE, canvas, &im);
            for (int i = 0; i < SIDE * SIDE * 3; i++)
                sum[i % 3] += im.rgb[i] / (double)(SIDE * SIDE);
            for (int k = 0; k < CLASSES; k++) {
                double d = 0;
                for (int i = 0; i < 3; i++)
                    d += pow(sum[i] - mean[k][i] / LEARN, 2);
                if (d < best) {
                    best = d;
                    found = k;
                }
            }
            for (int i = 0; i < 3 && number < LEARN; i++)
                mean[c][i] += sum[i];
            right += number >= LEARN && found == c;
        }
    print_message("mean colour alone: %.1f %% right of %d classes\n", 100.0 * right / (CLASSES * ASK), CLASSES);
    assert_true(right < CLASSES * ASK * 45 / 100);
    gn_free(canvas);
    gn_image_free(&im);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ONE(counts), ONE(many_classes), ONE(shelf), ONE(shelf_names_differ), ONE(shelf_is_not_about_mean_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
