/* SPDX-License-Identifier: Apache-2.0
 * Files. Everything read is hostile (sizes are checked before memory is taken), everything written is atomic:
 * temporary beside the target, fsync, rename, fsync of the folder. All calls pass here so that a test can make the
 * n-th one fail. */
#ifndef GN_BASE_FILE_H
#define GN_BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* The whole file in fresh memory with a NUL behind it (not counted). Refuses more than max_bytes. */
genet_status gn_file_read(const char *path, size_t max_bytes, unsigned char **data, size_t *bytes, genet_error *err);

/* A file mapped read-only. Closed with gn_map_close (safe on a zeroed one). */
typedef struct gn_map {
    const unsigned char *data;
    size_t bytes;
} gn_map;
genet_status gn_map_open(gn_map *map, const char *path, genet_error *err);
void gn_map_close(gn_map *map);

/* An atomic write in progress. Nothing appears under `path` before gn_writer_commit succeeds; gn_writer_abort (also
 * after a failure, also on a zeroed writer) removes the temporary. The old file is intact until the rename. */
typedef struct gn_writer {
    int fd;
    char *path, *temporary;
    unsigned char *buffer;
    size_t used;
    uint64_t bytes;
    bool open;
} gn_writer;
genet_status gn_writer_open(gn_writer *w, const char *path, genet_error *err);
genet_status gn_writer_put(gn_writer *w, const void *data, size_t bytes, genet_error *err);
genet_status gn_writer_printf(gn_writer *w, genet_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
genet_status gn_writer_commit(gn_writer *w, genet_error *err);
void gn_writer_abort(gn_writer *w);

/* gn_writer for one block. */
genet_status gn_file_write(const char *path, const void *data, size_t bytes, genet_error *err);
/* Gives a written file its name, replacing what had it, and syncs the folder. */
genet_status gn_file_rename(const char *from, const char *to, genet_error *err);
/* Appends one block to a log (not atomic over a crash; readers must tolerate a torn last line). */
genet_status gn_file_append(const char *path, const void *data, size_t bytes, genet_error *err);
/* Waits until what was appended is on the disk. A file that does not exist needs nothing. */
genet_status gn_file_sync(const char *path, genet_error *err);

/* openat(2) and pread(2) for those who read parts of files themselves: -1 and errno on failure, never EINTR. */
int gn_open_at(int folder, const char *path, int flags);
long long gn_read_at(int fd, void *to, size_t bytes, uint64_t offset);

/* mkdir -p. */
genet_status gn_folder_make(const char *path, genet_error *err);
/* A folder held for one process (flock): until gn_folder_unlock, or until the process ends, however it ends. Leaves no
 * file behind. Zero before the first use. */
typedef struct gn_lock {
    int fd;
    bool held;
} gn_lock;
/* False where another holder, of this process or another, has it. True too where it is held already by `lock`, and where it
 * cannot be held (no such folder, a file system without locks): then lock->held stays false. */
bool gn_folder_lock(gn_lock *lock, const char *path);
void gn_folder_unlock(gn_lock *lock); /* safe on a zeroed one */
bool gn_file_exists(const char *path);
bool gn_folder_exists(const char *path);
/* Bytes an unprivileged user may still write on the file system of path, or UINT64_MAX when unknown. */
uint64_t gn_disk_free(const char *path);
/* "a/b" from "a" and "b"; fresh memory or NULL. */
char *gn_path_join(const char *folder, const char *name);
#endif
