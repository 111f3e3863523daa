/* SPDX-License-Identifier: Apache-2.0
 * Opening a data set of any form, reading a sample's bytes, splitting. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/found.h"
#include "data/shards.h"
#include "data/tar.h"

/* No image file is larger; a larger one would only cost memory before it is refused. */
#define MAX_FILE_BYTES ((uint64_t)1 << 30)

/* --- which form -------------------------------------------------------------------------------------------------------- */

/* "did you mean" from the names beside the one that is not there. */
static genet_status fail_missing(const char *path, genet_error *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t base = n;
    while (base && path[base - 1] != '/')
        base--;
    char *folder = base ? gn_strndup(path, base) : gn_strdup("."), *name = gn_strndup(path + base, n - base);
    DIR *dir = folder && name ? opendir(folder) : NULL;
    char near[256] = "";
    for (struct dirent *e; dir && (e = readdir(dir));) {
        const char *candidates[2] = {e->d_name, near};
        const char *best = gn_nearest(name, candidates, near[0] ? 2 : 1);
        if (best == e->d_name && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            memcpy(near, e->d_name, strlen(e->d_name) + 1);
    }
    bool folder_missing = folder && !dir && errno == ENOENT;
    if (dir)
        closedir(dir);
    genet_status status;
    if (near[0])
        status = gn_fail(err, GENET_IO, "'%s' does not exist; did you mean '%.*s%s'?", path, (int)base, path, near);
    else
        status = gn_fail(err, GENET_IO, "'%s' does not exist%s", path,
                         folder_missing ? ", and neither does the folder it should be in" : "");
    gn_free(folder);
    gn_free(name);
    return status;
}

static genet_status scan_tar(gn_finds *f, const char *path, const char *inside, genet_error *err)
{
    while (*inside == '/')
        inside++;
    size_t n = strlen(inside);
    while (n && inside[n - 1] == '/')
        n--;
    char *clean = gn_strndup(inside, n);
    if (!clean)
        return gn_fail_memory(err, n, "file names");
    genet_status status = gn_scan_tars(f, &path, 1, clean, err);
    gn_free(clean);
    return status;
}

static genet_status scan_file(gn_finds *f, const char *path, genet_error *err)
{
    unsigned char head[512];
    int fd = gn_open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
    long long n = fd < 0 ? -1 : gn_read_at(fd, head, sizeof head, 0);
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return gn_fail_errno(err, GENET_IO, why, "cannot read '%s'", path);
    if (gn_image_signature(head, (size_t)n))
        return gn_fail(err, GENET_DATA, "'%s' is one image, not a data set: name the folder that holds the class folders",
                       path);
    if (gn_tar_header(head, (size_t)n) || gn_compression_name(head, (size_t)n))
        return scan_tar(f, path, "", err);
    if (n == 0)
        return gn_fail(err, GENET_DATA, "'%s' is empty", path);
    return gn_scan_list(f, path, err);
}

/* "photos.tar/photos/train": the longest beginning that is a file; *tar stays NULL where there is none. */
static genet_status split_inside(const char *path, char **tar, const char **inside, genet_error *err)
{
    for (size_t n = strlen(path); n > 1; n--) {
        struct stat st;
        if (path[n - 1] != '/')
            continue;
        char *file = gn_strndup(path, n - 1);
        if (!file)
            return gn_fail_memory(err, n, "file names");
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            *tar = file;
            *inside = path + n;
            return GENET_OK;
        }
        gn_free(file);
    }
    return GENET_OK;
}

static genet_status scan(gn_finds *f, const char *path, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_shards shards = {0};
    struct stat st;
    char *tar = NULL;
    const char *inside = NULL;
    if (!*path)
        return gn_fail(err, GENET_USAGE, "no data set was named (--data PATH)");
    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            return scan_file(f, path, err);
        GN_TRY(gn_shards_in_folder(&shards, path, err));
        if (shards.count)
            status = gn_scan_tars(f, (const char *const *)shards.paths, shards.count, "", err);
        else
            status = gn_scan_folder(f, path, err);
    } else if (errno == EACCES || errno == ELOOP) {
        status = gn_fail_errno(err, GENET_IO, errno, "cannot open '%s'", path);
    } else if (strchr(path, '{')) {
        GN_TRY(gn_shards_expand(&shards, path, err));
        status = gn_scan_tars(f, (const char *const *)shards.paths, shards.count, "", err);
    } else {
        GN_TRY(split_inside(path, &tar, &inside, err));
        status = tar ? scan_tar(f, tar, inside, err) : fail_missing(path, err);
    }
out:
    gn_shards_free(&shards);
    gn_free(tar);
    return status;
}

/* --- the set ------------------------------------------------------------------------------------------------------------ */

static void set_identity(gn_dataset *d)
{
    uint64_t h = GN_FNV_START;
    for (int c = 0; c < d->class_count; c++)
        h = gn_fnv1a(h, d->classes[c], strlen(d->classes[c]) + 1);
    for (int64_t i = 0; i < d->count; i++) {
        const gn_sample *s = &d->samples[i];
        unsigned char numbers[12];
        for (int b = 0; b < 8; b++)
            numbers[b] = (unsigned char)(s->size >> 8 * b);
        for (int b = 0; b < 4; b++)
            numbers[8 + b] = (unsigned char)((uint32_t)s->label >> 8 * b);
        h = gn_fnv1a(h, s->name, strlen(s->name) + 1);
        h = gn_fnv1a(h, numbers, sizeof numbers);
    }
    d->identity = h;
}

genet_status gn_dataset_open(gn_dataset **out, const char *path, const gn_dataset_options *options, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_dataset_options none = {0};
    gn_finds f = {0};
    gn_dataset *d = gn_calloc(1, sizeof *d);
    *out = NULL;
    if (!d || !(d->root = gn_strdup(path))) {
        status = gn_fail_memory(err, sizeof *d, "a data set");
        goto out;
    }
    for (size_t n = strlen(path); n > 1 && d->root[n - 1] == '/'; n--)
        d->root[n - 1] = '\0';
    GN_TRY(gn_finds_create(&f, err));
    GN_TRY(scan(&f, path, err));
    if (f.count == 0) {
        status = gn_fail(err, GENET_DATA, "'%s' has %d class folder%s and not one image in them", path, f.group_count,
                         f.group_count == 1 ? "" : "s");
        goto out;
    }
    GN_TRY(gn_classes_resolve(d, &f, options ? options : &none, err));
    d->ignored = f.ignored;
    d->loose = f.loose;
    d->absent = f.absent;
    d->memory = f.memory;
    atomic_fetch_add(&f.memory->users, 1);
    set_identity(d);
    *out = d;
    d = NULL;
out:
    gn_finds_free(&f);
    gn_dataset_free(d);
    return status;
}

void gn_dataset_free(gn_dataset *d)
{
    if (!d)
        return;
    gn_free(d->root);
    gn_free(d->samples);
    gn_free(d->classes);
    gn_free(d->class_total);
    gn_free(d->class_kept);
    gn_dataset_memory_release(d->memory);
    gn_free(d);
}

genet_status gn_dataset_check_training(const gn_dataset *d, genet_error *err)
{
    int used = 0, last = 0;
    for (int c = 0; c < d->class_count; c++)
        if (d->class_kept[c] > 0) {
            used++;
            last = c;
        }
    if (used == 0)
        return gn_fail(err, GENET_DATA, "'%s' has no images to train on", d->root);
    if (used == 1)
        return gn_fail(err, GENET_DATA, "'%s' has images of one class only ('%s'): there is nothing to tell apart", d->root,
                       d->classes[last]);
    return GENET_OK;
}

int gn_dataset_missing_classes(const gn_dataset *d, gn_text *names)
{
    int missing = 0;
    for (int c = 0; c < d->class_count; c++) {
        if (d->class_kept[c] > 0)
            continue;
        if (names && missing < 20)
            gn_text_add(names, "%s%s", missing ? ", " : "", d->classes[c]);
        missing++;
    }
    if (names && missing > 20)
        gn_text_add(names, ", ... (%d in all)", missing);
    return missing;
}

/* --- bytes ---------------------------------------------------------------------------------------------------------------- */

static genet_status read_all(int fd, uint64_t offset, unsigned char *to, size_t bytes, genet_error *err)
{
    for (size_t done = 0; done < bytes;) {
        long long n = gn_read_at(fd, to + done, bytes - done, offset + done);
        if (n < 0)
            return gn_fail_errno(err, GENET_IO, errno, "cannot be read");
        if (n == 0)
            return gn_fail(err, GENET_IO, "ends early: %zu of %zu bytes are there", done, bytes);
        done += (size_t)n;
    }
    return GENET_OK;
}

genet_status gn_sample_read(const gn_sample *s, unsigned char **buffer, size_t *capacity, size_t *bytes, genet_error *err)
{
    genet_status status = GENET_OK;
    struct stat st;
    uint64_t n = s->bytes;
    int fd = gn_open_at(AT_FDCWD, s->path, O_RDONLY | O_NONBLOCK); /* a pipe in place of a file must not block */
    *bytes = 0;
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return gn_fail_errno(err, GENET_MEMORY, errno, "'%s' cannot be opened", s->path);
    if (fd < 0)
        return gn_fail_errno(err, GENET_IO, errno, "cannot be opened");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        status = gn_fail(err, GENET_IO, "is not a plain file");
        goto out;
    }
    if (n == 0 && s->offset == 0)
        n = (uint64_t)st.st_size;
    if (n == 0 || n > MAX_FILE_BYTES) {
        status = n ? gn_fail(err, GENET_DATA, "has %llu bytes, more than any image (%llu)", (unsigned long long)n,
                             (unsigned long long)MAX_FILE_BYTES)
                   : gn_fail(err, GENET_DATA, "is empty");
        goto out;
    }
    if (n > *capacity) {
        size_t want = (size_t)n + (size_t)n / 4;
        unsigned char *bigger = gn_realloc(*buffer, want);
        if (!bigger) {
            status = gn_fail_memory(err, want, "the bytes of an image");
            goto out;
        }
        *buffer = bigger;
        *capacity = want;
    }
    GN_TRY(read_all(fd, s->offset, *buffer, (size_t)n, err));
    *bytes = (size_t)n;
out:
    close(fd);
    return status;
}

/* --- holding out a share ------------------------------------------------------------------------------------------------- */

static genet_status empty_like(gn_dataset **out, const gn_dataset *d, genet_error *err)
{
    size_t classes = (size_t)d->class_count + 1;
    gn_dataset *e = gn_calloc(1, sizeof *e);
    if (!e)
        return gn_fail_memory(err, sizeof *e, "a data set");
    e->root = gn_strdup(d->root);
    e->samples = gn_calloc((size_t)d->count + 1, sizeof *e->samples);
    e->classes = gn_calloc(classes, sizeof *e->classes);
    e->class_total = gn_calloc(classes, sizeof *e->class_total);
    e->class_kept = gn_calloc(classes, sizeof *e->class_kept);
    if (!e->root || !e->samples || !e->classes || !e->class_total || !e->class_kept) {
        gn_dataset_free(e);
        return gn_fail_memory(err, (size_t)d->count * sizeof *e->samples, "a data set");
    }
    memcpy(e->classes, d->classes, (size_t)d->class_count * sizeof *e->classes);
    e->class_count = d->class_count;
    e->memory = d->memory;
    atomic_fetch_add(&e->memory->users, 1);
    *out = e;
    return GENET_OK;
}

static int64_t held_images(int64_t n, double share)
{
    int64_t held = (int64_t)llround(share * (double)n);
    if (n < 2)
        return 0;
    return held < 1 ? 1 : held > n - 1 ? n - 1 : held;
}

genet_status gn_dataset_split(gn_dataset *d, double share, uint64_t seed, gn_dataset **held_out, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_dataset *h = NULL;
    int64_t kept = 0, first = 0;
    *held_out = NULL;
    if (!(share > 0 && share < 1))
        return gn_fail(err, GENET_USAGE, "a share of %g cannot be held out: it must lie between 0 and 1", share);
    bool *chosen = gn_calloc((size_t)d->count + 1, sizeof *chosen);
    if (!chosen)
        return gn_fail_memory(err, (size_t)d->count, "drawing images");
    GN_TRY(empty_like(&h, d, err));
    for (int c = 0; c < d->class_count; first += d->class_kept[c++])
        GN_TRY(gn_draw_samples(d->samples + first, d->class_kept[c], held_images(d->class_kept[c], share), seed,
                               GN_RNG_SPLIT, chosen + first, err));
    for (int64_t i = 0; i < d->count; i++) {
        gn_sample s = d->samples[i];
        if (chosen[i]) {
            h->samples[h->count++] = s;
            h->class_total[s.label]++;
            h->class_kept[s.label]++;
            d->class_kept[s.label]--;
        } else {
            d->samples[kept++] = s;
        }
    }
    if (h->count == 0) {
        status = gn_fail(err, GENET_DATA, "'%s' has no class with two images: nothing can be held out", d->root);
        goto out;
    }
    d->count = kept;
    set_identity(d);
    set_identity(h);
    *held_out = h;
    h = NULL;
out:
    gn_free(chosen);
    gn_dataset_free(h);
    return status;
}
