/* SPDX-License-Identifier: Apache-2.0
 * Class folders, nested or not. Every folder that holds files is a class; one without files and folders is an empty class.
 * Links to files and folders are followed, a link back to a folder above is not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/found.h"

#define MAX_DEPTH 40

typedef struct names {
    char **items;
    int count, capacity;
} names;

typedef struct scan {
    gn_finds *finds;
    gn_text path; /* of the folder being read */
    size_t root;  /* length of the root's path and its '/' */
    struct {
        dev_t device;
        ino_t inode;
    } above[MAX_DEPTH];
    bool loose_images; /* images lie at the root, in no class folder */
    int64_t root_files;
} scan;

static void names_free(names *l)
{
    for (int i = 0; i < l->count; i++)
        gn_free(l->items[i]);
    gn_free(l->items);
}

static genet_status names_add(names *l, const char *name, genet_error *err)
{
    if (l->count == l->capacity) {
        int capacity = l->capacity ? l->capacity * 2 : 16;
        char **bigger = gn_realloc(l->items, (size_t)capacity * sizeof *bigger);
        if (!bigger)
            return gn_fail_memory(err, (size_t)capacity * sizeof *bigger, "folder names");
        l->items = bigger;
        l->capacity = capacity;
    }
    l->items[l->count] = gn_strdup(name);
    if (!l->items[l->count])
        return gn_fail_memory(err, strlen(name) + 1, "folder names");
    l->count++;
    return GENET_OK;
}

static void path_cut(gn_text *path, size_t length)
{
    path->length = length;
    if (path->data)
        path->data[length] = '\0';
}

static bool file_is_image(int folder, const char *name)
{
    unsigned char head[16];
    int fd = gn_open_at(folder, name, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return false;
    long long n = gn_read_at(fd, head, sizeof head, 0);
    close(fd);
    return n > 0 && gn_image_signature(head, (size_t)n);
}

static bool is_above(const scan *s, const struct stat *st, int depth)
{
    for (int i = 0; i <= depth; i++)
        if (s->above[i].device == st->st_dev && s->above[i].inode == st->st_ino)
            return true;
    return false;
}

/* Sorts the entries of a folder into files and folders. */
static genet_status read_entries(scan *s, DIR *dir, int depth, names *files, names *folders, genet_error *err)
{
    genet_status status = GENET_OK;
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(dir);
        if (!e && errno)
            return gn_fail_errno(err, GENET_IO, errno, "cannot read the folder '%s'", s->path.data);
        if (!e)
            return GENET_OK;
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        bool there = fstatat(dirfd(dir), e->d_name, &st, 0) == 0;
        if (gn_ignored_name(e->d_name, strlen(e->d_name)))
            s->finds->ignored++;
        else if (!there || S_ISREG(st.st_mode))
            GN_TRY(names_add(files, e->d_name, err));
        else if (S_ISDIR(st.st_mode) && !is_above(s, &st, depth))
            GN_TRY(names_add(folders, e->d_name, err));
        else
            s->finds->ignored++; /* a pipe, a device, a link to a folder above */
    }
out:
    return status;
}

static genet_status add_files(scan *s, int folder, const names *files, int group, genet_error *err)
{
    genet_status status = GENET_OK;
    size_t length = s->path.length;
    for (int i = 0; i < files->count; i++) {
        gn_found item = {.group = group};
        struct stat st;
        if (fstatat(folder, files->items[i], &st, 0) == 0)
            item.size = (uint64_t)st.st_size;
        else
            s->finds->absent++;
        path_cut(&s->path, length);
        gn_text_add(&s->path, "/");
        gn_text_put(&s->path, files->items[i], strlen(files->items[i]));
        item.path = s->path.failed ? NULL : gn_arena_put(s->finds->memory, s->path.data, s->path.length);
        if (!item.path)
            return gn_fail_memory(err, s->path.length, "file names");
        item.name = item.path + s->root;
        GN_TRY(gn_finds_add(s->finds, &item, err));
    }
out:
    path_cut(&s->path, length);
    return status;
}

/* Files beside class folders are a class of their own only where one of them is an image (a README is none). */
static bool any_image(int folder, const names *files)
{
    for (int i = 0; i < files->count; i++)
        if (file_is_image(folder, files->items[i]))
            return true;
    return false;
}

static genet_status take_files(scan *s, int folder, const names *files, bool has_folders, int depth, genet_error *err)
{
    genet_status status = GENET_OK;
    if (depth == 0) {
        s->root_files = files->count;
        s->loose_images = any_image(folder, files);
        s->finds->loose += files->count;
    } else if (has_folders && !any_image(folder, files)) {
        s->finds->loose += files->count;
    } else {
        int group;
        GN_TRY(gn_finds_group(s->finds, s->path.data + s->root, s->path.length - s->root, &group, err));
        GN_TRY(add_files(s, folder, files, group, err));
    }
out:
    return status;
}

static bool only_splits(const names *folders)
{
    for (int i = 0; i < folders->count; i++)
        if (!gn_split_name(folders->items[i], strlen(folders->items[i])))
            return false;
    return folders->count > 0;
}

static genet_status fail_splits(const scan *s, const names *folders, genet_error *err)
{
    gn_text list = {0};
    const char *best = folders->items[0];
    for (int i = 0; i < folders->count; i++) {
        gn_text_add(&list, "%s%s/", i ? ", " : "", folders->items[i]);
        if (strncasecmp(folders->items[i], "train", 5) == 0)
            best = folders->items[i];
    }
    genet_status status = gn_fail(err, GENET_DATA, "'%s' holds %s and no class folders: did you mean '%s/%s'?",
                                  s->path.data, list.failed ? "parts" : list.data, s->path.data, best);
    gn_text_free(&list);
    return status;
}

static genet_status walk(scan *s, int fd, int depth, genet_error *err);

static genet_status walk_folders(scan *s, int fd, const names *folders, int depth, genet_error *err)
{
    genet_status status = GENET_OK;
    size_t length = s->path.length;
    for (int i = 0; i < folders->count; i++) {
        path_cut(&s->path, length);
        gn_text_add(&s->path, "/");
        gn_text_put(&s->path, folders->items[i], strlen(folders->items[i]));
        if (s->path.failed)
            return gn_fail_memory(err, s->path.length, "file names");
        int inner = gn_open_at(fd, folders->items[i], O_RDONLY | O_DIRECTORY);
        if (inner < 0)
            return gn_fail_errno(err, GENET_IO, errno, "cannot open the folder '%s'", s->path.data);
        GN_TRY(walk(s, inner, depth + 1, err));
    }
out:
    path_cut(&s->path, length);
    return status;
}

/* Reads the open folder fd (closed here), whose path is in s->path. */
static genet_status walk(scan *s, int fd, int depth, genet_error *err)
{
    genet_status status = GENET_OK;
    names files = {0}, folders = {0};
    struct stat st;
    DIR *dir = NULL;
    if (depth >= MAX_DEPTH || fstat(fd, &st) != 0 || !(dir = fdopendir(fd))) {
        int why = errno;
        close(fd);
        if (depth >= MAX_DEPTH)
            return gn_fail(err, GENET_DATA, "'%s' lies more than %d folders deep", s->path.data, MAX_DEPTH - 1);
        return gn_fail_errno(err, GENET_IO, why, "cannot open the folder '%s'", s->path.data);
    }
    s->above[depth].device = st.st_dev;
    s->above[depth].inode = st.st_ino;
    GN_TRY(read_entries(s, dir, depth, &files, &folders, err));
    if (depth == 0 && only_splits(&folders)) {
        status = fail_splits(s, &folders, err);
        goto out;
    }
    if (files.count)
        GN_TRY(take_files(s, dirfd(dir), &files, folders.count > 0, depth, err));
    int group;
    if (!files.count && !folders.count && depth > 0)
        GN_TRY(gn_finds_group(s->finds, s->path.data + s->root, s->path.length - s->root, &group, err));
    GN_TRY(walk_folders(s, dirfd(dir), &folders, depth, err));
out:
    names_free(&files);
    names_free(&folders);
    closedir(dir);
    return status;
}

genet_status gn_scan_folder(gn_finds *f, const char *root, genet_error *err)
{
    genet_status status = GENET_OK;
    scan s = {.finds = f};
    size_t length = strlen(root);
    while (length > 1 && root[length - 1] == '/')
        length--;
    gn_text_put(&s.path, root, length);
    if (s.path.failed)
        return gn_fail_memory(err, length, "file names");
    s.root = length + 1;
    int fd = gn_open_at(AT_FDCWD, s.path.data, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        status = gn_fail_errno(err, GENET_IO, errno, "cannot open the folder '%s'", s.path.data);
    else
        status = walk(&s, fd, 0, err);
    if (status == GENET_OK && f->group_count == 0 && s.loose_images)
        status = gn_fail(err, GENET_DATA,
                         "'%s' holds images but no class folders: put the images of each class into a folder named "
                         "after it ('%s/apple/1.jpg'), or write a list file with 'path, label' a line",
                         s.path.data, s.path.data);
    else if (status == GENET_OK && f->group_count == 0)
        status = gn_fail(err, GENET_DATA, "'%s' has no images: it is %s", s.path.data,
                         s.root_files ? "a folder of other files, without class folders" : "empty");
    gn_text_free(&s.path);
    return status;
}
