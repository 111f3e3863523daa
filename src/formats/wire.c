/* SPDX-License-Identifier: Apache-2.0
 * The protobuf wire format (protobuf.dev/programming-guides/encoding), without groups, which none of our files has. */
#include "formats/wire.h"

#include <string.h>

#include "base/mem.h"
#include "formats/numbers.h"

gn_wire gn_wire_over(const void *data, size_t bytes)
{
    return (gn_wire){.at = data, .end = bytes ? (const unsigned char *)data + bytes : data};
}

bool gn_wire_varint(gn_wire *w, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && w->at < w->end; shift += 7) {
        unsigned char byte = *w->at++;
        if (shift == 63 && byte > 1)
            break;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    w->bad = true;
    return false;
}

bool gn_wire_next(gn_wire *w, gn_field *f)
{
    uint64_t key;
    memset(f, 0, sizeof *f);
    if (w->bad || w->at == w->end || !gn_wire_varint(w, &key))
        return false;
    f->number = (uint32_t)(key >> 3);
    f->type = (int)(key & 7);
    size_t left = (size_t)(w->end - w->at);
    bool good = key >> 3 > 0 && key >> 3 < 1u << 29;
    if (f->type == 0) {
        good = good && gn_wire_varint(w, &f->value);
    } else if (f->type == 1 && left >= 8) {
        f->value = gn_load_u64(w->at);
        w->at += 8;
    } else if (f->type == 5 && left >= 4) {
        f->value = gn_load_u32(w->at);
        w->at += 4;
    } else if (f->type == 2 && gn_wire_varint(w, &key) && key <= (uint64_t)(w->end - w->at)) {
        f->data = w->at;
        f->bytes = (size_t)key;
        w->at += key;
    } else {
        good = false;
    }
    w->bad = w->bad || !good;
    return good;
}

static void put_varint(gn_message *m, uint64_t v)
{
    unsigned char buf[10];
    size_t n = 0;
    for (; v > 0x7f; v >>= 7)
        buf[n++] = (unsigned char)(v | 0x80);
    buf[n++] = (unsigned char)v;
    gn_text_put(&m->text, buf, n);
    m->failed = m->failed || m->text.failed;
}

static void put_key(gn_message *m, uint32_t number, unsigned type)
{
    put_varint(m, (uint64_t)number << 3 | type);
}

void gn_message_int(gn_message *m, uint32_t number, int64_t value)
{
    put_key(m, number, 0);
    put_varint(m, (uint64_t)value);
}

void gn_message_float(gn_message *m, uint32_t number, float value)
{
    put_key(m, number, 5);
    gn_text_put(&m->text, &value, 4);
    m->failed = m->failed || m->text.failed;
}

void gn_message_head(gn_message *m, uint32_t number, uint64_t bytes)
{
    put_key(m, number, 2);
    put_varint(m, bytes);
}

void gn_message_bytes(gn_message *m, uint32_t number, const void *data, size_t bytes)
{
    gn_message_head(m, number, bytes);
    gn_text_put(&m->text, data, bytes);
    m->failed = m->failed || m->text.failed;
}

void gn_message_string(gn_message *m, uint32_t number, const char *text)
{
    gn_message_bytes(m, number, text, strlen(text));
}

static void add_blob(gn_message *m, size_t at, const void *data, uint64_t bytes)
{
    if (m->blob_count == m->blob_room) {
        int room = m->blob_room ? m->blob_room * 2 : 16;
        gn_blob *more = gn_realloc(m->blobs, (size_t)room * sizeof *more);
        if (!more) {
            m->failed = true;
            return;
        }
        m->blobs = more;
        m->blob_room = room;
    }
    m->blobs[m->blob_count++] = (gn_blob){at, data, bytes};
    m->blob_bytes += bytes;
}

void gn_message_blob(gn_message *m, uint32_t number, const void *data, uint64_t bytes)
{
    gn_message_head(m, number, bytes);
    add_blob(m, m->text.length, data, bytes);
}

void gn_message_add(gn_message *m, uint32_t number, gn_message *child)
{
    gn_message_head(m, number, gn_message_size(child));
    for (int i = 0; i < child->blob_count; i++)
        add_blob(m, m->text.length + child->blobs[i].at, child->blobs[i].data, child->blobs[i].bytes);
    if (child->text.length)
        gn_text_put(&m->text, child->text.data, child->text.length);
    m->failed = m->failed || child->failed || m->text.failed;
    gn_message_free(child);
}

uint64_t gn_message_size(const gn_message *m)
{
    return m->text.length + m->blob_bytes;
}

genet_status gn_message_write(const gn_message *m, gn_writer *w, genet_error *err)
{
    size_t done = 0;
    genet_status status = GENET_OK;
    if (m->failed)
        return gn_fail_memory(err, m->text.length, "a message");
    for (int i = 0; i < m->blob_count; i++) {
        if (m->blobs[i].at > done)
            GN_TRY(gn_writer_put(w, m->text.data + done, m->blobs[i].at - done, err));
        done = m->blobs[i].at;
        GN_TRY(gn_writer_put(w, m->blobs[i].data, (size_t)m->blobs[i].bytes, err));
    }
    if (m->text.length > done)
        GN_TRY(gn_writer_put(w, m->text.data + done, m->text.length - done, err));
out:
    return status;
}

genet_status gn_message_save(const gn_message *m, const char *path, uint64_t *bytes, genet_error *err)
{
    gn_writer file = {.fd = -1};
    genet_status status;
    GN_TRY(gn_writer_open(&file, path, err));
    GN_TRY(gn_message_write(m, &file, err));
    GN_TRY(gn_writer_commit(&file, err));
    if (bytes)
        *bytes = gn_message_size(m);
out:
    gn_writer_abort(&file);
    return status;
}

void gn_message_free(gn_message *m)
{
    gn_text_free(&m->text);
    gn_free(m->blobs);
    memset(m, 0, sizeof *m);
}
