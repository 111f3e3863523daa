/* SPDX-License-Identifier: Apache-2.0
 * Error texts, status codes, memory and its faults. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "base/error.h"
#include "base/fault.h"
#include "base/mem.h"

static void statuses(void **state)
{
    (void)state;
    assert_string_equal(genet_status_text(GENET_OK), "success");
    assert_int_equal(genet_status_exit_code(GENET_OK), 0);
    assert_int_equal(genet_status_exit_code(GENET_USAGE), 2);
    assert_int_equal(genet_status_exit_code(GENET_INTERRUPTED), 130);
    assert_string_equal(genet_status_text((genet_status)1234), "unknown status");
    assert_int_equal(genet_status_exit_code((genet_status)1234), 70);
}

static void texts(void **state)
{
    (void)state;
    genet_error err = {0};
    assert_int_equal(gn_fail(&err, GENET_DATA, "%s: %d images", "a\nb\xff\xc3\xa9", 3), GENET_DATA);
    assert_int_equal(err.status, GENET_DATA);
    assert_string_equal(err.text, "a\\x0ab\\xff\xc3\xa9: 3 images");
    gn_error_prefix(&err, "class %s", "x\t");
    assert_string_equal(err.text, "class x\\x09: a\\x0ab\\xff\xc3\xa9: 3 images");
    assert_int_equal(err.status, GENET_DATA);
    assert_int_equal(gn_fail(NULL, GENET_IO, "x"), GENET_IO);
    gn_error_prefix(NULL, "x");
    gn_fail_errno(&err, GENET_IO, ENOSPC, "cannot write %s", "f");
    assert_string_equal(err.text,
                        "cannot write f: No space left on device (free some space, or choose another folder)");
    gn_fail_memory(&err, 12, "a list");
    assert_string_equal(err.text, "not enough memory for 12 bytes (a list)");
    assert_int_equal(err.status, GENET_MEMORY);
}

static void long_texts(void **state)
{
    (void)state;
    char name[5000];
    genet_error err;
    for (int width = 1; width <= 3; width++) {
        static const char *const letters[] = {"x", "\xc3\xa9", "\xe2\x82\xac"};
        for (size_t at = 0; at + 4 < sizeof name; at += (size_t)width)
            memcpy(name + at, letters[width - 1], (size_t)width + 1);
        gn_fail(&err, GENET_IO, "ab%s", name);
        size_t n = strlen(err.text);
        assert_true(n < sizeof err.text && n > sizeof err.text - 10);
        assert_string_equal(err.text + n - 3, "...");
        assert_int_equal((n - 3 - 2) % (size_t)width, 0);
    }
    memset(name, '\xff', sizeof name - 1);
    name[sizeof name - 1] = 0;
    gn_fail_errno(&err, GENET_IO, ENOENT, "%s", name);
    assert_true(strlen(err.text) < sizeof err.text);
    gn_error_prefix(&err, "%s", name);
    assert_true(strlen(err.text) < sizeof err.text);
}

static void memory(void **state)
{
    (void)state;
    uint64_t before = gn_alloc_count();
    unsigned char *p = gn_calloc(3, 5);
    assert_non_null(p);
    for (int i = 0; i < 15; i++)
        assert_int_equal(p[i], 0);
    p = gn_realloc(p, 100);
    assert_non_null(p);
    gn_free(p);
    assert_null(gn_calloc(SIZE_MAX / 2, 3));
    p = gn_calloc(0, 5);
    assert_non_null(p);
    gn_free(p);
    char *s = gn_strndup("abcdef", 3), *t = gn_strdup("xyz"), *u = gn_asprintf("%s-%d", "n", 7);
    assert_string_equal(s, "abc");
    assert_string_equal(t, "xyz");
    assert_string_equal(u, "n-7");
    gn_free(s);
    gn_free(t);
    gn_free(u);
    gn_free(NULL);
    assert_int_equal(gn_alloc_count() - before, 7);
}

static void slabs(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 64, 65, 4096, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *slab = gn_slab_alloc(sizes[i]);
        assert_non_null(slab);
        assert_int_equal((uintptr_t)slab % GN_SLAB_ALIGN, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            if (slab[k])
                fail();
        memset(slab, 1, sizes[i]);
        gn_slab_free(slab, sizes[i]);
    }
    assert_null(gn_slab_alloc(SIZE_MAX));
    gn_slab_free(NULL, 100);
    gn_slab_free(NULL, 100 << 20);
}

static void allocation_faults(void **state)
{
    (void)state;
    gn_fault_arm(GN_FAULT_ALLOCATION, 2);
    void *a = gn_calloc(1, 1), *b = gn_calloc(1, 1), *c = gn_slab_alloc(1);
    assert_true(a && !b && c);
    assert_int_equal(gn_fault_fired(), 1);
    gn_slab_free(c, 1);
    gn_fault_arm_from(GN_FAULT_ALLOCATION, 2);
    void *d = gn_realloc(a, 10);
    assert_non_null(d);
    assert_null(gn_realloc(d, 20));
    assert_null(gn_slab_alloc(1));
    assert_null(gn_strdup("x"));
    gn_fault_disarm();
    void *e = gn_realloc(d, 20);
    assert_non_null(e);
    gn_free(e);
    gn_fault_arm(GN_FAULT_WRITE, 1);
    assert_false(gn_fault_due(GN_FAULT_OPEN)); /* another kind does not count */
    assert_true(gn_fault_due(GN_FAULT_WRITE));
    assert_false(gn_fault_due(GN_FAULT_WRITE));
    gn_fault_disarm();
    assert_false(gn_fault_due(GN_FAULT_WRITE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(statuses),   cmocka_unit_test(texts),
                                       cmocka_unit_test(long_texts), cmocka_unit_test(memory),
                                       cmocka_unit_test(slabs),      cmocka_unit_test(allocation_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
