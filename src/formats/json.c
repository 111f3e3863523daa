/* SPDX-License-Identifier: Apache-2.0
 * The pull reader for JSON (RFC 8259). Nesting is bounded by GN_JSON_DEPTH and walked without recursion. */
#include "formats/json.h"

#include <string.h>

#include "base/mem.h"

void gn_json_start(gn_json *j, const void *text, size_t n)
{
    memset(j, 0, sizeof *j);
    j->text = text;
    j->length = n;
}

genet_status gn_json_status(const gn_json *j)
{
    return j->no_memory ? GENET_MEMORY : GENET_FORMAT;
}

void gn_json_fail(gn_json *j, const char *fault)
{
    if (!j->fault)
        j->fault = fault;
}

static bool fault(gn_json *j, const char *what)
{
    gn_json_fail(j, what);
    return false;
}

int gn_json_peek(gn_json *j)
{
    if (j->fault)
        return 0;
    while (j->at < j->length && strchr(" \t\r\n", j->text[j->at]) && j->text[j->at])
        j->at++;
    return j->at < j->length ? j->text[j->at] : 0;
}

static bool take(gn_json *j, int c, const char *what)
{
    if (j->fault)
        return false;
    if (gn_json_peek(j) != c)
        return fault(j, what);
    j->at++;
    return true;
}

static bool enter(gn_json *j, int c, const char *what)
{
    if (j->depth == GN_JSON_DEPTH)
        return fault(j, "values are nested too deeply");
    if (!take(j, c, what))
        return false;
    j->started[j->depth++] = false;
    return true;
}

/* True where a member follows inside the innermost brackets; otherwise takes the closing one. */
static bool next(gn_json *j, int close)
{
    if (j->fault)
        return false;
    int c = gn_json_peek(j);
    bool first = !j->started[j->depth - 1];
    if (c == close) {
        j->at++;
        j->depth--;
        return false;
    }
    if (!first && !take(j, ',', "a comma or a closing bracket is missing"))
        return false;
    j->started[j->depth - 1] = true;
    return true;
}

bool gn_json_object(gn_json *j)
{
    return enter(j, '{', "an object was expected");
}

bool gn_json_array(gn_json *j)
{
    return enter(j, '[', "a list was expected");
}

bool gn_json_element(gn_json *j)
{
    return next(j, ']');
}

bool gn_json_key(gn_json *j, char **key)
{
    *key = NULL;
    if (!next(j, '}') || !gn_json_string(j, key))
        return false;
    if (take(j, ':', "a colon is missing after a key"))
        return true;
    gn_free(*key);
    *key = NULL;
    return false;
}

/* Length of the well-formed UTF-8 sequence at p (n bytes left), 0 where there is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char first, last, low, high;
        size_t length;
    } forms[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (p[0] < forms[f].first || p[0] > forms[f].last)
            continue;
        if (forms[f].length > n)
            return 0;
        for (size_t i = 1; i < forms[f].length; i++)
            if (p[i] < (i == 1 ? forms[f].low : 0x80) || p[i] > (i == 1 ? forms[f].high : 0xbf))
                return 0;
        return forms[f].length;
    }
    return 0;
}

static bool four_hex(gn_json *j, unsigned *value)
{
    *value = 0;
    if (j->length - j->at < 4)
        return fault(j, "an escape is cut short");
    for (int i = 0; i < 4; i++) {
        unsigned char c = j->text[j->at++];
        unsigned digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 16;
        if (digit > 15)
            return fault(j, "an escape \\u has a character that is no hexadecimal digit");
        *value = *value * 16 + digit;
    }
    return true;
}

/* The bytes of \uXXXX (the 'u' is taken already) into out; returns their number, 0 after a fault. */
static size_t unicode_escape(gn_json *j, char out[4])
{
    unsigned code, low;
    if (!four_hex(j, &code))
        return 0;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (j->length - j->at < 2 || j->text[j->at] != '\\' || j->text[j->at + 1] != 'u')
            return fault(j, "half of a surrogate pair stands alone");
        j->at += 2;
        if (!four_hex(j, &low))
            return 0;
        if (low < 0xdc00 || low > 0xdfff)
            return fault(j, "half of a surrogate pair stands alone");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc80 && code <= 0xdcff) {
        out[0] = (char)(code & 0xff);
        return 1;
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return fault(j, "half of a surrogate pair stands alone");
    }
    if (code == 0)
        return fault(j, "a string holds a NUL character");
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | code);
    return n;
}

static size_t escape(gn_json *j, char out[4])
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (j->at == j->length)
        return fault(j, "an escape is cut short");
    char c = (char)j->text[j->at++];
    if (c == 'u')
        return unicode_escape(j, out);
    const char *found = c ? strchr(letters, c) : NULL;
    if (!found)
        return fault(j, "an unknown escape");
    out[0] = values[found - letters];
    return 1;
}

/* Walks a string that starts at `at` (behind the quote). out may be NULL: then it only measures. */
static size_t string_bytes(gn_json *j, char *out)
{
    size_t used = 0;
    char piece[4];
    while (j->at < j->length && j->text[j->at] != '"') {
        size_t n;
        if (j->text[j->at] == '\\') {
            j->at++;
            n = escape(j, piece);
        } else {
            n = j->text[j->at] < 0x20 ? 0 : utf8_length(j->text + j->at, j->length - j->at);
            if (!n)
                gn_json_fail(j, "a string holds a control character or bytes that are not UTF-8");
            else
                memcpy(piece, j->text + j->at, n);
            j->at += n;
        }
        if (!n)
            return 0;
        if (out)
            memcpy(out + used, piece, n);
        used += n;
    }
    if (j->at == j->length)
        gn_json_fail(j, "a string has no end");
    return used;
}

bool gn_json_string(gn_json *j, char **out)
{
    *out = NULL;
    if (!take(j, '"', "a string was expected"))
        return false;
    size_t begin = j->at, n = string_bytes(j, NULL);
    if (j->fault)
        return false;
    char *text = gn_calloc(n + 1, 1);
    if (!text) {
        j->no_memory = true;
        return fault(j, "not enough memory for a string");
    }
    j->at = begin;
    string_bytes(j, text);
    j->at++;
    *out = text;
    return true;
}

/* Copies the characters of a number to buf; 0 where it is none or longer than any sane one. */
static size_t number_text(gn_json *j, char buf[64])
{
    size_t n = 0;
    if (gn_json_peek(j) == 0)
        return 0;
    while (j->at < j->length && n < 63 && j->text[j->at] && strchr("+-0123456789.eE", j->text[j->at]))
        buf[n++] = (char)j->text[j->at++];
    buf[n] = 0;
    return n < 63 ? n : 0;
}

bool gn_json_int(gn_json *j, int64_t *out)
{
    char buf[64];
    size_t i = 0, n = number_text(j, buf);
    bool negative = n && buf[0] == '-';
    uint64_t v = 0;
    *out = 0;
    if (negative)
        i++;
    if (j->fault || i == n || (buf[i] == '0' && n - i > 1))
        return fault(j, "a whole number was expected");
    for (; i < n; i++) {
        if (buf[i] < '0' || buf[i] > '9')
            return fault(j, "a whole number was expected");
        if (v > (uint64_t)INT64_MAX / 10)
            return fault(j, "a number is too large");
        v = v * 10 + (uint64_t)(buf[i] - '0');
        if (v > (uint64_t)INT64_MAX)
            return fault(j, "a number is too large");
    }
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool gn_json_number(gn_json *j, double *out)
{
    char buf[64];
    size_t n = number_text(j, buf);
    *out = 0;
    if (j->fault || !n || (buf[0] != '-' && (buf[0] < '0' || buf[0] > '9')))
        return fault(j, "a number was expected");
    return gn_parse_real(buf, out) ? true : fault(j, "a number was expected");
}

static bool word(gn_json *j, const char *text)
{
    size_t n = strlen(text);
    if (j->fault || gn_json_peek(j) != text[0] || j->length - j->at < n || memcmp(j->text + j->at, text, n))
        return false;
    j->at += n;
    return true;
}

bool gn_json_bool(gn_json *j, bool *out)
{
    *out = word(j, "true");
    return *out || word(j, "false") ? true : fault(j, "true or false was expected");
}

static bool skip_string(gn_json *j)
{
    if (!take(j, '"', "a string was expected"))
        return false;
    string_bytes(j, NULL);
    if (j->fault)
        return false;
    j->at++;
    return true;
}

/* A value that opens no brackets. */
static bool skip_plain(gn_json *j)
{
    double number;
    switch (gn_json_peek(j)) {
    case '"':
        return skip_string(j);
    case 't':
    case 'f':
    case 'n':
        return word(j, "true") || word(j, "false") || word(j, "null") || fault(j, "a value was expected");
    default:
        return gn_json_number(j, &number);
    }
}

bool gn_json_skip(gn_json *j)
{
    char kind[GN_JSON_DEPTH];
    int base = j->depth;
    do {
        int c = gn_json_peek(j);
        if (c == '{' || c == '[') {
            if (!enter(j, c, "a value was expected"))
                return false;
            kind[j->depth - 1] = (char)c;
        } else if (!skip_plain(j)) {
            return false;
        }
        while (j->depth > base && !next(j, kind[j->depth - 1] == '{' ? '}' : ']'))
            if (j->fault)
                return false;
        if (j->depth > base && kind[j->depth - 1] == '{' &&
            (!skip_string(j) || !take(j, ':', "a colon is missing after a key")))
            return false;
    } while (j->depth > base);
    return true;
}

bool gn_json_end(gn_json *j)
{
    int c = gn_json_peek(j);
    if (!j->fault && (c || j->at < j->length))
        return fault(j, "something follows the end");
    return !j->fault;
}

void gn_json_put_string(gn_text *t, const char *bytes)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t left = strlen(bytes);
    gn_text_put(t, "\"", 1);
    while (left) {
        size_t n = utf8_length(p, left);
        if (!n)
            gn_text_add(t, "\\udc%02x", p[0]);
        else if (p[0] == '"' || p[0] == '\\')
            gn_text_add(t, "\\%c", p[0]);
        else if (p[0] < 0x20 || p[0] == 0x7f)
            gn_text_add(t, "\\u%04x", p[0]);
        else
            gn_text_put(t, p, n);
        p += n ? n : 1;
        left -= n ? n : 1;
    }
    gn_text_put(t, "\"", 1);
}

void gn_json_put_double(gn_text *t, double v)
{
    char buf[32];
    gn_text_add(t, "%s", gn_format_real(buf, v));
}

void gn_json_put_float(gn_text *t, float v)
{
    gn_text_add(t, "%.9g", (double)v);
}
