/* SPDX-License-Identifier: Apache-2.0
 * Writing ONNX (onnx.proto3 of IR version 8, operator set 17). Tensors are written from where they lie. */
#include "formats/graph.h"
#include "formats/metadata.h"
#include "formats/onnx.h"
#include "formats/onnx_int8.h"
#include "formats/wire.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "genet/version.h"

/* Field numbers and enumerations of onnx.proto3. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_METADATA = 14
};
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F = 2, ATTRIBUTE_I = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };
enum { IS_FLOAT = 1, IS_INT = 2, IS_INTS = 7 }; /* AttributeProto.type */
enum { FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7 }; /* TensorProto.data_type */

#define IR_VERSION 8
#define OPSET 17

typedef struct writer {
    const gn_graph *g;
    const gn_checkpoint *c;
    const gn_onnx_options *options;
    gn_message graph;
    void **made; /* numbers made here, which the message refers to; freed at the end */
    int made_count;
} writer;

enum { MADE_EACH = 2 }; /* for a node, at most */

/* --- pieces ----------------------------------------------------------------------------------------------------------------- */

static void initializer(writer *w, const char *name, int type, int rank, const int64_t *dim, const void *data, uint64_t bytes)
{
    gn_message t = {0};
    for (int i = 0; i < rank; i++)
        gn_message_int(&t, TENSOR_DIMS, dim[i]);
    gn_message_int(&t, TENSOR_TYPE, type);
    gn_message_string(&t, TENSOR_NAME, name);
    gn_message_blob(&t, TENSOR_RAW, data, bytes);
    gn_message_add(&w->graph, GRAPH_INITIALIZER, &t);
}

static void attribute_int(gn_message *node, const char *name, int64_t value)
{
    gn_message a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, name);
    gn_message_int(&a, ATTRIBUTE_I, value);
    gn_message_int(&a, ATTRIBUTE_TYPE, IS_INT);
    gn_message_add(node, NODE_ATTRIBUTE, &a);
}

static void attribute_float(gn_message *node, const char *name, float value)
{
    gn_message a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, name);
    gn_message_float(&a, ATTRIBUTE_F, value);
    gn_message_int(&a, ATTRIBUTE_TYPE, IS_FLOAT);
    gn_message_add(node, NODE_ATTRIBUTE, &a);
}

static void attribute_ints(gn_message *node, const char *name, const int64_t *values, int count)
{
    gn_message a = {0};
    gn_message_string(&a, ATTRIBUTE_NAME, name);
    for (int i = 0; i < count; i++)
        gn_message_int(&a, ATTRIBUTE_INTS, values[i]);
    gn_message_int(&a, ATTRIBUTE_TYPE, IS_INTS);
    gn_message_add(node, NODE_ATTRIBUTE, &a);
}

/* Begins a node; inputs are given by name, NULL ends them. */
static gn_message begin(const char *op, const char *name, const char *const *inputs)
{
    gn_message n = {0};
    while (*inputs)
        gn_message_string(&n, NODE_INPUT, *inputs++);
    gn_message_string(&n, NODE_OUTPUT, name);
    gn_message_string(&n, NODE_NAME, name);
    gn_message_string(&n, NODE_OP, op);
    return n;
}

static void end(writer *w, gn_message *node)
{
    gn_message_add(&w->graph, GRAPH_NODE, node);
}

/* A node without attributes. */
static void plain(writer *w, const char *op, const char *name, const char *a, const char *b)
{
    const char *inputs[] = {a, b, NULL};
    gn_message n = begin(op, name, inputs);
    end(w, &n);
}

/* Name of value v: the image, or the label of the node that makes it. */
static const char *value_name(const writer *w, int v)
{
    return v == 0 ? (w->options->pixels ? "image" : "input") : v == w->g->count ? "logits" : w->g->nodes[v - 1].label;
}

static void windows(gn_message *n, const gn_node *node)
{
    const int64_t kernel[2] = {node->kernel, node->kernel}, stride[2] = {node->stride, node->stride};
    const int64_t pads[4] = {node->pad[0], node->pad[1], node->pad[2], node->pad[3]};
    attribute_ints(n, "kernel_shape", kernel, 2);
    attribute_ints(n, "strides", stride, 2);
    attribute_ints(n, "pads", pads, 4);
}

/* --- nodes ------------------------------------------------------------------------------------------------------------------- */

static void convolution(writer *w, const gn_node *node, const char *out, const char *in)
{
    const gn_weight *item = &w->g->weights->table->items[node->weight];
    char bias[128];
    snprintf(bias, sizeof bias, "%s.folded_bias", item->name);
    if (node->bias >= 0)
        snprintf(bias, sizeof bias, "%s", w->g->weights->table->items[node->bias].name);
    initializer(w, item->name, FLOAT, 4, item->dim, node->w, (uint64_t)item->count * 4);
    if (node->b)
        initializer(w, bias, FLOAT, 1, item->dim, node->b, (uint64_t)item->dim[0] * 4);
    const char *inputs[] = {in, item->name, node->b ? bias : NULL, NULL};
    gn_message n = begin("Conv", out, inputs);
    windows(&n, node);
    attribute_int(&n, "group", node->groups);
    end(w, &n);
}

/* name: the real numbers of an initializer of whole ones, with one scale for each index of its first dimension. */
static void dequantized(writer *w, const char *name, const char *whole, const char *scale)
{
    const char *inputs[] = {whole, scale, NULL};
    gn_message n = begin("DequantizeLinear", name, inputs);
    attribute_int(&n, "axis", 0);
    end(w, &n);
}

/* A convolution of real numbers that are whole ones times scales: what other programs take together to an integer one. */
static genet_status convolution_int8(writer *w, const gn_node *node, const char *out, const char *in, genet_error *err)
{
    const gn_weight *items = w->g->weights->table->items, *item = &items[node->weight], *bias = &items[node->bias];
    char weight_scale[128], weight[128], bias_real[128];
    gn_onnx_int8 numbers;
    genet_status status = gn_onnx_int8_make(&numbers, &w->made[w->made_count], w->g, node, err);
    w->made_count++;
    if (status != GENET_OK)
        return status;
    snprintf(weight_scale, sizeof weight_scale, "%s.scale", item->name);
    snprintf(weight, sizeof weight, "%s.real", item->name);
    snprintf(bias_real, sizeof bias_real, "%s.real", bias->name);
    initializer(w, item->name, INT8, 4, item->dim, numbers.weight, (uint64_t)item->count);
    initializer(w, weight_scale, FLOAT, 1, item->dim, numbers.weight_scale, (uint64_t)item->dim[0] * 4);
    initializer(w, bias->name, INT32, 1, bias->dim, numbers.bias, (uint64_t)bias->count * 4);
    initializer(w, items[node->scale].name, FLOAT, 1, bias->dim, numbers.bias_scale, (uint64_t)bias->count * 4);
    dequantized(w, weight, item->name, weight_scale);
    dequantized(w, bias_real, bias->name, items[node->scale].name);
    const char *inputs[] = {in, weight, bias_real, NULL};
    gn_message n = begin("Conv", out, inputs);
    windows(&n, node);
    attribute_int(&n, "group", 1);
    end(w, &n);
    return GENET_OK;
}

/* To u8 numbers and back. */
static void steps(writer *w, const gn_node *node, const char *out, const char *in)
{
    char scale[80], zero[80], whole[80];
    snprintf(scale, sizeof scale, "%s.scale", node->label);
    snprintf(zero, sizeof zero, "%s.zero", node->label);
    snprintf(whole, sizeof whole, "%s.u8", node->label);
    static const unsigned char nothing;
    initializer(w, scale, FLOAT, 0, NULL, &node->step, 4);
    initializer(w, zero, UINT8, 0, NULL, &nothing, 1);
    const char *there[] = {in, scale, zero, NULL}, *back[] = {whole, scale, zero, NULL};
    gn_message n = begin("QuantizeLinear", whole, there);
    end(w, &n);
    n = begin("DequantizeLinear", out, back);
    end(w, &n);
}

static void batch_norm(writer *w, const gn_node *node, const char *out, const char *in)
{
    const gn_weight *items = &w->g->weights->table->items[node->norm];
    const char *inputs[] = {in, items[0].name, items[1].name, items[2].name, items[3].name, NULL};
    for (int i = 0; i < 4; i++)
        initializer(w, items[i].name, FLOAT, 1, items[i].dim, gn_graph_weight(w->g, node->norm + i), (uint64_t)items[i].count * 4);
    gn_message n = begin("BatchNormalization", out, inputs);
    attribute_float(&n, "epsilon", (float)node->eps);
    end(w, &n);
}

static void dense(writer *w, const gn_node *node, const char *out, const char *in)
{
    const gn_weight *items = w->g->weights->table->items;
    const gn_weight *weight = &items[node->weight], *bias = &items[node->bias];
    char flat[80];
    initializer(w, weight->name, FLOAT, 2, weight->dim, node->w, (uint64_t)weight->count * 4);
    initializer(w, bias->name, FLOAT, 1, bias->dim, node->b, (uint64_t)bias->count * 4);
    snprintf(flat, sizeof flat, "%s.flat", node->label);
    plain(w, "Flatten", flat, in, NULL); /* axis 1 is its default */
    const char *inputs[] = {flat, weight->name, bias->name, NULL};
    gn_message n = begin("Gemm", out, inputs);
    attribute_int(&n, "transB", 1);
    end(w, &n);
}

/* Two Gathers with constant indices: exact where Resize computes floor(i/(n/m)) in float. */
static bool upsample(writer *w, const gn_node *node, const gn_node *from, const char *out, const char *in)
{
    char rows[80], index[2][80];
    const int64_t to[2] = {node->height, node->width};
    const int have[2] = {from->height, from->width};
    for (int axis = 0; axis < 2; axis++) {
        int64_t *values = gn_calloc((size_t)to[axis], sizeof *values);
        if (!values)
            return false;
        w->made[w->made_count++] = values;
        for (int64_t i = 0; i < to[axis]; i++)
            values[i] = i * have[axis] / to[axis];
        snprintf(index[axis], sizeof index[axis], "%s.%s", node->label, axis ? "columns" : "rows");
        initializer(w, index[axis], INT64, 1, &to[axis], values, (uint64_t)to[axis] * 8);
    }
    snprintf(rows, sizeof rows, "%s.tall", node->label);
    for (int axis = 0; axis < 2; axis++) {
        const char *inputs[] = {axis ? rows : in, index[axis], NULL};
        gn_message n = begin("Gather", axis ? out : rows, inputs);
        attribute_int(&n, "axis", axis + 2);
        end(w, &n);
    }
    return true;
}

static genet_status write_node(writer *w, int i, genet_error *err)
{
    const gn_node *node = &w->g->nodes[i];
    const char *out = value_name(w, i + 1), *in = value_name(w, node->in[0]);
    const char *in1 = node->in[1] < 0 ? NULL : value_name(w, node->in[1]), *inputs[] = {in, NULL};
    gn_message n;
    switch (node->kind) {
    case GN_NODE_CONV:
        if (node->scale >= 0)
            return convolution_int8(w, node, out, in, err);
        convolution(w, node, out, in);
        break;
    case GN_NODE_STEPS:
        steps(w, node, out, in);
        break;
    case GN_NODE_NORM:
        batch_norm(w, node, out, in);
        break;
    case GN_NODE_RELU:
        plain(w, "Relu", out, in, NULL);
        break;
    case GN_NODE_MAX_POOL:
    case GN_NODE_AVERAGE_POOL:
        n = begin(node->kind == GN_NODE_MAX_POOL ? "MaxPool" : "AveragePool", out, inputs);
        windows(&n, node); /* count_include_pad is 0 by default */
        end(w, &n);
        break;
    case GN_NODE_MEAN:
        plain(w, "GlobalAveragePool", out, in, NULL);
        break;
    case GN_NODE_SIGMOID:
        plain(w, "Sigmoid", out, in, NULL);
        break;
    case GN_NODE_MUL:
        plain(w, "Mul", out, in, in1);
        break;
    case GN_NODE_ADD:
        plain(w, "Add", out, in, in1);
        break;
    case GN_NODE_UPSAMPLE:
        return upsample(w, node, &w->g->nodes[node->in[0] - 1], out, in) ? GENET_OK : gn_fail_memory(err, 0, "an ONNX graph");
    case GN_NODE_DENSE:
        dense(w, node, out, in);
        break;
    }
    return GENET_OK;
}

/* uint8 pixels to the image that the network takes: (pixels - mean)/std as training does it, then NHWC to NCHW. */
static void write_normalisation(writer *w)
{
    static const int64_t three = 3, order[4] = {0, 3, 1, 2};
    const char *pixels[] = {"pixels", NULL}, *scaled[] = {"pixels.scaled", NULL};
    initializer(w, "pixels.mean", FLOAT, 1, &three, w->c->preprocess.mean, 12);
    initializer(w, "pixels.std", FLOAT, 1, &three, w->c->preprocess.std, 12);
    gn_message cast = begin("Cast", "pixels.float", pixels);
    attribute_int(&cast, "to", FLOAT);
    end(w, &cast);
    plain(w, "Sub", "pixels.centred", "pixels.float", "pixels.mean");
    plain(w, "Div", "pixels.scaled", "pixels.centred", "pixels.std");
    gn_message turn = begin("Transpose", "image", scaled);
    attribute_ints(&turn, "perm", order, 4);
    end(w, &turn);
}

/* --- the model ---------------------------------------------------------------------------------------------------------------- */

/* An input or output: name, type, shape; the batch is a number or the word N. */
static void value_info(writer *w, uint32_t field, const char *name, int type, int rank, const int64_t *dim)
{
    gn_message info = {0}, kind = {0}, tensor = {0}, shape = {0};
    for (int i = -1; i < rank; i++) {
        gn_message d = {0};
        if (i < 0 && !w->options->batch)
            gn_message_string(&d, 2, "N");
        else
            gn_message_int(&d, 1, i < 0 ? w->options->batch : dim[i]);
        gn_message_add(&shape, 1, &d);
    }
    gn_message_int(&tensor, 1, type);
    gn_message_add(&tensor, 2, &shape);
    gn_message_add(&kind, 1, &tensor);
    gn_message_string(&info, 1, name);
    gn_message_add(&info, 2, &kind);
    gn_message_add(&w->graph, field, &info);
}

static void property(gn_message *model, const char *key, const char *value)
{
    gn_message p = {0};
    gn_message_string(&p, 1, key);
    gn_message_string(&p, 2, value);
    gn_message_add(model, MODEL_METADATA, &p);
}

static void finish_model(writer *w, gn_message *model, const gn_metadata *m)
{
    gn_message opset = {0};
    char input[128];
    const int size = w->g->size;
    gn_message_int(model, MODEL_IR_VERSION, IR_VERSION);
    gn_message_string(model, MODEL_PRODUCER, "genet");
    gn_message_string(model, MODEL_PRODUCER_VERSION, GENET_VERSION);
    gn_message_add(model, MODEL_GRAPH, &w->graph);
    gn_message_int(&opset, 2, OPSET);
    gn_message_add(model, MODEL_OPSET, &opset);
    for (int i = 0; i < m->count; i++)
        property(model, m->keys[i], m->values[i]);
    if (w->options->pixels)
        snprintf(input, sizeof input,
                 "{\"name\":\"pixels\",\"type\":\"uint8\",\"layout\":\"NHWC\",\"normalised\":false,\"size\":%d}", size);
    else
        snprintf(input, sizeof input,
                 "{\"name\":\"input\",\"type\":\"float32\",\"layout\":\"NCHW\",\"normalised\":true,\"size\":%d}", size);
    property(model, "genet.input", input);
}

static genet_status write_model(writer *w, const char *path, uint64_t *bytes, genet_error *err)
{
    gn_message model = {0};
    gn_metadata m = {0};
    genet_status status;
    GN_TRY(gn_metadata_make(&m, w->c, NULL, false, err));
    finish_model(w, &model, &m);
    if (model.failed) {
        status = gn_fail_memory(err, model.text.length, "an ONNX graph");
        goto out;
    }
    if (gn_message_size(&model) > INT32_MAX) {
        status = gn_fail(err, GENET_UNSUPPORTED, "the network takes %llu bytes, an ONNX file at most 2147483647",
                         (unsigned long long)gn_message_size(&model));
        goto out;
    }
    status = gn_message_save(&model, path, bytes, err);
out:
    gn_metadata_free(&m);
    gn_message_free(&model);
    return status;
}

/* Writes a graph, which is freed. */
static genet_status write_graph(gn_graph *g, const gn_checkpoint *c, const gn_onnx_options *options, const char *path,
                                uint64_t *bytes, genet_error *err)
{
    writer w = {.g = g, .c = c, .options = options};
    const int64_t image[3] = {3, g->size, g->size}, pixels[3] = {g->size, g->size, 3}, classes = g->classes;
    size_t room = (size_t)g->count * MADE_EACH;
    genet_status status = GENET_OK;
    w.made = gn_calloc(room, sizeof *w.made);
    if (!w.made) {
        status = gn_fail_memory(err, room * sizeof *w.made, "an ONNX graph");
        goto out;
    }
    gn_message_string(&w.graph, GRAPH_NAME, "genet");
    if (options->pixels)
        write_normalisation(&w);
    for (int i = 0; i < g->count; i++)
        GN_TRY(write_node(&w, i, err));
    if (options->pixels)
        value_info(&w, GRAPH_INPUT, "pixels", UINT8, 3, pixels);
    else
        value_info(&w, GRAPH_INPUT, "input", FLOAT, 3, image);
    value_info(&w, GRAPH_OUTPUT, "logits", FLOAT, 1, &classes);
    status = write_model(&w, path, bytes, err);
out:
    gn_message_free(&w.graph);
    for (int i = 0; i < w.made_count; i++)
        gn_free(w.made[i]);
    gn_free(w.made);
    gn_graph_free(g);
    return status;
}

genet_status gn_onnx_write(const gn_checkpoint *c, const gn_weights *weights, const gn_onnx_options *options, const char *path,
                           uint64_t *bytes, genet_error *err)
{
    gn_graph g = {0};
    genet_status status = gn_graph_make(&g, c, weights, !options->keep_norms, err);
    return status == GENET_OK ? write_graph(&g, c, options, path, bytes, err) : status;
}

genet_status gn_onnx_write_int8(const gn_checkpoint *c, const gn_folded *f, const gn_onnx_options *options, const char *path,
                                uint64_t *bytes, genet_error *err)
{
    gn_graph g = {0};
    genet_status status;
    if (options->keep_norms)
        return gn_fail(err, GENET_USAGE,
                       "the batch norms of an int8 network became part of its convolutions when it was quantised: "
                       "leave out --keep-bn, or export the float model");
    status = gn_graph_make_int8(&g, f, err);
    return status == GENET_OK ? write_graph(&g, c, options, path, bytes, err) : status;
}
