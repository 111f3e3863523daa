/* SPDX-License-Identifier: Apache-2.0
 * Memory. Small objects and slabs go through here so that a test can make the n-th allocation fail and count what a
 * warm training step allocates (nothing). */
#ifndef GN_BASE_MEM_H
#define GN_BASE_MEM_H
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

#define GN_SLAB_ALIGN 64

/* Zeroed memory for count elements of size bytes, or NULL (overflow included). Free with gn_free. */
void *gn_calloc(size_t count, size_t size);
/* As realloc; on failure NULL and the old block stays. New bytes are not zeroed. */
void *gn_realloc(void *block, size_t bytes);
/* Copy of a string / of n bytes plus a final NUL, or NULL. */
char *gn_strdup(const char *text);
char *gn_strndup(const char *text, size_t n);
/* printf into fresh memory, or NULL. */
char *gn_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void gn_free(void *block);

/* Large zeroed block aligned to GN_SLAB_ALIGN bytes (huge pages advised). NULL on failure. Free with gn_slab_free. */
void *gn_slab_alloc(size_t bytes);
void gn_slab_free(void *slab, size_t bytes);

/* Number of allocations (gn_calloc, gn_realloc, gn_strdup, gn_slab_alloc) this process has made through this file. */
uint64_t gn_alloc_count(void);

/* Bytes of memory that the process holds, and has held at most; 0 where the system does not say (/proc). */
uint64_t gn_memory_now(void);
uint64_t gn_memory_peak(void);

/* gn_fail(err, GENET_MEMORY, "not enough memory for <bytes> bytes (<what>)"). */
genet_status gn_fail_memory(genet_error *err, size_t bytes, const char *what);
#endif
