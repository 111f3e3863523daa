/* SPDX-License-Identifier: Apache-2.0
 * Writing manifests and holding data to them. */
#include "data/manifest.h"
#include <stdatomic.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "data/threads.h"

#define FIRST_LINE "genet-manifest 1"
#define MAX_MANIFEST_BYTES ((size_t)4 << 30)

typedef struct entry {
    char *part, *hash, *size, *class_name, *name; /* into the file's bytes; names are unfolded in place */
    atomic_int seen;
} entry;

typedef struct manifest {
    unsigned char *bytes;
    entry *entries; /* of the wanted part */
    int64_t count;
    int64_t *slots; /* open addressing by name, -1 empty */
    int64_t slot_count;
} manifest;

/* --- writing ---------------------------------------------------------------------------------------------------------- */

static genet_status put_name(gn_writer *w, const char *name, genet_error *err)
{
    genet_status status = GENET_OK;
    while (*name) {
        size_t plain = 0;
        while ((unsigned char)name[plain] >= 0x20 && name[plain] != 0x7f && name[plain] != '%')
            plain++;
        if (plain)
            GN_TRY(gn_writer_put(w, name, plain, err));
        name += plain;
        if (*name) {
            GN_TRY(gn_writer_printf(w, err, "%%%02X", (unsigned char)*name));
            name++;
        }
    }
out:
    return status;
}

genet_status gn_manifest_begin(gn_writer *w, genet_error *err)
{
    return gn_writer_printf(w, err, FIRST_LINE "\n");
}

genet_status gn_manifest_add(gn_writer *w, const char *part, const gn_dataset *d, const gn_sample *s, const char *hash,
                             genet_error *err)
{
    genet_status status = GENET_OK;
    GN_TRY(gn_writer_printf(w, err, "%s\t%s\t%llu\t", part, hash, (unsigned long long)s->size));
    GN_TRY(put_name(w, d->classes[s->label], err));
    GN_TRY(gn_writer_put(w, "\t", 1, err));
    GN_TRY(put_name(w, s->name, err));
    GN_TRY(gn_writer_put(w, "\n", 1, err));
out:
    return status;
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX back to bytes, in place; false where it is damaged. */
static bool unfold(char *text)
{
    char *to = text;
    for (char *from = text; *from; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    return true;
}

static bool split_line(char *line, entry *e)
{
    char **fields[] = {&e->part, &e->hash, &e->size, &e->class_name, &e->name};
    for (int i = 0; i < 5; i++) {
        char *tab = i < 4 ? strchr(line, '\t') : NULL;
        *fields[i] = line;
        if (i < 4 && !tab)
            return false;
        if (tab) {
            *tab = '\0';
            line = tab + 1;
        }
    }
    bool hashed = strlen(e->hash) == 64 && strspn(e->hash, "0123456789abcdef") == 64;
    bool sized = *e->size && strspn(e->size, "0123456789") == strlen(e->size);
    return (hashed || strcmp(e->hash, "-") == 0) && sized && *e->name && unfold(e->class_name) && unfold(e->name);
}

static void index_entries(manifest *m)
{
    for (int64_t i = 0; i < m->slot_count; i++)
        m->slots[i] = -1;
    for (int64_t i = 0; i < m->count; i++) {
        const char *name = m->entries[i].name;
        uint64_t at = gn_fnv1a(GN_FNV_START, name, strlen(name)) & (uint64_t)(m->slot_count - 1);
        while (m->slots[at] >= 0)
            at = (at + 1) & (uint64_t)(m->slot_count - 1);
        m->slots[at] = i;
    }
}

static genet_status read_manifest(manifest *m, const char *path, const char *part, genet_error *err)
{
    size_t bytes;
    int64_t lines = 0, number = 1;
    genet_status status = gn_file_read(path, MAX_MANIFEST_BYTES, &m->bytes, &bytes, err);
    if (status != GENET_OK)
        return status;
    for (size_t i = 0; i < bytes; i++)
        lines += m->bytes[i] == '\n';
    if (bytes < sizeof FIRST_LINE || memcmp(m->bytes, FIRST_LINE "\n", sizeof FIRST_LINE) != 0)
        return gn_fail(err, GENET_DATA, "'%s' is no manifest of genet: its first line is not '" FIRST_LINE "'", path);
    for (m->slot_count = 64; m->slot_count < 2 * lines;)
        m->slot_count *= 2;
    m->entries = gn_calloc((size_t)lines + 1, sizeof *m->entries);
    m->slots = gn_calloc((size_t)m->slot_count, sizeof *m->slots);
    if (!m->entries || !m->slots)
        return gn_fail_memory(err, (size_t)lines * sizeof *m->entries, "a manifest");
    char *end = (char *)m->bytes + bytes;
    for (char *line = (char *)m->bytes + sizeof FIRST_LINE; line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        entry *e = &m->entries[m->count];
        number++;
        if (stop)
            *stop = '\0';
        if (!stop || memchr(line, '\0', (size_t)(stop - line)) || !split_line(line, e))
            return gn_fail(err, GENET_DATA, "'%s' line %lld is damaged: write the manifest anew with genet data audit", path,
                           (long long)number);
        m->count += strcmp(e->part, part) == 0;
        line = stop + 1;
    }
    index_entries(m);
    return GENET_OK;
}

static void free_manifest(manifest *m)
{
    gn_free(m->bytes);
    gn_free(m->entries);
    gn_free(m->slots);
}

/* --- checking --------------------------------------------------------------------------------------------------------- */

typedef enum difference { SAME, CHANGED, NEW, OTHER_CLASS, UNREADABLE, DIFFERENCES } difference;

typedef struct reader {
    unsigned char *bytes;
    size_t capacity;
} reader;

typedef struct check {
    const gn_dataset *set;
    manifest m;
    reader *readers;
    unsigned char *found; /* [sample]: difference */
} check;

static bool same_size(const entry *e, uint64_t size)
{
    char digits[24];
    int n = 0;
    do
        digits[n++] = (char)('0' + size % 10);
    while (size /= 10);
    if (strlen(e->size) != (size_t)n)
        return false;
    for (int i = 0; i < n; i++)
        if (e->size[i] != digits[n - 1 - i])
            return false;
    return true;
}

static genet_status compare(reader *r, const gn_sample *s, const entry *e, difference *d, genet_error *err)
{
    gn_sha256 sha;
    char hex[65] = "-";
    size_t bytes;
    genet_status status = gn_sample_read(s, &r->bytes, &r->capacity, &bytes, err);
    if (status == GENET_MEMORY)
        return status;
    if (status == GENET_OK) {
        gn_sha256_init(&sha);
        gn_sha256_add(&sha, r->bytes, bytes);
        gn_sha256_hex(&sha, hex);
    }
    *d = strcmp(hex, e->hash) == 0 ? SAME : status == GENET_OK ? CHANGED : UNREADABLE;
    return GENET_OK;
}

static genet_status check_one(void *user, int thread, int64_t i, genet_error *err)
{
    check *c = user;
    const gn_sample *s = &c->set->samples[i];
    const char *class_name = c->set->classes[s->label];
    difference d = NEW;
    uint64_t mask = (uint64_t)(c->m.slot_count - 1), at = gn_fnv1a(GN_FNV_START, s->name, strlen(s->name)) & mask;
    genet_status status = GENET_OK;
    for (; c->m.slots[at] >= 0; at = (at + 1) & mask) {
        entry *e = &c->m.entries[c->m.slots[at]];
        if (strcmp(e->name, s->name) != 0)
            continue;
        d = OTHER_CLASS;
        if (strcmp(e->class_name, class_name) != 0)
            continue;
        atomic_store(&e->seen, 1);
        d = CHANGED;
        if (same_size(e, s->size))
            status = compare(&c->readers[thread], s, e, &d, err);
        break;
    }
    c->found[i] = (unsigned char)d;
    return status;
}

static genet_status report(const check *c, const char *path, bool whole, genet_error *err)
{
    static const char *const words[] = {"", "changed", "not in it", "of another class", "not readable"};
    int64_t counts[DIFFERENCES] = {0}, missing = 0;
    const char *first[DIFFERENCES] = {NULL}, *first_missing = NULL;
    gn_text text = {0};
    for (int64_t i = 0; i < c->set->count; i++)
        if (counts[c->found[i]]++ == 0)
            first[c->found[i]] = c->set->samples[i].name;
    for (int64_t i = 0; whole && i < c->m.count; i++)
        if (!atomic_load(&c->m.entries[i].seen) && missing++ == 0)
            first_missing = c->m.entries[i].name;
    for (int d = CHANGED; d < DIFFERENCES; d++)
        if (counts[d])
            gn_text_add(&text, "%s%lld %s (the first: '%s')", text.length ? ", " : "", (long long)counts[d], words[d],
                        first[d]);
    if (missing)
        gn_text_add(&text, "%s%lld of it gone (the first: '%s')", text.length ? ", " : "", (long long)missing, first_missing);
    genet_status status = GENET_OK;
    if (text.length || text.failed)
        status = gn_fail(err, GENET_DATA,
                         "'%s' is not what the manifest '%s' lists: images %s; restore the data, or look at it with genet "
                         "data audit and write the manifest anew", c->set->root, path, text.failed ? "differ" : text.data);
    gn_text_free(&text);
    return status;
}

genet_status gn_manifest_check(const char *path, const char *part, const gn_dataset *d, bool whole, int threads,
                               void (*progress)(void *user, int64_t done, int64_t all), void *user, genet_error *err)
{
    genet_status status = GENET_OK;
    check c = {.set = d};
    threads = threads > 0 ? threads : gn_cores();
    GN_TRY(read_manifest(&c.m, path, part, err));
    if (c.m.count == 0) {
        status = gn_fail(err, GENET_DATA, "the manifest '%s' lists no images of the part '%s'; write it with genet data audit, "
                         "--data and --val as for training", path, part);
        goto out;
    }
    c.readers = gn_calloc((size_t)threads, sizeof *c.readers);
    c.found = gn_calloc((size_t)d->count + 1, 1);
    if (!c.readers || !c.found) {
        status = gn_fail_memory(err, (size_t)d->count, "a manifest");
        goto out;
    }
    GN_TRY(gn_parallel(d->count, threads, check_one, &c, progress, user, err));
    status = report(&c, path, whole, err);
out:
    for (int i = 0; c.readers && i < threads; i++)
        gn_free(c.readers[i].bytes);
    gn_free(c.readers);
    gn_free(c.found);
    free_manifest(&c.m);
    return status;
}
