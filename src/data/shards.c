/* SPDX-License-Identifier: Apache-2.0
 * Which tar files make up a set. */
#include "data/shards.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/found.h"

#define MAX_SHARDS 1000000

void gn_shards_free(gn_shards *s)
{
    for (int i = 0; i < s->count; i++)
        gn_free(s->paths[i]);
    gn_free(s->paths);
    memset(s, 0, sizeof *s);
}

/* Takes path, which may be NULL for lack of memory. */
static genet_status push(gn_shards *s, char *path, genet_error *err)
{
    if (path && s->count == s->capacity) {
        int capacity = s->capacity ? s->capacity * 2 : 16;
        char **bigger = gn_realloc(s->paths, (size_t)capacity * sizeof *bigger);
        if (bigger) {
            s->paths = bigger;
            s->capacity = capacity;
        } else {
            gn_free(path);
            path = NULL;
        }
    }
    if (!path)
        return gn_fail_memory(err, sizeof path, "the list of shards");
    s->paths[s->count++] = path;
    return GENET_OK;
}

genet_status gn_shards_in_folder(gn_shards *s, const char *folder, genet_error *err)
{
    genet_status status = GENET_OK;
    int fd = gn_open_at(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return gn_fail_errno(err, GENET_IO, why, "cannot open the folder '%s'", folder);
    }
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        size_t n = strlen(e->d_name);
        if (gn_ignored_name(e->d_name, n) || fstatat(dirfd(dir), e->d_name, &st, 0) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            gn_shards_free(s);
            break;
        }
        if (S_ISREG(st.st_mode) && n > 4 && strcasecmp(e->d_name + n - 4, ".tar") == 0)
            GN_TRY(push(s, gn_path_join(folder, e->d_name), err));
    }
    if (s->count)
        qsort(s->paths, (size_t)s->count, sizeof *s->paths, gn_compare_names);
out:
    closedir(dir);
    return status;
}

/* "012..345}": bounds and where the braces end. */
static bool parse_range(const char *text, long *from, long *to, int *width, const char **end)
{
    char *dots, *close;
    if (*text < '0' || *text > '9')
        return false;
    *from = strtol(text, &dots, 10);
    if (strncmp(dots, "..", 2) != 0 || dots[2] < '0' || dots[2] > '9')
        return false;
    *to = strtol(dots + 2, &close, 10);
    if (*close != '}' || *from > 999999999 || *to > 999999999)
        return false;
    int n = (int)(dots - text), m = (int)(close - dots - 2);
    bool padded = (text[0] == '0' && n > 1) || (dots[2] == '0' && m > 1);
    *width = padded ? (n > m ? n : m) : 0;
    *end = close + 1;
    return true;
}

genet_status gn_shards_expand(gn_shards *s, const char *pattern, genet_error *err)
{
    genet_status status = GENET_OK;
    const char *brace = strchr(pattern, '{'), *rest;
    long from, to;
    int width;
    if (!brace)
        return push(s, gn_strdup(pattern), err);
    if (!parse_range(brace + 1, &from, &to, &width, &rest) || width > 20)
        return gn_fail(err, GENET_USAGE, "'%s' does not exist, and as a pattern of shards it should read as "
                       "'photos-{000..012}.tar'", pattern);
    for (long i = from;; i += from <= to ? 1 : -1) {
        if (s->count >= MAX_SHARDS)
            return gn_fail(err, GENET_USAGE, "'%s' names more than %d shards", pattern, MAX_SHARDS);
        char *one = gn_asprintf("%.*s%0*ld%s", (int)(brace - pattern), pattern, width, i, rest);
        if (!one)
            return gn_fail_memory(err, strlen(pattern), "the list of shards");
        if (strchr(rest, '{')) {
            status = gn_shards_expand(s, one, err);
            gn_free(one);
        } else {
            status = push(s, one, err);
        }
        if (status != GENET_OK || i == to)
            return status;
    }
}
