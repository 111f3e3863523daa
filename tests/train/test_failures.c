/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong: a loss that is not finite, a disk that fills up, broken images, sets that cannot be trained on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "small.h"

static void must(genet_status status, const genet_error *err)
{
    if (status != GENET_OK)
        fail_msg("%s", err->text);
}

static void test_nan_stops(void **state)
{
    (void)state;
    genet_error err;
    assert_int_equal(small_train("nan", NULL, NULL, &err, "rate", "1000", "warmup", "0", "momentum", "0.99", "weight-decay", "1",
                                 "epochs", "20", NULL), GENET_NUMERIC);
    assert_non_null(strstr(err.text, "step"));
    printf("%s\n", err.text);
}

/* Weight decay makes a step of rate*decay > 2*(1+momentum) explode, whatever the data: 300*1 does, and half of it, ... until
 * it does not. The run goes back as often as needed and then ends well. */
static void test_nan_rewinds(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    gn_checkpoint c;
    must(small_train("rewind", &seen, NULL, &err, "rate", "300", "warmup", "0", "weight-decay", "1", "epochs", "12", "schedule",
                     "constant", "on-nan", "rewind", NULL), &err);
    assert_non_null(strstr(seen.log, "going back at half the rate (1 of 10 times)"));
    small_load(&c, "rewind", "last.safetensors");
    double scale = atof(strstr(c.progress, "\"rate_scale\":") + 13);
    assert_true(scale < 1);
    printf("ended with %g times the rate\n", scale);
    char *metrics = small_metrics("rewind"); /* one record an epoch: those of lost epochs are gone */
    int epochs = 0;
    for (const char *at = metrics; (at = strstr(at, "\"kind\":\"epoch\"")); at++)
        epochs++;
    assert_int_equal(epochs, 12);
    gn_free(metrics);
    gn_checkpoint_free(&c);
    assert_int_equal(small_train("hopeless", &seen, NULL, &err, "rate", "1000", "warmup", "0", "weight-decay", "1", "momentum",
                                 "0.99", "epochs", "200", "schedule", "constant", "on-nan", "rewind", "rate", "1000", NULL),
                     GENET_NUMERIC);
}

static void test_full_disk(void **state)
{
    (void)state;
    genet_error err;
    gn_checkpoint c;
    small_seen seen = {.fault_after_epoch = 1};
    genet_status status = small_train("full", &seen, NULL, &err, "epochs", "3", NULL);
    gn_fault_disarm();
    assert_int_equal(status, GENET_IO); /* the result is not on disk */
    assert_int_equal(seen.epochs, 3);   /* but training went on */
    assert_non_null(strstr(seen.log, "NOT SAVED"));
    must(small_resume("full", NULL, &err, NULL), &err);
    must(small_train("empty", NULL, NULL, &err, "epochs", "3", NULL), &err);
    gn_checkpoint d;
    small_load(&c, "full", "last.safetensors");
    small_load(&d, "empty", "last.safetensors");
    assert_true(small_equal(&c, &d));
    gn_checkpoint_free(&c);
    gn_checkpoint_free(&d);
}

static void test_broken_images(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    unsigned char *text;
    size_t bytes;
    char command[3 * SMALL_PATH];
    snprintf(command, sizeof command, "cp -r '%s' '%s' && cd '%s' && for f in train/*/; do echo no picture > \"${f}000.jpg\"; done",
             small_path("data"), small_path("broken"), small_path("broken"));
    assert_int_equal(system(command), 0);
    must(small_train("skips", &seen, NULL, &err, "data", small_path("broken/train"), NULL), &err);
    must(gn_file_read(small_path("skips/bad-images.txt"), 1 << 20, &text, &bytes, &err), &err);
    int lines = 0;
    for (size_t i = 0; i < bytes; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 4);
    assert_non_null(strstr((char *)text, "000.jpg"));
    assert_non_null(strstr(seen.log, "000.jpg is broken"));
    gn_free(text);
    assert_int_equal(small_train("strict", NULL, NULL, &err, "data", small_path("broken/train"), "strict", "1", NULL), GENET_DATA);
    assert_non_null(strstr(err.text, "000.jpg"));
}

static void test_unusable(void **state)
{
    (void)state;
    genet_error err;
    char command[2 * SMALL_PATH];
    assert_int_equal(small_train("u1", NULL, NULL, &err, "data", small_path("absent"), NULL), GENET_IO);
    assert_int_equal(small_train("u2", NULL, NULL, &err, "batch", "1000", NULL), GENET_DATA);
    assert_int_equal(small_train("u3", NULL, NULL, &err, "accumulate", "1000", NULL), GENET_DATA);
    assert_non_null(strstr(err.text, "--accumulate"));
    assert_int_equal(small_train("u4", NULL, NULL, &err, "data", "", NULL), GENET_USAGE);
    assert_int_equal(small_train("u5", NULL, NULL, &err, "out", "", NULL), GENET_USAGE);
    snprintf(command, sizeof command, "mkdir -p '%s/one' && cp \"$(ls '%s'/*/*.jpg | head -n 1)\" '%s/one'", small_path("single"),
             small_path("data/train"), small_path("single"));
    assert_int_equal(system(command), 0);
    assert_int_equal(small_train("u6", NULL, NULL, &err, "data", small_path("single"), NULL), GENET_DATA);
    assert_int_equal(small_train("u7", NULL, NULL, &err, "init", small_path("data"), NULL), GENET_IO);
    for (char name[4] = "u1"; name[1] <= '7'; name[1]++)
        assert_false(gn_folder_exists(small_path(name))); /* nothing is left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nan_stops), cmocka_unit_test(test_nan_rewinds),
                                       cmocka_unit_test(test_full_disk), cmocka_unit_test(test_broken_images),
                                       cmocka_unit_test(test_unusable)};
    return cmocka_run_group_tests_name("failures", tests, small_make, small_done);
}
