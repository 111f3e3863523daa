/* SPDX-License-Identifier: Apache-2.0
 * The growing table of what a source finds, its strings, and the rules about names. */
#include "data/found.h"
#include <limits.h>
#include <string.h>
#include <strings.h>
#include "base/hash.h"
#include "base/mem.h"

#define ARENA_BLOCK (256 * 1024)
#define MAX_IMAGES 1000000000
#define MAX_GROUPS 10000000

typedef struct gn_arena_block {
    struct gn_arena_block *next;
    size_t used, capacity;
    char bytes[];
} gn_arena_block;

const char *gn_arena_put(gn_dataset_memory *m, const char *bytes, size_t n)
{
    gn_arena_block *b = m->blocks;
    if (!b || b->capacity - b->used <= n) {
        size_t capacity = n >= ARENA_BLOCK ? n + 1 : ARENA_BLOCK;
        b = gn_calloc(1, sizeof *b + capacity);
        if (!b)
            return NULL;
        b->capacity = capacity;
        b->next = m->blocks;
        m->blocks = b;
    }
    char *copy = b->bytes + b->used;
    if (n)
        memcpy(copy, bytes, n);
    copy[n] = '\0';
    b->used += n + 1;
    return copy;
}

void gn_dataset_memory_release(gn_dataset_memory *m)
{
    if (!m || atomic_fetch_sub(&m->users, 1) != 1)
        return;
    for (gn_arena_block *b = m->blocks; b;) {
        gn_arena_block *next = b->next;
        gn_free(b);
        b = next;
    }
    gn_free(m);
}

genet_status gn_finds_create(gn_finds *f, genet_error *err)
{
    memset(f, 0, sizeof *f);
    f->memory = gn_calloc(1, sizeof *f->memory);
    if (!f->memory)
        return gn_fail_memory(err, sizeof *f->memory, "file names");
    atomic_init(&f->memory->users, 1);
    return GENET_OK;
}

void gn_finds_free(gn_finds *f)
{
    gn_dataset_memory_release(f->memory);
    gn_free(f->items);
    gn_free(f->groups);
    gn_free(f->slots);
    memset(f, 0, sizeof *f);
}

static genet_status grow_slots(gn_finds *f, genet_error *err)
{
    int count = f->slot_count ? f->slot_count * 2 : 256;
    int *slots = gn_calloc((size_t)count, sizeof *slots);
    if (!slots)
        return gn_fail_memory(err, (size_t)count * sizeof *slots, "class names");
    for (int i = 0; i < count; i++)
        slots[i] = -1;
    for (int g = 0; g < f->group_count; g++) {
        const char *text = f->groups[g].text;
        uint64_t at = gn_fnv1a(GN_FNV_START, text, strlen(text)) & (uint64_t)(count - 1);
        while (slots[at] >= 0)
            at = (at + 1) & (uint64_t)(count - 1);
        slots[at] = g;
    }
    gn_free(f->slots);
    f->slots = slots;
    f->slot_count = count;
    return GENET_OK;
}

genet_status gn_finds_group(gn_finds *f, const char *text, size_t n, int *group, genet_error *err)
{
    genet_status status = GENET_OK;
    if (f->group_count >= f->slot_count / 2)
        GN_TRY(grow_slots(f, err));
    uint64_t mask = (uint64_t)(f->slot_count - 1), at = gn_fnv1a(GN_FNV_START, text, n) & mask;
    for (; f->slots[at] >= 0; at = (at + 1) & mask) {
        const char *have = f->groups[f->slots[at]].text;
        if (strlen(have) == n && memcmp(have, text, n) == 0) {
            *group = f->slots[at];
            return GENET_OK;
        }
    }
    if (f->group_count >= MAX_GROUPS)
        return gn_fail(err, GENET_DATA, "more than %d different classes: is this a set of class folders or a list of labels?",
                       MAX_GROUPS);
    if (f->group_count == f->group_capacity) {
        int capacity = f->group_capacity ? f->group_capacity * 2 : 64;
        gn_group *bigger = gn_realloc(f->groups, (size_t)capacity * sizeof *bigger);
        if (!bigger)
            return gn_fail_memory(err, (size_t)capacity * sizeof *bigger, "class names");
        f->groups = bigger;
        f->group_capacity = capacity;
    }
    const char *copy = gn_arena_put(f->memory, text, n);
    if (!copy)
        return gn_fail_memory(err, n, "class names");
    f->groups[f->group_count] = (gn_group){.text = copy, .name = copy, .label = -1};
    f->slots[at] = f->group_count;
    *group = f->group_count++;
out:
    return status;
}

genet_status gn_finds_add(gn_finds *f, const gn_found *item, genet_error *err)
{
    if (f->count >= MAX_IMAGES)
        return gn_fail(err, GENET_DATA, "more than %d images", MAX_IMAGES);
    if (f->count == f->capacity) {
        int64_t capacity = f->capacity ? f->capacity * 2 : 1024;
        gn_found *bigger = gn_realloc(f->items, (size_t)capacity * sizeof *bigger);
        if (!bigger)
            return gn_fail_memory(err, (size_t)capacity * sizeof *bigger, "the table of images");
        f->items = bigger;
        f->capacity = capacity;
    }
    f->items[f->count++] = *item;
    f->groups[item->group].files++;
    return GENET_OK;
}

static bool equals(const char *name, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(name, word, n) == 0;
}

bool gn_ignored_name(const char *name, size_t n)
{
    return n == 0 || name[0] == '.' || equals(name, n, "thumbs.db") || equals(name, n, "desktop.ini") ||
           equals(name, n, "__MACOSX");
}

bool gn_split_name(const char *name, size_t n)
{
    static const char *const words[] = {"train", "training", "val", "valid", "validation", "test", "testing", "eval"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (equals(name, n, words[i]))
            return true;
    return false;
}

bool gn_image_signature(const unsigned char *b, size_t n)
{
    return (n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff) ||
           (n >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0) ||
           (n >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0);
}
