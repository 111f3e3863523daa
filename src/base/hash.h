/* SPDX-License-Identifier: Apache-2.0
 * Hashes: FNV-1a for tables and identities, CRC-32 for MindSpore's trailer, SHA-256 for manifests. */
#ifndef GN_BASE_HASH_H
#define GN_BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

#define GN_FNV_START UINT64_C(0xcbf29ce484222325)
/* Continues an FNV-1a hash over n bytes. */
uint64_t gn_fnv1a(uint64_t h, const void *bytes, size_t n);
/* splitmix64's finaliser over z (adds the golden gamma first). */
uint64_t gn_mix64(uint64_t z);
/* CRC-32, zlib polynomial; start with crc = 0. */
uint32_t gn_crc32(uint32_t crc, const void *bytes, size_t n);

typedef struct gn_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
} gn_sha256;
void gn_sha256_init(gn_sha256 *s);
void gn_sha256_add(gn_sha256 *s, const void *bytes, size_t n);
void gn_sha256_hex(gn_sha256 *s, char hex[65]);
#endif
