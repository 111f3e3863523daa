/* SPDX-License-Identifier: Apache-2.0
 * Data sets that the tests make. */
#define _GNU_SOURCE /* nftw */
#include "made.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "image/jpeg_write.h"

char *made_begin(void)
{
    const char *where = getenv("TMPDIR");
    char *folder = gn_asprintf("%s/genet-data-XXXXXX", where ? where : "/tmp");
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void made_end(char *folder)
{
    assert_int_equal(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    gn_free(folder);
}

const char *made_path(const char *folder, const char *format, ...)
{
    static char buffers[8][4096];
    static int next;
    char *to = buffers[next++ % 8];
    int n = snprintf(to, sizeof buffers[0], "%s/", folder);
    va_list args;
    va_start(args, format);
    vsnprintf(to + n, sizeof buffers[0] - (size_t)n, format, args);
    va_end(args);
    return to;
}

void made_file(const char *path, const void *bytes, size_t n)
{
    char *folder = gn_strdup(path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(gn_folder_make(folder, NULL), GENET_OK);
    gn_free(folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void made_text(const char *path, const char *text)
{
    made_file(path, text, strlen(text));
}

unsigned char *made_jpeg_bytes(int width, int height, unsigned number, size_t *n)
{
    gn_image im = {0};
    unsigned char *bytes = NULL;
    size_t capacity = 0;
    assert_int_equal(gn_image_resize_buffer(&im, width, height, NULL), GENET_OK);
    uint64_t h = gn_mix64(number);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) { /* two waves and a colour that differ with the number */
            unsigned char *p = im.rgb + ((size_t)y * (size_t)width + (size_t)x) * 3;
            p[0] = (unsigned char)(h + (uint64_t)(x * (int)(h >> 8 & 7)));
            p[1] = (unsigned char)((h >> 16) + (uint64_t)(y * (int)(h >> 24 & 7)));
            p[2] = (unsigned char)((h >> 32) + (uint64_t)((x + y) * (int)(h >> 40 & 3)));
        }
    assert_int_equal(gn_jpeg_write(&im, 90, &bytes, &capacity, n, NULL), GENET_OK);
    gn_image_free(&im);
    return bytes;
}

void made_jpeg(const char *path, int width, int height, unsigned number)
{
    size_t n;
    unsigned char *bytes = made_jpeg_bytes(width, height, number, &n);
    made_file(path, bytes, n);
    gn_free(bytes);
}

void made_set(const char *folder, const char *const *names, const int *counts)
{
    unsigned number = 0;
    char *root = gn_strdup(folder); /* folder may be one of made_path's buffers */
    for (int c = 0; names[c]; c++) {
        assert_int_equal(gn_folder_make(made_path(root, "%s", names[c]), NULL), GENET_OK);
        for (int i = 0; i < counts[c]; i++)
            made_jpeg(made_path(root, "%s/%03d.jpg", names[c], i), 24 + i % 5, 20 + i % 3, number++);
    }
    gn_free(root);
}

void made_tar_add(made_tar *t, const char *name, char type, const void *bytes, size_t n)
{
    size_t padded = (n + 511) / 512 * 512;
    t->bytes = gn_realloc(t->bytes, t->n + 512 + padded);
    assert_non_null(t->bytes);
    unsigned char *h = t->bytes + t->n;
    memset(h, 0, 512 + padded);
    memcpy(h, name, strlen(name));
    memcpy(h + 100, "0000644", 8);
    memcpy(h + 108, "0000000", 8);
    memcpy(h + 116, "0000000", 8);
    snprintf((char *)h + 124, 12, "%011zo", n);
    memcpy(h + 136, "00000000000", 12);
    memset(h + 148, ' ', 8);
    h[156] = (unsigned char)type;
    memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    if (n)
        memcpy(h + 512, bytes, n);
    t->n += 512 + padded;
}

void made_tar_end(made_tar *t, const char *path)
{
    t->bytes = gn_realloc(t->bytes, t->n + 1024);
    assert_non_null(t->bytes);
    memset(t->bytes + t->n, 0, 1024);
    made_file(path, t->bytes, t->n + 1024);
    gn_free(t->bytes);
    memset(t, 0, sizeof *t);
}

const char *made_shared(void)
{
    const char *named = getenv("GENET_SHARED"), *shared = named ? named : "../shared";
    static char path[4096];
    snprintf(path, sizeof path, "%s/data/grocery.tar", shared);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is not there (GENET_SHARED names the folder that holds data/grocery.tar)\n", path);
    return NULL;
}

gn_dataset *opened(const char *path, const gn_dataset_options *o)
{
    gn_dataset *d = NULL;
    genet_error err = {0};
    if (gn_dataset_open(&d, path, o, &err) != GENET_OK)
        fail_msg("%s: %s", path, err.text);
    return d;
}

void refused(const char *path, const gn_dataset_options *o, genet_status status, ...)
{
    gn_dataset *d = (gn_dataset *)1;
    genet_error err = {0};
    assert_int_equal(gn_dataset_open(&d, path, o, &err), status);
    assert_null(d);
    assert_int_equal(err.status, status);
    va_list words;
    va_start(words, status);
    for (const char *word; (word = va_arg(words, const char *));)
        if (!strstr(err.text, word))
            fail_msg("'%s' is not in: %s", word, err.text);
    va_end(words);
}
