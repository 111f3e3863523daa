/* SPDX-License-Identifier: Apache-2.0
 * The JSON reader and the safetensors reader and writer: round trips, conversions, and every way a file can lie. */
#include "formats/formats_common.h"

#include "base/fault.h"
#include "formats/json.h"
#include "formats/safetensors.h"

/* --- JSON ---------------------------------------------------------------------------------------------------------------- */

static const char *json_fault(const char *text)
{
    gn_json j;
    gn_json_start(&j, text, strlen(text));
    gn_json_skip(&j);
    gn_json_end(&j);
    return j.fault;
}

static void json_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-12.5e3", "\"a\\n\\u00e9\\ud83d\\ude00\"", "[]", "{}", "[1,[2,{\"a\":null}],true]",
                                       " { \"a\" : [ ] , \"b\" : { } } ", "\"\\udce9\""};
    static const char *const bad[] = {"", "[", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{1:2}", "[1 2]", "nul", "\"a",
                                      "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\u0000\"", "\"\x01\"", "\"\xff\"", "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"", "1 2", "{} x", "--1", "[1]]", "+1", "1e999"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (json_fault(good[i]))
            fail_msg("%s: %s", good[i], json_fault(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!json_fault(bad[i]))
            fail_msg("%s was taken", bad[i]);
    char deep[100];
    memset(deep, '[', sizeof deep - 1);
    deep[99] = 0;
    assert_non_null(strstr(json_fault(deep), "deep"));
}

static void json_strings_come_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "plain",
                                        "with \"quotes\" and \\ and /",
                                        "tab\tnew\nline\x7f",
                                        "\xc3\xa9t\xc3\xa9",
                                        "\xff\xfe latin \xe9",
                                        "cut \xe2\x82",
                                        "\xf0\x9f\x98\x80",
                                        "\xed\xb3\xa9 is no UTF-8"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        gn_text t = {0};
        gn_json j;
        char *back;
        gn_json_put_string(&t, texts[i]);
        gn_json_start(&j, t.data, t.length);
        assert_true(gn_json_string(&j, &back));
        assert_string_equal(back, texts[i]);
        gn_free(back);
        gn_text_free(&t);
    }
}

static void json_numbers(void **state)
{
    (void)state;
    gn_json j;
    int64_t n;
    double d;
    gn_json_start(&j, "9223372036854775807", 19);
    assert_true(gn_json_int(&j, &n) && n == INT64_MAX);
    static const char *const bad[] = {"9223372036854775808", "1.5", "01", "-", "1e3", "\"1\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gn_json_start(&j, bad[i], strlen(bad[i]));
        assert_false(gn_json_int(&j, &n) && gn_json_end(&j));
    }
    gn_text t = {0};
    gn_json_put_double(&t, 0.1);
    gn_json_start(&j, t.data, t.length);
    assert_true(gn_json_number(&j, &d) && d == 0.1);
    gn_text_free(&t);
}

/* --- safetensors ----------------------------------------------------------------------------------------------------------- */

/* A file from a header text and a number of data bytes. */
static size_t build(unsigned char *out, const char *header, size_t data)
{
    uint64_t n = strlen(header);
    memcpy(out, &n, 8);
    memcpy(out + 8, header, n);
    for (size_t i = 0; i < data; i++)
        out[8 + n + i] = (unsigned char)i;
    return 8 + n + data;
}

static void refuse_(const char *header, size_t data, const char *word, int line)
{
    unsigned char bytes[4096];
    gn_safetensors f = {0};
    genet_error e = {0};
    size_t n = build(bytes, header, data);
    if (gn_safetensors_parse(&f, bytes, n, "x.safetensors", &e) != GENET_FORMAT || !strstr(e.text, word)) {
        print_error("line %d: %s: \"%s\"\n", line, header, e.text);
        fail();
    }
    assert_null(f.tensors);
}
#define REFUSE(header, data, word) refuse_(header, data, word, __LINE__)

static void lies_are_refused(void **state)
{
    (void)state;
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_"
           "offsets\":[4,12]}}",
           12, "overlap");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
           "offsets\":[8,12]}}",
           12, "gap");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, "end at byte 4");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "outside");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "need 12");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "counted");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "counted");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "negative");
    REFUSE("{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "8 dimensions");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "outside");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "less than two");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "more than two");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "lacks");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"dtype\":\"F32\"}}", 4, "twice");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_"
           "offsets\":[0,0]}}",
           0, "twice");
    REFUSE("{\"__metadata__\":{\"a\":1}}", 0, "string");
    REFUSE("{\"__metadata__\":{},\"__metadata__\":{\"a\":\"b\"},\"__metadata__\":{}}", 0, "twice");
    REFUSE("[]", 0, "object");
    REFUSE("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} x", 4, "follows");
}

static void the_header_length_is_bounded(void **state)
{
    (void)state;
    unsigned char bytes[64] = {0};
    gn_safetensors f = {0};
    genet_error e;
    const uint64_t lengths[] = {57, 1u << 30, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        memcpy(bytes, lengths + i, 8);
        assert_int_equal(gn_safetensors_parse(&f, bytes, sizeof bytes, "x", &e), GENET_FORMAT);
        SAYS(e, "header claims");
    }
    assert_int_equal(gn_safetensors_parse(&f, bytes, 7, "x", &e), GENET_FORMAT);
    SAYS(e, "too few");
}

static const float values[6] = {0, -1.5f, 3e38f, 1e-40f, __builtin_inff(), -0.0f};

static void write_sample(const char *path)
{
    genet_error e;
    const int64_t big = 0x0102030405060708;
    const gn_st_tensor t[3] = {
        {.name = (char *)"w \"x\"", .dtype = "F32", .rank = 2, .dim = {2, 3}, .data = (const unsigned char *)values},
        {.name = (char *)"empty", .dtype = "F32", .rank = 1, .dim = {0}, .data = NULL},
        {.name = (char *)"step", .dtype = "I64", .rank = 0, .data = (const unsigned char *)&big}};
    const char *keys[] = {"k", "odd \xff"}, *texts[] = {"v\n\"", ""};
    uint64_t bytes = 0;
    MUST(gn_safetensors_write(path, t, 3, keys, texts, 2, &bytes, &e));
    gn_map m;
    MUST(gn_map_open(&m, path, &e));
    assert_int_equal(m.bytes, bytes);
    gn_map_close(&m);
}

static void round_trip(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_safetensors f;
    float back[6];
    write_sample(scratch(path, "a.safetensors"));
    MUST(gn_safetensors_open(&f, path, &e));
    assert_int_equal(f.count, 3);
    const gn_st_tensor *w = gn_safetensors_find(&f, "w \"x\"");
    assert_non_null(w);
    assert_int_equal((uintptr_t)w->data % 8, (uintptr_t)f.map.data % 8);
    MUST(gn_st_to_f32(w, back, &e));
    assert_memory_equal(back, values, sizeof values);
    assert_int_equal(gn_safetensors_find(&f, "empty")->count, 0);
    assert_int_equal(gn_safetensors_find(&f, "step")->count, 1);
    assert_int_equal(gn_st_to_f32(gn_safetensors_find(&f, "step"), back, &e), GENET_FORMAT);
    SAYS(e, "I64");
    assert_string_equal(gn_safetensors_meta(&f, "k"), "v\n\"");
    assert_string_equal(gn_safetensors_meta(&f, "odd \xff"), "");
    assert_null(gn_safetensors_meta(&f, "none"));
    gn_safetensors_close(&f);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_map m;
    gn_safetensors f = {0};
    write_sample(scratch(path, "cut.safetensors"));
    MUST(gn_map_open(&m, path, &e));
    for (size_t n = 0; n < m.bytes; n++) {
        unsigned char *copy = malloc(n + 1); /* exactly n bytes, so that a sanitizer sees one read too many */
        assert_non_null(copy);
        unsigned char *exact = realloc(copy, n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, m.data, n);
        assert_int_equal(gn_safetensors_parse(&f, exact, n, "cut", &e), GENET_FORMAT);
        free(exact);
    }
    gn_map_close(&m);
}

static void flipped_header_bytes_do_no_harm(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_map m;
    write_sample(scratch(path, "flip.safetensors"));
    MUST(gn_map_open(&m, path, &e));
    unsigned char *copy = malloc(m.bytes);
    assert_non_null(copy);
    for (size_t i = 0; i < m.bytes - 32; i++)
        for (int bit = 0; bit < 8; bit++) {
            gn_safetensors f = {0};
            memcpy(copy, m.data, m.bytes);
            copy[i] ^= (unsigned char)(1 << bit);
            if (gn_safetensors_parse(&f, copy, m.bytes, "flip", &e) == GENET_OK)
                gn_safetensors_close(&f);
        }
    free(copy);
    gn_map_close(&m);
}

static void half_types_are_converted(void **state)
{
    (void)state;
    const uint16_t half[8] = {0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x7c00};
    const float half_is[8] = {0, -0.0f, 1, -2, 65504, 0x1p-24f, 0x1.ff8p-15f, __builtin_inff()};
    const uint16_t brain[3] = {0x3f80, 0xc040, 0x7f80};
    const double wide[3] = {0.1, -1e300, 5e-324};
    float out[8];
    genet_error e;
    gn_st_tensor t = {.name = (char *)"t", .dtype = "F16", .count = 8, .bytes = 16, .data = (const unsigned char *)half};
    MUST(gn_st_to_f32(&t, out, &e));
    assert_memory_equal(out, half_is, sizeof half_is);
    t = (gn_st_tensor){.name = (char *)"t", .dtype = "BF16", .count = 3, .bytes = 6, .data = (const unsigned char *)brain};
    MUST(gn_st_to_f32(&t, out, &e));
    assert_true(out[0] == 1 && out[1] == -3 && out[2] == __builtin_inff());
    t = (gn_st_tensor){.name = (char *)"t", .dtype = "F64", .count = 3, .bytes = 24, .data = (const unsigned char *)wide};
    MUST(gn_st_to_f32(&t, out, &e));
    assert_true(out[0] == 0.1f && out[1] == -__builtin_inff() && out[2] == 0);
}

/* No allocation's failure leaks or crashes, and each is reported. */
static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_safetensors f;
    write_sample(scratch(path, "alloc.safetensors"));
    for (int64_t n = 1;; n++) {
        gn_fault_arm(GN_FAULT_ALLOCATION, n);
        genet_status status = gn_safetensors_open(&f, path, &e);
        gn_fault_disarm();
        if (status == GENET_OK)
            gn_safetensors_close(&f);
        if (gn_fault_fired() == 0)
            break;
        assert_int_equal(status, GENET_MEMORY);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_grammar), cmocka_unit_test(json_strings_come_back), cmocka_unit_test(json_numbers),
        cmocka_unit_test(lies_are_refused), cmocka_unit_test(the_header_length_is_bounded), cmocka_unit_test(round_trip),
        cmocka_unit_test(every_truncation_is_refused), cmocka_unit_test(flipped_header_bytes_do_no_harm),
        cmocka_unit_test(half_types_are_converted), cmocka_unit_test(every_failed_allocation_is_survived)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
