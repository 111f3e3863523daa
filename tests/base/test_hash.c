/* SPDX-License-Identifier: Apache-2.0
 * Hashes against published vectors: FIPS 180-4 examples, the CRC-32 check value, FNV's own test strings. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"

static void fnv(void **state)
{
    (void)state;
    assert_true(gn_fnv1a(GN_FNV_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(gn_fnv1a(GN_FNV_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(gn_fnv1a(GN_FNV_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(gn_fnv1a(gn_fnv1a(GN_FNV_START, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
}

/* The first outputs of splitmix64 started at 1234567. */
static void mix64(void **state)
{
    (void)state;
    static const uint64_t expected[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                        UINT64_C(9817491932198370423)};
    for (uint64_t i = 0; i < 3; i++)
        assert_true(gn_mix64(1234567 + i * UINT64_C(0x9e3779b97f4a7c15)) == expected[i]);
}

static void crc(void **state)
{
    (void)state;
    assert_int_equal(gn_crc32(0, "", 0), 0);
    assert_int_equal(gn_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(gn_crc32(gn_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(gn_crc32(0, "The quick brown fox jumps over the lazy dog", 43), 0x414fa339);
}

static void sha(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } vectors[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                   {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                   {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
                   {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmn"
                    "opqrstnopqrstu",
                    "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t n = strlen(vectors[i].text);
        for (size_t cut = 0; cut <= n; cut++) {
            gn_sha256 s;
            char hex[65];
            gn_sha256_init(&s);
            gn_sha256_add(&s, vectors[i].text, cut);
            gn_sha256_add(&s, vectors[i].text + cut, n - cut);
            gn_sha256_hex(&s, hex);
            assert_string_equal(hex, vectors[i].hex);
        }
    }
    /* A million times 'a', in pieces of 997. */
    char piece[997], hex[65];
    memset(piece, 'a', sizeof piece);
    gn_sha256 s;
    gn_sha256_init(&s);
    for (size_t left = 1000000; left > 0;) {
        size_t n = left < sizeof piece ? left : sizeof piece;
        gn_sha256_add(&s, piece, n);
        left -= n;
    }
    gn_sha256_hex(&s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fnv), cmocka_unit_test(mix64), cmocka_unit_test(crc),
                                       cmocka_unit_test(sha)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
