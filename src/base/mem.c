/* SPDX-License-Identifier: Apache-2.0
 * Memory. The counter is, with the fault layer, the only mutable state of the library. */
#include "base/mem.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/text.h"

static _Atomic uint64_t allocations;

/* Counts one allocation; false where a test wants it to fail. */
static bool admit(void)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return !gn_fault_due(GN_FAULT_ALLOCATION);
}

uint64_t gn_alloc_count(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

void *gn_calloc(size_t count, size_t size)
{
    if (!admit() || (size > 0 && count > SIZE_MAX / size))
        return NULL;
    /* calloc(0) may give NULL, which callers would take for a failure. */
    return count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);
}

void *gn_realloc(void *block, size_t bytes)
{
    if (!admit())
        return NULL;
    return realloc(block, bytes ? bytes : 1);
}

char *gn_strndup(const char *text, size_t n)
{
    const char *end = memchr(text, 0, n);
    size_t length = end ? (size_t)(end - text) : n;
    char *copy = length < SIZE_MAX ? gn_calloc(length + 1, 1) : NULL;
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *gn_strdup(const char *text)
{
    return gn_strndup(text, strlen(text));
}

char *gn_asprintf(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = gn_vsnprintf(NULL, 0, format, args);
    char *text = n < 0 ? NULL : gn_calloc((size_t)n + 1, 1);
    if (text)
        gn_vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

void gn_free(void *block)
{
    free(block);
}

/* From here on a slab is a mapping of its own: zeroed by the kernel, aligned so that huge pages fit, given back whole.
 */
enum { HUGE_PAGE = 2 << 20 };

static void *map_slab(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * (size_t)HUGE_PAGE)
        return NULL;
    size_t page = 4096, whole = (bytes + page - 1) / page * page, all = whole + HUGE_PAGE;
    unsigned char *base = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    size_t before = (HUGE_PAGE - (uintptr_t)base % HUGE_PAGE) % HUGE_PAGE, behind = HUGE_PAGE - before;
    if (before)
        munmap(base, before);
    if (behind)
        munmap(base + before + whole, behind);
    madvise(base + before, whole, MADV_HUGEPAGE);
    return base + before;
}

void *gn_slab_alloc(size_t bytes)
{
    if (!admit())
        return NULL;
    if (bytes >= HUGE_PAGE)
        return map_slab(bytes);
    size_t whole = bytes ? (bytes + GN_SLAB_ALIGN - 1) / GN_SLAB_ALIGN * GN_SLAB_ALIGN : GN_SLAB_ALIGN;
    void *slab = aligned_alloc(GN_SLAB_ALIGN, whole);
    if (slab)
        memset(slab, 0, whole);
    return slab;
}

void gn_slab_free(void *slab, size_t bytes)
{
    if (slab && bytes >= HUGE_PAGE)
        munmap(slab, (bytes + 4095) / 4096 * 4096);
    else
        free(slab);
}

/* A line of /proc/self/status in bytes. getrusage would count what the process was before exec(2), too. */
static uint64_t status_line(const char *key)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = 0;
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

uint64_t gn_memory_now(void)
{
    return status_line("VmRSS:");
}

uint64_t gn_memory_peak(void)
{
    return status_line("VmHWM:");
}

genet_status gn_fail_memory(genet_error *err, size_t bytes, const char *what)
{
    return gn_fail(err, GENET_MEMORY, "not enough memory for %zu bytes (%s)", bytes, what);
}
