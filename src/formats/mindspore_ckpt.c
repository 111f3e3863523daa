/* SPDX-License-Identifier: Apache-2.0
 * Reading and writing MindSpore's .ckpt. Tensors stay in the mapped file; a tensor cut into slices becomes one table entry
 * with several pieces. */
#include "formats/mindspore_ckpt.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "formats/names.h"
#include "formats/numbers.h"
#include "formats/wire.h"

#define MAGIC_GCM 0x7F3A5ED8u
#define MAGIC_CBC 0x7F3A5ED9u
#define TRAILER 17 /* "crc_num" and ten bytes of a big-endian number */
#define SLICE (UINT64_C(512) << 20)

/* MindSpore's type names and safetensors'; unsigned types are spelled differently in 1.x and 2.x. */
static const char *const types[][2] = {
    {"Float32", "F32"}, {"Float16", "F16"}, {"Float64", "F64"}, {"BFloat16", "BF16"}, {"Int8", "I8"}, {"Int16", "I16"},
    {"Int32", "I32"}, {"Int64", "I64"}, {"Uint8", "U8"}, {"Uint16", "U16"}, {"Uint32", "U32"}, {"Uint64", "U64"},
    {"UInt8", "U8"}, {"UInt16", "U16"}, {"UInt32", "U32"}, {"UInt64", "U64"}, {"Bool", "BOOL"}};

/* One Value as it stands in the file. */
typedef struct value {
    const unsigned char *tag, *type, *content;
    size_t tag_bytes, type_bytes, content_bytes;
    int rank;
    int64_t dim[8];
    bool has_tag, has_tensor, map;
} value;

bool gn_mindspore_ckpt_is_encrypted(const unsigned char *data, size_t bytes)
{
    return bytes >= 4 && (gn_load_u32(data) == MAGIC_GCM || gn_load_u32(data) == MAGIC_CBC);
}

static bool add_dim(value *v, uint64_t n)
{
    if (v->rank == 8 || n > INT64_MAX)
        return false;
    v->dim[v->rank++] = (int64_t)n;
    return true;
}

static const char *parse_tensor(value *v, const gn_field *field)
{
    gn_wire w = gn_wire_over(field->data, field->bytes);
    gn_field f;
    v->has_tensor = true;
    while (gn_wire_next(&w, &f)) {
        bool good = true;
        if (f.number == 1 && f.type == 0) {
            good = add_dim(v, f.value);
        } else if (f.number == 1 && f.type == 2) { /* packed, which other writers may choose */
            gn_wire packed = gn_wire_over(f.data, f.bytes);
            uint64_t n;
            while (good && packed.at < packed.end)
                good = gn_wire_varint(&packed, &n) && add_dim(v, n);
        } else if (f.number == 2 && f.type == 2) {
            v->type = f.data;
            v->type_bytes = f.bytes;
        } else if (f.number == 3 && f.type == 2) {
            v->content = f.data;
            v->content_bytes = f.bytes;
        }
        if (!good)
            return "dimensions that cannot be read (more than 8, or negative)";
    }
    return w.bad ? "a tensor that is no well-formed message" : NULL;
}

/* NULL, or what is wrong. */
static const char *parse_value(value *v, const gn_field *field)
{
    gn_wire w = gn_wire_over(field->data, field->bytes);
    gn_field f;
    const char *fault = NULL;
    memset(v, 0, sizeof *v);
    while (!fault && gn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == 2) {
            v->has_tag = true;
            v->tag = f.data;
            v->tag_bytes = f.bytes;
        } else if (f.number == 2 && f.type == 2) {
            fault = parse_tensor(v, &f);
        } else if (f.number == 3 && f.type == 2) {
            v->map = true;
        }
    }
    if (!fault && w.bad)
        fault = "an entry that is no well-formed message";
    if (!fault && (!v->has_tag || v->tag_bytes > 512 || memchr(v->tag, 0, v->tag_bytes)))
        fault = "an entry without a usable name";
    if (!fault && !v->has_tensor && !v->map)
        fault = "an entry without a tensor";
    return fault;
}

static const char *type_of(const value *v)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i][0]) == v->type_bytes && !memcmp(types[i][0], v->type, v->type_bytes))
            return types[i][1];
    return "?";
}

/* Elements by the shape; a scalar has no dims (2.x) or dims [0] (1.x) and content. false: too many to count. */
static bool settle_shape(gn_file_tensor *t, const value *v)
{
    t->rank = v->rank;
    memcpy(t->dim, v->dim, sizeof t->dim);
    if (v->rank == 1 && v->dim[0] == 0 && v->content_bytes)
        t->rank = 0;
    t->count = 1;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(t->count, t->dim[i], &t->count))
            return false;
    return t->count <= INT64_MAX / 8;
}

/* State of the walk over the entries. */
typedef struct reader {
    gn_file_tensors *tensors;
    uint64_t have, want; /* bytes of the last tensor so far, and in all */
    const char *path;
    genet_error *err;
} reader;

static genet_status check_complete(const reader *r)
{
    if (!r->tensors->count || r->have == r->want)
        return GENET_OK;
    const gn_file_tensor *t = &r->tensors->items[r->tensors->count - 1];
    char shape[96];
    return gn_fail(r->err, GENET_FORMAT, "%s: tensor %s of shape %s needs %llu bytes, the file holds %llu", r->path,
                   t->name, gn_format_shape(shape, t->rank, t->dim), (unsigned long long)r->want,
                   (unsigned long long)r->have);
}

static genet_status add_value(reader *r, const value *v, const char *name)
{
    gn_file_tensors *all = r->tensors;
    gn_file_tensor *last = all->count ? &all->items[all->count - 1] : NULL, shape = {0};
    bool continues = last && r->have < r->want && !strcmp(last->name, name);
    const char *type = type_of(v);
    unsigned size = gn_file_type_size(type);
    if (!settle_shape(&shape, v))
        return gn_fail(r->err, GENET_FORMAT, "%s: tensor %s: the shape has more elements than can be counted", r->path, name);
    if (size && v->content_bytes % size)
        return gn_fail(r->err, GENET_FORMAT, "%s: tensor %s: %zu bytes are no whole number of elements", r->path, name,
                       v->content_bytes);
    if (continues && (strcmp(last->type, type) || last->rank != shape.rank || memcmp(last->dim, shape.dim, sizeof shape.dim)))
        return gn_fail(r->err, GENET_FORMAT, "%s: tensor %s: its slices disagree about shape or type", r->path, name);
    if (!continues) {
        genet_status status = check_complete(r);
        if (status != GENET_OK)
            return status;
        last = gn_file_tensors_add(all);
        if (!last)
            return gn_fail_memory(r->err, sizeof *last, "the table of tensors");
        last->name = name;
        snprintf(last->type, sizeof last->type, "%s", type);
        last->rank = shape.rank;
        last->count = shape.count;
        memcpy(last->dim, shape.dim, sizeof last->dim);
        r->have = 0;
        r->want =
            size ? (uint64_t)shape.count * size : v->content_bytes; /* of strings and the like the size is not ours to judge */
    }
    r->have += v->content_bytes;
    if (!gn_file_tensors_piece(all, v->content, v->content_bytes))
        return gn_fail_memory(r->err, sizeof(gn_file_piece), "the table of tensors");
    return r->have > r->want ? check_complete(r) : GENET_OK;
}

/* First walk: every entry is well-formed, and how much memory the names take. */
static genet_status measure(const unsigned char *data, size_t bytes, size_t *names, const char *path, genet_error *err)
{
    gn_wire w = gn_wire_over(data, bytes);
    gn_field f;
    value v;
    *names = 0;
    while (gn_wire_next(&w, &f)) {
        const char *fault = f.number == 1 && f.type == 2 ? parse_value(&v, &f) : "a field that checkpoints do not have";
        if (fault)
            return gn_fail(err, GENET_FORMAT, "%s: byte %zu: %s; this is no MindSpore checkpoint, or it is damaged", path,
                           (size_t)((f.type == 2 ? f.data : w.at) - data), fault);
        *names += v.tag_bytes + 1;
    }
    if (w.bad)
        return gn_fail(err, GENET_FORMAT,
                       "%s: the file ends inside an entry (after byte %zu of %zu): it is cut short, or no MindSpore checkpoint",
                       path, (size_t)(w.at - data), bytes);
    return GENET_OK;
}

/* Takes the trailer off after checking it. */
static genet_status check_crc(const unsigned char *data, size_t *bytes, const char *path, genet_error *err)
{
    if (*bytes < TRAILER || memcmp(data + *bytes - TRAILER, "crc_num", 7))
        return GENET_OK;
    uint64_t stored = 0;
    for (size_t i = *bytes - 8; i < *bytes; i++)
        stored = stored << 8 | data[i];
    *bytes -= TRAILER;
    uint32_t crc = gn_crc32(0, data, *bytes);
    if (stored != crc || data[*bytes + 7] || data[*bytes + 8])
        return gn_fail(err, GENET_FORMAT, "%s: the CRC-32 of its bytes is %08x, its trailer says %08llx: the file is damaged",
                       path, crc, (unsigned long long)stored);
    return GENET_OK;
}

genet_status gn_mindspore_ckpt_parse(gn_file_tensors *t, const unsigned char *data, size_t bytes, const char *path,
                                     genet_error *err)
{
    reader r = {.tensors = t, .path = path, .err = err};
    genet_status status = GENET_OK;
    size_t names = 0, used = 0;
    gn_field f;
    value v;
    if (gn_mindspore_ckpt_is_encrypted(data, bytes))
        return gn_fail(err, GENET_FORMAT,
                       "%s: is encrypted (%s): load it in MindSpore with its key (dec_key) and save it again without enc_key", path,
                       gn_load_u32(data) == MAGIC_GCM ? "AES-GCM" : "AES-CBC");
    GN_TRY(check_crc(data, &bytes, path, err));
    GN_TRY(measure(data, bytes, &names, path, err));
    t->names.data = gn_calloc(names + 1, 1);
    t->names.capacity = names + 1;
    if (!t->names.data) {
        status = gn_fail_memory(err, names + 1, "names of tensors");
        goto out;
    }
    for (gn_wire w = gn_wire_over(data, bytes); gn_wire_next(&w, &f);) {
        parse_value(&v, &f);
        char *name = t->names.data + used;
        memcpy(name, v.tag, v.tag_bytes);
        used += v.tag_bytes + 1;
        if (!v.map)
            GN_TRY(add_value(&r, &v, name));
    }
    GN_TRY(check_complete(&r));
    gn_file_tensors_sort(t);
out:
    return status;
}

/* --- writing ---------------------------------------------------------------------------------------------------------- */

/* One entry; data of a huge tensor is cut into nearly equal slices below the published limit. */
static genet_status write_tensor(gn_writer *w, const char *tag, int rank, const int64_t *dim, const float *data,
                                 genet_error *err)
{
    genet_status status = GENET_OK;
    uint64_t count = 1, done = 0;
    for (int i = 0; i < rank; i++)
        count *= (uint64_t)dim[i];
    uint64_t slices = (count * 4 + SLICE - 1) / SLICE;
    for (uint64_t s = 0; s < (slices ? slices : 1) && status == GENET_OK; s++) {
        uint64_t n = slices ? count / slices + (s < count % slices) : 0;
        gn_message all = {0}, entry = {0}, tensor = {0};
        gn_message_string(&entry, 1, tag);
        for (int i = 0; i < rank; i++)
            gn_message_int(&tensor, 1, dim[i]);
        gn_message_string(&tensor, 2, "Float32");
        gn_message_blob(&tensor, 3, data + done, n * 4);
        gn_message_add(&entry, 2, &tensor);
        gn_message_add(&all, 1, &entry);
        status = gn_message_write(&all, w, err);
        gn_message_free(&all);
        done += n;
    }
    return status;
}

/* Writes tensor i of the table; MindSpore's dense layers have two dimensions, everything else what ours has. */
static genet_status write_weight(gn_writer *w, const gn_weights *weights, int i, const float *momentum, genet_error *err)
{
    const gn_weight *item = &weights->table->items[i];
    char name[GN_NAME_SIZE], tag[GN_NAME_SIZE + 8];
    if (!gn_name_to(name, GN_NAMES_MINDSPORE, item->name))
        return gn_fail(err, GENET_MISMATCH, "the published MindSpore network has no tensor %s", item->name);
    snprintf(tag, sizeof tag, "%s%s", momentum ? "moments." : "", name);
    return write_tensor(w, tag, item->rank, item->dim,
                        momentum ? momentum + item->offset : (const float *)gn_weights_at(weights, i), err);
}

genet_status gn_mindspore_ckpt_write(const gn_checkpoint *c, const gn_weights *weights, const float *momentum,
                                     const char *path, genet_error *err)
{
    const gn_weight_table *table = &c->model->weights;
    gn_writer w = {.fd = -1};
    genet_status status = GENET_OK;
    if (c->model->spec.form != GN_FORM_MINDSPORE || c->model->spec.variant == GN_PLAIN)
        return gn_fail(err, GENET_MISMATCH,
                       "a %s network of the %s form has no counterpart in the published MindSpore code (padding, batch norm or "
                       "gate differ); train with --form mindspore, or export to mindir, onnx or safetensors",
                       gn_variant_name(c->model->spec.variant), gn_form_name(c->model->spec.form));
    GN_TRY(gn_writer_open(&w, path, err));
    for (int i = 0; i < table->count; i++) {
        bool norm = table->items[i].kind == GN_KIND_GAMMA; /* gamma, beta, mean, var here; mean, var, gamma, beta there */
        static const int order[4] = {2, 3, 0, 1};
        for (int k = 0; k < (norm ? 4 : 1); k++)
            GN_TRY(write_weight(&w, weights, norm ? i + order[k] : i, NULL, err));
        i += norm ? 3 : 0;
    }
    for (int i = 0; momentum && i < table->count; i++)
        if (table->items[i].trainable)
            GN_TRY(write_weight(&w, weights, i, momentum, err));
    GN_TRY(gn_writer_commit(&w, err));
out:
    gn_writer_abort(&w);
    return status;
}
