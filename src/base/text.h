/* SPDX-License-Identifier: Apache-2.0
 * Growing text with a size limit, and the small number and name formats every layer needs. */
#ifndef GN_BASE_TEXT_H
#define GN_BASE_TEXT_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* vsnprintf with a decimal point in every locale; everything in base that formats goes through it. */
int gn_vsnprintf(char *to, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
/* Numbers from text, the whole of it: no blanks, no trailing text, no overflow, neither nan nor inf; a decimal point in
 * every locale. False leaves *value as it was. */
bool gn_parse_int(const char *text, int64_t *value);
bool gn_parse_real(const char *text, double *value);
/* Shortest decimal that gn_parse_real reads back to the same bits; buf is returned. */
const char *gn_format_real(char buf[32], double value);
/* Bytes of the UTF-8 character at `bytes` (1..4; looks no further than a NUL), 0 where there is none. */
size_t gn_utf8_length(const char *bytes);
/* A foreign name for people: control characters and bytes that are not UTF-8 become \xNN. False: it did not fit and is
 * cut. */
bool gn_escape_name(char *to, size_t size, const char *name);

/* A string builder. Zero it before use (limit 0 means 64 MiB). `failed` stays true after a failed growth; then data may
 * be shorter than asked, so check once at the end. */
typedef struct gn_text {
    char *data;
    size_t length, capacity, limit;
    bool failed;
} gn_text;
void gn_text_add(gn_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gn_text_put(gn_text *t, const void *bytes, size_t n);
/* JSON string literal with quotes; bytes that are not UTF-8 become \u00NN of their value. */
void gn_text_json(gn_text *t, const char *bytes);
/* XML / SVG character data with < > & " escaped. */
void gn_text_xml(gn_text *t, const char *bytes);
void gn_text_free(gn_text *t);

/* "1.3 GiB", "912 KiB"; "1 h 03 min", "12 s"; into buf (at least 32 bytes), returned. */
const char *gn_format_bytes(char buf[32], uint64_t bytes);
const char *gn_format_seconds(char buf[32], double seconds);

/* "Did you mean": the candidate closest to word by edits (two neighbours swapped are one edit), at most a third of the
 * word's length away, or NULL. */
const char *gn_nearest(const char *word, const char *const *candidates, size_t n);
/* Byte-wise comparison for qsort over char *. */
int gn_compare_names(const void *a, const void *b);
/* Monotonic seconds. */
double gn_now(void);
#endif
