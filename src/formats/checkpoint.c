/* SPDX-License-Identifier: Apache-2.0
 * Writing checkpoints, and their memory. Loading is in load.c. */
#include "formats/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/metadata.h"

void gn_checkpoint_free(gn_checkpoint *c)
{
    if (c->model && c->momentum)
        gn_slab_free(c->momentum, (size_t)c->model->weights.param_count * sizeof(float));
    gn_weights_free(&c->weights);
    gn_weights_free(&c->ema);
    gn_model_free(c->model);
    gn_metadata_free_classes(c);
    gn_free(c->settings);
    gn_free(c->progress);
    gn_free(c->quantized);
    gn_free(c->origin);
    memset(c, 0, sizeof *c);
}

static genet_status add_tensor(gn_st_tensor *t, const char *set, const gn_weight *w, const void *data, genet_error *err)
{
    t->name = gn_asprintf("%s%s", set, w->name);
    if (!t->name)
        return gn_fail_memory(err, strlen(w->name), "names of tensors");
    strcpy(t->dtype, "F32");
    t->rank = w->rank;
    memcpy(t->dim, w->dim, sizeof w->dim);
    t->data = data;
    return GENET_OK;
}

/* Every tensor of the file, pointing into the slabs; *count grows even where it fails. */
static genet_status list_tensors(const gn_checkpoint *c, gn_st_tensor *t, int *count, genet_error *err)
{
    const gn_weight_table *table = &c->model->weights;
    genet_status status = GENET_OK;
    for (int i = 0; i < table->count; i++)
        GN_TRY(add_tensor(&t[(*count)++], "", &table->items[i], gn_weights_at(&c->weights, i), err));
    for (int i = 0; c->has_ema && i < table->count; i++)
        GN_TRY(add_tensor(&t[(*count)++], "ema/", &table->items[i], gn_weights_at(&c->ema, i), err));
    for (int i = 0; c->momentum && i < table->count; i++)
        if (table->items[i].trainable)
            GN_TRY(add_tensor(&t[(*count)++], "momentum/", &table->items[i], c->momentum + table->items[i].offset, err));
out:
    return status;
}

genet_status gn_checkpoint_save(const gn_checkpoint *c, const char *path, uint64_t *bytes, genet_error *err)
{
    gn_metadata m = {0};
    gn_st_tensor *t = NULL;
    int count = 0, room = c->model->weights.count * 3;
    genet_status status;
    GN_TRY(gn_metadata_make(&m, c, NULL, true, err));
    t = gn_calloc((size_t)room, sizeof *t);
    if (!t) {
        status = gn_fail_memory(err, (size_t)room * sizeof *t, "the table of tensors");
        goto out;
    }
    GN_TRY(list_tensors(c, t, &count, err));
    GN_TRY(gn_safetensors_write(path, t, count, (const char *const *)m.keys, (const char *const *)m.values, m.count, bytes,
                                err));
out:
    for (int i = 0; i < count; i++)
        gn_free(t[i].name);
    gn_free(t);
    gn_metadata_free(&m);
    return status;
}

uint64_t gn_checkpoint_size(const gn_checkpoint *c)
{
    const gn_weight_table *table = &c->model->weights;
    uint64_t bytes = 4096, one = 0, params = 0;
    for (int i = 0; i < table->count; i++) {
        uint64_t tensor = (uint64_t)table->items[i].count * 4 + strlen(table->items[i].name) + 96; /* and its line in the header */
        one += tensor;
        params += table->items[i].trainable ? tensor + 8 : 0;
    }
    bytes += one * (c->has_ema ? 2 : 1) + (c->momentum ? params : 0);
    for (int i = 0; i < c->class_count; i++)
        bytes += strlen(c->classes[i]) + 8;
    return bytes + (c->settings ? strlen(c->settings) * 5 / 4 : 0) + (c->progress ? strlen(c->progress) * 5 / 4 : 0);
}

/* The next line of text (from *at), without its end; NULL behind the last. */
static char *next_line(const unsigned char *text, size_t bytes, size_t *at)
{
    if (*at >= bytes)
        return NULL;
    size_t begin = *at, end = begin;
    while (end < bytes && text[end] != '\n')
        end++;
    *at = end + 1;
    if (end > begin && text[end - 1] == '\r')
        end--;
    return gn_strndup((const char *)text + begin, end - begin);
}

genet_status gn_checkpoint_name_classes(gn_checkpoint *c, const char *list_path, genet_error *err)
{
    unsigned char *text = NULL;
    size_t bytes = 0, at = 0;
    int wanted = c->model->spec.classes, count = 0;
    char **names = gn_calloc((size_t)wanted, sizeof *names), *line;
    genet_status status = GENET_OK;
    if (!names)
        return gn_fail_memory(err, (size_t)wanted * sizeof *names, "class names");
    GN_TRY(gn_file_read(list_path, (size_t)wanted * 4097, &text, &bytes, err));
    if (memchr(text, 0, bytes)) {
        status = gn_fail(err, GENET_USAGE, "%s: holds a NUL byte; a list of class names is text, one name a line", list_path);
        goto out;
    }
    for (; count < wanted && (line = next_line(text, bytes, &at)); count++)
        names[count] = line;
    if (count < wanted || at < bytes) {
        status = gn_fail(err, GENET_MISMATCH,
                         "%s: has %s than the model's %d classes (one name a line, in the order of the outputs)", list_path,
                         count < wanted ? "fewer lines" : "more lines", wanted);
        goto out;
    }
    gn_metadata_free_classes(c);
    c->classes = names;
    c->class_count = count;
    c->classes_unknown = false;
    names = NULL;
out:
    for (int i = 0; names && i < count; i++)
        gn_free(names[i]);
    gn_free(names);
    gn_free(text);
    return status;
}
