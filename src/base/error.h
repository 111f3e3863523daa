/* SPDX-License-Identifier: Apache-2.0
 * Filling a genet_error. Every failing function ends in `return gn_fail(err, GENET_IO, "...", ...)` or jumps to its
 * one `out:` label after it. */
#ifndef GN_BASE_ERROR_H
#define GN_BASE_ERROR_H
#include "genet/status.h"

/* Writes status and printf-style text into err (may be NULL) and returns status. Bytes of foreign names that are not
 * printable UTF-8 are shown as \xNN. */
genet_status gn_fail(genet_error *err, genet_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* gn_fail with ": <text of errno_value>" behind the message; ENOSPC, EMFILE and EACCES get their remedy too. */
genet_status gn_fail_errno(genet_error *err, genet_status status, int errno_value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "context: " in front of the text already in err. */
void gn_error_prefix(genet_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs a call; on failure leaves the function through its `out:` label with `status` set. */
#define GN_TRY(call)                                                                                                  \
    do {                                                                                                              \
        status = (call);                                                                                              \
        if (status != GENET_OK)                                                                                       \
            goto out;                                                                                                 \
    } while (0)
#endif
