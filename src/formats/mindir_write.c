/* SPDX-License-Identifier: Apache-2.0
 * Writing MINDIR in the form of MindSpore 2.x: mind_ir_version 3, attributes on the nodes, options of "primitive functions"
 * as Constant inputs, shapes left to the loader. What the loader insists on was found by loading (docs/formats/mindir.md). */
#include "formats/mindir.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/graph.h"
#include "formats/names.h"
#include "formats/wire.h"
#include "genet/version.h"

/* Field numbers of mind_ir.proto. */
enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_VERSION = 5, MODEL_DOC = 6, MODEL_GRAPH = 7, MODEL_LITTLE_ENDIAN = 10,
       MODEL_MIND_IR_VERSION = 13 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_PARAMETER = 3, GRAPH_INPUT = 5, GRAPH_OUTPUT = 6 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F = 2, ATTRIBUTE_I = 3, ATTRIBUTE_S = 5, ATTRIBUTE_INTS = 10, ATTRIBUTE_TYPE = 16,
       ATTRIBUTE_VALUES = 17 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 7, TENSOR_RAW = 9, TENSOR_REF_KEY = 13 };
enum { FLOAT = 1, INT32 = 6, INT64 = 7, STRING = 8, BOOL = 9, TUPLE = 20 };

/* Constants that nodes share; each is written before its first use. */
enum { FALSE_, TRUE_, ZERO, TWO, THREE, MAP_AXES, MOMENTUM, EPS_STEM, EPS, CONSTANTS };
static const char *const constant_names[CONSTANTS] = {"false",    "true",     "zero",     "two", "three",
                                                      "map_axes", "momentum", "eps_stem", "eps"};

#define NAME 128

typedef struct writer {
    const gn_graph *g;
    gn_message graph;
    gn_naming naming;
    bool written[CONSTANTS];
    void **owned; /* divisors and indices, freed at the end */
    int owned_count;
} writer;

/* --- attributes and nodes --------------------------------------------------------------------------------------------- */

static gn_message begin(const char *op, const char *name)
{
    gn_message n = {0};
    gn_message_string(&n, NODE_OUTPUT, name);
    gn_message_string(&n, NODE_NAME, name);
    gn_message_string(&n, NODE_OP, op);
    return n;
}

static void input(gn_message *node, const char *name)
{
    gn_message_string(node, NODE_INPUT, name);
}

static void attribute_int(gn_message *node, const char *name, int type, int64_t value)
{
    gn_message a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, name);
    gn_message_int(&a, ATTRIBUTE_I, value);
    gn_message_int(&a, ATTRIBUTE_TYPE, type);
    gn_message_add(node, NODE_ATTRIBUTE, &a);
}

static void attribute_text(gn_message *node, const char *name, const char *text)
{
    gn_message a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, name);
    gn_message_string(&a, ATTRIBUTE_S, text);
    gn_message_int(&a, ATTRIBUTE_TYPE, STRING);
    gn_message_add(node, NODE_ATTRIBUTE, &a);
}

static gn_message int_item(int64_t value)
{
    gn_message a = {0};
    gn_message_int(&a, ATTRIBUTE_INTS, value);
    gn_message_int(&a, ATTRIBUTE_TYPE, INT64);
    return a;
}

static void attribute_tuple(gn_message *node, const char *name, const int64_t *values, int count)
{
    gn_message a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, name);
    gn_message_int(&a, ATTRIBUTE_TYPE, TUPLE);
    for (int i = 0; i < count; i++) {
        gn_message item = int_item(values[i]);
        gn_message_add(&a, ATTRIBUTE_VALUES, &item);
    }
    gn_message_add(node, NODE_ATTRIBUTE, &a);
}

static void attribute_float(gn_message *node, const char *name, float value)
{
    gn_message a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, name);
    gn_message_float(&a, ATTRIBUTE_F, value);
    gn_message_int(&a, ATTRIBUTE_TYPE, FLOAT);
    gn_message_add(node, NODE_ATTRIBUTE, &a);
}

static void end(writer *w, gn_message *node)
{
    gn_message_add(&w->graph, GRAPH_NODE, node);
}

/* The name of a constant, written where it is new. */
static const char *constant(writer *w, int which)
{
    static const int64_t axes[2] = {2, 3};
    if (w->written[which])
        return constant_names[which];
    w->written[which] = true;
    gn_message n = begin("Constant", constant_names[which]);
    switch (which) {
    case FALSE_:
    case TRUE_:
        attribute_int(&n, "value", BOOL, which == TRUE_);
        break;
    case ZERO:
    case TWO:
    case THREE:
        attribute_int(&n, "value", INT64, which == ZERO ? 0 : which == TWO ? 2 : 3);
        break;
    case MAP_AXES:
        attribute_tuple(&n, "value", axes, 2);
        break;
    default:
        attribute_float(&n, "value", which == MOMENTUM ? 0.1f : which == EPS_STEM ? 1e-4f : 1e-5f);
    }
    end(w, &n);
    return constant_names[which];
}

/* Writes a parameter and makes it node's next input. */
static void parameter_input(writer *w, gn_message *node, const char *name, int type, int rank, const int64_t *dim, const void *data,
                            uint64_t bytes)
{
    gn_message t = {0};
    char full[NAME + 2];
    snprintf(full, sizeof full, "g:%s", name);
    for (int i = 0; i < rank; i++)
        gn_message_int(&t, TENSOR_DIMS, dim[i]);
    gn_message_int(&t, TENSOR_TYPE, type);
    gn_message_string(&t, TENSOR_NAME, full);
    gn_message_blob(&t, TENSOR_RAW, data, bytes);
    gn_message_string(&t, TENSOR_REF_KEY, name);
    gn_message_add(&w->graph, GRAPH_PARAMETER, &t);
    input(node, full);
}

/* Weight `index` of the table under MindSpore's name where it has one. */
static void weight_input(writer *w, gn_message *node, int index)
{
    const gn_weight *item = &w->g->weights->table->items[index];
    char own[GN_NAME_SIZE];
    if (!gn_name_to(own, w->naming, item->name))
        snprintf(own, sizeof own, "%s", item->name);
    parameter_input(w, node, own, FLOAT, item->rank, item->dim, gn_graph_weight(w->g, index), (uint64_t)item->count * 4);
}

/* --- operations ------------------------------------------------------------------------------------------------------- */

static const char *value_name(const writer *w, int v)
{
    return v == 0 ? "g:x" : v == w->g->count ? "logits" : w->g->nodes[v - 1].label;
}

/* Convolution attributes; pads in MindSpore's order: top, bottom, left, right. */
static void conv_attributes(gn_message *n, const gn_node *node)
{
    const int64_t kernel[2] = {node->kernel, node->kernel}, stride[4] = {1, 1, node->stride, node->stride};
    const int64_t pad[4] = {node->pad[0], node->pad[2], node->pad[1], node->pad[3]}, ones[4] = {1, 1, 1, 1};
    attribute_tuple(n, "kernel_size", kernel, 2);
    attribute_int(n, "out_channel", INT64, node->channels);
    attribute_tuple(n, "pad", pad, 4);
    attribute_text(n, "pad_mode", "pad");
    attribute_text(n, "format", "NCHW");
    attribute_tuple(n, "stride", stride, 4);
    attribute_int(n, "group", INT64, node->groups);
    attribute_tuple(n, "dilation", ones, 4);
}

static void convolution(writer *w, const gn_node *node, const char *out, const char *in)
{
    char raw[NAME];
    snprintf(raw, sizeof raw, "%s%s", out, node->bias >= 0 ? ".sum" : "");
    gn_message n = begin("Conv2D", raw);
    input(&n, in);
    weight_input(w, &n, node->weight);
    conv_attributes(&n, node);
    end(w, &n);
    if (node->bias < 0)
        return;
    const char *format = constant(w, ZERO);
    gn_message b = begin("BiasAdd", out);
    input(&b, raw);
    weight_input(w, &b, node->bias);
    input(&b, format);
    end(w, &b);
}

static void batch_norm(writer *w, const gn_node *node, const char *out, const char *in)
{
    char all[NAME];
    snprintf(all, sizeof all, "%s.all", out);
    const int options[4] = {FALSE_, node->eps > 5e-5 ? EPS_STEM : EPS, MOMENTUM, ZERO};
    for (int i = 0; i < 4; i++)
        constant(w, options[i]);
    gn_message n = begin("BatchNorm", all);
    input(&n, in);
    for (int i = 0; i < 4; i++)
        weight_input(w, &n, node->norm + i);
    for (int i = 0; i < 4; i++)
        input(&n, constant_names[options[i]]);
    end(w, &n);
    gn_message first = begin("TupleGetItem", out); /* of five outputs */
    input(&first, all);
    input(&first, constant_names[ZERO]);
    end(w, &first);
}

static void plain(writer *w, const char *op, const char *out, const char *a, const char *b)
{
    gn_message n = begin(op, out);
    input(&n, a);
    if (b)
        input(&n, b);
    end(w, &n);
}

/* MaxPool knows SAME and VALID; behind a ReLU, zeros around the map are as good as no padding. */
static void max_pool(writer *w, const gn_node *node, const char *out, const char *in)
{
    const int64_t kernel[4] = {1, 1, node->kernel, node->kernel}, stride[4] = {1, 1, node->stride, node->stride};
    const int64_t around[4] = {node->pad[0], node->pad[2], node->pad[1], node->pad[3]};
    char padded[NAME];
    snprintf(padded, sizeof padded, "%s.padded", out);
    gn_message p = begin("Pad", padded), n = begin("MaxPool", out), a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, "paddings");
    gn_message_int(&a, ATTRIBUTE_TYPE, TUPLE);
    for (int axis = 0; axis < 4; axis++) {
        gn_message pair = {0};
        gn_message_int(&pair, ATTRIBUTE_TYPE, TUPLE);
        for (int side = 0; side < 2; side++) {
            gn_message item = int_item(axis < 2 ? 0 : around[(axis - 2) * 2 + side]);
            gn_message_add(&pair, ATTRIBUTE_VALUES, &item);
        }
        gn_message_add(&a, ATTRIBUTE_VALUES, &pair);
    }
    input(&p, in);
    gn_message_add(&p, NODE_ATTRIBUTE, &a);
    end(w, &p);
    input(&n, padded);
    attribute_text(&n, "pad_mode", "VALID");
    attribute_tuple(&n, "kernel_size", kernel, 4);
    attribute_text(&n, "format", "NCHW");
    attribute_tuple(&n, "strides", stride, 4);
    end(w, &n);
}

static void mean(writer *w, const char *out, const char *in)
{
    const char *axes = constant(w, MAP_AXES), *keep = constant(w, TRUE_);
    gn_message n = begin("ReduceMean", out);
    input(&n, in);
    input(&n, axes);
    input(&n, keep);
    end(w, &n);
}

static void *own(writer *w, size_t count, size_t size)
{
    void *block = gn_calloc(count, size);
    if (block)
        w->owned[w->owned_count++] = block;
    return block;
}

/* One over the number of the map's pixels in each window. */
static void fill_shares(float *share, const gn_node *node, const gn_node *from)
{
    for (int i = 0; i < node->height; i++)
        for (int j = 0; j < node->width; j++) {
            int top = i * node->stride - node->pad[0], left = j * node->stride - node->pad[1];
            int bottom = top + node->kernel, right = left + node->kernel;
            top = top < 0 ? 0 : top;
            left = left < 0 ? 0 : left;
            bottom = bottom > from->height ? from->height : bottom;
            right = right > from->width ? from->width : right;
            share[i * node->width + j] = 1.0f / (float)((bottom - top) * (right - left));
        }
}

/* Averages without counting the padding: a depthwise sum, times the share of each pixel in its window. */
static bool average_pool(writer *w, const gn_node *node, const char *out, const char *in, const gn_node *from)
{
    int64_t ones_dim[4] = {node->channels, 1, node->kernel, node->kernel}, share_dim[4] = {1, 1, node->height, node->width};
    int64_t ones_count = ones_dim[0] * ones_dim[2] * ones_dim[3], share_count = share_dim[2] * share_dim[3];
    float *ones = own(w, (size_t)ones_count, sizeof *ones), *share = ones ? own(w, (size_t)share_count, sizeof *share) : NULL;
    char name[NAME], sum[NAME];
    gn_node windows = *node;
    if (!share)
        return false;
    for (int64_t i = 0; i < ones_count; i++)
        ones[i] = 1;
    fill_shares(share, node, from);
    windows.groups = node->channels;
    snprintf(sum, sizeof sum, "%s.sum", out);
    gn_message n = begin("Conv2D", sum), m = begin("Mul", out);
    input(&n, in);
    snprintf(name, sizeof name, "%s.ones", out);
    parameter_input(w, &n, name, FLOAT, 4, ones_dim, ones, (uint64_t)ones_count * 4);
    conv_attributes(&n, &windows);
    end(w, &n);
    input(&m, sum);
    snprintf(name, sizeof name, "%s.share", out);
    parameter_input(w, &m, name, FLOAT, 4, share_dim, share, (uint64_t)share_count * 4);
    end(w, &m);
    return true;
}

/* Rows, then columns, by index: exact (resizing computes positions in float). */
static bool upsample(writer *w, const gn_node *node, const char *out, const char *in, const gn_node *from)
{
    const int64_t to[2] = {node->height, node->width};
    const int have[2] = {from->height, from->width};
    char tall[NAME], name[NAME];
    snprintf(tall, sizeof tall, "%s.tall", out);
    for (int axis = 0; axis < 2; axis++) {
        int32_t *index = own(w, (size_t)to[axis], sizeof *index);
        if (!index)
            return false;
        for (int64_t i = 0; i < to[axis]; i++)
            index[i] = (int32_t)(i * have[axis] / to[axis]);
        const char *along = constant(w, axis ? THREE : TWO), *no_batch = constant(w, ZERO);
        gn_message n = begin("Gather", axis ? out : tall);
        input(&n, axis ? tall : in);
        snprintf(name, sizeof name, "%s.%s", out, axis ? "columns" : "rows");
        parameter_input(w, &n, name, INT32, 1, &to[axis], index, (uint64_t)to[axis] * 4);
        input(&n, along);
        input(&n, no_batch);
        end(w, &n);
    }
    return true;
}

static void dense(writer *w, const gn_node *node, const char *out, const char *in)
{
    const char *no = constant(w, FALSE_), *yes = constant(w, TRUE_), *format = constant(w, ZERO);
    plain(w, "Flatten", "head.flat", in, NULL);
    gn_message n = begin("MatMul", "head.product"), b = begin("BiasAdd", out);
    input(&n, "head.flat");
    weight_input(w, &n, node->weight);
    input(&n, no);
    input(&n, yes);
    end(w, &n);
    input(&b, "head.product");
    weight_input(w, &b, node->bias);
    input(&b, format);
    end(w, &b);
}

static bool write_node(writer *w, int i)
{
    const gn_node *node = &w->g->nodes[i], *from = node->in[0] > 0 ? &w->g->nodes[node->in[0] - 1] : NULL;
    const char *out = value_name(w, i + 1), *in = value_name(w, node->in[0]);
    const char *in1 = node->in[1] < 0 ? NULL : value_name(w, node->in[1]);
    switch (node->kind) {
    case GN_NODE_CONV:
        convolution(w, node, out, in);
        break;
    case GN_NODE_NORM:
        batch_norm(w, node, out, in);
        break;
    case GN_NODE_RELU:
        plain(w, "ReLU", out, in, NULL);
        break;
    case GN_NODE_MAX_POOL:
        max_pool(w, node, out, in);
        break;
    case GN_NODE_AVERAGE_POOL:
        return average_pool(w, node, out, in, from);
    case GN_NODE_MEAN:
        mean(w, out, in);
        break;
    case GN_NODE_SIGMOID:
        plain(w, "Sigmoid", out, in, NULL);
        break;
    case GN_NODE_UPSAMPLE:
        return upsample(w, node, out, in, from);
    case GN_NODE_MUL:
        plain(w, "Mul", out, in, in1);
        break;
    case GN_NODE_ADD:
        plain(w, "Add", out, in, in1);
        break;
    case GN_NODE_STEPS: /* of int8 networks, which no MINDIR is written from */
        break;
    case GN_NODE_DENSE:
        dense(w, node, out, in);
        break;
    }
    return true;
}

/* --- the model -------------------------------------------------------------------------------------------------------- */

static void write_ends(writer *w, int batch)
{
    const int64_t dim[4] = {batch ? batch : -1, 3, w->g->size, w->g->size};
    gn_message in = {0}, x = {0}, out = {0};
    for (int i = 0; i < 4; i++)
        gn_message_int(&x, TENSOR_DIMS, dim[i]);
    gn_message_int(&x, TENSOR_TYPE, FLOAT);
    gn_message_string(&in, 1, "g:x");
    gn_message_add(&in, 2, &x);
    gn_message_add(&w->graph, GRAPH_INPUT, &in);
    gn_message_string(&out, 1, "logits");
    gn_message_add(&w->graph, GRAPH_OUTPUT, &out);
    gn_message_string(&w->graph, GRAPH_NAME, "g");
}

static genet_status write_model(writer *w, const char *path, uint64_t *bytes, genet_error *err)
{
    gn_message model = {0};
    genet_status status = GENET_OK;
    gn_message_string(&model, MODEL_IR_VERSION, "0.1.1");
    gn_message_string(&model, MODEL_PRODUCER, "genet");
    gn_message_string(&model, MODEL_VERSION, GENET_VERSION);
    gn_message_add(&model, MODEL_GRAPH, &w->graph);
    gn_message_int(&model, MODEL_LITTLE_ENDIAN, 1);
    gn_message_int(&model, MODEL_MIND_IR_VERSION, 3);
    if (model.failed) {
        status = gn_fail_memory(err, model.text.length, "a MINDIR graph");
        goto out;
    }
    if (gn_message_size(&model) > 1u << 30) {
        status = gn_fail(err, GENET_UNSUPPORTED, "the network takes %llu bytes; a MINDIR file holds at most 1 GiB in one piece",
                         (unsigned long long)gn_message_size(&model));
        goto out;
    }
    status = gn_message_save(&model, path, bytes, err);
out:
    gn_message_free(&model);
    return status;
}

genet_status gn_mindir_write(const gn_checkpoint *c, const gn_weights *weights, int batch, const char *path, uint64_t *bytes,
                             genet_error *err)
{
    gn_graph g = {0};
    writer w = {.g = &g, .naming = c->model->spec.form == GN_FORM_MINDSPORE ? GN_NAMES_MINDSPORE : GN_NAMES_GENET};
    genet_status status;
    GN_TRY(gn_graph_make(&g, c, weights, false, err));
    w.owned = gn_calloc((size_t)g.count * 2, sizeof *w.owned);
    bool good = w.owned != NULL;
    for (int i = 0; good && i < g.count; i++)
        good = write_node(&w, i);
    write_ends(&w, batch);
    status = good ? write_model(&w, path, bytes, err) : gn_fail_memory(err, 0, "a MINDIR graph");
out:
    gn_message_free(&w.graph);
    for (int i = 0; i < w.owned_count; i++)
        gn_free(w.owned[i]);
    gn_free(w.owned);
    gn_graph_free(&g);
    return status;
}
