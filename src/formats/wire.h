/* SPDX-License-Identifier: Apache-2.0
 * The protobuf wire format: a bounded reader of fields, and a writer whose messages refer to large tensors where they lie
 * instead of copying them. Used for MindSpore checkpoints, MINDIR and ONNX files. A generated reader (protobuf-c) would copy
 * a whole checkpoint into unpacked structs before the first check; these messages need four wire types and no more. */
#ifndef GN_FORMATS_WIRE_H
#define GN_FORMATS_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/file.h"
#include "base/text.h"

/* --- reading ---------------------------------------------------------------------------------------------------------- */

typedef struct gn_wire {
    const unsigned char *at, *end;
    bool bad; /* the bytes are no well-formed message */
} gn_wire;

typedef struct gn_field {
    uint32_t number;
    int type;                  /* 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes */
    uint64_t value;            /* types 0, 1, 5 */
    const unsigned char *data; /* type 2: inside the message read */
    size_t bytes;
} gn_field;

gn_wire gn_wire_over(const void *data, size_t bytes);
/* The next field; false at the end and at a fault (then w->bad). */
bool gn_wire_next(gn_wire *w, gn_field *f);
/* A varint out of packed data. */
bool gn_wire_varint(gn_wire *w, uint64_t *value);

/* --- writing ---------------------------------------------------------------------------------------------------------- */

typedef struct gn_blob {
    size_t at; /* its place in text */
    const void *data;
    uint64_t bytes;
} gn_blob;

/* A message being written; zero it first. failed stays after a failed allocation. */
typedef struct gn_message {
    gn_text text;
    gn_blob *blobs;
    int blob_count, blob_room;
    uint64_t blob_bytes;
    bool failed;
} gn_message;

void gn_message_int(gn_message *m, uint32_t number, int64_t value);
void gn_message_float(gn_message *m, uint32_t number, float value);
void gn_message_string(gn_message *m, uint32_t number, const char *text);
void gn_message_bytes(gn_message *m, uint32_t number, const void *data, size_t bytes);
/* data stays where it is and must outlive the message. */
void gn_message_blob(gn_message *m, uint32_t number, const void *data, uint64_t bytes);
/* The tag and length of a field whose `bytes` bytes the caller writes behind the message. */
void gn_message_head(gn_message *m, uint32_t number, uint64_t bytes);
/* Takes `child` over as a field of m and frees it. */
void gn_message_add(gn_message *m, uint32_t number, gn_message *child);
uint64_t gn_message_size(const gn_message *m);
genet_status gn_message_write(const gn_message *m, gn_writer *w, genet_error *err);
/* The message as a file of its own, atomically; its size in *bytes where that is not NULL. */
genet_status gn_message_save(const gn_message *m, const char *path, uint64_t *bytes, genet_error *err);
void gn_message_free(gn_message *m);
#endif
