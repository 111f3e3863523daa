/* SPDX-License-Identifier: Apache-2.0
 * Making the int8 network (quantize.h). Tables and values are made in one walk over the float table, so that they cannot
 * disagree. */
#include "model/quantize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/network.h"

enum { MOST = 127 };

int gn_quantized_maps(const gn_model_spec *spec)
{
    return 3 * (spec->blocks[0] + spec->blocks[1] + spec->blocks[2] + spec->blocks[3]);
}

const char *gn_quantized_map_name(char name[64], const gn_model_spec *spec, int i)
{
    int stage = 0, block = i / 3;
    while (stage < 3 && block >= spec->blocks[stage])
        block -= spec->blocks[stage++];
    snprintf(name, 64, "layer%d.%d.conv%d", stage + 1, block, i % 3 + 1);
    return name;
}

/* "layerL.B." and what stands behind it; NULL for other names. */
static const char *in_block(const char *name, int *stage, int *block)
{
    int used = 0;
    if (sscanf(name, "layer%1d.%3d.%n", stage, block, &used) != 2 || !used || *stage < 1 || *stage > 4 || *block < 0)
        return NULL;
    --*stage;
    return name + used;
}

bool gn_quantized_conv(const char *conv)
{
    int stage, block;
    const char *rest = in_block(conv, &stage, &block);
    return rest && (!strcmp(rest, "conv1") || !strcmp(rest, "conv2") || !strcmp(rest, "conv3") || !strcmp(rest, "down.conv"));
}

/* The name without ".leaf" where it ends so and is a quantised convolution's. */
static bool conv_of(char conv[64], const char *name, const char *leaf)
{
    size_t n = strlen(name), m = strlen(leaf);
    if (n <= m + 1 || n - m - 1 >= 64 || strcmp(name + n - m, leaf) || name[n - m - 1] != '.')
        return false;
    memcpy(conv, name, n - m - 1);
    conv[n - m - 1] = 0;
    return gn_quantized_conv(conv);
}

int gn_quantized_map_of(const gn_model_spec *spec, const char *conv)
{
    int stage = 0, block = 0;
    const char *rest = in_block(conv, &stage, &block);
    for (int s = 0; s < stage; s++)
        block += spec->blocks[s];
    return 3 * block + (rest && !strcmp(rest, "conv2") ? 1 : rest && !strcmp(rest, "conv3") ? 2 : 0);
}

/* --- the table ------------------------------------------------------------------------------------------------------- */

static void add(gn_table_builder *b, const char *conv, const char *leaf, int64_t count)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", conv, leaf);
    gn_table_add(b, GN_KIND_CONV, 1, (int64_t[4]){count}, name);
}

static genet_status make_table(gn_weight_table *table, const gn_weight_table *from, genet_error *err)
{
    gn_table_builder b = {.table = table};
    char conv[64];
    for (int i = 0; i < from->count; i++) {
        const gn_weight *w = &from->items[i];
        gn_table_add(&b, w->kind, w->rank, w->dim, w->name);
        if (conv_of(conv, w->name, "weight"))
            add(&b, conv, "scale", w->dim[0]);
        else if (conv_of(conv, w->name, "bias"))
            add(&b, conv, "input_scale", 1);
    }
    return b.failed ? gn_fail_memory(err, sizeof(gn_weight) * (size_t)b.capacity, "the int8 table of weights") : GENET_OK;
}

static genet_status make_empty(gn_folded **quantized, const gn_model_spec *spec, const gn_weight_table *from, genet_error *err)
{
    gn_folded *q = gn_calloc(1, sizeof *q);
    genet_status status = q ? make_table(&q->table, from, err) : gn_fail_memory(err, sizeof *q, "the int8 network");
    if (status == GENET_OK) {
        q->spec = *spec;
        q->int8 = true;
    } else {
        gn_folded_free(q);
        q = NULL;
    }
    *quantized = q;
    return status;
}

genet_status gn_quantized_empty(gn_folded **quantized, const gn_model *model, genet_error *err)
{
    gn_weight_table from = {0};
    *quantized = NULL;
    genet_status status = gn_fold_table(&from, model, err);
    if (status == GENET_OK)
        status = make_empty(quantized, &model->spec, &from, err);
    gn_table_free(&from);
    return status;
}

/* --- the values ------------------------------------------------------------------------------------------------------ */

/* One row of weights: whole numbers out, and the value of one. Adds to the squares of what was lost and of what there was. */
static float quantize_row(const float *w, int64_t n, float input_scale, float *out, double *lost, double *all)
{
    float largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(w[i]));
    double scale = largest > 0 ? (double)largest / MOST : 1;
    if (scale * (double)input_scale < (double)GN_SCALE_LEAST)
        scale = (double)GN_SCALE_LEAST / (double)input_scale;
    for (int64_t i = 0; i < n; i++) {
        double q = fmin(fmax(rint((double)w[i] / scale), -MOST), MOST);
        out[i] = (float)(q + 0.0); /* no -0 */
        *lost += ((double)w[i] - q * scale) * ((double)w[i] - q * scale);
        *all += (double)w[i] * (double)w[i];
    }
    return (float)fmax(scale * (double)input_scale, (double)GN_SCALE_LEAST);
}

static void quantize_conv(const gn_folded *q, const gn_weight *w, const float *from, const char *conv, float input_scale,
                          gn_weight_loss *loss)
{
    char name[96];
    double lost = 0, all = 0;
    int64_t row = w->count / w->dim[0];
    snprintf(name, sizeof name, "%s.scale", conv);
    float *to = gn_weights_at(&q->weights, gn_weight_find(&q->table, w->name));
    float *scale = gn_weights_at(&q->weights, gn_weight_find(&q->table, name));
    for (int64_t k = 0; k < w->dim[0]; k++)
        scale[k] = quantize_row(from + k * row, row, input_scale, to + k * row, &lost, &all);
    snprintf(loss->name, sizeof loss->name, "%s", conv);
    loss->error = all > 0 ? sqrt(lost / all) : 0;
    snprintf(name, sizeof name, "%s.input_scale", conv);
    *(float *)gn_weights_at(&q->weights, gn_weight_find(&q->table, name)) = input_scale;
}

/* Every number that is to be quantised is one. */
static genet_status check(const gn_folded *from, const float *input_scales, genet_error *err)
{
    char name[64];
    if (from->int8 || from->weights.dtype != GN_F32)
        return gn_fail(err, GENET_INTERNAL, "only a float network (f32) can be quantised");
    for (int i = 0; i < gn_quantized_maps(&from->spec); i++)
        if (!(input_scales[i] >= 0 && input_scales[i] <= GN_INPUT_SCALE_MOST))
            return gn_fail(err, GENET_NUMERIC, "the maps that %s reads are no usable numbers (one step is %g)",
                           gn_quantized_map_name(name, &from->spec, i), (double)input_scales[i]);
    for (int i = 0; i < from->table.count; i++) {
        const float *v = gn_weights_at(&from->weights, i);
        for (int64_t e = 0; e < from->table.items[i].count; e++)
            if (!(fabsf(v[e]) <= GN_WEIGHT_MOST))
                return gn_fail(err, GENET_NUMERIC, "the folded weight %s holds %g: no usable number", from->table.items[i].name,
                               (double)v[e]);
    }
    return GENET_OK;
}

genet_status gn_quantize(gn_folded **quantized, const gn_folded *from, const float *input_scales, gn_weight_loss *loss,
                         int *losses, genet_error *err)
{
    gn_folded *q = NULL;
    char conv[64];
    int count = 0;
    genet_status status = GENET_OK;
    *quantized = NULL;
    GN_TRY(check(from, input_scales, err));
    GN_TRY(make_empty(&q, &from->spec, &from->table, err));
    GN_TRY(gn_weights_create(&q->weights, &q->table, GN_F32, err));
    for (int i = 0; i < from->table.count; i++) {
        const gn_weight *w = &from->table.items[i];
        const float *values = gn_weights_at(&from->weights, i);
        gn_weight_loss ignored;
        if (!conv_of(conv, w->name, "weight")) {
            memcpy(gn_weights_at(&q->weights, gn_weight_find(&q->table, w->name)), values, (size_t)w->count * sizeof *values);
            continue;
        }
        quantize_conv(q, w, values, conv, fmaxf(input_scales[gn_quantized_map_of(&from->spec, conv)], GN_INPUT_SCALE_LEAST),
                      loss ? &loss[count] : &ignored);
        count++;
    }
    if (losses)
        *losses = count;
    *quantized = q;
    q = NULL;
out:
    gn_folded_free(q);
    return status;
}

/* --- what a file holds ----------------------------------------------------------------------------------------------- */

static bool all_within(const float *v, int64_t n, float least, float most)
{
    for (int64_t i = 0; i < n; i++)
        if (!(v[i] >= least && v[i] <= most))
            return false;
    return true;
}

static bool all_whole(const float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(v[i]) <= MOST) || v[i] != truncf(v[i]))
            return false;
    return true;
}

/* NAME.input_scale of the other reader of a block's input, NULL where there is none. */
static const float *other_reader(const gn_folded *f, const char *conv)
{
    char name[96];
    int length = (int)strlen(conv) - (int)strlen("conv1"), found;
    if (length < 0 || strcmp(conv + length, "conv1"))
        return NULL;
    snprintf(name, sizeof name, "%.*sdown.conv.input_scale", length, conv);
    found = gn_weight_find(&f->table, name);
    return found < 0 ? NULL : gn_weights_at(&f->weights, found);
}

bool gn_quantized_sound(const gn_folded *f, const char **tensor, const char **why)
{
    char conv[64];
    for (int i = 0; i < f->table.count; i++) {
        const gn_weight *w = &f->table.items[i];
        const float *v = gn_weights_at(&f->weights, i);
        *tensor = w->name;
        *why = NULL;
        if (conv_of(conv, w->name, "weight") && !all_whole(v, w->count))
            *why = "has values that are no whole numbers from -127 to 127";
        else if (conv_of(conv, w->name, "scale") && !all_within(v, w->count, GN_SCALE_LEAST, GN_SCALE_MOST))
            *why = "has scales outside 1e-30 to 1e20";
        else if (conv_of(conv, w->name, "input_scale") && !all_within(v, 1, GN_INPUT_SCALE_LEAST, GN_INPUT_SCALE_MOST))
            *why = "is outside 1e-10 to 1e10";
        else if (conv_of(conv, w->name, "input_scale") && other_reader(f, conv) && *other_reader(f, conv) != *v)
            *why = "differs from down.conv's, which reads the same map";
        if (*why)
            return false;
    }
    return true;
}
