/* SPDX-License-Identifier: Apache-2.0
 * List files: "path, label" a line, further columns ignored. Separated by commas, or by tabs in a line that has one; spaces
 * around a field do not count; "quoted" fields hold anything, a quote written twice. Empty lines and lines that start
 * with # are skipped, and so is a first line of column names. Paths are relative to the list's folder. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/found.h"

#define MAX_LIST_BYTES ((size_t)2 << 30)

typedef struct field {
    const char *text;
    size_t n;
} field;

typedef struct reader {
    gn_finds *finds;
    const char *path; /* of the list */
    gn_text folder;   /* its folder and '/', empty for the working folder */
    gn_text full;
    int64_t line, bad, first_bad;
    const char *why;
    const char *absent; /* first file that is not there */
} reader;

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next field from *at; quoted text is unfolded in place. Returns NULL or what is wrong. */
static const char *next_field(char **at, char *end, char separator, field *f)
{
    char *p = *at;
    while (p < end && *p != separator && blank(*p))
        p++;
    if (p < end && *p == '"') {
        char *to = ++p;
        f->text = to;
        for (;; p++) {
            if (p == end)
                return "a quote is not closed";
            if (*p == '"' && !(p + 1 < end && p[1] == '"'))
                break;
            if (*p == '"')
                p++;
            *to++ = *p;
        }
        f->n = (size_t)(to - f->text);
        for (p++; p < end && *p != separator; p++)
            if (!blank(*p))
                return "text follows a closing quote";
    } else {
        f->text = p;
        while (p < end && *p != separator)
            p++;
        char *last = p;
        while (last > f->text && blank(last[-1]))
            last--;
        f->n = (size_t)(last - f->text);
    }
    *at = p;
    return NULL;
}

static const char *parse_line(char *line, char *end, field *path, field *label)
{
    if (memchr(line, '\0', (size_t)(end - line)))
        return "it holds a zero byte";
    char separator = memchr(line, '\t', (size_t)(end - line)) ? '\t' : ',';
    const char *why = next_field(&line, end, separator, path);
    if (why)
        return why;
    if (line == end)
        return "no comma or tab after the path";
    line++;
    why = next_field(&line, end, separator, label);
    if (why)
        return why;
    if (path->n == 0)
        return "the path is empty";
    return label->n == 0 ? "the label is empty" : NULL;
}

static bool word(field f, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == f.n && strncasecmp(f.text, *words, f.n) == 0)
            return true;
    return false;
}

static bool column_names(field path, field label)
{
    static const char *const paths[] = {"path", "file", "filename", "file_name", "filepath", "image", "image_path", NULL};
    static const char *const labels[] = {"label", "class", "class_name", "category", "target", "class_id", NULL};
    return word(path, paths) && word(label, labels);
}

static genet_status add_image(reader *r, field path, field label, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_finds *f = r->finds;
    gn_found item = {0};
    struct stat st;
    r->full.length = 0;
    if (path.text[0] != '/')
        gn_text_put(&r->full, r->folder.data ? r->folder.data : "", r->folder.length);
    size_t prefix = r->full.length;
    gn_text_put(&r->full, path.text, path.n);
    item.path = r->full.failed ? NULL : gn_arena_put(f->memory, r->full.data, r->full.length);
    if (!item.path)
        return gn_fail_memory(err, r->full.length, "file names");
    item.name = item.path + prefix;
    if (stat(item.path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        item.size = (uint64_t)st.st_size;
    } else {
        f->absent++;
        if (!r->absent)
            r->absent = item.path;
    }
    GN_TRY(gn_finds_group(f, label.text, label.n, &item.group, err));
    GN_TRY(gn_finds_add(f, &item, err));
out:
    return status;
}

static genet_status read_lines(reader *r, char *data, size_t bytes, genet_error *err)
{
    genet_status status = GENET_OK;
    char *at = data, *end = data + bytes;
    if (bytes >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at)), *last = stop ? stop : end;
        field path, label;
        char *line = at;
        at = stop ? stop + 1 : end;
        r->line++;
        while (line < last && blank(*line))
            line++;
        if (line == last || *line == '#')
            continue;
        const char *why = parse_line(line, last, &path, &label);
        if (why && r->bad++ == 0) {
            r->first_bad = r->line;
            r->why = why;
        }
        if (!why && !(r->finds->count == 0 && column_names(path, label)))
            GN_TRY(add_image(r, path, label, err));
    }
out:
    return status;
}

static genet_status judge(const reader *r, genet_error *err)
{
    const gn_finds *f = r->finds;
    char more[64] = "";
    if (r->bad > 1)
        snprintf(more, sizeof more, " (%lld lines are wrong)", (long long)r->bad);
    if (r->bad)
        return gn_fail(err, GENET_DATA, "%s line %lld: %s%s; each line is 'path, label'", r->path, (long long)r->first_bad,
                       r->why, more);
    if (f->count == 0)
        return gn_fail(err, GENET_DATA, "'%s' lists no images; each line is 'path, label'", r->path);
    if (f->absent == f->count)
        return gn_fail(err, GENET_DATA,
                       "not one of the %lld images of '%s' is there (the first would be '%s'): paths are relative to the "
                       "list's folder",
                       (long long)f->count, r->path, r->absent);
    return GENET_OK;
}

genet_status gn_scan_list(gn_finds *f, const char *path, genet_error *err)
{
    genet_status status = GENET_OK;
    reader r = {.finds = f, .path = path};
    unsigned char *data = NULL;
    size_t bytes = 0;
    const char *slash = strrchr(path, '/');
    f->labels = true;
    if (slash)
        gn_text_put(&r.folder, path, (size_t)(slash - path) + 1);
    if (r.folder.failed) {
        status = gn_fail_memory(err, strlen(path), "file names");
        goto out;
    }
    GN_TRY(gn_file_read(path, MAX_LIST_BYTES, &data, &bytes, err));
    GN_TRY(read_lines(&r, (char *)data, bytes, err));
    status = judge(&r, err);
out:
    gn_free(data);
    gn_text_free(&r.folder);
    gn_text_free(&r.full);
    return status;
}
