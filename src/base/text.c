/* SPDX-License-Identifier: Apache-2.0
 * Text: building, numbers and names. Formatting and parsing are the C locale's whatever the host program has set. */
#include "base/text.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"

int gn_vsnprintf(char *to, size_t size, const char *format, va_list args)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = c ? uselocale(c) : (locale_t)0;
    int n = vsnprintf(to, size, format, args);
    if (c) {
        uselocale(before);
        freelocale(c);
    }
    return n;
}

static int format_c(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int format_c(char *to, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = gn_vsnprintf(to, size, format, args);
    va_end(args);
    return n;
}

bool gn_parse_int(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    long long parsed = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *value = parsed;
    return true;
}

bool gn_parse_real(const char *text, double *value)
{
    /* Only the characters of a decimal number, so that strtod's blanks, hexadecimals, nan and inf stay out. */
    if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before = c ? uselocale(c) : (locale_t)0;
    char *end = NULL;
    double parsed = strtod(text, &end);
    if (c) {
        uselocale(before);
        freelocale(c);
    }
    if (end == text || *end || !isfinite(parsed))
        return false;
    *value = parsed;
    return true;
}

const char *gn_format_real(char buf[32], double value)
{
    if (value == floor(value) && fabs(value) < 1e15) { /* 1000, not 1e+03 */
        format_c(buf, 32, "%.0f", value);
        return buf;
    }
    for (int digits = 1; digits <= 17; digits++) {
        double back;
        format_c(buf, 32, "%.*g", digits, value);
        if (gn_parse_real(buf, &back) && back == value)
            break;
    }
    return buf;
}

size_t gn_utf8_length(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (b[0] == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    size_t n = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than needed, surrogates, beyond U+10FFFF. */
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) || (b[0] == 0xf0 && b[1] < 0x90) ||
        (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return n;
}

/* C0 and C1 controls and DEL, which a terminal would act on. */
static bool is_control(const char *c, size_t n)
{
    unsigned char a = (unsigned char)c[0], b = (unsigned char)c[n - 1];
    return (n == 1 && (a < 0x20 || a == 0x7f)) || (n == 2 && a == 0xc2 && b < 0xa0);
}

bool gn_escape_name(char *to, size_t size, const char *name)
{
    size_t used = 0;
    while (*name) {
        size_t n = gn_utf8_length(name);
        bool plain = n > 0 && !is_control(name, n);
        size_t need = plain ? n : 4;
        if (used + need >= size)
            break;
        if (plain)
            memcpy(to + used, name, n);
        else
            snprintf(to + used, 5, "\\x%02x", (unsigned char)*name);
        used += need;
        name += plain ? n : 1;
    }
    to[used] = 0;
    return *name == 0;
}

/* Room for `more` bytes and a NUL, or failed. */
static bool reserve(gn_text *t, size_t more)
{
    size_t limit = t->limit ? t->limit : (size_t)64 << 20;
    if (t->failed)
        return false;
    if (more >= limit || t->length >= limit - more) {
        t->failed = true;
        return false;
    }
    size_t need = t->length + more + 1;
    if (need <= t->capacity)
        return true;
    size_t capacity = t->capacity ? t->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    char *grown = gn_realloc(t->data, capacity);
    if (!grown) {
        t->failed = true;
        return false;
    }
    t->data = grown;
    t->capacity = capacity;
    return true;
}

void gn_text_put(gn_text *t, const void *bytes, size_t n)
{
    if (!reserve(t, n))
        return;
    if (n)
        memcpy(t->data + t->length, bytes, n);
    t->length += n;
    t->data[t->length] = 0;
}

void gn_text_add(gn_text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = gn_vsnprintf(NULL, 0, format, args);
    if (n < 0)
        t->failed = true;
    else if (reserve(t, (size_t)n)) {
        gn_vsnprintf(t->data + t->length, (size_t)n + 1, format, again);
        t->length += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void gn_text_json(gn_text *t, const char *bytes)
{
    gn_text_put(t, "\"", 1);
    while (*bytes) {
        size_t n = gn_utf8_length(bytes);
        unsigned char c = (unsigned char)*bytes;
        if (c == '"' || c == '\\')
            gn_text_add(t, "\\%c", c);
        else if (c == '\n')
            gn_text_put(t, "\\n", 2);
        else if (n == 0 || c < 0x20 || c == 0x7f)
            gn_text_add(t, "\\u%04x", c);
        else
            gn_text_put(t, bytes, n);
        bytes += n ? n : 1;
    }
    gn_text_put(t, "\"", 1);
}

void gn_text_xml(gn_text *t, const char *bytes)
{
    while (*bytes) {
        size_t n = gn_utf8_length(bytes);
        unsigned char c = (unsigned char)*bytes;
        if (c == '<')
            gn_text_put(t, "&lt;", 4);
        else if (c == '>')
            gn_text_put(t, "&gt;", 4);
        else if (c == '&')
            gn_text_put(t, "&amp;", 5);
        else if (c == '"')
            gn_text_put(t, "&quot;", 6);
        else if (n == 0 || (c < 0x20 && c != '\n' && c != '\t')) /* not allowed in XML 1.0 */
            gn_text_add(t, "\\x%02x", c);
        else if (n == 3 && memcmp(bytes, "\xef\xbf", 2) == 0 && (unsigned char)bytes[2] >= 0xbe) /* U+FFFE, U+FFFF */
            gn_text_put(t, "\xef\xbf\xbd", 3);
        else
            gn_text_put(t, bytes, n);
        bytes += n ? n : 1;
    }
}

void gn_text_free(gn_text *t)
{
    gn_free(t->data);
    *t = (gn_text){.limit = t->limit};
}

const char *gn_format_bytes(char buf[32], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    int unit = 0;
    while (value >= 1023.5 && unit < 6) {
        value /= 1024.0;
        unit++;
    }
    format_c(buf, 32, unit > 0 && value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return buf;
}

const char *gn_format_seconds(char buf[32], double seconds)
{
    if (!(seconds >= 0.0) || seconds > 1e11) {
        format_c(buf, 32, "?");
        return buf;
    }
    int64_t whole = (int64_t)(seconds + 0.5), minutes = (int64_t)(seconds / 60.0 + 0.5);
    if (seconds < 9.95)
        format_c(buf, 32, "%.1f s", seconds);
    else if (whole < 60)
        format_c(buf, 32, "%lld s", (long long)whole);
    else if (whole < 3600)
        format_c(buf, 32, "%lld min %02lld s", (long long)(whole / 60), (long long)(whole % 60));
    else if (minutes < 48 * 60)
        format_c(buf, 32, "%lld h %02lld min", (long long)(minutes / 60), (long long)(minutes % 60));
    else
        format_c(buf, 32, "%lld d %02lld h", (long long)(minutes / 1440), (long long)(minutes % 1440 / 60));
    return buf;
}

/* Edits between two words of at most MAX_WORD bytes, two neighbours swapped counting as one; SIZE_MAX for longer ones.
 */
enum { MAX_WORD = 128 };
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), rows[3][MAX_WORD + 1];
    if (n > MAX_WORD || m > MAX_WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *gn_nearest(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strlen(word), limit = length / 3 ? length / 3 : 1, best = SIZE_MAX;
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, candidates[i]);
        if (d <= limit && d < best) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}

int gn_compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

double gn_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
