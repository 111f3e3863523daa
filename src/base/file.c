/* SPDX-License-Identifier: Apache-2.0
 * Files: reading with limits, mapping, atomic writing.
 * A temporary is TARGET.tmp0 (1, 2, ... while another writer holds the lower ones), locked as long as it is written.
 * One that a killed process left behind is unlocked, so the next writer takes it over and nothing piles up. */
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"

enum { BUFFER = 256 << 10, TEMPORARIES = 64 };

/* --- the calls that can be made to fail ------------------------------------------------------------------------- */

int gn_open_at(int folder, const char *path, int flags)
{
    if (gn_fault_due(GN_FAULT_OPEN))
        return -1;
    int fd;
    do
        fd = openat(folder, path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int open_file(const char *path, int flags)
{
    return gn_open_at(AT_FDCWD, path, flags);
}

long long gn_read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
    if (gn_fault_due(GN_FAULT_READ))
        return -1;
    ssize_t n;
    do
        n = pread(fd, to, bytes, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool write_all(int fd, const unsigned char *data, size_t bytes)
{
    if (gn_fault_due(GN_FAULT_WRITE)) {
        /* Half the block reaches the disk, as when it fills up. */
        ssize_t ignored = write(fd, data, bytes / 2);
        (void)ignored;
        gn_fault_half_written();
        errno = ENOSPC;
        return false;
    }
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes < (1u << 30) ? bytes : 1u << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool sync_file(int fd)
{
    if (gn_fault_due(GN_FAULT_FSYNC))
        return false;
    /* EINVAL: a pipe or a device, which has nothing to sync. */
    return fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Opens a regular file; without waiting where it is a pipe. */
static genet_status open_regular(const char *path, int *fd, size_t *bytes, genet_error *err)
{
    struct stat st;
    *fd = open_file(path, O_RDONLY | O_NONBLOCK);
    if (*fd < 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot read %s", path);
    if (fstat(*fd, &st) != 0) {
        int e = errno;
        close(*fd);
        *fd = -1;
        return gn_fail_errno(err, GENET_IO, e, "cannot read %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        close(*fd);
        *fd = -1;
        return gn_fail(err, GENET_IO, "cannot read %s: it is %s, not a file", path,
                       S_ISDIR(st.st_mode) ? "a folder" : "a device or a pipe");
    }
    *bytes = st.st_size < 0 ? 0 : (size_t)st.st_size;
    return GENET_OK;
}

/* Fills at most `bytes` of data; *used < bytes only at the end of the file. */
static bool read_all(int fd, unsigned char *data, size_t bytes, size_t *used)
{
    *used = 0;
    if (gn_fault_due(GN_FAULT_READ))
        return false;
    while (*used < bytes) {
        size_t left = bytes - *used;
        ssize_t n = read(fd, data + *used, left < (1u << 30) ? left : 1u << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        *used += (size_t)n;
    }
    return true;
}

genet_status gn_file_read(const char *path, size_t max_bytes, unsigned char **data, size_t *bytes, genet_error *err)
{
    int fd = -1;
    size_t size = 0, used = 0;
    unsigned char *block = NULL;
    genet_status status = GENET_OK;
    GN_TRY(open_regular(path, &fd, &size, err));
    if (size > max_bytes) {
        status = gn_fail(err, GENET_IO, "%s holds %zu bytes; at most %zu are read here", path, size, max_bytes);
        goto out;
    }
    block = size < SIZE_MAX ? gn_calloc(size + 1, 1) : NULL;
    if (!block) {
        status = gn_fail_memory(err, size, path);
        goto out;
    }
    if (!read_all(fd, block, size, &used)) {
        status = gn_fail_errno(err, GENET_IO, errno, "cannot read %s", path);
        goto out;
    }
    block[used] = 0; /* shorter than its size said when the file shrank meanwhile */
    *data = block;
    *bytes = used;
    block = NULL;
out:
    gn_free(block);
    if (fd >= 0)
        close(fd);
    return status;
}

genet_status gn_map_open(gn_map *map, const char *path, genet_error *err)
{
    int fd = -1;
    size_t size = 0;
    *map = (gn_map){NULL, 0};
    genet_status status = open_regular(path, &fd, &size, err);
    if (status != GENET_OK)
        return status;
    if (size == 0) {
        map->data = (const unsigned char *)"";
    } else {
        void *data = gn_fault_due(GN_FAULT_READ) ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = gn_fail_errno(err, GENET_IO, errno, "cannot map %s", path);
        else
            *map = (gn_map){data, size};
    }
    close(fd);
    return status;
}

void gn_map_close(gn_map *map)
{
    if (map->bytes > 0)
        munmap((void *)map->data, map->bytes);
    *map = (gn_map){NULL, 0};
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* Opens and locks TARGET.tmp<k>; *taken where another writer has it. */
static genet_status take_temporary(gn_writer *w, const char *name, bool *taken, genet_error *err)
{
    struct stat held, named;
    *taken = false;
    w->fd = open_file(name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK);
    if (w->fd < 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot create %s", name);
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        *taken = true;
    /* Between open and lock its writer may have renamed it: then what we hold is no longer a temporary. */
    else if (fstat(w->fd, &held) != 0 || lstat(name, &named) != 0 || held.st_ino != named.st_ino ||
             held.st_dev != named.st_dev || !S_ISREG(held.st_mode))
        *taken = true;
    else if (ftruncate(w->fd, 0) != 0) {
        int e = errno;
        close(w->fd);
        w->fd = -1;
        return gn_fail_errno(err, GENET_IO, e, "cannot write %s", name);
    }
    if (*taken) {
        close(w->fd);
        w->fd = -1;
    }
    return GENET_OK;
}

static genet_status open_temporary(gn_writer *w, genet_error *err)
{
    for (int k = 0; k < TEMPORARIES; k++) {
        bool taken = true;
        char *name = gn_asprintf("%s.tmp%d", w->path, k);
        if (!name)
            return gn_fail_memory(err, strlen(w->path) + 8, "a file name");
        genet_status status = take_temporary(w, name, &taken, err);
        if (status == GENET_OK && !taken) {
            w->temporary = name;
            return GENET_OK;
        }
        gn_free(name);
        if (status != GENET_OK)
            return status;
    }
    return gn_fail(err, GENET_IO,
                   "cannot write %s: %d temporaries beside it (%s.tmp0, ...) are in use; wait for the other "
                   "writers, or remove them",
                   w->path, TEMPORARIES, w->path);
}

genet_status gn_writer_open(gn_writer *w, const char *path, genet_error *err)
{
    struct stat st;
    genet_status status = GENET_OK;
    *w = (gn_writer){.fd = -1};
    /* Through a symbolic link, so that the link stays one. */
    char *target = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) ? realpath(path, NULL) : NULL;
    w->path = gn_strdup(target ? target : path);
    free(target);
    w->buffer = gn_calloc(BUFFER, 1);
    if (!w->path || !w->buffer) {
        status = gn_fail_memory(err, BUFFER, "a file's buffer");
        goto out;
    }
    if (stat(w->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        status = gn_fail(err, GENET_IO, "cannot write %s: it is a folder", path);
        goto out;
    }
    if (stat(w->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        /* A device or a pipe (/dev/null, /dev/stdout): written in place. */
        w->fd = open_file(w->path, O_WRONLY);
        if (w->fd < 0)
            status = gn_fail_errno(err, GENET_IO, errno, "cannot write %s", path);
    } else {
        status = open_temporary(w, err);
    }
out:
    w->open = status == GENET_OK;
    if (status != GENET_OK)
        gn_writer_abort(w);
    return status;
}

static genet_status flush(gn_writer *w, genet_error *err)
{
    size_t used = w->used;
    w->used = 0;
    if (used > 0 && !write_all(w->fd, w->buffer, used))
        return gn_fail_errno(err, GENET_IO, errno, "cannot write %s", w->path);
    return GENET_OK;
}

genet_status gn_writer_put(gn_writer *w, const void *data, size_t bytes, genet_error *err)
{
    if (!w->open)
        return gn_fail(err, GENET_INTERNAL, "writing to a file that is not open");
    w->bytes += bytes;
    if (bytes > BUFFER - w->used) {
        genet_status status = flush(w, err);
        if (status != GENET_OK)
            return status;
    }
    if (bytes >= BUFFER) {
        if (!write_all(w->fd, data, bytes))
            return gn_fail_errno(err, GENET_IO, errno, "cannot write %s", w->path);
    } else if (bytes > 0) {
        memcpy(w->buffer + w->used, data, bytes);
        w->used += bytes;
    }
    return GENET_OK;
}

genet_status gn_writer_printf(gn_writer *w, genet_error *err, const char *format, ...)
{
    char small[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = gn_vsnprintf(small, sizeof small, format, args);
    genet_status status;
    if (n < 0) {
        status = gn_fail(err, GENET_INTERNAL, "cannot format a line for %s", w->path);
    } else if ((size_t)n < sizeof small) {
        status = gn_writer_put(w, small, (size_t)n, err);
    } else {
        char *large = gn_calloc((size_t)n + 1, 1);
        if (large) {
            gn_vsnprintf(large, (size_t)n + 1, format, again);
            status = gn_writer_put(w, large, (size_t)n, err);
            gn_free(large);
        } else {
            status = gn_fail_memory(err, (size_t)n + 1, w->path);
        }
    }
    va_end(again);
    va_end(args);
    return status;
}

static genet_status sync_folder_of(const char *path, genet_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? gn_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : gn_strdup(".");
    if (!folder)
        return gn_fail_memory(err, strlen(path), "a folder's name");
    genet_status status = GENET_OK;
    int fd = open_file(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0 || !sync_file(fd))
        status = gn_fail_errno(err, GENET_IO, errno, "cannot sync the folder %s", folder);
    if (fd >= 0)
        close(fd);
    gn_free(folder);
    return status;
}

genet_status gn_writer_commit(gn_writer *w, genet_error *err)
{
    if (!w->open)
        return gn_fail(err, GENET_INTERNAL, "committing a file that is not open");
    genet_status status = GENET_OK;
    GN_TRY(flush(w, err));
    if (!sync_file(w->fd)) {
        status = gn_fail_errno(err, GENET_IO, errno, "cannot write %s to the disk", w->path);
        goto out;
    }
    if (w->temporary) {
        if (gn_fault_due(GN_FAULT_RENAME) || rename(w->temporary, w->path) != 0) {
            status = gn_fail_errno(err, GENET_IO, errno, "cannot rename %s to %s", w->temporary, w->path);
            goto out;
        }
        gn_free(w->temporary);
        w->temporary = NULL;
        status = sync_folder_of(w->path, err);
    }
out:
    gn_writer_abort(w);
    return status;
}

genet_status gn_file_rename(const char *from, const char *to, genet_error *err)
{
    if (gn_fault_due(GN_FAULT_RENAME) || rename(from, to) != 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot rename %s to %s", from, to);
    return sync_folder_of(to, err);
}

void gn_writer_abort(gn_writer *w)
{
    if (w->temporary)
        unlink(w->temporary);
    if (w->path && w->fd >= 0)
        close(w->fd);
    gn_free(w->path);
    gn_free(w->temporary);
    gn_free(w->buffer);
    *w = (gn_writer){.fd = -1};
}

genet_status gn_file_write(const char *path, const void *data, size_t bytes, genet_error *err)
{
    gn_writer w;
    genet_status status = gn_writer_open(&w, path, err);
    if (status == GENET_OK)
        status = gn_writer_put(&w, data, bytes, err);
    if (status == GENET_OK)
        status = gn_writer_commit(&w, err);
    gn_writer_abort(&w);
    return status;
}

genet_status gn_file_append(const char *path, const void *data, size_t bytes, genet_error *err)
{
    int fd = open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot append to %s", path);
    genet_status status = GENET_OK;
    if (!write_all(fd, data, bytes))
        status = gn_fail_errno(err, GENET_IO, errno, "cannot append to %s", path);
    if (close(fd) != 0 && status == GENET_OK && errno != EINTR)
        status = gn_fail_errno(err, GENET_IO, errno, "cannot append to %s", path);
    return status;
}

genet_status gn_file_sync(const char *path, genet_error *err)
{
    int fd = open_file(path, O_RDONLY);
    if (fd < 0)
        return errno == ENOENT ? GENET_OK : gn_fail_errno(err, GENET_IO, errno, "cannot open %s", path);
    genet_status status = sync_file(fd) ? GENET_OK : gn_fail_errno(err, GENET_IO, errno, "cannot write %s to the disk", path);
    close(fd);
    return status;
}

/* --- folders and names -------------------------------------------------------------------------------------------- */

genet_status gn_folder_make(const char *path, genet_error *err)
{
    genet_status status = GENET_OK;
    char *name = gn_strdup(path);
    if (!name)
        return gn_fail_memory(err, strlen(path) + 1, "a folder's name");
    if (!*path)
        status = gn_fail(err, GENET_IO, "cannot make a folder without a name");
    for (char *end = name; status == GENET_OK && *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char kept = *end;
        *end = 0;
        int e = mkdir(name, 0777) == 0 ? 0 : errno;
        /* EEXIST is one's own wish; a parent on a read-only or foreign file system answers EROFS or EACCES first. */
        if (e && !gn_folder_exists(name)) {
            if (e == EEXIST || e == ENOTDIR)
                status = gn_fail(err, GENET_IO, "cannot make the folder %s: there is a file of that name", name);
            else
                status = gn_fail_errno(err, GENET_IO, e, "cannot make the folder %s", name);
        }
        *end = kept;
    }
    gn_free(name);
    return status;
}

bool gn_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool gn_folder_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool gn_folder_lock(gn_lock *lock, const char *path)
{
    if (lock->held)
        return true;
    int fd = open_file(path, O_RDONLY | O_DIRECTORY);
    bool taken = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (taken)
        close(fd);
    else
        *lock = (gn_lock){.fd = fd, .held = fd >= 0};
    return !taken;
}

void gn_folder_unlock(gn_lock *lock)
{
    if (lock->held)
        close(lock->fd);
    *lock = (gn_lock){0};
}

uint64_t gn_disk_free(const char *path)
{
    struct statvfs st;
    char *name = gn_strdup(*path ? path : ".");
    uint64_t bytes = UINT64_MAX;
    if (!name)
        return bytes;
    /* The nearest ancestor that exists. */
    int failed = statvfs(name, &st);
    while (failed && errno == ENOENT && strcmp(name, ".") != 0 && strcmp(name, "/") != 0) {
        char *slash = strrchr(name, '/');
        if (slash == name)
            slash[1] = 0;
        else if (slash)
            *slash = 0;
        else
            strcpy(name, ".");
        failed = statvfs(name, &st);
    }
    if (!failed && (st.f_blocks || st.f_bavail))
        bytes = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
    gn_free(name);
    return bytes;
}

char *gn_path_join(const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return gn_asprintf("%s%s%s", folder, n == 0 || folder[n - 1] == '/' ? "" : "/", name);
}
