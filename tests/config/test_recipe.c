/* SPDX-License-Identifier: Apache-2.0
 * Recipes: what is read, what wins, and that each mistake is named with its line. The recipes of the project are read
 * too. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "config/settings.h"

static genet_status parse(gn_settings *s, const char *text, genet_error *err)
{
    return gn_settings_parse_recipe(s, "r.yaml", (const unsigned char *)text, strlen(text), err);
}

static void reading(void **state)
{
    (void)state;
    gn_settings *s = NULL;
    genet_error err = {0};
    assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
    genet_status status = parse(s,
                                "# a comment\n"
                                "epochs: 150          # another\n"
                                "rate: 8.0e-1\n"
                                "schedule: linear\n"
                                "exif: no\n"
                                "strict: true\n"
                                "data: \"a b\\u00e9\"\n"
                                "out:\n"
                                "cap: [other=2262, 'a: b=3']\n"
                                "step-epochs:\n  - 30\n  - 60\n",
                                &err);
    if (status != GENET_OK)
        fail_msg("%s", err.text);
    assert_int_equal(s->epochs, 150);
    assert_true(s->rate == 0.8 && !s->exif && s->strict);
    assert_int_equal(s->schedule, GN_CHOICE_SCHEDULE_LINEAR);
    assert_string_equal(s->data, "a b\xc3\xa9");
    assert_string_equal(s->out, "");
    assert_int_equal(s->cap.count, 2);
    assert_string_equal(s->cap.items[1], "a: b=3");
    assert_int_equal(s->step_epochs.count, 2);
    assert_true(gn_settings_given(s, GN_OPTION_epochs) && gn_settings_given(s, GN_OPTION_cap));
    assert_false(gn_settings_given(s, GN_OPTION_batch));
    gn_settings_free(s);
}

/* What was set before stays, lists as a whole; the recipe's value is checked all the same. */
static void command_line_wins(void **state)
{
    (void)state;
    gn_settings *s = NULL;
    genet_error err = {0};
    assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
    assert_int_equal(gn_settings_set(s, "epochs", "3", "--epochs", &err), GENET_OK);
    assert_int_equal(gn_settings_set(s, "cap", "mine=1", "--cap", &err), GENET_OK);
    assert_int_equal(parse(s, "epochs: 150\nbatch: 64\ncap: [a=1, b=2]\n", &err), GENET_OK);
    assert_int_equal(s->epochs, 3);
    assert_int_equal(s->batch, 64);
    assert_int_equal(s->cap.count, 1);
    assert_string_equal(s->cap.items[0], "mine=1");
    assert_int_equal(parse(s, "epochs: zero\n", &err), GENET_USAGE);
    gn_settings_free(s);
}

static void empty_ones(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "{}\n", "---\n...\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        gn_settings *s = NULL;
        genet_error err = {0};
        assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
        if (parse(s, texts[i], &err) != GENET_OK)
            fail_msg("%zu: %s", i, err.text);
        gn_settings_free(s);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"batch: 1\nepoch: 3\n", "r.yaml line 2: unknown key epoch; did you mean epochs?"},
        {"batch: 1\n\nepochs: 0\n", "r.yaml line 3: epochs: 0 is out of range: allowed is 1 to 100000 (nearest: 1)"},
        {"epochs: many\n",
         "r.yaml line 1: epochs: \"many\" is not a whole number (digits only); allowed is 1 to 100000"},
        {"epochs:\n", "r.yaml line 1: epochs: \"\" is not a whole number (digits only); allowed is 1 to 100000"},
        {"schedule: linar\n",
         "r.yaml line 1: schedule: \"linar\" is not allowed: cosine, linear, linear-cosine, step or constant "
         "(did you mean linear?)"},
        {"epochs: 3\nepochs: 4\n", "r.yaml line 2: epochs is there a second time"},
        {"epochs: [1, 2]\n", "r.yaml line 1: epochs must be a single value; a recipe is a flat list of \"key: value\""},
        {"train:\n  epochs: 3\n", "r.yaml line 1: unknown key train"},
        {"data:\n  epochs: 3\n",
         "r.yaml line 2: data must be a single value; a recipe is a flat list of \"key: value\""},
        {"cap: [[a=1]]\n", "r.yaml line 1: cap must be a single value; a recipe is a flat list of \"key: value\""},
        {"cap: [a=1, b]\n", "r.yaml line 1: cap: \"b\" is not of the form CLASS=N, as in other=2262"},
        {"? [a]\n: 3\n", "r.yaml line 1: a key must be a single value; a recipe is a flat list of \"key: value\""},
        {"- epochs\n", "r.yaml line 1: a recipe is a flat list of \"key: value\""},
        {"epochs\n", "r.yaml line 1: a recipe is a flat list of \"key: value\""},
        {"epochs: 3\n---\nbatch: 3\n", "r.yaml line 2: a second document; a recipe is one"},
        {"model: x\n", "r.yaml line 1: model does not belong into a recipe: it is no setting of a training"},
        {"recipe: x\n", "r.yaml line 1: recipe does not belong into a recipe: it is no setting of a training"},
        {"data: &a x\n",
         "r.yaml line 1: anchors (&) and aliases (*) are not allowed in a recipe; quote a text that starts with one"},
        {"data: \"a\\0b\"\n", "r.yaml line 1: data holds a NUL byte"},
        {"data: b: c\n", "r.yaml line 1: not YAML: "},
        {"epochs: \"3\n", "r.yaml line 2: not YAML: "},
        {"epochs: 3\n\tbatch: 3\n", "r.yaml line 2: not YAML: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gn_settings *s = NULL;
        genet_error err = {0};
        assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
        assert_int_equal(parse(s, cases[i][0], &err), GENET_USAGE);
        /* Behind "not YAML: " stand libyaml's own words. */
        size_t n = strlen(cases[i][1]);
        if (strncmp(err.text, cases[i][1], n) != 0 || (err.text[n] && cases[i][1][n - 1] != ' '))
            fail_msg("\"%s\" instead of \"%s\"", err.text, cases[i][1]);
        gn_settings_free(s);
    }
}

static void files(void **state)
{
    (void)state;
    gn_settings *s = NULL;
    genet_error err = {0};
    assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
    assert_int_equal(gn_settings_read_recipe(s, "recipes/none.yaml", &err), GENET_IO);
    assert_non_null(strstr(err.text, "recipes/none.yaml"));
    assert_int_equal(gn_settings_read_recipe(s, "recipes", &err), GENET_IO);
    gn_settings_free(s);
}

/* Every recipe of the project is valid, whole. */
static void shipped(void **state)
{
    (void)state;
    int count = 0;
    DIR *d = opendir("recipes");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300];
        gn_settings *s = NULL;
        genet_error err = {0};
        size_t n = strlen(e->d_name);
        if (n < 5 || strcmp(e->d_name + n - 5, ".yaml") != 0)
            continue;
        snprintf(path, sizeof path, "recipes/%s", e->d_name);
        assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
        if (gn_settings_read_recipe(s, path, &err) != GENET_OK || gn_settings_check(s, &err) != GENET_OK)
            fail_msg("%s", err.text);
        assert_string_equal(s->recipe, path);
        gn_settings_free(s);
        count++;
    }
    closedir(d);
    assert_true(count >= 6);
}

/* The published configurations, number by number. */
static void published(void **state)
{
    (void)state;
    static const char *const names[] = {"theta-minus", "theta", "theta-plus"};
    for (int i = 0; i < 3; i++) {
        char path[64];
        gn_settings *s = NULL;
        genet_error err = {0};
        snprintf(path, sizeof path, "recipes/imagenet-%s.yaml", names[i]);
        assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
        if (gn_settings_read_recipe(s, path, &err) != GENET_OK)
            fail_msg("%s", err.text);
        char *variant = gn_settings_get(s, "variant"), *form = gn_settings_get(s, "form"),
             *smooth = gn_settings_get(s, "smoothing-form");
        assert_string_equal(variant, names[i]);
        assert_string_equal(form, "mindspore");
        assert_string_equal(smooth, "published");
        gn_free(variant);
        gn_free(form);
        gn_free(smooth);
        assert_int_equal(s->epochs, i == 0 ? 220 : 150);
        assert_int_equal(s->schedule, i == 0 ? GN_CHOICE_SCHEDULE_LINEAR_COSINE : GN_CHOICE_SCHEDULE_LINEAR);
        assert_int_equal(s->preprocess, GN_CHOICE_PREPROCESS_MINDSPORE);
        assert_int_equal(s->batch, 256);
        assert_true(s->rate == 0.8 && s->rate_end == 0 && s->momentum == 0.9 && s->decay == 1e-4 &&
                    s->label_smoothing == 0.1);
        assert_true(s->warmup == 0 && gn_settings_warmup(s) == 0 && s->loss_scale == 1024 && !s->exif &&
                    s->flip == 0.5);
        assert_true(s->area_min == 0.08 && s->area_max == 1 && s->aspect_min == 0.75 && s->aspect_max == 1.333);
        assert_true(s->size == 224 && s->depth == 50 && s->width == 1);
        assert_true(s->save_epochs == 10 && s->keep == 5);
        gn_settings_free(s);
    }
}

static void every_allocation_fault(void **state)
{
    (void)state;
    const char *text = "epochs: 3\ndata: x\ncap: [a=1, b=2]\n";
    for (int64_t n = 1;; n++) {
        gn_settings *s = NULL;
        assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
        gn_fault_arm(GN_FAULT_ALLOCATION, n);
        genet_status status = parse(s, text, NULL);
        bool fired = gn_fault_fired() > 0;
        gn_fault_disarm();
        gn_settings_free(s);
        assert_int_equal(status, fired ? GENET_MEMORY : GENET_OK);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),    cmocka_unit_test(command_line_wins),
        cmocka_unit_test(empty_ones), cmocka_unit_test(refusals),
        cmocka_unit_test(files),      cmocka_unit_test(shipped),
        cmocka_unit_test(published),  cmocka_unit_test(every_allocation_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
