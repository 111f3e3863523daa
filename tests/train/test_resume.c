/* SPDX-License-Identifier: Apache-2.0
 * A run interrupted anywhere and resumed ends with the same bits and writes the same metrics as one that ran through: in
 * the middle of an epoch, of an accumulation's epoch with batches left over, in the validation, several times over. Other
 * settings and other data are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "small.h"

static void must(genet_status status, const genet_error *err)
{
    if (status != GENET_OK)
        fail_msg("%s", err->text);
}

static void compare_runs(const char *one, const char *other)
{
    gn_checkpoint a, b;
    static const char *const names[] = {"last.safetensors", "best.safetensors"};
    for (int i = 0; i < 2; i++) {
        small_load(&a, one, names[i]);
        small_load(&b, other, names[i]);
        if (!small_equal(&a, &b))
            fail_msg("%s of %s and %s differ: %s and %s", names[i], one, other, a.progress, b.progress);
        gn_checkpoint_free(&a);
        gn_checkpoint_free(&b);
    }
    char *x = small_metrics(one), *y = small_metrics(other);
    assert_string_equal(x, y);
    gn_free(x);
    gn_free(y);
}

#define RICH "ema", "0.9", "accumulate", "3", "mixup", "0.2", "cutmix", "1", "epochs", "3", "save-epochs", "1"

static void test_max_steps(void **state)
{
    (void)state;
    genet_error err;
    must(small_train("straight", NULL, NULL, &err, RICH, NULL), &err);
    assert_int_equal(small_train("parts", NULL, NULL, &err, RICH, "max-steps", "2", NULL), GENET_INTERRUPTED);
    assert_non_null(strstr(err.text, "--resume"));
    assert_int_equal(small_resume("parts", NULL, &err, "max-steps", "1", NULL), GENET_INTERRUPTED);
    assert_int_equal(small_resume("parts", NULL, &err, "max-steps", "3", "loader-threads", "1", NULL), GENET_INTERRUPTED);
    must(small_resume("parts", NULL, &err, NULL), &err);
    compare_runs("straight", "parts");
    must(small_resume("parts", NULL, &err, NULL), &err); /* nothing is left to do */
    compare_runs("straight", "parts");
}

/* The same on the backend that people use, in bf16 where that is native: sums have one order for one number of threads. */
static void test_cpu(void **state)
{
    (void)state;
#ifdef GN_HAVE_CPU
    genet_error err;
    small_seen seen = {0};
    must(small_train("cpu-straight", &seen, NULL, &err, RICH, "backend", "cpu", "amp", "auto", NULL), &err);
    assert_int_equal(seen.least_allocations, 0);
    assert_int_equal(small_train("cpu-parts", NULL, NULL, &err, RICH, "backend", "cpu", "amp", "auto", "max-steps", "4", NULL),
                     GENET_INTERRUPTED);
    must(small_resume("cpu-parts", NULL, &err, NULL), &err);
    compare_runs("cpu-straight", "cpu-parts");
#else
    print_message("this build has no cpu backend\n");
    skip();
#endif
}

/* stop_requested is asked after every step and after every batch of a validation. */
static void test_everywhere(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    char out[32];
    must(small_train("through", &seen, NULL, &err, "epochs", "2", "ema", "0.8", NULL), &err);
    int calls = seen.stop_calls, stopped = 0;
    assert_true(calls > 20);
    for (int at = 1; at <= calls; at += 3) {
        snprintf(out, sizeof out, "stop%d", at);
        small_seen stop = {.stop_at = at};
        genet_status status = small_train(out, &stop, NULL, &err, "epochs", "2", "ema", "0.8", NULL);
        assert_int_equal(status, GENET_INTERRUPTED);
        stopped++;
        must(small_resume(out, NULL, &err, NULL), &err);
        compare_runs("through", out);
    }
    printf("stopped and resumed at %d of %d places\n", stopped, calls);
}

static void read_lines(const char *path, char **text)
{
    genet_error err;
    size_t bytes;
    must(gn_file_read(path, 1 << 24, (unsigned char **)text, &bytes, &err), &err);
}

/* A killed process leaves records behind its checkpoint, and perhaps half a line. */
static void test_records_beyond(void **state)
{
    (void)state;
    genet_error err;
    char *before, path[SMALL_PATH];
    must(small_train("clean", NULL, NULL, &err, NULL), &err);
    assert_int_equal(small_train("killed", NULL, NULL, &err, "max-steps", "5", NULL), GENET_INTERRUPTED);
    snprintf(path, sizeof path, "%s", small_path("killed/metrics.jsonl"));
    const char *late =
        "{\"kind\":\"step\",\"epoch\":1,\"step\":6,\"rate\":1,\"loss\":1}\n{\"kind\":\"epoch\",\"epoch\":1,\"step\":9}\n"
        "{\"kind\":\"step\",\"ep";
    must(gn_file_append(path, late, strlen(late), &err), &err);
    read_lines(path, &before);
    assert_non_null(strstr(before, "\"step\":6"));
    gn_free(before);
    must(small_resume("killed", NULL, &err, NULL), &err);
    compare_runs("clean", "killed");
}

static void test_refusals(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    assert_int_equal(small_train("held", NULL, NULL, &err, "max-steps", "3", NULL), GENET_INTERRUPTED);
    assert_int_equal(small_resume("held", NULL, &err, "rate", "0.5", "seed", "3", NULL), GENET_MISMATCH);
    assert_non_null(strstr(err.text, "rate: 0.05 -> 0.5"));
    assert_non_null(strstr(err.text, "seed: 1 -> 3"));
    assert_int_equal(small_resume("held", NULL, &err, "width", "0.125", NULL), GENET_MISMATCH);
    must(small_resume("held", &seen, &err, "threads", "1", "save-epochs", "2", NULL), &err); /* does not change the result */
    assert_non_null(strstr(seen.log, "another number of threads"));
    assert_int_equal(small_train("held", NULL, NULL, &err, NULL), GENET_USAGE); /* a run lies there already */
    assert_non_null(strstr(err.text, "--resume"));
    assert_int_equal(small_resume("nowhere", NULL, &err, NULL), GENET_IO);
    assert_int_equal(small_train("forced", NULL, NULL, &err, "max-steps", "3", NULL), GENET_INTERRUPTED);
    must(small_resume("forced", &seen, &err, "rate", "0.01", "force-resume", "1", NULL), &err);
    assert_non_null(strstr(seen.log, "--force-resume"));
}

static void test_changed_data(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    char command[2 * SMALL_PATH];
    must(genet_data_draw_shelf(small_path("other"), 4, 60, 40, 9, &err), &err);
    assert_int_equal(small_train("moved", NULL, NULL, &err, "data", small_path("other/train"), "max-steps", "2", NULL),
                     GENET_INTERRUPTED);
    snprintf(command, sizeof command, "cd '%s' && f=$(ls */*.jpg | head -n 1) && cp \"$f\" \"${f%%.jpg}-again.jpg\"",
             small_path("other/train"));
    assert_int_equal(system(command), 0);
    assert_int_equal(small_resume("moved", NULL, &err, NULL), GENET_MISMATCH);
    assert_non_null(strstr(err.text, "training set changed"));
    must(small_resume("moved", &seen, &err, "force-resume", "1", NULL), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_max_steps),  cmocka_unit_test(test_cpu),
                                       cmocka_unit_test(test_everywhere), cmocka_unit_test(test_records_beyond),
                                       cmocka_unit_test(test_refusals),   cmocka_unit_test(test_changed_data)};
    return cmocka_run_group_tests_name("resume", tests, small_make, small_done);
}
