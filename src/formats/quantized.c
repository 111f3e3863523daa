/* SPDX-License-Identifier: Apache-2.0
 * Writing and reading int8 networks (quantized.h). As with checkpoints, every tensor of the table is held against the file
 * before memory for values is taken, and nothing may be left over. */
#include "formats/quantized.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/metadata.h"
#include "formats/numbers.h"
#include "formats/tensors.h"

#define KEY "genet.quantized"

/* Whether this tensor of the table is stored as I8. */
static bool stored_as_bytes(const gn_weight *w)
{
    char conv[96];
    size_t n = strlen(w->name), m = strlen(".weight");
    if (n <= m || n >= sizeof conv || strcmp(w->name + n - m, ".weight"))
        return false;
    memcpy(conv, w->name, n - m);
    conv[n - m] = 0;
    return gn_quantized_conv(conv);
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

/* The whole numbers of all I8 tensors, one behind the other in the table's order. */
static int8_t *make_bytes(const gn_folded *f, genet_error *err)
{
    size_t count = 0, at = 0;
    for (int i = 0; i < f->table.count; i++)
        count += stored_as_bytes(&f->table.items[i]) ? (size_t)f->table.items[i].count : 0;
    int8_t *bytes = gn_calloc(count + 1, 1);
    if (!bytes)
        gn_fail_memory(err, count, "8-bit weights");
    for (int i = 0; bytes && i < f->table.count; i++) {
        const float *v = gn_weights_at(&f->weights, i);
        for (int64_t e = 0; stored_as_bytes(&f->table.items[i]) && e < f->table.items[i].count; e++)
            bytes[at++] = (int8_t)v[e];
    }
    return bytes;
}

genet_status gn_quantized_save(const gn_checkpoint *c, const gn_folded *f, const char *path, uint64_t *bytes, genet_error *err)
{
    gn_metadata m = {0};
    gn_st_tensor *t = gn_calloc((size_t)f->table.count, sizeof *t);
    int8_t *numbers = make_bytes(f, err);
    const int8_t *next = numbers;
    genet_status status = GENET_OK;
    if (!t || !numbers) {
        status = gn_fail_memory(err, (size_t)f->table.count * sizeof *t, "the table of tensors");
        goto out;
    }
    if (!c->quantized) {
        status = gn_fail(err, GENET_INTERNAL, "%s: nothing says how the network was quantised", path);
        goto out;
    }
    GN_TRY(gn_metadata_make(&m, c, NULL, true, err));
    for (int i = 0; i < f->table.count; i++) {
        const gn_weight *w = &f->table.items[i];
        bool small = stored_as_bytes(w);
        t[i] = (gn_st_tensor){.name = (char *)w->name, .rank = w->rank};
        strcpy(t[i].dtype, small ? "I8" : "F32");
        memcpy(t[i].dim, w->dim, sizeof w->dim);
        t[i].data = small ? (const unsigned char *)next : gn_weights_at(&f->weights, i);
        next += small ? w->count : 0;
    }
    GN_TRY(gn_safetensors_write(path, t, f->table.count, (const char *const *)m.keys, (const char *const *)m.values, m.count,
                                bytes, err));
out:
    gn_free(t);
    gn_free(numbers);
    gn_metadata_free(&m);
    return status;
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

genet_status gn_quantized_is(const char *path, bool *is, genet_error *err)
{
    gn_map map = {0};
    gn_safetensors st = {0};
    genet_error fault;
    *is = false;
    genet_status status = gn_map_open(&map, path, err);
    if (status != GENET_OK)
        return status;
    bool may_be = map.bytes > 9 && map.data[8] == '{';
    status = may_be ? gn_safetensors_parse(&st, map.data, map.bytes, path, &fault) : GENET_OK;
    if (status == GENET_OK)
        *is = gn_safetensors_meta(&st, "genet.model") && gn_safetensors_meta(&st, KEY);
    gn_safetensors_close(&st);
    gn_map_close(&map);
    return status == GENET_MEMORY ? gn_fail(err, status, "%s", fault.text) : GENET_OK; /* other faults: it is none */
}

static genet_status check_tensors(const gn_folded *f, const gn_file_tensors *tensors, const char *path, genet_error *err)
{
    char found[96], wanted[96];
    for (int i = 0; i < f->table.count; i++) {
        const gn_weight *w = &f->table.items[i];
        const gn_file_tensor *t = gn_file_tensors_find(tensors, w->name);
        const char *type = stored_as_bytes(w) ? "I8" : "F32";
        if (!t)
            return gn_fail(err, GENET_FORMAT, "%s: tensor %s is missing: an int8 %s network needs it", path, w->name,
                           gn_variant_name(f->spec.variant));
        if (!gn_shapes_agree(t->rank, t->dim, w->rank, w->dim))
            return gn_fail(err, GENET_MISMATCH, "%s: tensor %s has shape %s, the network of genet.model needs %s", path, w->name,
                           gn_format_shape(found, t->rank, t->dim), gn_format_shape(wanted, w->rank, w->dim));
        if (strcmp(t->type, type))
            return gn_fail(err, GENET_FORMAT, "%s: tensor %s has type %s, in an int8 model it is %s", path, w->name, t->type, type);
    }
    if (tensors->count == f->table.count)
        return GENET_OK;
    for (int i = 0; i < tensors->count; i++)
        if (gn_weight_find(&f->table, tensors->items[i].name) < 0)
            return gn_fail(err, GENET_MISMATCH, "%s: tensor %s has no place in an int8 %s network", path, tensors->items[i].name,
                           gn_variant_name(f->spec.variant));
    return gn_fail(err, GENET_FORMAT, "%s: a tensor comes twice", path);
}

static void read_bytes(const gn_file_tensors *tensors, const gn_file_tensor *t, float *out)
{
    for (int i = 0; i < t->piece_count; i++) {
        const gn_file_piece *p = &tensors->pieces[t->piece + i];
        for (uint64_t e = 0; e < p->bytes; e++)
            *out++ = (float)(p->data[e] < 128 ? p->data[e] : p->data[e] - 256);
    }
}

static genet_status read_values(const gn_folded *f, const gn_file_tensors *tensors, const char *path, genet_error *err)
{
    const char *tensor, *why;
    genet_status status = GENET_OK;
    for (int i = 0; i < f->table.count; i++) {
        const gn_file_tensor *t = gn_file_tensors_find(tensors, f->table.items[i].name);
        if (stored_as_bytes(&f->table.items[i]))
            read_bytes(tensors, t, gn_weights_at(&f->weights, i));
        else
            GN_TRY(gn_file_tensor_read(tensors, t, gn_weights_at(&f->weights, i), err));
    }
    if (!gn_quantized_sound(f, &tensor, &why))
        status = gn_fail(err, GENET_FORMAT, "%s: tensor %s %s", path, tensor, why);
out:
    return status;
}

genet_status gn_quantized_parse(gn_checkpoint *c, gn_folded **out, const unsigned char *data, size_t bytes, const char *path,
                                genet_error *err)
{
    gn_safetensors st = {0};
    gn_file_tensors tensors = {0};
    gn_folded *f = NULL;
    gn_model_spec spec;
    genet_status status;
    memset(c, 0, sizeof *c);
    *out = NULL;
    GN_TRY(gn_safetensors_parse(&st, data, bytes, path, err));
    if (!gn_safetensors_meta(&st, "genet.model") || !gn_safetensors_meta(&st, KEY)) {
        status = gn_fail(err, GENET_FORMAT, "%s: is no int8 model: its metadata has no genet.model or no %s", path, KEY);
        goto out;
    }
    GN_TRY(gn_metadata_read(c, &spec, &st, path, err));
    GN_TRY(gn_file_tensors_from_safetensors(&tensors, &st, err));
    GN_TRY(gn_model_create(&c->model, &spec, err));
    GN_TRY(gn_quantized_empty(&f, c->model, err));
    GN_TRY(check_tensors(f, &tensors, path, err));
    GN_TRY(gn_weights_create(&f->weights, &f->table, GN_F32, err));
    GN_TRY(read_values(f, &tensors, path, err));
    *out = f;
    f = NULL;
out:
    gn_folded_free(f);
    gn_file_tensors_free(&tensors);
    gn_safetensors_close(&st);
    if (status != GENET_OK)
        gn_checkpoint_free(c);
    return status;
}

genet_status gn_quantized_load(gn_checkpoint *c, gn_folded **f, const char *path, genet_error *err)
{
    gn_map map = {0};
    genet_status status = gn_map_open(&map, path, err);
    if (status != GENET_OK) {
        memset(c, 0, sizeof *c);
        *f = NULL;
        return status;
    }
    status = gn_quantized_parse(c, f, map.data, map.bytes, path, err);
    gn_map_close(&map);
    return status;
}
