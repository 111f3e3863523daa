/* SPDX-License-Identifier: Apache-2.0
 * The weights of a network, in file order, under their canonical names:
 *   stem.conv.weight, stem.bn.*, layerL.B.conv1..3.weight, layerL.B.bn1..3.*, layerL.B.down.conv.weight, layerL.B.down.bn.*,
 *   layerL.B.gate.gather.convK.weight, ...gather.bnK.*, ...gate.mlp.fc1|fc2.weight|bias, head.weight, head.bias
 * with bn.weight (gamma), bn.bias (beta), bn.running_mean, bn.running_var; L from 1, B from 0, K from 1. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/network.h"

gn_weight *gn_table_add(gn_table_builder *b, gn_kind kind, int rank, const int64_t dim[4], const char *name)
{
    gn_weight_table *t = b->table;
    if (t->count == b->capacity) {
        int wanted = b->capacity ? b->capacity * 2 : 128;
        gn_weight *more = gn_realloc(t->items, (size_t)wanted * sizeof *more);
        b->failed = b->failed || !more;
        if (!more)
            return &b->spare;
        t->items = more;
        b->capacity = wanted;
    }
    gn_weight *w = &t->items[t->count++];
    *w = (gn_weight){.name = gn_strdup(name), .kind = kind, .rank = rank, .count = 1};
    b->failed = b->failed || !w->name;
    for (int i = 0; i < 4; i++) {
        w->dim[i] = i < rank ? dim[i] : 1;
        w->count *= w->dim[i];
    }
    w->trainable = kind != GN_KIND_MEAN && kind != GN_KIND_VAR;
    w->decay = w->trainable && rank >= 2;
    int64_t *end = w->trainable ? &t->param_count : &t->state_count;
    w->offset = *end;
    *end += (w->count + 15) / 16 * 16; /* every tensor starts on a cache line */
    if (w->trainable)
        t->param_values += w->count;
    return w;
}

void gn_table_free(gn_weight_table *table)
{
    for (int i = 0; i < table->count; i++)
        gn_free((char *)table->items[i].name);
    gn_free(table->items);
}

static gn_weight *add(gn_table_builder *b, gn_kind kind, int rank, const int64_t dim[4], const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static gn_weight *add(gn_table_builder *b, gn_kind kind, int rank, const int64_t dim[4], const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return gn_table_add(b, kind, rank, dim, name);
}

static void add_conv(gn_table_builder *b, gn_kind kind, int64_t k, int64_t c, int64_t side, const char *name)
{
    add(b, kind, 4, (int64_t[4]){k, c, side, side}, "%s.weight", name);
}

static void add_bn(gn_table_builder *b, int64_t c, bool last_of_block, const char *name)
{
    const int64_t dim[4] = {c};
    gn_weight *gamma = add(b, GN_KIND_GAMMA, 1, dim, "%s.weight", name);
    gamma->last_gamma = last_of_block;
    add(b, GN_KIND_BETA, 1, dim, "%s.bias", name);
    add(b, GN_KIND_MEAN, 1, dim, "%s.running_mean", name);
    add(b, GN_KIND_VAR, 1, dim, "%s.running_var", name);
}

static void add_gate(gn_table_builder *b, const gn_model_spec *s, int stage, int64_t c, const char *block)
{
    char name[80];
    if (gn_variant_has_gather_weights(s->variant)) {
        int steps = s->extent == 8 ? 3 : s->extent == 4 ? 2 : 1, side = gn_model_side(s, stage), k = 1;
        bool dense = s->form == GN_FORM_MINDSPORE && stage == 0;
        if (dense) { /* published stage 1: a dense 3x3 stride-2 convolution halves the map first */
            snprintf(name, sizeof name, "%s.gate.gather.conv%d", block, k);
            add_conv(b, GN_KIND_GATHER_DENSE, c, c, 3, name);
            snprintf(name, sizeof name, "%s.gate.gather.bn%d", block, k++);
            add_bn(b, c, false, name);
            side = (side + 1) / 2;
        }
        for (int i = 0; i < steps; i++, k++) {
            snprintf(name, sizeof name, "%s.gate.gather.conv%d", block, k);
            add_conv(b, GN_KIND_DEPTHWISE, c, 1, s->extent ? 3 : side, name);
            snprintf(name, sizeof name, "%s.gate.gather.bn%d", block, k);
            add_bn(b, c, false, name);
        }
    }
    if (gn_variant_has_mlp(s->variant)) {
        int64_t hidden = c / GN_MLP_REDUCTION;
        bool bias = s->form == GN_FORM_PAPER;
        add(b, GN_KIND_MLP, 4, (int64_t[4]){hidden, c, 1, 1}, "%s.gate.mlp.fc1.weight", block);
        if (bias)
            add(b, GN_KIND_BIAS, 1, (int64_t[4]){hidden}, "%s.gate.mlp.fc1.bias", block);
        add(b, GN_KIND_MLP, 4, (int64_t[4]){c, hidden, 1, 1}, "%s.gate.mlp.fc2.weight", block);
        if (bias)
            add(b, GN_KIND_BIAS, 1, (int64_t[4]){c}, "%s.gate.mlp.fc2.bias", block);
    }
}

static void add_block(gn_table_builder *b, const gn_model_spec *s, int stage, int index, int64_t in)
{
    int64_t out = (int64_t)4 * s->width << stage, mid = out / 4;
    char block[32], name[80];
    snprintf(block, sizeof block, "layer%d.%d", stage + 1, index);
    const int64_t from[3] = {in, mid, mid}, to[3] = {mid, mid, out};
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s.conv%d", block, i + 1);
        add_conv(b, GN_KIND_CONV, to[i], from[i], i == 1 ? 3 : 1, name);
        snprintf(name, sizeof name, "%s.bn%d", block, i + 1);
        add_bn(b, to[i], i == 2, name);
    }
    if (index == 0 && (stage > 0 || in != out)) {
        snprintf(name, sizeof name, "%s.down.conv", block);
        add_conv(b, GN_KIND_CONV, out, in, 1, name);
        snprintf(name, sizeof name, "%s.down.bn", block);
        add_bn(b, out, false, name);
    }
    add_gate(b, s, stage, out, block);
}

genet_status gn_model_create(gn_model **model, const gn_model_spec *spec, genet_error *err)
{
    gn_model_spec s = *spec;
    *model = NULL;
    genet_status status = gn_model_check(&s, err);
    if (status != GENET_OK)
        return status;
    gn_model *m = gn_calloc(1, sizeof *m);
    if (!m)
        return gn_fail_memory(err, sizeof *m, "a model");
    m->spec = s;
    gn_table_builder b = {.table = &m->weights};
    add_conv(&b, GN_KIND_CONV, s.stem, 3, 7, "stem.conv");
    add_bn(&b, s.stem, false, "stem.bn");
    int64_t in = s.stem;
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < s.blocks[stage]; i++) {
            add_block(&b, &s, stage, i, in);
            in = (int64_t)4 * s.width << stage;
        }
    add(&b, GN_KIND_HEAD, 2, (int64_t[4]){s.classes, in}, "head.weight");
    add(&b, GN_KIND_BIAS, 1, (int64_t[4]){s.classes}, "head.bias");
    if (b.failed) {
        gn_model_free(m);
        return gn_fail_memory(err, sizeof(gn_weight) * (size_t)b.capacity, "the table of weights");
    }
    *model = m;
    return GENET_OK;
}

void gn_model_free(gn_model *model)
{
    if (!model)
        return;
    gn_table_free(&model->weights);
    gn_free(model);
}
