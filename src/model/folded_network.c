/* SPDX-License-Identifier: Apache-2.0
 * The folded network on one page (see folded.h). A block without a gate is its convolutions alone: the third one adds the
 * identity and applies the ReLU itself. With a gate: u, gather, MLP, and one pass that scales, adds and clips. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/folded.h"
#include "model/network.h"

typedef struct folded_builder {
    const gn_folded *net;
    gn_plan *plan;
    gn_dtype vector;
} folded_builder;

#define STEP(b, op, in, out, attr, ...)                                                                               \
    gn_plan_step((b)->plan, GN_OP_##op, GN_FORWARD, in, (int)(sizeof(in) / sizeof(int)), out,                          \
                 (int)(sizeof(out) / sizeof(int)), attr, __VA_ARGS__)

static int weight(folded_builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int weight(folded_builder *b, const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    int i = gn_weight_find(&b->net->table, name);
    return i < 0 ? -1 : gn_plan_bind_weight(b->plan, GN_PARAM, &b->net->table.items[i]);
}

static gn_tensor shape(const folded_builder *b, int id)
{
    return id < 0 ? (gn_tensor){.dim = {1, 1, 1, 1}} : b->plan->tensors[id];
}

/* y = [relu](conv(x) + bias [+ add in place]). */
static int conv(folded_builder *b, int x, int kernel, int stride, bool relu, int add, const char *name)
{
    const gn_tensor t = shape(b, x);
    gn_attr attr = {.kernel = kernel, .stride = stride, .relu = relu};
    gn_form_padding(b->net->spec.form, t.dim[1], kernel, stride, attr.pad);
    int64_t side = (t.dim[1] + attr.pad[0] + attr.pad[2] - kernel) / stride + 1;
    int w = weight(b, "%s.weight", name);
    int y = add;
    if (add < 0)
        y = gn_plan_tensor(b->plan, GN_ACT, b->plan->map_type, 4, (int64_t[4]){t.dim[0], side, side, shape(b, w).dim[0]},
                           "%s.y", name);
    int in[] = {x, w, weight(b, "%s.bias", name), add}, out[] = {y};
    STEP(b, CONV, in, out, &attr, "%s", name);
    return y;
}

/* Value of one step of the u8 map that a convolution reads. */
static float input_scale(const folded_builder *b, const char *name)
{
    char tensor[96];
    snprintf(tensor, sizeof tensor, "%s.input_scale", name);
    int i = gn_weight_find(&b->net->table, tensor);
    return i < 0 ? 0 : *(const float *)gn_weights_at(&b->net->weights, i); /* 0 is refused by gn_plan_finish */
}

static int quantize(folded_builder *b, int x, float scale, const char *block)
{
    const gn_tensor t = shape(b, x);
    gn_attr attr = {.scale = scale};
    int q = gn_plan_tensor(b->plan, GN_ACT, GN_U8, 4, t.dim, "%s.q", block);
    int in[] = {x}, out[] = {q};
    STEP(b, QUANTIZE, in, out, &attr, "%s.quantize", block);
    return q;
}

/* As conv, in 8 bits: q is u8; y is u8 where out_scale > 0, else of the map type. */
static int conv_int8(folded_builder *b, int q, gn_attr attr, float out_scale, int add, const char *name)
{
    const gn_tensor t = shape(b, q);
    attr.scale = out_scale;
    gn_form_padding(b->net->spec.form, t.dim[1], attr.kernel, attr.stride, attr.pad);
    int64_t side = (t.dim[1] + attr.pad[0] + attr.pad[2] - attr.kernel) / attr.stride + 1;
    int w = weight(b, "%s.weight", name);
    int y = add;
    if (add < 0)
        y = gn_plan_tensor(b->plan, GN_ACT, out_scale > 0 ? GN_U8 : b->plan->map_type, 4,
                           (int64_t[4]){t.dim[0], side, side, shape(b, w).dim[0]}, "%s.y", name);
    int in[] = {q, w, weight(b, "%s.scale", name), weight(b, "%s.bias", name), add}, out[] = {y};
    STEP(b, CONV_INT8, in, out, &attr, "%s", name);
    return y;
}

static int dense(folded_builder *b, int x, bool relu, gn_role role, const char *name)
{
    const gn_tensor t = shape(b, x);
    int w = weight(b, "%s.weight", name);
    gn_attr attr = {.relu = relu};
    int64_t outputs = shape(b, w).dim[0];
    int y = gn_plan_tensor(b->plan, role, t.dtype, t.rank,
                           t.rank == 4 ? (int64_t[4]){t.dim[0], t.dim[1], t.dim[2], outputs} : (int64_t[4]){t.dim[0], outputs},
                           "%s.y", name);
    int in[] = {x, w, weight(b, "%s.bias", name)}, out[] = {y};
    STEP(b, DENSE, in, out, &attr, "%s", name);
    return y;
}

static int vector(folded_builder *b, int64_t columns, const char *name)
{
    return gn_plan_tensor(b->plan, GN_ACT, b->vector, 2, (int64_t[4]){b->plan->batch, columns}, "%s", name);
}

static int affine(folded_builder *b, int y, int stats, bool relu, const char *name)
{
    const gn_tensor t = shape(b, y);
    int o = gn_plan_tensor(b->plan, GN_ACT, t.dtype, t.rank, t.dim, "%s.out", name);
    gn_attr attr = {.relu = relu};
    int in[] = {y, stats}, out[] = {o};
    STEP(b, BN_ACT, in, out, &attr, "%s", name);
    return o;
}

/* Gathered vector or map of u, before the MLP. */
static int gather(folded_builder *b, int u, int stage, const char *block)
{
    const gn_model_spec *s = &b->net->spec;
    const gn_tensor t = shape(b, u);
    bool learned = gn_variant_has_gather_weights(s->variant), dense_first = learned && stage == 0 && s->form == GN_FORM_MINDSPORE;
    char name[96];
    if (s->extent && !learned) {
        int e = s->extent;
        int64_t side = (t.dim[1] + e - 1) / e;
        gn_attr attr = {.kernel = 2 * e - 1, .stride = e, .pad = {e - 1, e - 1, e - 1, e - 1}};
        int q = gn_plan_tensor(b->plan, GN_ACT, t.dtype, 4, (int64_t[4]){t.dim[0], side, side, t.dim[3]}, "%s.gate.q", block);
        int in[] = {u}, out[] = {q};
        STEP(b, LOCAL_POOL, in, out, &attr, "%s.gate", block);
        return q;
    }
    int steps = s->extent == 8 ? 3 : s->extent == 4 ? 2 : s->extent == 2 ? 1 : 0;
    for (int k = 1; k <= steps; k++) {
        const gn_tensor from = shape(b, u);
        gn_attr attr = {.kernel = 3, .stride = 2, .pad = {1, 1, 1, 1}};
        int64_t side = (from.dim[1] + 1) / 2;
        snprintf(name, sizeof name, "%s.gate.gather.conv%d", block, k);
        int y = gn_plan_tensor(b->plan, GN_ACT, from.dtype, 4, (int64_t[4]){from.dim[0], side, side, from.dim[3]}, "%s", name);
        int in[] = {u, weight(b, "%s.weight", name)}, out[] = {y};
        STEP(b, DWCONV, in, out, &attr, "%s", name);
        snprintf(name, sizeof name, "%s.gate.gather.bn%d", block, k);
        u = affine(b, y, weight(b, "%s.stats", name), k < steps, name);
    }
    if (steps)
        return u;
    if (dense_first) {
        snprintf(name, sizeof name, "%s.gate.gather.conv1", block);
        u = conv(b, u, 3, 2, false, -1, name);
    }
    snprintf(name, sizeof name, "%s.gate.g", block);
    int g = vector(b, t.dim[3], name);
    int kernel = learned ? weight(b, "%s.gate.gather.conv%d.weight", block, dense_first ? 2 : 1) : -1;
    int in[] = {u, kernel}, out[] = {g};
    STEP(b, GATHER, in, out, NULL, "%s.gate", block);
    int stats = weight(b, "%s.gate.stats", block); /* theta: the shift of its batch norm */
    if (stats < 0)
        return g;
    snprintf(name, sizeof name, "%s.gate.q", block);
    int q = vector(b, t.dim[3], name);
    int affine_in[] = {g, stats}, affine_out[] = {q};
    STEP(b, GATHER_AFFINE, affine_in, affine_out, NULL, "%s.gate", block);
    return q;
}

/* o = relu(u * sigmoid(t) + identity). */
static int gated_tail(folded_builder *b, int u, int identity, int stage, const char *block)
{
    char name[96];
    int t = gather(b, u, stage, block);
    if (gn_variant_has_mlp(b->net->spec.variant)) {
        snprintf(name, sizeof name, "%s.gate.mlp.fc1", block);
        t = dense(b, t, true, GN_ACT, name);
        snprintf(name, sizeof name, "%s.gate.mlp.fc2", block);
        t = dense(b, t, false, GN_ACT, name);
    }
    const gn_tensor shape_u = shape(b, u), shape_t = shape(b, t);
    int o = gn_plan_tensor(b->plan, GN_ACT, shape_u.dtype, 4, shape_u.dim, "%s", block);
    if (shape_t.rank == 2) {
        int in[] = {u, weight(b, "%s.one.stats", block), t, identity}, out[] = {o};
        STEP(b, TAIL, in, out, NULL, "%s", block);
    } else {
        int s = gn_plan_tensor(b->plan, GN_ACT, shape_t.dtype, 4, shape_t.dim, "%s.gate.s", block);
        int in[] = {u, t, identity}, out[] = {o, s};
        STEP(b, EXCITE, in, out, NULL, "%s", block);
    }
    return o;
}

/* The block's convolutions in 8 bits: one quantised copy of its input serves conv1 and down.conv. */
static int block_int8(folded_builder *b, int x, int stage, int stride, const char *block)
{
    bool plain = b->net->spec.variant == GN_PLAIN;
    char conv1[64], conv2[64], conv3[64], down[64];
    int identity = x;
    snprintf(conv1, sizeof conv1, "%s.conv1", block);
    snprintf(conv2, sizeof conv2, "%s.conv2", block);
    snprintf(conv3, sizeof conv3, "%s.conv3", block);
    snprintf(down, sizeof down, "%s.down.conv", block);
    int q = quantize(b, x, input_scale(b, conv1), block);
    int y = conv_int8(b, q, (gn_attr){.kernel = 1, .stride = 1, .relu = true}, input_scale(b, conv2), -1, conv1);
    y = conv_int8(b, y, (gn_attr){.kernel = 3, .stride = stride, .relu = true}, input_scale(b, conv3), -1, conv2);
    if (weight(b, "%s.weight", down) >= 0)
        identity = conv_int8(b, q, (gn_attr){.kernel = 1, .stride = stride}, 0, -1, down);
    y = conv_int8(b, y, (gn_attr){.kernel = 1, .stride = 1, .relu = plain}, 0, plain ? identity : -1, conv3);
    return plain ? y : gated_tail(b, y, identity, stage, block);
}

static int block_forward(folded_builder *b, int x, int stage, int index)
{
    char block[32], name[64];
    int stride = stage > 0 && index == 0 ? 2 : 1, identity = x;
    bool plain = b->net->spec.variant == GN_PLAIN;
    snprintf(block, sizeof block, "layer%d.%d", stage + 1, index);
    if (b->net->int8)
        return block_int8(b, x, stage, stride, block);
    snprintf(name, sizeof name, "%s.conv1", block);
    int y = conv(b, x, 1, 1, true, -1, name);
    snprintf(name, sizeof name, "%s.conv2", block);
    y = conv(b, y, 3, stride, true, -1, name);
    snprintf(name, sizeof name, "%s.down.conv", block);
    if (weight(b, "%s.weight", name) >= 0)
        identity = conv(b, x, 1, stride, false, -1, name);
    snprintf(name, sizeof name, "%s.conv3", block);
    y = conv(b, y, 1, 1, plain, plain ? identity : -1, name);
    return plain ? y : gated_tail(b, y, identity, stage, block);
}

static int stem_forward(folded_builder *b, int x)
{
    int y = conv(b, x, 7, 2, false, -1, "stem.conv"); /* its ReLU is the pool's */
    const gn_tensor t = shape(b, y);
    gn_attr attr = {.kernel = 3, .stride = 2, .relu = true};
    gn_form_padding(b->net->spec.form, t.dim[1], 3, 2, attr.pad);
    int64_t side = (t.dim[1] + 1) / 2;
    int o = gn_plan_tensor(b->plan, GN_ACT, t.dtype, 4, (int64_t[4]){t.dim[0], side, side, t.dim[3]}, "stem.pool");
    int in[] = {y, weight(b, "stem.one.stats")}, out[] = {o};
    STEP(b, BN_POOL, in, out, &attr, "stem.pool");
    return o;
}

genet_status gn_folded_plan(const gn_folded *folded, const gn_plan_options *options, gn_plan **plan, genet_error *err)
{
    folded_builder b = {.net = folded, .vector = options->map_type == GN_F64 ? GN_F64 : GN_F32};
    const gn_model_spec *s = &folded->spec;
    genet_status status;
    *plan = NULL;
    GN_TRY(gn_plan_create(&b.plan, options->batch, options->map_type, err));
    int x = gn_plan_input(b.plan, options->float_input, s->size, options->mean, options->std);
    x = stem_forward(&b, x);
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < s->blocks[stage]; i++)
            x = block_forward(&b, x, stage, i);
    int features = vector(&b, shape(&b, x).dim[3], "features");
    int in[] = {x}, out[] = {features};
    STEP(&b, GLOBAL_POOL, in, out, NULL, "features");
    b.plan->logits = dense(&b, features, false, GN_KEPT, "head");
    GN_TRY(gn_plan_finish(b.plan, options->keep_all, err));
    *plan = b.plan;
    b.plan = NULL;
out:
    gn_plan_free(b.plan);
    return status;
}
