/* SPDX-License-Identifier: Apache-2.0
 * Status codes and the error text that every fallible function of the library fills in.
 *
 * A function that can fail returns genet_status and takes a genet_error * as its last argument, which the caller
 * owns and which may be NULL. The layer that knows the facts writes the text: what, where, value found, value
 * allowed, remedy. Codes are append-only: a number never changes its meaning. */
#ifndef GENET_STATUS_H
#define GENET_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GENET_API __attribute__((visibility("default")))
#else
#define GENET_API
#endif

/* X(name, number, exit code of the command line, text) */
#define GENET_STATUS_LIST(X)                                                                                          \
    X(OK, 0, 0, "success")                                                                                            \
    X(USAGE, 1, 2, "wrong use: an option, a key or a value is not allowed")                                           \
    X(DATA, 2, 3, "the data set cannot be used")                                                                      \
    X(FORMAT, 3, 4, "a model or checkpoint file is damaged, or of another kind than expected")                        \
    X(MISMATCH, 4, 5, "model, classes or settings do not fit together")                                               \
    X(IO, 5, 6, "a file cannot be read or written")                                                                   \
    X(MEMORY, 6, 7, "not enough memory")                                                                              \
    X(UNSUPPORTED, 7, 8, "this build or machine cannot do it")                                                        \
    X(NUMERIC, 8, 9, "the loss is not a finite number")                                                               \
    X(INTERRUPTED, 9, 130, "stopped by a signal; a checkpoint to resume from was written")                            \
    X(INTERNAL, 10, 70, "a bug in genet")

typedef enum genet_status {
#define X(name, number, exit_code, text) GENET_##name = number,
    GENET_STATUS_LIST(X)
#undef X
} genet_status;

#define GENET_ERROR_SIZE 1024

/* Filled on failure: `status` repeats the returned code, `text` is one line (no final newline). Untouched on success. */
typedef struct genet_error {
    genet_status status;
    char text[GENET_ERROR_SIZE];
} genet_error;

/* "success", "the data set cannot be used", ...; never NULL. */
GENET_API const char *genet_status_text(genet_status status);

/* The exit code the command line uses for this status (documented in genet(1)). */
GENET_API int genet_status_exit_code(genet_status status);

#ifdef __cplusplus
}
#endif
#endif
