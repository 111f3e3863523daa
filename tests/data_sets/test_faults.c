/* SPDX-License-Identifier: Apache-2.0
 * Every allocation fails once on the way through each kind of set: a clean error, and no leak (LeakSanitizer sees it). */
#include <stdio.h>
#include <string.h>
#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/manifest.h"
#include "genet/data.h"
#include "made.h"

static char *folder;

static int begin(void **state)
{
    (void)state;
    const char *const names[] = {"x/a", "x/b", "y/c", NULL};
    const int counts[] = {6, 3, 0};
    folder = made_begin();
    made_set(made_path(folder, "set"), names, counts);
    made_text(made_path(folder, "set/x/bad.txt"), "loose");
    made_text(made_path(folder, "list.txt"), "set/x/a/000.jpg,a\nset/x/b/000.jpg\tb\nset/gone.jpg,c\n");
    for (int s = 0; s < 2; s++) {
        made_tar pairs = {0}, folders = {0};
        size_t n;
        unsigned char *bytes = made_jpeg_bytes(16, 16, (unsigned)s, &n);
        made_tar_add(&pairs, "1.jpg", '0', bytes, n);
        made_tar_add(&pairs, "1.cls", '0', s ? "apple" : "pear", s ? 5 : 4);
        made_tar_end(&pairs, made_path(folder, "pairs/%d.tar", s));
        made_tar_add(&folders, "top/a/1.jpg", '0', bytes, n);
        made_tar_add(&folders, "top/b/c/1.jpg", '0', bytes, n);
        made_tar_add(&folders, "top/d/", '5', NULL, 0);
        made_tar_end(&folders, made_path(folder, "folders-%d.tar", s));
        gn_free(bytes);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    made_end(folder);
    return 0;
}

/* Runs a scenario with the n-th allocation failing, for every n. Returns how many failed. */
static int through(genet_status (*scenario)(const char *path, genet_error *err), const char *path)
{
    char *copy = gn_strdup(path);
    int failed = 0;
    for (int64_t n = 1; n < 100000; n++) {
        genet_error err = {0};
        gn_fault_arm(GN_FAULT_ALLOCATION, n);
        genet_status status = scenario(copy, &err);
        bool fired = gn_fault_fired() > 0;
        gn_fault_disarm();
        if (!fired) {
            if (status != GENET_OK)
                fail_msg("%s: %s", copy, err.text);
            break;
        }
        if (status == GENET_OK) /* done without: threads that are not started, names left out of a message */
            continue;
        assert_int_equal(status, GENET_MEMORY);
        assert_true(strlen(err.text) > 10);
        failed++;
    }
    gn_free(copy);
    return failed;
}

static genet_status open_and_split(const char *path, genet_error *err)
{
    const char *const caps[] = {"a=4"};
    gn_dataset_options o = {.leaf_names = true, .caps = caps, .cap_count = 1, .cap_all = 5};
    gn_dataset *d = NULL, *held = NULL;
    genet_status status = gn_dataset_open(&d, path, &o, err);
    if (status == GENET_OK)
        status = gn_dataset_split(d, 0.3, 1, &held, err);
    gn_dataset_free(d);
    gn_dataset_free(held);
    return status;
}

static genet_status open_expected(const char *path, genet_error *err)
{
    const char *const classes[] = {"a", "apple", "b", "c", "d", "pear"};
    gn_dataset_options o = {.leaf_names = true, .merge_classes = true, .expect_classes = classes, .expect_count = 6};
    gn_dataset *d = NULL;
    genet_status status = gn_dataset_open(&d, path, &o, err);
    gn_dataset_free(d);
    return status;
}

static genet_status open_unknown(const char *path, genet_error *err)
{
    const char *const classes[] = {"z"};
    gn_dataset_options o = {.expect_classes = classes, .expect_count = 1};
    gn_dataset *d = NULL;
    genet_status status = gn_dataset_open(&d, path, &o, err);
    assert_true(status != GENET_OK && !d);
    return status == GENET_MISMATCH ? GENET_OK : status;
}

static genet_config *config_for(const char *path)
{
    genet_config *c = NULL;
    if (genet_config_create(&c, NULL) != GENET_OK || genet_config_set(c, "data", path, NULL) != GENET_OK ||
        genet_config_set(c, "threads", "1", NULL) != GENET_OK) {
        genet_config_free(c);
        return NULL;
    }
    return c;
}

static genet_status statistics(const char *path, genet_error *err)
{
    genet_config *c = config_for(path);
    genet_data_stats *s = NULL;
    genet_status status = GENET_MEMORY;
    snprintf(err->text, sizeof err->text, "no configuration");
    if (c)
        status = genet_data_stats_read(c, NULL, NULL, &s, err);
    if (status == GENET_OK)
        status = genet_data_stats_plot(s, made_path(folder, "p.svg"), err);
    genet_data_stats_free(s);
    genet_config_free(c);
    return status;
}

static genet_status audit_and_check(const char *path, genet_error *err)
{
    genet_config *c = config_for(path);
    genet_audit_report *r = NULL;
    gn_dataset *d = NULL;
    genet_status status = GENET_MEMORY;
    const char *manifest = made_path(folder, "manifest");
    snprintf(err->text, sizeof err->text, "no configuration");
    if (c)
        status = genet_data_audit(c, manifest, NULL, NULL, &r, err);
    if (status == GENET_OK)
        status = gn_dataset_open(&d, path, NULL, err);
    if (status == GENET_OK)
        status = gn_manifest_check(manifest, GN_MANIFEST_DATA, d, true, 1, NULL, NULL, err);
    genet_audit_report_free(r);
    gn_dataset_free(d);
    genet_config_free(c);
    return status;
}

static void opening(void **state)
{
    (void)state;
    assert_true(through(open_and_split, made_path(folder, "set")) > 20);
    const char *const sets[] = {"set", "list.txt", "pairs", "folders-0.tar", "folders-{0..1}.tar", "folders-0.tar/top"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        assert_true(through(open_expected, made_path(folder, "%s", sets[i])) > 10);
        assert_true(through(open_unknown, made_path(folder, "%s", sets[i])) > 10);
    }
}

static void looking(void **state)
{
    (void)state;
    assert_true(through(statistics, made_path(folder, "set")) > 20);
    assert_true(through(audit_and_check, made_path(folder, "set")) > 40);
    assert_true(through(audit_and_check, made_path(folder, "list.txt")) > 40);
}

/* A plot or a manifest that cannot be written leaves the old file as it was. */
static void full_disk(void **state)
{
    (void)state;
    const gn_fault_kind kinds[] = {GN_FAULT_OPEN, GN_FAULT_WRITE, GN_FAULT_FSYNC, GN_FAULT_RENAME};
    made_text(made_path(folder, "manifest"), "old");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        genet_config *c = config_for(made_path(folder, "set"));
        genet_audit_report *r = NULL;
        genet_error err = {0};
        unsigned char *bytes;
        size_t n;
        gn_fault_arm(kinds[k], 1);
        assert_int_equal(genet_data_audit(c, made_path(folder, "manifest"), NULL, NULL, &r, &err), GENET_IO);
        gn_fault_disarm();
        assert_null(r);
        assert_int_equal(gn_file_read(made_path(folder, "manifest"), 10, &bytes, &n, NULL), GENET_OK);
        assert_int_equal(n, 3);
        gn_free(bytes);
        genet_config_free(c);
    }
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {ONE(opening), ONE(looking), ONE(full_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
