/* SPDX-License-Identifier: Apache-2.0
 * Status codes and error texts. A text is one line of printable UTF-8 whatever the names in it held. */
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"

const char *genet_status_text(genet_status status)
{
    switch (status) {
#define X(name, number, exit_code, text)                                                                               \
    case GENET_##name:                                                                                                 \
        return text;
        GENET_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

int genet_status_exit_code(genet_status status)
{
    switch (status) {
#define X(name, number, exit_code, text)                                                                               \
    case GENET_##name:                                                                                                 \
        return exit_code;
        GENET_STATUS_LIST(X)
#undef X
    }
    return 70;
}

/* Room for a text before escaping; a longer one is cut and ends in "...". */
enum { RAW = 2 * GENET_ERROR_SIZE };

static void store(genet_error *err, genet_status status, const char *raw, bool cut)
{
    err->status = status;
    if (!gn_escape_name(err->text, sizeof err->text, raw) || cut) {
        size_t n = strlen(err->text);
        if (n > sizeof err->text - 4)
            n = sizeof err->text - 4;
        while (n > 0 && ((unsigned char)err->text[n] & 0xc0) == 0x80) /* not inside a character */
            n--;
        memcpy(err->text + n, "...", 4);
    }
}

genet_status gn_fail(genet_error *err, genet_status status, const char *format, ...)
{
    if (err) {
        char raw[RAW];
        va_list args;
        va_start(args, format);
        int n = gn_vsnprintf(raw, sizeof raw, format, args);
        va_end(args);
        store(err, status, n < 0 ? format : raw, n >= RAW);
    }
    return status;
}

static const char *remedy(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return " (free some space, or choose another folder)";
    case EMFILE:
        return " (raise the limit of open files: ulimit -n)";
    case EACCES:
    case EPERM:
        return " (check who may read and write there: ls -ld)";
    case EROFS:
        return " (choose a folder that can be written)";
    default:
        return "";
    }
}

genet_status gn_fail_errno(genet_error *err, genet_status status, int errno_value, const char *format, ...)
{
    if (err) {
        char raw[RAW], system_text[128] = "";
        va_list args;
        va_start(args, format);
        int n = gn_vsnprintf(raw, sizeof raw, format, args);
        va_end(args);
        bool cut = n >= RAW;
        size_t used = strlen(raw);
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
        const char *reason = strerror_r(errno_value, system_text, sizeof system_text);
#else
        const char *reason = strerror_r(errno_value, system_text, sizeof system_text) == 0 ? system_text : "error";
#endif
        snprintf(raw + used, sizeof raw - used, ": %s%s", reason, remedy(errno_value));
        store(err, status, raw, cut);
    }
    return status;
}

void gn_error_prefix(genet_error *err, const char *format, ...)
{
    if (!err)
        return;
    char raw[RAW];
    va_list args;
    va_start(args, format);
    int n = gn_vsnprintf(raw, GENET_ERROR_SIZE - 8, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t used = strlen(raw);
    /* The text behind is escaped already and holds no byte that escaping would change again. */
    snprintf(raw + used, sizeof raw - used, ": %s", err->text);
    store(err, err->status, raw, false);
}
