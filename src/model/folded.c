/* SPDX-License-Identifier: Apache-2.0
 * Folding batch norm (a = gamma/sqrt(var+eps), b = beta - a*mean; y*a + b) into the weights:
 *   convolution: rows of w times a, bias b          gather kernel: rows times a of theta's batch norm
 *   first MLP layer: bias + w*b of theta's batch norm (theta without MLP: b is the gate's own bias)
 * Tables and values are made in one walk over the model's weights, so that they cannot disagree. */
#include "model/folded.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/network.h"

typedef struct folding {
    const gn_model *model;
    const gn_weights *from;
    gn_folded *to;
    gn_table_builder table;
    bool measuring; /* first walk: the table; second walk: the values */
    int next;       /* second walk: number of the next tensor */
} folding;

/* The next tensor: added to the table in the first walk; its memory in the second (NULL in the first). */
static void *put(folding *f, int rank, const int64_t dim[4], const char *format, ...) __attribute__((format(printf, 4, 5)));

static void *put(folding *f, int rank, const int64_t dim[4], const char *format, ...)
{
    if (!f->measuring)
        return gn_weights_at(&f->to->weights, f->next++);
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    gn_table_add(&f->table, GN_KIND_CONV, rank, dim, name);
    return NULL;
}

static double at(const folding *f, const void *data, int64_t i)
{
    return f->from->dtype == GN_F64 ? ((const double *)data)[i] : ((const float *)data)[i];
}

static void set(const folding *f, void *data, int64_t i, double value)
{
    if (f->from->dtype == GN_F64)
        ((double *)data)[i] = value;
    else
        ((float *)data)[i] = (float)value;
}

static int find(const folding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int find(const folding *f, const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return gn_weight_find(&f->model->weights, name);
}

/* Scale a and shift b of channel c of the batch norm `bn`. */
static void affine(const folding *f, const char *bn, gn_bn_place place, int64_t c, double *a, double *b)
{
    double eps, keep, value[4];
    static const char *const leaf[4] = {"weight", "bias", "running_mean", "running_var"};
    gn_form_bn(f->model->spec.form, place, &eps, &keep);
    for (int i = 0; i < 4; i++)
        value[i] = at(f, gn_weights_at(f->from, find(f, "%s.%s", bn, leaf[i])), c);
    *a = value[0] / sqrt(value[3] + eps);
    *b = value[1] - *a * value[2];
}

/* Weight of `conv` with rows scaled by the batch norm, and its shift as bias. */
static void fold_conv(folding *f, const char *conv, const char *bn, gn_bn_place place)
{
    int index = find(f, "%s.weight", conv);
    const gn_weight *w = &f->model->weights.items[index];
    void *weight = put(f, w->rank, w->dim, "%s.weight", conv);
    void *bias = put(f, 1, w->dim, "%s.bias", conv);
    if (f->measuring)
        return;
    int64_t row = w->count / w->dim[0];
    for (int64_t k = 0; k < w->dim[0]; k++) {
        double a, b;
        affine(f, bn, place, k, &a, &b);
        for (int64_t i = 0; i < row; i++)
            set(f, weight, k * row + i, a * at(f, gn_weights_at(f->from, index), k * row + i));
        set(f, bias, k, b);
    }
}

/* stats (4,C) of a fixed affine map: mean 0, var 1, a, b. Without bn: the identity. */
static void put_stats(folding *f, int64_t channels, const char *bn, bool scale, const char *name)
{
    void *stats = put(f, 2, (int64_t[4]){4, channels}, "%s", name);
    for (int64_t c = 0; !f->measuring && c < channels; c++) {
        double a = 1, b = 0;
        if (bn)
            affine(f, bn, GN_BN_GATHER, c, &a, &b);
        set(f, stats, c, 0);
        set(f, stats, channels + c, 1);
        set(f, stats, 2 * channels + c, scale ? a : 1);
        set(f, stats, 3 * channels + c, b);
    }
}

static void *copy_weight(folding *f, const char *name)
{
    int index = find(f, "%s", name);
    if (index < 0)
        return NULL;
    const gn_weight *w = &f->model->weights.items[index];
    void *to = put(f, w->rank, w->dim, "%s", name);
    if (!f->measuring)
        memcpy(to, gn_weights_at(f->from, index), (size_t)w->count * gn_dtype_size(f->from->dtype));
    return to;
}

/* Whole-map kernel `conv` scaled by its batch norm. */
static void fold_kernel(folding *f, const char *conv, const char *bn)
{
    int index = find(f, "%s.weight", conv);
    const gn_weight *w = &f->model->weights.items[index];
    char name[96];
    snprintf(name, sizeof name, "%s.weight", conv);
    void *kernel = copy_weight(f, name);
    int64_t row = w->count / w->dim[0];
    for (int64_t c = 0; !f->measuring && c < w->dim[0]; c++) {
        double a, b;
        affine(f, bn, GN_BN_GATHER, c, &a, &b);
        for (int64_t i = 0; i < row; i++)
            set(f, kernel, c * row + i, a * at(f, gn_weights_at(f->from, index), c * row + i));
    }
}

/* First MLP layer over r = q + b, b the shift of the gather's batch norm (NULL: none). Always has a bias here. */
static void fold_fc1(folding *f, const char *block, const char *bn)
{
    char name[96];
    snprintf(name, sizeof name, "%s.gate.mlp.fc1.weight", block);
    int weight = find(f, "%s", name), bias = find(f, "%s.gate.mlp.fc1.bias", block);
    const gn_weight *w = &f->model->weights.items[weight];
    copy_weight(f, name);
    void *to = put(f, 1, w->dim, "%s.gate.mlp.fc1.bias", block);
    for (int64_t k = 0; !f->measuring && k < w->dim[0]; k++) {
        double sum = bias < 0 ? 0 : at(f, gn_weights_at(f->from, bias), k);
        for (int64_t c = 0; bn && c < w->dim[1]; c++) {
            double a, b;
            affine(f, bn, GN_BN_GATHER, c, &a, &b);
            sum += b * at(f, gn_weights_at(f->from, weight), k * w->dim[1] + c);
        }
        set(f, to, k, sum);
    }
}

static void fold_gate(folding *f, int stage, int64_t channels, const char *block)
{
    const gn_model_spec *s = &f->model->spec;
    char conv[80], bn[80], name[96], last_bn[80] = "";
    bool learned = gn_variant_has_gather_weights(s->variant), mlp = gn_variant_has_mlp(s->variant);
    snprintf(name, sizeof name, "%s.one.stats", block);
    put_stats(f, channels, NULL, true, name);
    if (learned && s->extent) {
        for (int k = 1; k <= (s->extent == 8 ? 3 : s->extent == 4 ? 2 : 1); k++) {
            snprintf(name, sizeof name, "%s.gate.gather.conv%d.weight", block, k);
            copy_weight(f, name);
            snprintf(bn, sizeof bn, "%s.gate.gather.bn%d", block, k);
            snprintf(name, sizeof name, "%s.stats", bn);
            put_stats(f, channels, bn, true, name);
        }
    } else if (learned) {
        bool dense = s->form == GN_FORM_MINDSPORE && stage == 0;
        snprintf(conv, sizeof conv, "%s.gate.gather.conv1", block);
        snprintf(bn, sizeof bn, "%s.gate.gather.bn1", block);
        if (dense)
            fold_conv(f, conv, bn, GN_BN_GATHER);
        snprintf(conv, sizeof conv, "%s.gate.gather.conv%d", block, dense ? 2 : 1);
        snprintf(last_bn, sizeof last_bn, "%s.gate.gather.bn%d", block, dense ? 2 : 1);
        fold_kernel(f, conv, last_bn);
        if (!mlp) {
            snprintf(name, sizeof name, "%s.gate.stats", block);
            put_stats(f, channels, last_bn, false, name);
        }
    }
    if (mlp) {
        fold_fc1(f, block, last_bn[0] ? last_bn : NULL);
        snprintf(name, sizeof name, "%s.gate.mlp.fc2.weight", block);
        copy_weight(f, name);
        snprintf(name, sizeof name, "%s.gate.mlp.fc2.bias", block);
        copy_weight(f, name);
    }
}

static void walk(folding *f)
{
    const gn_model_spec *s = &f->model->spec;
    char block[32], conv[80], bn[80];
    f->next = 0;
    fold_conv(f, "stem.conv", "stem.bn", GN_BN_STEM);
    put_stats(f, s->stem, NULL, true, "stem.one.stats");
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < s->blocks[stage]; i++) {
            snprintf(block, sizeof block, "layer%d.%d", stage + 1, i);
            for (int k = 1; k <= 3; k++) {
                snprintf(conv, sizeof conv, "%s.conv%d", block, k);
                snprintf(bn, sizeof bn, "%s.bn%d", block, k);
                fold_conv(f, conv, bn, GN_BN_TRUNK);
            }
            snprintf(conv, sizeof conv, "%s.down.conv", block);
            snprintf(bn, sizeof bn, "%s.down.bn", block);
            if (find(f, "%s.weight", conv) >= 0)
                fold_conv(f, conv, bn, GN_BN_TRUNK);
            if (s->variant != GN_PLAIN)
                fold_gate(f, stage, (int64_t)4 * s->width << stage, block);
        }
    copy_weight(f, "head.weight");
    copy_weight(f, "head.bias");
}

genet_status gn_fold_table(gn_weight_table *table, const gn_model *model, genet_error *err)
{
    folding f = {.model = model, .table = {.table = table}, .measuring = true};
    walk(&f);
    return f.table.failed ? gn_fail_memory(err, sizeof(gn_weight) * (size_t)f.table.capacity, "the folded table of weights")
                          : GENET_OK;
}

genet_status gn_fold(gn_folded **folded, const gn_model *model, const gn_weights *weights, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_folded *to = gn_calloc(1, sizeof *to);
    *folded = NULL;
    if (!to)
        return gn_fail_memory(err, sizeof *to, "the folded network");
    to->spec = model->spec;
    GN_TRY(gn_fold_table(&to->table, model, err));
    GN_TRY(gn_weights_create(&to->weights, &to->table, weights->dtype, err));
    folding f = {.model = model, .from = weights, .to = to};
    walk(&f);
    *folded = to;
    to = NULL;
out:
    gn_folded_free(to);
    return status;
}

void gn_folded_free(gn_folded *folded)
{
    if (!folded)
        return;
    gn_weights_free(&folded->weights);
    gn_table_free(&folded->table);
    gn_free(folded);
}
