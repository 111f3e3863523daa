/* SPDX-License-Identifier: Apache-2.0
 * Feeds files to a fuzz target without libFuzzer, so that every compiler and every test run replays the seeds and the
 * past findings. Each file goes in whole, cut short at some lengths, and with single bytes changed: always the same ones.
 * Arguments: folders (a missing one is empty) and files. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CUTS = 16, CHANGES = 48, FILE_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int files, inputs;

/* A copy of exactly `size` bytes, so that a sanitizer sees the first byte read past the end. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

static void feed_variants(uint8_t *data, size_t size)
{
    feed(data, size);
    for (int i = 0; i < CUTS; i++)
        feed(data, size * (size_t)i / CUTS);
    uint32_t state = 1;
    for (int i = 0; i < CHANGES && size; i++) {
        state = state * 1664525u + 1013904223u;
        /* Half of the changes hit the first bytes, where headers are. */
        size_t range = i % 2 && size > 64 ? 64 : size, at = (state >> 8) % range;
        uint8_t old = data[at];
        data[at] = (uint8_t)(i % 3 == 0 ? 0xff : i % 3 == 1 ? 0 : old ^ (1u << (state >> 29)));
        feed(data, size);
        data[at] = old;
    }
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 1;
    }
    uint8_t *data = malloc(FILE_MAX);
    if (!data)
        abort();
    size_t size = fread(data, 1, FILE_MAX, f);
    fclose(f);
    feed_variants(data, size);
    free(data);
    files++;
    return 0;
}

static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort), failed = 0;
    for (int i = 0; i < count; i++) {
        char full[4096];
        snprintf(full, sizeof full, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            failed |= replay(full);
        free(names[i]);
    }
    free(names);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    feed((const uint8_t *)"", 0);
    printf("%d files, %d inputs\n", files, inputs);
    return failed;
}
