/* SPDX-License-Identifier: Apache-2.0
 * Reading and writing safetensors files. The reader trusts nothing: every length is held against the file's size before
 * memory is taken for it, and the tensors must tile the data area exactly (docs/formats/safetensors.md). */
#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "formats/numbers.h"
#include "formats/tensors.h"

#define MAX_HEADER (64u << 20) /* the format's own limit is 100 MB; a network of 2,000 tensors has 200 KB */

typedef struct reader {
    gn_safetensors *file;
    gn_json json;
    const char *path;
    int tensor_room, meta_room;
    genet_error *err;
} reader;

/* Room for one more element of an array that doubles. */
static bool grow(void **array, int count, int *room, size_t size)
{
    if (count < *room)
        return true;
    if (count > (1 << 24))
        return false;
    int more = *room ? *room * 2 : 64;
    void *bigger = gn_realloc(*array, (size_t)more * size);
    if (!bigger)
        return false;
    memset((char *)bigger + (size_t)*room * size, 0, (size_t)(more - *room) * size);
    *array = bigger;
    *room = more;
    return true;
}

static void read_shape(gn_json *j, gn_st_tensor *t)
{
    gn_json_array(j);
    while (gn_json_element(j)) {
        int64_t n = 0;
        if (!gn_json_int(j, &n))
            return;
        if (t->rank == 8) {
            gn_json_fail(j, "a tensor has more than 8 dimensions");
            return;
        }
        if (n < 0)
            gn_json_fail(j, "a dimension is negative");
        t->dim[t->rank++] = n;
    }
}

static void read_offsets(gn_json *j, int64_t offsets[2])
{
    int count = 0;
    gn_json_array(j);
    while (gn_json_element(j)) {
        if (count == 2) {
            gn_json_fail(j, "data_offsets has more than two numbers");
            return;
        }
        if (!gn_json_int(j, &offsets[count++]))
            return;
    }
    if (count < 2)
        gn_json_fail(j, "data_offsets has less than two numbers");
}

/* The object behind a tensor's name. */
static genet_status read_tensor(reader *r, gn_st_tensor *t, int64_t offsets[2])
{
    gn_json *j = &r->json;
    char *key, *dtype = NULL;
    int seen = 0;
    gn_json_object(j);
    while (gn_json_key(j, &key)) {
        if (!strcmp(key, "dtype") && !(seen & 1) && gn_json_string(j, &dtype)) {
            seen |= 1;
            if (strlen(dtype) >= sizeof t->dtype || !gn_file_type_size(dtype))
                gn_json_fail(j, "a tensor has an unknown dtype");
            else
                strcpy(t->dtype, dtype);
            gn_free(dtype);
        } else if (!strcmp(key, "shape") && !(seen & 2)) {
            seen |= 2;
            read_shape(j, t);
        } else if (!strcmp(key, "data_offsets") && !(seen & 4)) {
            seen |= 4;
            read_offsets(j, offsets);
        } else {
            gn_json_fail(j, "a tensor has a key other than dtype, shape and data_offsets, or one twice");
        }
        gn_free(key);
    }
    if (!j->fault && seen != 7)
        gn_json_fail(j, "a tensor lacks dtype, shape or data_offsets");
    return j->fault ? gn_fail(r->err, gn_json_status(j), "%s: tensor %s: %s", r->path, t->name, j->fault) : GENET_OK;
}

/* Elements and bytes by the shape, held against the offsets and the data area. */
static genet_status place_tensor(reader *r, gn_st_tensor *t, const int64_t offsets[2], const unsigned char *data,
                                 uint64_t area)
{
    unsigned size = gn_file_type_size(t->dtype);
    uint64_t count = 1;
    bool overflow = false;
    for (int i = 0; i < t->rank; i++)
        overflow |= __builtin_mul_overflow(count, (uint64_t)t->dim[i], &count);
    if (overflow || count > (uint64_t)INT64_MAX / size)
        return gn_fail(r->err, GENET_FORMAT, "%s: tensor %s: the shape has more elements than can be counted", r->path,
                       t->name);
    if (offsets[0] < 0 || offsets[1] < offsets[0] || (uint64_t)offsets[1] > area)
        return gn_fail(r->err, GENET_FORMAT,
                       "%s: tensor %s: bytes %lld to %lld lie outside the data of %llu bytes (is the file cut short?)",
                       r->path, t->name, (long long)offsets[0], (long long)offsets[1], (unsigned long long)area);
    if ((uint64_t)(offsets[1] - offsets[0]) != count * size)
        return gn_fail(r->err, GENET_FORMAT, "%s: tensor %s: shape and type need %llu bytes, the offsets give %llu",
                       r->path, t->name, (unsigned long long)(count * size),
                       (unsigned long long)(offsets[1] - offsets[0]));
    t->count = (int64_t)count;
    t->bytes = count * size;
    t->data = data + offsets[0];
    return GENET_OK;
}

static genet_status read_metadata(reader *r)
{
    gn_safetensors *f = r->file;
    gn_json *j = &r->json;
    char *key, *value;
    if (f->meta_count)
        return gn_fail(r->err, GENET_FORMAT, "%s: the header holds __metadata__ twice", r->path);
    gn_json_object(j);
    while (gn_json_key(j, &key)) {
        int room = r->meta_room;
        if (!gn_json_string(j, &value)) {
            gn_free(key);
            break;
        }
        if (!grow((void **)&f->meta_keys, f->meta_count, &r->meta_room, sizeof(char *)) ||
            !grow((void **)&f->meta_values, f->meta_count, &room, sizeof(char *))) {
            gn_free(key);
            gn_free(value);
            return gn_fail_memory(r->err, (size_t)r->meta_room * 2 * sizeof(char *), "metadata");
        }
        f->meta_keys[f->meta_count] = key;
        f->meta_values[f->meta_count++] = value;
    }
    return j->fault ? gn_fail(r->err, gn_json_status(j), "%s: header, byte %zu: %s", r->path, j->at + 8, j->fault) : GENET_OK;
}

static genet_status read_header(reader *r, const unsigned char *data, uint64_t area)
{
    gn_safetensors *f = r->file;
    gn_json *j = &r->json;
    char *key;
    gn_json_object(j);
    while (gn_json_key(j, &key)) {
        genet_status status = GENET_OK;
        int64_t offsets[2] = {0, 0};
        if (!strcmp(key, "__metadata__")) {
            gn_free(key);
            status = read_metadata(r);
        } else if (!grow((void **)&f->tensors, f->count, &r->tensor_room, sizeof *f->tensors)) {
            gn_free(key);
            return gn_fail_memory(r->err, (size_t)r->tensor_room * 2 * sizeof *f->tensors, "the table of tensors");
        } else {
            gn_st_tensor *t = &f->tensors[f->count];
            t->name = key;
            f->count++;
            status = read_tensor(r, t, offsets);
            if (status == GENET_OK)
                status = place_tensor(r, t, offsets, data, area);
        }
        if (status != GENET_OK)
            return status;
    }
    gn_json_end(j);
    if (j->fault)
        return gn_fail(r->err, gn_json_status(j), "%s: header, byte %zu: %s", r->path, j->at + 8, j->fault);
    return GENET_OK;
}

static int by_data(const void *a, const void *b)
{
    const gn_st_tensor *x = *(const gn_st_tensor *const *)a, *y = *(const gn_st_tensor *const *)b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const gn_st_tensor *const *)a)->name, (*(const gn_st_tensor *const *)b)->name);
}

/* No gap, no overlap, nothing behind the last tensor, no name twice. */
static genet_status check_tiling(const reader *r, const unsigned char *data, uint64_t area)
{
    const gn_safetensors *f = r->file;
    genet_status status = GENET_OK;
    uint64_t end = 0;
    const gn_st_tensor **sorted = gn_calloc((size_t)f->count + 1, sizeof *sorted);
    if (!sorted)
        return gn_fail_memory(r->err, ((size_t)f->count + 1) * sizeof *sorted, "the order of tensors");
    for (int i = 0; i < f->count; i++)
        sorted[i] = &f->tensors[i];
    qsort(sorted, (size_t)f->count, sizeof *sorted, by_data);
    for (int i = 0; i < f->count && status == GENET_OK; i++) {
        uint64_t begin = (uint64_t)(sorted[i]->data - data);
        if (begin != end)
            status = gn_fail(r->err, GENET_FORMAT, "%s: tensor %s begins at byte %llu of the data, expected %llu (%s)",
                             r->path, sorted[i]->name, (unsigned long long)begin, (unsigned long long)end,
                             begin < end ? "tensors overlap" : "a gap lies before it");
        end = begin + sorted[i]->bytes;
    }
    if (status == GENET_OK && end != area)
        status = gn_fail(r->err, GENET_FORMAT, "%s: the tensors end at byte %llu of the data, the file at %llu", r->path,
                         (unsigned long long)end, (unsigned long long)area);
    qsort(sorted, (size_t)f->count, sizeof *sorted, by_name);
    for (int i = 1; i < f->count && status == GENET_OK; i++)
        if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
            status = gn_fail(r->err, GENET_FORMAT, "%s: tensor %s comes twice", r->path, sorted[i]->name);
    gn_free(sorted);
    return status;
}

genet_status gn_safetensors_parse(gn_safetensors *f, const unsigned char *data, size_t bytes, const char *path,
                                  genet_error *err)
{
    reader r = {.file = f, .path = path, .err = err};
    genet_status status = GENET_OK;
    if (bytes < 10) {
        status = gn_fail(err, GENET_FORMAT, "%s: %zu bytes are too few for a safetensors file", path, bytes);
        goto out;
    }
    uint64_t header = gn_load_u64(data);
    if (header > bytes - 8 || header > MAX_HEADER) {
        status = gn_fail(err, GENET_FORMAT,
                         "%s: the header claims %llu bytes, the file has %zu (at most %u MiB allowed; is this a safetensors file, "
                         "and whole?)", path, (unsigned long long)header, bytes, MAX_HEADER >> 20);
        goto out;
    }
    gn_json_start(&r.json, data + 8, (size_t)header);
    GN_TRY(read_header(&r, data + 8 + header, bytes - 8 - header));
    GN_TRY(check_tiling(&r, data + 8 + header, bytes - 8 - header));
out:
    if (status != GENET_OK)
        gn_safetensors_close(f);
    return status;
}

genet_status gn_safetensors_open(gn_safetensors *f, const char *path, genet_error *err)
{
    memset(f, 0, sizeof *f);
    genet_status status = gn_map_open(&f->map, path, err);
    return status == GENET_OK ? gn_safetensors_parse(f, f->map.data, f->map.bytes, path, err) : status;
}

void gn_safetensors_close(gn_safetensors *f)
{
    for (int i = 0; i < f->count; i++)
        gn_free(f->tensors[i].name);
    for (int i = 0; i < f->meta_count; i++) {
        gn_free(f->meta_keys[i]);
        gn_free(f->meta_values[i]);
    }
    gn_free(f->tensors);
    gn_free(f->meta_keys);
    gn_free(f->meta_values);
    gn_map_close(&f->map);
    memset(f, 0, sizeof *f);
}

const gn_st_tensor *gn_safetensors_find(const gn_safetensors *f, const char *name)
{
    for (int i = 0; i < f->count; i++)
        if (!strcmp(f->tensors[i].name, name))
            return &f->tensors[i];
    return NULL;
}

const char *gn_safetensors_meta(const gn_safetensors *f, const char *key)
{
    for (int i = 0; i < f->meta_count; i++)
        if (!strcmp(f->meta_keys[i], key))
            return f->meta_values[i];
    return NULL;
}

genet_status gn_st_to_f32(const gn_st_tensor *t, float *out, genet_error *err)
{
    const gn_file_piece piece = {t->data, t->bytes};
    const gn_file_tensors one = {.pieces = (gn_file_piece *)&piece};
    gn_file_tensor tensor = {.name = t->name, .piece_count = 1};
    memcpy(tensor.type, t->dtype, sizeof tensor.type);
    return gn_file_tensor_read(&one, &tensor, out, err);
}

static void put_header(gn_text *t, const gn_st_tensor *tensors, int count, const char *const *meta_keys,
                       const char *const *meta_values, int meta_count)
{
    uint64_t offset = 0;
    gn_text_put(t, "{", 1);
    if (meta_count)
        gn_text_add(t, "\"__metadata__\":{");
    for (int i = 0; i < meta_count; i++) {
        gn_json_put_string(t, meta_keys[i]);
        gn_text_put(t, ":", 1);
        gn_json_put_string(t, meta_values[i]);
        gn_text_put(t, i + 1 < meta_count ? "," : "}", 1);
    }
    for (int i = 0; i < count; i++) {
        const gn_st_tensor *s = &tensors[i];
        uint64_t bytes = gn_file_type_size(s->dtype);
        if (i || meta_count)
            gn_text_put(t, ",", 1);
        gn_json_put_string(t, s->name);
        gn_text_add(t, ":{\"dtype\":\"%s\",\"shape\":[", s->dtype);
        for (int d = 0; d < s->rank; d++) {
            gn_text_add(t, d ? ",%lld" : "%lld", (long long)s->dim[d]);
            bytes *= (uint64_t)s->dim[d];
        }
        gn_text_add(t, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)offset,
                    (unsigned long long)(offset + bytes));
        offset += bytes;
    }
    gn_text_put(t, "}", 1);
    while (t->length % 8 && !t->failed) /* the data then begins at a multiple of 8 */
        gn_text_put(t, " ", 1);
}

genet_status gn_safetensors_write(const char *path, const gn_st_tensor *tensors, int count, const char *const *meta_keys,
                                  const char *const *meta_values, int meta_count, uint64_t *written, genet_error *err)
{
    gn_writer w = {.fd = -1};
    gn_text header = {0};
    unsigned char length[8];
    uint64_t total = 0;
    genet_status status = GENET_OK;
    put_header(&header, tensors, count, meta_keys, meta_values, meta_count);
    if (header.failed) {
        status = gn_fail_memory(err, header.length, "the header of a safetensors file");
        goto out;
    }
    gn_store_u64(length, header.length);
    GN_TRY(gn_writer_open(&w, path, err));
    GN_TRY(gn_writer_put(&w, length, 8, err));
    GN_TRY(gn_writer_put(&w, header.data, header.length, err));
    for (int i = 0; i < count; i++) {
        uint64_t bytes = gn_file_type_size(tensors[i].dtype);
        for (int d = 0; d < tensors[i].rank; d++)
            bytes *= (uint64_t)tensors[i].dim[d];
        GN_TRY(gn_writer_put(&w, tensors[i].data, (size_t)bytes, err));
        total += bytes;
    }
    GN_TRY(gn_writer_commit(&w, err));
    if (written)
        *written = 8 + header.length + total;
out:
    gn_writer_abort(&w);
    gn_text_free(&header);
    return status;
}
