/* SPDX-License-Identifier: Apache-2.0
 * Reading JSON from hostile bytes: a pull reader that walks the text once, takes memory only for the strings its caller
 * asks for, and remembers the first fault with its place. Used for the header and the metadata of safetensors files.
 *
 *   gn_json j;
 *   char *key;
 *   gn_json_start(&j, text, n);
 *   gn_json_object(&j);
 *   while (gn_json_key(&j, &key)) { ... read one value ...; gn_free(key); }
 *   gn_json_end(&j);
 *   if (j.fault) ...
 *
 * After a fault every call does nothing and returns false, so faults are looked at once, at the end. */
#ifndef GN_FORMATS_JSON_H
#define GN_FORMATS_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"

#define GN_JSON_DEPTH 32

typedef struct gn_json {
    const unsigned char *text;
    size_t length, at;
    int depth;
    bool started[GN_JSON_DEPTH]; /* an element of this level was read: a comma comes before the next */
    const char *fault;           /* static text, or NULL */
    bool no_memory;              /* the fault is the machine's, not the text's */
} gn_json;

void gn_json_start(gn_json *j, const void *text, size_t n);
/* First character of the next value ('{' '[' '"' 't' 'f' 'n' '-' or a digit), 0 at the end. */
int gn_json_peek(gn_json *j);
bool gn_json_object(gn_json *j);           /* enters {} */
bool gn_json_key(gn_json *j, char **key);  /* next key, fresh memory; false after the last, which leaves the object */
bool gn_json_array(gn_json *j);            /* enters [] */
bool gn_json_element(gn_json *j);          /* true where one more element follows; false leaves the array */
/* Fresh memory. Text is UTF-8; an escape \udc80..\udcff standing alone gives the byte 80..ff (as Python's
 * "surrogateescape"), \u0000 is refused. */
bool gn_json_string(gn_json *j, char **out);
bool gn_json_int(gn_json *j, int64_t *out);
bool gn_json_number(gn_json *j, double *out);
bool gn_json_bool(gn_json *j, bool *out);
bool gn_json_skip(gn_json *j);             /* any value */
bool gn_json_end(gn_json *j);              /* nothing but blanks follows */
genet_status gn_json_status(const gn_json *j); /* for a message about the fault: GENET_MEMORY or GENET_FORMAT */
/* Marks a fault of the caller's own ("a shape has more than 8 dimensions"); the first one stays. */
void gn_json_fail(gn_json *j, const char *fault);

/* Writing what the reader reads back exactly. */
void gn_json_put_string(gn_text *t, const char *bytes); /* bytes that are not UTF-8 as \udcNN */
void gn_json_put_double(gn_text *t, double v);          /* shortest that reads back the same; finite */
void gn_json_put_float(gn_text *t, float v);            /* "%.9g" */
#endif
