/* SPDX-License-Identifier: Apache-2.0
 * Data sets that the tests make in a temporary folder. */
#ifndef GN_TESTS_DATA_SETS_MADE_H
#define GN_TESTS_DATA_SETS_MADE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "data/dataset.h"

/* A fresh folder for one test; made_end removes it with all in it. */
char *made_begin(void);
void made_end(char *folder);
/* folder/printf..., in one of a few static buffers. */
const char *made_path(const char *folder, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes a file, making its folders. */
void made_file(const char *path, const void *bytes, size_t n);
void made_text(const char *path, const char *text);
/* A JPEG, width x height, whose content follows from `number`. made_jpeg_bytes: fresh memory, free with gn_free. */
void made_jpeg(const char *path, int width, int height, unsigned number);
unsigned char *made_jpeg_bytes(int width, int height, unsigned number, size_t *n);
/* Class folders with these numbers of images, named 000.jpg, ...; names and counts end with NULL. */
void made_set(const char *folder, const char *const *names, const int *counts);
/* Appends a member to a tar file in memory (ustar); made_tar_end writes it. type: '0' file, '5' folder, '1' hard link. */
typedef struct made_tar {
    unsigned char *bytes;
    size_t n;
} made_tar;
void made_tar_add(made_tar *t, const char *name, char type, const void *bytes, size_t n);
void made_tar_end(made_tar *t, const char *path);

/* The folder of photographs, or NULL with a printed reason. */
const char *made_shared(void);

/* gn_dataset_open that must succeed, or must fail with `status` and every given word in its text (NULL ends them). */
gn_dataset *opened(const char *path, const gn_dataset_options *o);
void refused(const char *path, const gn_dataset_options *o, genet_status status, ...);
#endif
