/* SPDX-License-Identifier: Apache-2.0
 * The headers of a tar file. Offsets are checked against the file's size, and for the first member of every shard
 * against the bytes that libarchive itself reads there. */
#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/tar.h"

#define READ_BLOCK 16384
#define MAX_LABEL 1024
#define MAX_MEMBERS 1000000000
#define MAX_NAME 16384
#define MAX_DEPTH 40

typedef struct shard {
    struct archive *archive;
    const char *path, *inside;
    int fd, number;
    uint64_t bytes;
    bool checked;
} shard;

void gn_members_free(gn_members *m)
{
    gn_free(m->items);
    memset(m, 0, sizeof *m);
}

const char *gn_compression_name(const unsigned char *b, size_t n)
{
    static const struct {
        const char *magic;
        size_t n;
        const char *name;
    } kinds[] = {{"\x1f\x8b", 2, "gzip"}, {"\xfd" "7zXZ", 5, "xz"}, {"\x28\xb5\x2f\xfd", 4, "zstd"},
                 {"BZh", 3, "bzip2"}, {"\x04\x22\x4d\x18", 4, "lz4"}, {"\x1f\x9d", 2, "compress"},
                 {"PK\x03\x04", 4, "zip"}, {"7z\xbc\xaf\x27\x1c", 6, "7-zip"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (n >= kinds[i].n && memcmp(b, kinds[i].magic, kinds[i].n) == 0)
            return kinds[i].name;
    return NULL;
}

bool gn_tar_header(const unsigned char *b, size_t n)
{
    unsigned sum = 0, said = 0;
    if (n < 512)
        return false;
    for (int i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : b[i];
    int i = 148;
    while (i < 156 && b[i] == ' ')
        i++;
    for (; i < 156 && b[i] >= '0' && b[i] <= '7'; i++)
        said = said * 8 + (unsigned)(b[i] - '0');
    return b[0] && sum == said;
}

static genet_status fail_archive(const shard *s, genet_error *err)
{
    const char *why = archive_error_string(s->archive);
    return gn_fail(err, GENET_DATA, "'%s' cannot be read as a tar file: %s", s->path, why ? why : "unknown reason");
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcasecmp(name + n - m, end) == 0;
}

static bool name_too_long(const char *name, size_t n)
{
    int depth = 0;
    for (const char *c = name; *c; c++)
        depth += *c == '/';
    return n > MAX_NAME || depth > MAX_DEPTH;
}

/* Whether any part of the path is a name that is no data. */
static bool ignored_path(const char *name)
{
    for (const char *part = name; *part;) {
        size_t n = strcspn(part, "/");
        if (gn_ignored_name(part, n))
            return true;
        part += n + (part[n] == '/');
    }
    return false;
}

static const char *clean_name(const char *name)
{
    for (;;) {
        if (name[0] == '/')
            name++;
        else if (name[0] == '.' && name[1] == '/')
            name += 2;
        else
            return name;
    }
}

static genet_status read_label(const shard *s, gn_member *m, gn_dataset_memory *memory, genet_error *err)
{
    char text[MAX_LABEL];
    if (m->size >= sizeof text)
        return gn_fail(err, GENET_DATA, "'%s' in '%s' is no label: it has %llu bytes", m->name, s->path,
                       (unsigned long long)m->size);
    ssize_t n = archive_read_data(s->archive, text, (size_t)m->size);
    if (n < 0)
        return fail_archive(s, err);
    const char *start = text;
    while (n > 0 && isspace((unsigned char)start[n - 1]))
        n--;
    while (n > 0 && isspace((unsigned char)*start))
        start++, n--;
    if (n == 0 || memchr(start, '\0', (size_t)n))
        return gn_fail(err, GENET_DATA, "'%s' in '%s' holds no label", m->name, s->path);
    m->text = gn_arena_put(memory, start, (size_t)n);
    return m->text ? GENET_OK : gn_fail_memory(err, (size_t)n, "class names");
}

/* The bytes at the offset are those that libarchive finds: an image will be read without it. */
static genet_status check_offset(shard *s, const gn_member *m, genet_error *err)
{
    unsigned char here[512], there[512];
    size_t n = m->size < sizeof here ? (size_t)m->size : sizeof here;
    ssize_t got = archive_read_data(s->archive, here, n);
    if (got < 0)
        return fail_archive(s, err);
    long long read = gn_read_at(s->fd, there, n, m->offset);
    if (read < 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot read '%s'", s->path);
    if ((size_t)got != n || (size_t)read != n || memcmp(here, there, n) != 0)
        return gn_fail(err, GENET_DATA, "'%s' is a tar file of an unusual kind: '%s' is not stored in one piece", s->path,
                       m->name);
    s->checked = true;
    return GENET_OK;
}

static genet_status push(gn_members *m, const gn_member *one, genet_error *err)
{
    if (m->count >= MAX_MEMBERS)
        return gn_fail(err, GENET_DATA, "more than %d files in tar shards", MAX_MEMBERS);
    if (m->count == m->capacity) {
        int64_t capacity = m->capacity ? m->capacity * 2 : 1024;
        gn_member *bigger = gn_realloc(m->items, (size_t)capacity * sizeof *bigger);
        if (!bigger)
            return gn_fail_memory(err, (size_t)capacity * sizeof *bigger, "the table of tar members");
        m->items = bigger;
        m->capacity = capacity;
    }
    m->items[m->count++] = *one;
    return GENET_OK;
}

/* The name below `inside`, or NULL for a member that lies elsewhere. */
static const char *inner_name(const shard *s, const char *raw)
{
    const char *name = raw ? clean_name(raw) : "";
    size_t n = strlen(s->inside);
    if (n == 0)
        return name;
    return strncmp(name, s->inside, n) == 0 && name[n] == '/' ? name + n + 1 : NULL;
}

static genet_status add_member(shard *s, gn_members *m, gn_dataset_memory *memory, struct archive_entry *e,
                               genet_error *err)
{
    genet_status status = GENET_OK;
    const char *name = inner_name(s, archive_entry_pathname(e));
    size_t n = name ? strlen(name) : 0;
    while (n && name[n - 1] == '/')
        n--;
    int64_t offset = archive_filter_bytes(s->archive, 0), size = archive_entry_size(e);
    gn_member one = {.shard = s->number, .folder = archive_entry_filetype(e) == AE_IFDIR};
    if (n == 0 || strcmp(name, ".") == 0)
        return GENET_OK;
    if (name_too_long(name, n))
        return gn_fail(err, GENET_DATA, "'%s' has a member whose name is longer than %d bytes or %d folders", s->path, MAX_NAME,
                       MAX_DEPTH);
    one.name = gn_arena_put(memory, name, n);
    if (!one.name)
        return gn_fail_memory(err, n, "file names");
    if (ignored_path(one.name)) {
        m->ignored++;
        return GENET_OK;
    }
    if (!one.folder) {
        if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) || archive_entry_sparse_count(e) > 0) {
            m->links++;
            return GENET_OK;
        }
        if (offset < 0 || size < 0 || (uint64_t)offset > s->bytes || (uint64_t)size > s->bytes - (uint64_t)offset)
            return gn_fail(err, GENET_DATA,
                           "'%s' is cut off: '%s' should have %lld bytes from byte %lld on, the file has %llu; copy it again",
                           s->path, one.name, (long long)size, (long long)offset, (unsigned long long)s->bytes);
        one.offset = (uint64_t)offset;
        one.size = (uint64_t)size;
        if (ends_with(one.name, ".cls"))
            GN_TRY(read_label(s, &one, memory, err));
        else if (!s->checked && size > 0)
            GN_TRY(check_offset(s, &one, err));
    }
    status = push(m, &one, err);
out:
    return status;
}

static genet_status open_shard(shard *s, genet_error *err)
{
    struct stat st;
    unsigned char head[512];
    s->fd = gn_open_at(AT_FDCWD, s->path, O_RDONLY | O_NONBLOCK);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot open '%s'", s->path);
    if (!S_ISREG(st.st_mode))
        return gn_fail(err, GENET_DATA, "'%s' is not a plain file: tar shards are read at any place", s->path);
    s->bytes = (uint64_t)st.st_size;
    long long n = gn_read_at(s->fd, head, sizeof head, 0);
    if (n < 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot read '%s'", s->path);
    const char *packed = n > 0 ? gn_compression_name(head, (size_t)n) : NULL;
    if (packed)
        return gn_fail(err, GENET_DATA,
                       "'%s' is compressed (%s); its images are read at any place, so unpack it, or store it as a plain "
                       "tar (images are compressed already)", s->path, packed);
    s->archive = archive_read_new();
    if (!s->archive)
        return gn_fail_memory(err, 0, "a tar reader");
    if (archive_read_support_format_tar(s->archive) != ARCHIVE_OK ||
        archive_read_open_fd(s->archive, s->fd, READ_BLOCK) != ARCHIVE_OK)
        return fail_archive(s, err);
    return GENET_OK;
}

genet_status gn_tar_read(gn_members *m, gn_dataset_memory *memory, const char *path, int number, const char *inside,
                         genet_error *err)
{
    genet_status status = GENET_OK;
    shard s = {.path = path, .inside = inside, .fd = -1, .number = number};
    GN_TRY(open_shard(&s, err));
    for (;;) {
        struct archive_entry *e;
        int r = archive_read_next_header(s.archive, &e);
        if (r == ARCHIVE_EOF)
            break;
        if (r < ARCHIVE_WARN) { /* a warning is about the character set of a name; its bytes are there */
            status = fail_archive(&s, err);
            goto out;
        }
        GN_TRY(add_member(&s, m, memory, e, err));
    }
out:
    if (s.archive)
        archive_read_free(s.archive);
    if (s.fd >= 0)
        close(s.fd);
    return status;
}
