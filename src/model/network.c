/* SPDX-License-Identifier: Apache-2.0
 * The network on one page: a Gather-Excite ResNet's forward pass as steps of a plan (arXiv:1810.12348; the mindspore form
 * follows the published MindSpore model). Read from the bottom: gn_model_plan, network_forward, block_forward. */
#include "model/network.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define STEP(b, op, in, out, attr, ...)                                                                               \
    gn_plan_step((b)->plan, GN_OP_##op, GN_FORWARD, in, (int)(sizeof(in) / sizeof(int)), out,                          \
                 (int)(sizeof(out) / sizeof(int)), attr, __VA_ARGS__)

/* --- what a form decides ------------------------------------------------------------------------------------------- */

void gn_form_bn(gn_form form, gn_bn_place place, double *eps, double *keep)
{
    static const double mindspore_keep[] = {[GN_BN_STEM] = 0.95, [GN_BN_TRUNK] = 0.997, [GN_BN_GATHER] = 0.9};
    *eps = form == GN_FORM_MINDSPORE && place == GN_BN_STEM ? 1e-4 : 1e-5;
    *keep = form == GN_FORM_MINDSPORE ? mindspore_keep[place] : 0.9;
}

void gn_form_padding(gn_form form, int64_t side, int kernel, int stride, int pad[4])
{
    int before = (kernel - 1) / 2, after = before;
    if (form == GN_FORM_MINDSPORE) { /* "same": out = ceil(side/stride), the extra pixel at the bottom and right */
        int64_t total = ((side + stride - 1) / stride - 1) * stride + kernel - side;
        before = total > 0 ? (int)(total / 2) : 0;
        after = total > 0 ? (int)(total - before) : 0;
    }
    pad[0] = pad[1] = before;
    pad[2] = pad[3] = after;
}

/* --- tensors ------------------------------------------------------------------------------------------------------- */

int gn_builder_weight(gn_builder *b, gn_role role, const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    int i = gn_weight_find(&b->model->weights, name);
    return i < 0 ? -1 : gn_plan_bind_weight(b->plan, role, &b->model->weights.items[i]);
}

int gn_builder_map(gn_builder *b, int64_t n, int64_t h, int64_t w, int64_t c, const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return gn_plan_tensor(b->plan, GN_ACT, b->plan->map_type, 4, (int64_t[4]){n, h, w, c}, "%s", name);
}

int gn_builder_vector(gn_builder *b, int64_t rows, int64_t columns, const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return gn_plan_tensor(b->plan, GN_ACT, b->vector, 2, (int64_t[4]){rows, columns}, "%s", name);
}

const gn_tensor *gn_builder_tensor(const gn_builder *b, int id)
{
    static const gn_tensor none = {.dim = {1, 1, 1, 1}};
    return id < 0 ? &none : &b->plan->tensors[id];
}

static int map_like(gn_builder *b, int like, const char *name, const char *suffix)
{
    const gn_tensor t = *gn_builder_tensor(b, like);
    return gn_plan_tensor(b->plan, GN_ACT, t.dtype, t.rank, t.dim, "%s%s", name, suffix);
}

/* --- parts --------------------------------------------------------------------------------------------------------- */

/* The body is run with batch statistics only where it learns. */
static bool batch_statistics(const gn_builder *b)
{
    return b->options->training && !b->options->head_only;
}

static gn_bn name_bn(gn_builder *b, int64_t channels, gn_bn_place place, const char *name)
{
    gn_bn bn = {0};
    gn_form_bn(b->model->spec.form, place, &bn.eps, &bn.keep);
    snprintf(bn.name, sizeof bn.name, "%s", name);
    bn.gamma = gn_builder_weight(b, GN_PARAM, "%s.weight", name);
    bn.beta = gn_builder_weight(b, GN_PARAM, "%s.bias", name);
    bn.mean = gn_builder_weight(b, GN_STATE, "%s.running_mean", name);
    bn.var = gn_builder_weight(b, GN_STATE, "%s.running_var", name);
    bn.stats = gn_builder_vector(b, 4, channels, "%s.stats", name);
    return bn;
}

/* Statistics of y; with `gather` (g >= 0) the gathered sums come from the same pass. */
static gn_bn bn_stats(gn_builder *b, int y, gn_bn_place place, const char *name, int kernel, int g)
{
    const gn_tensor *t = gn_builder_tensor(b, y);
    gn_bn bn = name_bn(b, t->rank == 2 ? t->dim[1] : t->dim[3], place, name);
    gn_attr attr = {.eps = bn.eps, .keep = bn.keep};
    if (!batch_statistics(b)) {
        int in[] = {bn.gamma, bn.beta, bn.mean, bn.var}, out[] = {bn.stats};
        STEP(b, BN_RUNNING, in, out, &attr, "%s", name);
        if (g >= 0) {
            int gather_in[] = {y, kernel}, gather_out[] = {g};
            STEP(b, GATHER, gather_in, gather_out, NULL, "%s", name);
        }
    } else if (g >= 0) {
        int in[] = {y, bn.gamma, bn.beta, kernel}, out[] = {bn.stats, bn.mean, bn.var, g};
        STEP(b, GATHER_STATS, in, out, &attr, "%s", name);
    } else {
        int in[] = {y, bn.gamma, bn.beta}, out[] = {bn.stats, bn.mean, bn.var};
        STEP(b, BN_STATS, in, out, &attr, "%s", name);
    }
    return bn;
}

static int bn_act(gn_builder *b, int y, const gn_bn *bn, bool relu)
{
    int o = map_like(b, y, bn->name, relu ? ".relu" : ".out");
    int in[] = {y, bn->stats}, out[] = {o};
    gn_attr attr = {.relu = relu, .eps = bn->eps};
    STEP(b, BN_ACT, in, out, &attr, "%s", bn->name);
    return o;
}

/* y = convolution of x with the weight `name`.weight; depthwise where the weight says so. */
static gn_unit convolution(gn_builder *b, int x, int64_t channels, int kernel, int stride, bool depthwise, const char *name)
{
    gn_unit u = {.x = x, .o = -1};
    const gn_tensor t = *gn_builder_tensor(b, x);
    u.attr = (gn_attr){.kernel = kernel, .stride = stride};
    gn_form_padding(b->model->spec.form, t.dim[1], kernel, stride, u.attr.pad);
    int64_t side = (t.dim[1] + u.attr.pad[0] + u.attr.pad[2] - kernel) / stride + 1;
    snprintf(u.name, sizeof u.name, "%s", name);
    u.w = gn_builder_weight(b, GN_PARAM, "%s.weight", name);
    u.y = gn_builder_map(b, t.dim[0], side, side, channels, "%s.y", name);
    int in[] = {x, u.w}, out[] = {u.y};
    if (depthwise)
        STEP(b, DWCONV, in, out, &u.attr, "%s", name);
    else
        STEP(b, CONV, in, out, &u.attr, "%s", name);
    return u;
}

/* Convolution + batch norm + ReLU of a block: conv1, conv2. */
static gn_unit conv_bn_relu(gn_builder *b, int x, int64_t channels, int kernel, int stride, const char *block, int number)
{
    char name[64];
    snprintf(name, sizeof name, "%s.conv%d", block, number);
    gn_unit u = convolution(b, x, channels, kernel, stride, false, name);
    snprintf(name, sizeof name, "%s.bn%d", block, number);
    u.bn = bn_stats(b, u.y, GN_BN_TRUNK, name, -1, -1);
    u.o = bn_act(b, u.y, &u.bn, true);
    return u;
}

static gn_dense dense(gn_builder *b, int x, int64_t outputs, bool relu, const char *name)
{
    gn_dense d = {.x = x, .relu = relu};
    const gn_tensor t = *gn_builder_tensor(b, x);
    snprintf(d.name, sizeof d.name, "%s", name);
    d.w = gn_builder_weight(b, GN_PARAM, "%s.weight", name);
    d.bias = gn_builder_weight(b, GN_PARAM, "%s.bias", name); /* -1 in the mindspore form's MLP */
    d.y = t.rank == 4 ? gn_builder_map(b, t.dim[0], t.dim[1], t.dim[2], outputs, "%s.y", name)
                      : gn_builder_vector(b, t.dim[0], outputs, "%s.y", name);
    int in[] = {x, d.w, d.bias}, out[] = {d.y};
    gn_attr attr = {.relu = relu};
    STEP(b, DENSE, in, out, &attr, "%s", name);
    return d;
}

/* --- the gate: gather, MLP (sections 3.1 to 3.3 of the paper) ------------------------------------------------------- */

/* Affine of the gathered sums, and theta's batch norm over the batch: q, r. */
static void gather_vector(gn_builder *b, gn_block *k, const gn_bn *of, bool normalise, const char *bn_name)
{
    k->q = gn_builder_vector(b, b->plan->batch, k->channels, "%s.gate.q", k->name);
    int in[] = {k->g, of->stats, k->kernel}, out[] = {k->q};
    STEP(b, GATHER_AFFINE, in, out, NULL, "%s.gate", k->name);
    k->r = k->q;
    if (normalise) {
        k->gather_bn = bn_stats(b, k->q, GN_BN_GATHER, bn_name, -1, -1);
        k->r = bn_act(b, k->q, &k->gather_bn, false);
    }
}

/* Gather over extents 2, 4, 8 (u is a map), and the mindspore form's stage 1: the gathered map or vector r. */
static void gather_local(gn_builder *b, gn_block *k)
{
    const gn_model_spec *s = &b->model->spec;
    char conv[64], bn[64];
    if (k->dense_gather) {
        snprintf(conv, sizeof conv, "%s.gate.gather.conv1", k->name);
        snprintf(bn, sizeof bn, "%s.gate.gather.bn1", k->name);
        k->gather[0] = convolution(b, k->u, k->channels, 3, 2, false, conv);
        k->kernel = gn_builder_weight(b, GN_PARAM, "%s.gate.gather.conv2.weight", k->name);
        k->g = gn_builder_vector(b, b->plan->batch, k->channels, "%s.gate.g", k->name);
        k->gather[0].bn = bn_stats(b, k->gather[0].y, GN_BN_GATHER, bn, k->kernel, k->g);
        snprintf(bn, sizeof bn, "%s.gate.gather.bn2", k->name);
        gather_vector(b, k, &k->gather[0].bn, true, bn);
    } else if (gn_variant_has_gather_weights(s->variant)) {
        k->gather_steps = s->extent == 8 ? 3 : s->extent == 4 ? 2 : 1;
        k->r = k->u;
        for (int i = 0; i < k->gather_steps; i++) {
            snprintf(conv, sizeof conv, "%s.gate.gather.conv%d", k->name, i + 1);
            snprintf(bn, sizeof bn, "%s.gate.gather.bn%d", k->name, i + 1);
            k->gather[i] = convolution(b, k->r, k->channels, 3, 2, true, conv);
            k->gather[i].bn = bn_stats(b, k->gather[i].y, GN_BN_GATHER, bn, -1, -1);
            k->r = k->gather[i].o = bn_act(b, k->gather[i].y, &k->gather[i].bn, i + 1 < k->gather_steps);
        }
    } else { /* theta-minus: average pooling, kernel 2e-1, stride e, padding e-1 */
        const gn_tensor t = *gn_builder_tensor(b, k->u);
        int e = s->extent;
        int64_t side = (t.dim[1] + e - 1) / e;
        gn_attr attr = {.kernel = 2 * e - 1, .stride = e, .pad = {e - 1, e - 1, e - 1, e - 1}};
        k->r = gn_builder_map(b, t.dim[0], side, side, t.dim[3], "%s.gate.pooled", k->name);
        int in[] = {k->u}, out[] = {k->r};
        STEP(b, LOCAL_POOL, in, out, &attr, "%s.gate", k->name);
    }
}

static void mlp(gn_builder *b, gn_block *k)
{
    char name[64];
    snprintf(name, sizeof name, "%s.gate.mlp.fc1", k->name);
    k->fc1 = dense(b, k->r, k->channels / GN_MLP_REDUCTION, true, name);
    snprintf(name, sizeof name, "%s.gate.mlp.fc2", k->name);
    k->fc2 = dense(b, k->fc1.y, k->channels, false, name);
}

/* Third batch norm, gate, identity, ReLU: o = relu(u * sigmoid(gate(u)) + identity). */
static void tail(gn_builder *b, gn_block *k)
{
    const gn_variant v = b->model->spec.variant;
    char bn3[64], bn_gather[64];
    snprintf(bn3, sizeof bn3, "%s.bn3", k->name);
    snprintf(bn_gather, sizeof bn_gather, "%s.gate.gather.bn1", k->name);
    bool global = k->gated && !k->local;
    if (global) {
        if (gn_variant_has_gather_weights(v))
            k->kernel = gn_builder_weight(b, GN_PARAM, "%s.gate.gather.conv1.weight", k->name);
        k->g = gn_builder_vector(b, b->plan->batch, k->channels, "%s.gate.g", k->name);
    }
    k->conv3.bn = bn_stats(b, k->conv3.y, GN_BN_TRUNK, bn3, k->kernel, global ? k->g : -1);
    if (global)
        gather_vector(b, k, &k->conv3.bn, gn_variant_has_gather_weights(v), bn_gather);
    if (k->local) {
        k->u = bn_act(b, k->conv3.y, &k->conv3.bn, false);
        gather_local(b, k);
    }
    if (gn_variant_has_mlp(v))
        mlp(b, k);
    k->t = !k->gated ? -1 : gn_variant_has_mlp(v) ? k->fc2.y : k->r;
    int identity = k->projects ? k->down.y : k->x, identity_stats = k->projects ? k->down.bn.stats : -1;
    k->o = map_like(b, k->conv3.y, k->name, "");
    if (k->gated)
        k->s = map_like(b, k->t, k->name, ".gate.s");
    int out[] = {k->o, k->s};
    if (k->local) {
        int in[] = {k->u, k->t, identity, identity_stats};
        STEP(b, EXCITE, in, out, NULL, "%s", k->name);
    } else {
        int in[] = {k->conv3.y, k->conv3.bn.stats, k->t, identity, identity_stats};
        STEP(b, TAIL, in, out, NULL, "%s", k->name);
    }
}

/* --- the network --------------------------------------------------------------------------------------------------- */

static int block_forward(gn_builder *b, gn_block *k, int x)
{
    char name[64];
    int mid = k->channels / 4;
    k->x = x;
    k->conv1 = conv_bn_relu(b, x, mid, 1, 1, k->name, 1);
    k->conv2 = conv_bn_relu(b, k->conv1.o, mid, 3, k->stride, k->name, 2);
    snprintf(name, sizeof name, "%s.conv3", k->name);
    k->conv3 = convolution(b, k->conv2.o, k->channels, 1, 1, false, name);
    if (k->projects) {
        snprintf(name, sizeof name, "%s.down.conv", k->name);
        k->down = convolution(b, x, k->channels, 1, k->stride, false, name);
        snprintf(name, sizeof name, "%s.down.bn", k->name);
        k->down.bn = bn_stats(b, k->down.y, GN_BN_TRUNK, name, -1, -1);
    }
    tail(b, k);
    return k->o;
}

static int stem_forward(gn_builder *b, int x)
{
    b->stem = convolution(b, x, b->model->spec.stem, 7, 2, false, "stem.conv");
    b->stem.bn = bn_stats(b, b->stem.y, GN_BN_STEM, "stem.bn", -1, -1);
    const gn_tensor t = *gn_builder_tensor(b, b->stem.y);
    b->pool = (gn_attr){.kernel = 3, .stride = 2, .relu = true, .eps = b->stem.bn.eps};
    gn_form_padding(b->model->spec.form, t.dim[1], 3, 2, b->pool.pad);
    int64_t side = (t.dim[1] + 1) / 2;
    b->pooled = gn_builder_map(b, t.dim[0], side, side, t.dim[3], "stem.pool");
    b->pool_index = -1;
    if (batch_statistics(b))
        b->pool_index = gn_plan_tensor(b->plan, GN_ACT, GN_U8, 4, (int64_t[4]){t.dim[0], side, side, t.dim[3]},
                                       "stem.pool.index");
    int in[] = {b->stem.y, b->stem.bn.stats}, out[] = {b->pooled, b->pool_index};
    STEP(b, BN_POOL, in, out, &b->pool, "stem.pool");
    return b->pooled;
}

static void network_forward(gn_builder *b)
{
    const gn_plan_options *o = b->options;
    int x = stem_forward(b, gn_plan_input(b->plan, o->float_input, b->model->spec.size, o->mean, o->std));
    for (int i = 0; i < b->block_count; i++)
        x = block_forward(b, &b->blocks[i], x);
    const gn_tensor t = *gn_builder_tensor(b, x);
    b->features = gn_builder_vector(b, t.dim[0], t.dim[3], "features");
    int in[] = {x}, out[] = {b->features};
    STEP(b, GLOBAL_POOL, in, out, NULL, "features");
    b->head = dense(b, b->features, b->model->spec.classes, false, "head");
    b->plan->logits = b->head.y;
    if (b->head.y >= 0)
        b->plan->tensors[b->head.y].role = GN_KEPT;
}

static void loss_forward(gn_builder *b)
{
    gn_plan *p = b->plan;
    const gn_plan_options *o = b->options;
    p->labels = gn_plan_tensor(p, GN_BOUND, GN_I32, 2, (int64_t[4]){p->batch, 2}, "labels");
    p->lambda = gn_plan_tensor(p, GN_BOUND, GN_F32, 1, (int64_t[4]){p->batch}, "lambda");
    p->losses = gn_plan_tensor(p, GN_KEPT, b->vector, 1, (int64_t[4]){p->batch}, "losses");
    b->dlogits = gn_builder_vector(b, p->batch, b->model->spec.classes, "d logits");
    gn_attr attr = {.on = o->on, .off = o->off, .exact = o->exact_loss_gradient, .grad_scale = o->grad_scale};
    int in[] = {p->logits, p->labels, p->lambda}, out[] = {p->losses, b->dlogits};
    STEP(b, SOFTMAX_LOSS, in, out, &attr, "loss");
}

/* Everything a block's struct needs before its forward pass; absent parts are -1. */
static genet_status lay_out_blocks(gn_builder *b, genet_error *err)
{
    const gn_model_spec *s = &b->model->spec;
    for (int stage = 0; stage < 4; stage++)
        b->block_count += s->blocks[stage];
    b->blocks = gn_calloc((size_t)b->block_count, sizeof *b->blocks);
    if (!b->blocks)
        return gn_fail_memory(err, (size_t)b->block_count * sizeof *b->blocks, "the blocks");
    int in = s->stem;
    gn_block *k = b->blocks;
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < s->blocks[stage]; i++, k++) {
            snprintf(k->name, sizeof k->name, "layer%d.%d", stage + 1, i);
            k->stage = stage;
            k->in_channels = in;
            k->channels = in = 4 * s->width << stage;
            k->stride = stage > 0 && i == 0 ? 2 : 1;
            k->projects = i == 0 && (stage > 0 || k->in_channels != k->channels);
            k->gated = s->variant != GN_PLAIN;
            k->dense_gather = s->form == GN_FORM_MINDSPORE && stage == 0 && gn_variant_has_gather_weights(s->variant);
            k->local = k->gated && (s->extent != 0 || k->dense_gather);
            k->u = k->kernel = k->g = k->q = k->r = k->t = k->s = -1;
        }
    return GENET_OK;
}

genet_status gn_model_plan(const gn_model *model, const gn_plan_options *options, gn_plan **plan, genet_error *err)
{
    gn_builder b = {.model = model, .options = options, .dlogits = -1};
    *plan = NULL;
    genet_status status;
    GN_TRY(gn_plan_create(&b.plan, options->batch, options->map_type, err));
    b.vector = options->map_type == GN_F64 ? GN_F64 : GN_F32;
    GN_TRY(lay_out_blocks(&b, err));
    network_forward(&b);
    if (options->training) {
        loss_forward(&b);
        gn_builder_backward(&b);
    }
    GN_TRY(gn_plan_finish(b.plan, options->keep_all, err));
    *plan = b.plan;
    b.plan = NULL;
out:
    gn_free(b.blocks);
    gn_plan_free(b.plan);
    return status;
}

void gn_smoothing(double smooth, int classes, bool published, double *on, double *off)
{
    *off = smooth / classes;
    *on = published ? 1 - smooth : 1 - smooth + *off;
}
