/* SPDX-License-Identifier: Apache-2.0
 * Text: escapes, limits, strict numbers in any locale, the nearest word. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fault.h"
#include "base/text.h"

static void building(void **state)
{
    (void)state;
    gn_text t = {0};
    for (int i = 0; i < 1000; i++)
        gn_text_add(&t, "%d,", i % 10);
    gn_text_put(&t, "x\0y", 3);
    assert_false(t.failed);
    assert_int_equal(t.length, 2003);
    assert_memory_equal(t.data + 1998, "9,x\0y", 6);
    gn_text_free(&t);
    assert_null(t.data);
}

static void limit_and_memory(void **state)
{
    (void)state;
    gn_text t = {.limit = 10};
    gn_text_add(&t, "123456789");
    assert_false(t.failed);
    gn_text_add(&t, "0");
    assert_true(t.failed);
    gn_text_add(&t, "a");
    assert_string_equal(t.data, "123456789");
    gn_text_free(&t);

    gn_text u = {0};
    gn_text_add(&u, "kept");
    gn_fault_arm(GN_FAULT_ALLOCATION, 1);
    for (int i = 0; i < 100; i++)
        gn_text_add(&u, "0123456789");
    gn_fault_disarm();
    assert_true(u.failed);
    assert_memory_equal(u.data, "kept", 4);
    gn_text_free(&u);
}

static void json_escapes(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", "\"\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\t\x01\x7f", "\"\\n\\u0009\\u0001\\u007f\""},
        {"Ma\xc3\xafs \xf0\x9f\x8c\xbd", "\"Ma\xc3\xafs \xf0\x9f\x8c\xbd\""},
        {"\xff"
         "a\xc3",
         "\"\\u00ffa\\u00c3\""},
        {"\xc0\xaf\xed\xa0\x80\xf5", "\"\\u00c0\\u00af\\u00ed\\u00a0\\u0080\\u00f5\""}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        gn_text t = {0};
        gn_text_json(&t, pairs[i][0]);
        assert_string_equal(t.data, pairs[i][1]);
        gn_text_free(&t);
    }
}

static void xml_escapes(void **state)
{
    (void)state;
    gn_text t = {0};
    gn_text_xml(&t, "<a href=\"x\">&\x01\xff\xc3\xa9\xef\xbf\xbf</a>");
    assert_string_equal(t.data, "&lt;a href=&quot;x&quot;&gt;&amp;\\x01\\xff\xc3\xa9\xef\xbf\xbd&lt;/a&gt;");
    gn_text_free(&t);
}

static void names(void **state)
{
    (void)state;
    char to[32];
    assert_true(gn_escape_name(to, sizeof to, "caf\xc3\xa9\x1b[2J\xff"));
    assert_string_equal(to, "caf\xc3\xa9\\x1b[2J\\xff");
    assert_true(gn_escape_name(to, sizeof to,
                               "\xc2\x9b"
                               "1m")); /* CSI as one C1 character */
    assert_string_equal(to, "\\xc2\\x9b1m");
    assert_false(gn_escape_name(to, 5, "ab\xc3\xa9\xc3\xa9")); /* cut between characters */
    assert_string_equal(to, "ab\xc3\xa9");
    assert_false(gn_escape_name(to, 4, "\xff"));
    assert_string_equal(to, "");
}

static void numbers(void **state)
{
    (void)state;
    static const char *const bad_ints[] = {
        "", "-", "+", " 1", "1 ", "1x", "0x10", "1.0", "1e3", "9223372036854775808", "--1"};
    static const char *const bad_reals[] = {"",   "-",   ".",  "nan",   "inf",   "0x1p3", " 1",
                                            "1 ", "1,5", "1e", "1e999", "1.2.3", "1-",    "e5"};
    int64_t n = 77;
    double d = 77;
    for (size_t i = 0; i < sizeof bad_ints / sizeof bad_ints[0]; i++)
        assert_false(gn_parse_int(bad_ints[i], &n));
    for (size_t i = 0; i < sizeof bad_reals / sizeof bad_reals[0]; i++)
        assert_false(gn_parse_real(bad_reals[i], &d));
    assert_true(n == 77 && d == 77);
    assert_true(gn_parse_int("-9223372036854775808", &n) && n == INT64_MIN);
    assert_true(gn_parse_int("0090", &n) && n == 90);
    assert_true(gn_parse_real("1e-4", &d) && d == 1e-4);
    assert_true(gn_parse_real("-.5", &d) && d == -0.5);
    assert_true(gn_parse_real("1e-400", &d) && d == 0); /* too small is zero, not an error */
}

static void reals_round_trip(void **state)
{
    (void)state;
    static const double values[] = {
        0, 1, 0.1, 1e-4, 1.0 / 3, 4.0 / 3, 0.8, 1e300, 5e-324, -2.5, 1.7976931348623157e308};
    char buf[32];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        double back;
        assert_true(gn_parse_real(gn_format_real(buf, values[i]), &back));
        assert_true(back == values[i]);
    }
    assert_string_equal(gn_format_real(buf, 0.1), "0.1");
    assert_string_equal(gn_format_real(buf, 1e-4), "0.0001");
    assert_string_equal(gn_format_real(buf, 1000), "1000");
    assert_string_equal(gn_format_real(buf, 16777216), "16777216");
    assert_string_equal(gn_format_real(buf, 1.0 / 3), "0.3333333333333333");
}

/* A host program may have set a locale with a decimal comma. Debian images seldom carry one: then this says so. */
static void comma_locale(void **state)
{
    (void)state;
    static const char *const candidates[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8", "ru_RU.UTF-8"};
    const char *set = NULL;
    for (size_t i = 0; !set && i < sizeof candidates / sizeof candidates[0]; i++)
        set = setlocale(LC_ALL, candidates[i]);
    if (!set) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    gn_text t = {0};
    char buf[32];
    double d = 0;
    gn_text_add(&t, "%.2f", 1.25);
    bool parsed = gn_parse_real("1.25", &d);
    const char *formatted = gn_format_real(buf, 0.5);
    setlocale(LC_ALL, "C");
    assert_string_equal(t.data, "1.25");
    assert_true(parsed && d == 1.25);
    assert_string_equal(formatted, "0.5");
    gn_text_free(&t);
}

static void quantities(void **state)
{
    (void)state;
    char b[32];
    assert_string_equal(gn_format_bytes(b, 0), "0 B");
    assert_string_equal(gn_format_bytes(b, 1023), "1023 B");
    assert_string_equal(gn_format_bytes(b, 1024), "1.0 KiB");
    assert_string_equal(gn_format_bytes(b, 912 * 1024), "912 KiB");
    assert_string_equal(gn_format_bytes(b, UINT64_C(1395864371)), "1.3 GiB");
    assert_string_equal(gn_format_bytes(b, UINT64_C(1048575)), "1.0 MiB");
    assert_string_equal(gn_format_bytes(b, UINT64_MAX), "16.0 EiB");
    assert_string_equal(gn_format_seconds(b, 0.25), "0.2 s");
    assert_string_equal(gn_format_seconds(b, 12), "12 s");
    assert_string_equal(gn_format_seconds(b, 59.9), "1 min 00 s");
    assert_string_equal(gn_format_seconds(b, 184), "3 min 04 s");
    assert_string_equal(gn_format_seconds(b, 3780), "1 h 03 min");
    assert_string_equal(gn_format_seconds(b, 3599.8), "1 h 00 min");
    assert_string_equal(gn_format_seconds(b, 3 * 86400 + 7200), "3 d 02 h");
    assert_string_equal(gn_format_seconds(b, NAN), "?");
}

static void nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"epochs", "batch", "rate", "rate-end", "label-smoothing", "crop-area-min"};
    size_t n = sizeof words / sizeof words[0];
    assert_string_equal(gn_nearest("epoch", words, n), "epochs");
    assert_string_equal(gn_nearest("bacth", words, n), "batch");
    assert_string_equal(gn_nearest("label_smoothing", words, n), "label-smoothing");
    assert_string_equal(gn_nearest("crop_area_min", words, n), "crop-area-min");
    assert_string_equal(gn_nearest("rat", words, n), "rate");
    assert_null(gn_nearest("momentum", words, n));
    assert_null(gn_nearest("", words, n));
    char huge[500];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_null(gn_nearest(huge, words, n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(building),
        cmocka_unit_test(limit_and_memory),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(xml_escapes),
        cmocka_unit_test(names),
        cmocka_unit_test(numbers),
        cmocka_unit_test(reals_round_trip),
        cmocka_unit_test(comma_locale),
        cmocka_unit_test(quantities),
        cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
