/* SPDX-License-Identifier: Apache-2.0
 * The table of a model file's tensors. */
#include "formats/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/numbers.h"

static const struct {
    char name[8];
    unsigned size;
    void (*to_float)(const unsigned char *in, int64_t count, float *out);
} types[] = {{"F32", 4, gn_convert_f32}, {"F16", 2, gn_convert_f16}, {"BF16", 2, gn_convert_bf16}, {"F64", 8, gn_convert_f64},
             {"I64", 8, NULL}, {"I32", 4, NULL}, {"I16", 2, NULL}, {"I8", 1, NULL}, {"U8", 1, NULL}, {"U16", 2, NULL},
             {"U32", 4, NULL}, {"U64", 8, NULL}, {"BOOL", 1, NULL}, {"F8_E4M3", 1, NULL}, {"F8_E5M2", 1, NULL}};

static int find_type(const char *type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, type))
            return (int)i;
    return -1;
}

unsigned gn_file_type_size(const char *type)
{
    int i = find_type(type);
    return i < 0 ? 0 : types[i].size;
}

bool gn_file_type_is_float(const char *type)
{
    int i = find_type(type);
    return i >= 0 && types[i].to_float;
}

static bool grow(void **array, int count, int *room, size_t size)
{
    if (count < *room)
        return true;
    if (count > 1 << 24)
        return false;
    int more = *room ? *room * 2 : 256;
    void *bigger = gn_realloc(*array, (size_t)more * size);
    if (!bigger)
        return false;
    *array = bigger;
    *room = more;
    return true;
}

gn_file_tensor *gn_file_tensors_add(gn_file_tensors *t)
{
    if (!grow((void **)&t->items, t->count, &t->room, sizeof *t->items))
        return NULL;
    gn_file_tensor *tensor = &t->items[t->count++];
    *tensor = (gn_file_tensor){.piece = t->piece_count};
    return tensor;
}

bool gn_file_tensors_piece(gn_file_tensors *t, const unsigned char *data, uint64_t bytes)
{
    if (!grow((void **)&t->pieces, t->piece_count, &t->piece_room, sizeof *t->pieces))
        return false;
    t->pieces[t->piece_count++] = (gn_file_piece){data, bytes};
    t->items[t->count - 1].piece_count++;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const gn_file_tensor *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : y->piece - x->piece;
}

void gn_file_tensors_sort(gn_file_tensors *t)
{
    if (t->count)
        qsort(t->items, (size_t)t->count, sizeof *t->items, by_name);
}

const gn_file_tensor *gn_file_tensors_find(const gn_file_tensors *t, const char *name)
{
    int low = 0, high = t->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(t->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->count && !strcmp(t->items[low].name, name) ? &t->items[low] : NULL;
}

genet_status gn_file_tensors_from_safetensors(gn_file_tensors *t, const gn_safetensors *f, genet_error *err)
{
    for (int i = 0; i < f->count; i++) {
        const gn_st_tensor *s = &f->tensors[i];
        gn_file_tensor *to = gn_file_tensors_add(t);
        if (!to || !gn_file_tensors_piece(t, s->data, s->bytes))
            return gn_fail_memory(err, (size_t)f->count * sizeof *to, "the table of tensors");
        to->name = s->name;
        memcpy(to->type, s->dtype, sizeof to->type);
        to->rank = s->rank;
        memcpy(to->dim, s->dim, sizeof to->dim);
        to->count = s->count;
    }
    gn_file_tensors_sort(t);
    return GENET_OK;
}

void gn_file_tensors_free(gn_file_tensors *t)
{
    gn_free(t->items);
    gn_free(t->pieces);
    gn_text_free(&t->names);
    memset(t, 0, sizeof *t);
}

genet_status gn_file_tensor_read(const gn_file_tensors *t, const gn_file_tensor *tensor, float *out, genet_error *err)
{
    int type = find_type(tensor->type);
    if (type < 0 || !types[type].to_float)
        return gn_fail(err, GENET_FORMAT, "tensor %s has type %s; weights are F32, F64, F16 or BF16", tensor->name,
                       tensor->type);
    for (int i = 0; i < tensor->piece_count; i++) {
        const gn_file_piece *p = &t->pieces[tensor->piece + i];
        int64_t count = (int64_t)(p->bytes / types[type].size);
        types[type].to_float(p->data, count, out);
        out += count;
    }
    return GENET_OK;
}

const char *gn_format_shape(char buf[96], int rank, const int64_t *dim)
{
    size_t used = (size_t)snprintf(buf, 96, "(");
    for (int i = 0; i < rank && used < 96; i++)
        used += (size_t)snprintf(buf + used, 96 - used, i ? ",%lld" : "%lld", (long long)dim[i]);
    if (used < 95)
        snprintf(buf + used, 96 - used, ")");
    return buf;
}

bool gn_shapes_agree(int rank_a, const int64_t *a, int rank_b, const int64_t *b)
{
    while (rank_a > 0 && a[rank_a - 1] == 1)
        rank_a--;
    while (rank_b > 0 && b[rank_b - 1] == 1)
        rank_b--;
    return rank_a == rank_b && (rank_a == 0 || !memcmp(a, b, (size_t)rank_a * sizeof *a));
}
