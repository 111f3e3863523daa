/* SPDX-License-Identifier: Apache-2.0
 * The gradients of the network on one page, in the reverse order of network.c. A block receives its output's gradient as
 * the sum of two maps (do from the identity, do2 from conv1 of the block above) and passes on two of its own: the addition
 * costs no pass, it happens inside TAIL_SUMS. Gradients are overwritten in place where ops.def allows it. */
#include <stdio.h>

#include "model/network.h"

#define STEP(b, op, in, out, attr, ...)                                                                               \
    gn_plan_step((b)->plan, GN_OP_##op, GN_BACKWARD, in, (int)(sizeof(in) / sizeof(int)), out,                         \
                 (int)(sizeof(out) / sizeof(int)), attr, __VA_ARGS__)

typedef struct two_maps {
    int do1, do2; /* do2 may be -1 */
} two_maps;

static int gradient_of(gn_builder *b, int id, const char *name, const char *suffix)
{
    if (id < 0)
        return -1;
    const gn_tensor t = *gn_builder_tensor(b, id);
    return gn_plan_tensor(b->plan, GN_ACT, t.dtype, t.rank, t.dim, "d %s%s", name, suffix);
}

/* Gradient slab tensor of the parameter bound as `id`, or -1. */
static int weight_gradient(gn_builder *b, int id)
{
    return id < 0 ? -1 : gn_builder_weight(b, GN_GRAD, "%s", gn_builder_tensor(b, id)->name);
}

static int sums_of(gn_builder *b, const gn_bn *bn)
{
    return gn_builder_vector(b, 2, gn_builder_tensor(b, bn->stats)->dim[1], "%s.sums", bn->name);
}

/* Through batch norm (+ ReLU): do becomes the gradient of y, in place. */
static void bn_backward(gn_builder *b, int d_o, int y, const gn_bn *bn, bool relu)
{
    gn_attr attr = {.relu = relu, .eps = bn->eps};
    int sums = sums_of(b, bn);
    int in[] = {d_o, y, bn->stats};
    int out[] = {sums, weight_gradient(b, bn->gamma), weight_gradient(b, bn->beta)};
    STEP(b, BN_SUMS, in, out, &attr, "%s", bn->name);
    int dx_in[] = {d_o, y, bn->stats, sums}, dx_out[] = {d_o};
    STEP(b, BN_DX, dx_in, dx_out, &attr, "%s", bn->name);
}

/* Gradients of a convolution's weight and, where wanted, its input (fresh map, else -1). */
static int conv_backward(gn_builder *b, const gn_unit *u, int dy, bool depthwise, bool want_dx)
{
    int dw_in[] = {u->x, dy}, dw_out[] = {weight_gradient(b, u->w)};
    if (depthwise)
        STEP(b, DWCONV_DW, dw_in, dw_out, &u->attr, "%s", u->name);
    else
        STEP(b, CONV_DW, dw_in, dw_out, &u->attr, "%s", u->name);
    if (!want_dx)
        return -1;
    int dx = gradient_of(b, u->x, u->name, ".x");
    int dx_in[] = {dy, u->w}, dx_out[] = {dx};
    if (depthwise)
        STEP(b, DWCONV_DX, dx_in, dx_out, &u->attr, "%s", u->name);
    else
        STEP(b, CONV_DX, dx_in, dx_out, &u->attr, "%s", u->name);
    return dx;
}

static int dense_backward(gn_builder *b, const gn_dense *d, int dy, bool want_dx)
{
    gn_attr attr = {.relu = d->relu};
    int y = d->relu ? d->y : -1;
    int dw_in[] = {d->x, dy, y}, dw_out[] = {weight_gradient(b, d->w), weight_gradient(b, d->bias)};
    STEP(b, DENSE_DW, dw_in, dw_out, &attr, "%s", d->name);
    if (!want_dx)
        return -1;
    int dx = gradient_of(b, d->x, d->name, ".x");
    int dx_in[] = {dy, d->w, y}, dx_out[] = {dx};
    STEP(b, DENSE_DX, dx_in, dx_out, &attr, "%s", d->name);
    return dx;
}

static void add_in_place(gn_builder *b, int a, int other, const char *name)
{
    int in[] = {a, other}, out[] = {a};
    STEP(b, ADD, in, out, NULL, "%s", name);
}

/* From the gate's logits back to the gathered r. */
static int mlp_backward(gn_builder *b, const gn_block *k, int dt)
{
    if (!gn_variant_has_mlp(b->model->spec.variant))
        return dt;
    return dense_backward(b, &k->fc1, dense_backward(b, &k->fc2, dt, true), true);
}

/* --- fused tail (global extent, and no gate at all) ------------------------------------------------------------------ */

/* Returns dy of conv3; *did is the gradient of the projection's output, *d the masked gradient. */
static int tail_backward(gn_builder *b, const gn_block *k, two_maps g, int *did)
{
    const gn_bn *bn = &k->conv3.bn;
    int id = k->projects ? k->down.y : -1, id_stats = k->projects ? k->down.bn.stats : -1;
    int id_sums = k->projects ? sums_of(b, &k->down.bn) : -1;
    gn_attr attr = {.eps = bn->eps, .eps2 = k->projects ? k->down.bn.eps : 0};
    int tail_sums = gn_plan_tensor(b->plan, GN_ACT, b->vector, 3, (int64_t[4]){2, b->plan->batch, k->channels},
                                   "%s.tail_sums", k->name);
    int in[] = {g.do1, g.do2, k->o, k->conv3.y, bn->stats, id, id_stats};
    int out[] = {g.do1, tail_sums, id_sums, k->projects ? weight_gradient(b, k->down.bn.gamma) : -1,
                 k->projects ? weight_gradient(b, k->down.bn.beta) : -1};
    STEP(b, TAIL_SUMS, in, out, &attr, "%s", k->name);
    int dq = -1;
    if (k->gated) {
        int dt = gradient_of(b, k->t, k->name, ".gate.t");
        int gate_in[] = {tail_sums, k->s, bn->stats, bn->beta}, gate_out[] = {dt};
        STEP(b, TAIL_GATE, gate_in, gate_out, NULL, "%s.gate", k->name);
        dq = mlp_backward(b, k, dt);
        if (k->r != k->q)
            bn_backward(b, dq, k->q, &k->gather_bn, false);
    }
    int sums = sums_of(b, bn);
    int bn_in[] = {tail_sums, k->s, dq, k->gated ? k->g : -1, bn->stats, k->kernel};
    int bn_out[] = {sums, weight_gradient(b, bn->gamma), weight_gradient(b, bn->beta)};
    STEP(b, TAIL_BN, bn_in, bn_out, &attr, "%s", bn->name);
    int dy = gradient_of(b, k->conv3.y, k->name, ".conv3.y");
    *did = gradient_of(b, id, k->name, ".down.y");
    int dx_in[] = {g.do1, k->conv3.y, bn->stats, k->s, dq, k->kernel, sums, id, id_stats, id_sums};
    int dx_out[] = {dy, weight_gradient(b, k->kernel), *did};
    STEP(b, TAIL_DX, dx_in, dx_out, &attr, "%s", k->name);
    return dy;
}

/* --- local gathers and the mindspore form's stage 1 ------------------------------------------------------------------- */

/* Gradient of u through the gather, a fresh map. */
static int gather_local_backward(gn_builder *b, const gn_block *k, int dr)
{
    if (k->dense_gather) {
        const gn_unit *first = &k->gather[0];
        bn_backward(b, dr, k->q, &k->gather_bn, false);
        int sums = sums_of(b, &first->bn);
        gn_attr attr = {.eps = first->bn.eps};
        int bn_in[] = {-1, -1, dr, k->g, first->bn.stats, k->kernel};
        int bn_out[] = {sums, weight_gradient(b, first->bn.gamma), weight_gradient(b, first->bn.beta)};
        STEP(b, TAIL_BN, bn_in, bn_out, &attr, "%s", first->bn.name);
        int dy = gradient_of(b, first->y, first->name, ".y");
        int dx_in[] = {-1, first->y, first->bn.stats, -1, dr, k->kernel, sums};
        int dx_out[] = {dy, weight_gradient(b, k->kernel)};
        STEP(b, TAIL_DX, dx_in, dx_out, &attr, "%s", first->name);
        return conv_backward(b, first, dy, false, true);
    }
    if (k->gather_steps == 0) { /* average pooling */
        int e = b->model->spec.extent;
        gn_attr attr = {.kernel = 2 * e - 1, .stride = e, .pad = {e - 1, e - 1, e - 1, e - 1}};
        int du = gradient_of(b, k->u, k->name, ".gate.u");
        int in[] = {dr}, out[] = {du};
        STEP(b, LOCAL_POOL_DX, in, out, &attr, "%s.gate", k->name);
        return du;
    }
    for (int i = k->gather_steps - 1; i >= 0; i--) {
        bn_backward(b, dr, k->gather[i].y, &k->gather[i].bn, i + 1 < k->gather_steps);
        dr = conv_backward(b, &k->gather[i], dr, true, true);
    }
    return dr;
}

static int excite_backward(gn_builder *b, const gn_block *k, two_maps g, int *did)
{
    int id = k->projects ? k->down.y : -1, id_stats = k->projects ? k->down.bn.stats : -1;
    int id_sums = k->projects ? sums_of(b, &k->down.bn) : -1;
    gn_attr attr = {.eps2 = k->projects ? k->down.bn.eps : 0};
    int du = gradient_of(b, k->u, k->name, ".u"), dt = gradient_of(b, k->t, k->name, ".gate.t");
    int in[] = {g.do1, g.do2, k->o, k->u, k->s, id, id_stats};
    int out[] = {g.do1, du, dt, id_sums, k->projects ? weight_gradient(b, k->down.bn.gamma) : -1,
                 k->projects ? weight_gradient(b, k->down.bn.beta) : -1};
    STEP(b, EXCITE_DX, in, out, &attr, "%s", k->name);
    int through_gather = gather_local_backward(b, k, mlp_backward(b, k, dt));
    add_in_place(b, du, through_gather, k->name);
    bn_backward(b, du, k->conv3.y, &k->conv3.bn, false);
    *did = -1;
    if (k->projects) { /* did replaces d */
        gn_attr down = {.eps = k->down.bn.eps};
        int dx_in[] = {g.do1, id, id_stats, id_sums}, dx_out[] = {g.do1};
        STEP(b, BN_DX, dx_in, dx_out, &down, "%s", k->down.bn.name);
        *did = g.do1;
    }
    return du;
}

/* --- blocks, stem, head ------------------------------------------------------------------------------------------------ */

/* With low_memory: the ReLU output of a unit again, so that the forward pass's copy could be dropped. */
static int recomputed(gn_builder *b, const gn_unit *u)
{
    if (!b->options->low_memory)
        return u->o;
    int o = gn_plan_tensor(b->plan, GN_ACT, b->plan->map_type, 4, gn_builder_tensor(b, u->o)->dim, "%s.relu again", u->bn.name);
    gn_attr attr = {.relu = true, .eps = u->bn.eps};
    int in[] = {u->y, u->bn.stats}, out[] = {o};
    STEP(b, BN_ACT, in, out, &attr, "%s", u->bn.name);
    return o;
}

static int unit_backward(gn_builder *b, const gn_unit *u, int d_o)
{
    bn_backward(b, d_o, u->y, &u->bn, true);
    return conv_backward(b, u, d_o, false, true);
}

static two_maps block_backward(gn_builder *b, gn_block *k, two_maps g)
{
    int did = -1;
    int dy = k->local ? excite_backward(b, k, g, &did) : tail_backward(b, k, g, &did);
    k->conv3.x = recomputed(b, &k->conv2);
    int d_o2 = conv_backward(b, &k->conv3, dy, false, true);
    k->conv2.x = recomputed(b, &k->conv1);
    int d_o1 = unit_backward(b, &k->conv2, d_o2);
    two_maps below = {.do1 = g.do1, .do2 = unit_backward(b, &k->conv1, d_o1)};
    if (k->projects)
        below.do1 = conv_backward(b, &k->down, did, false, true);
    return below;
}

static void stem_backward(gn_builder *b, two_maps g)
{
    const gn_bn *bn = &b->stem.bn;
    add_in_place(b, g.do1, g.do2, "stem.pool");
    int sums = sums_of(b, bn), dy = gradient_of(b, b->stem.y, "stem", ".y");
    int in[] = {g.do1, b->pool_index, b->stem.y, bn->stats};
    int out[] = {sums, weight_gradient(b, bn->gamma), weight_gradient(b, bn->beta)};
    STEP(b, BN_POOL_SUMS, in, out, &b->pool, "stem.pool");
    int dx_in[] = {g.do1, b->pool_index, b->stem.y, bn->stats, sums}, dx_out[] = {dy};
    STEP(b, BN_POOL_DX, dx_in, dx_out, &b->pool, "stem.pool");
    conv_backward(b, &b->stem, dy, false, false);
}

void gn_builder_backward(gn_builder *b)
{
    int dfeatures = dense_backward(b, &b->head, b->dlogits, !b->options->head_only);
    if (b->options->head_only)
        return;
    const gn_block *last = &b->blocks[b->block_count - 1];
    two_maps g = {.do1 = gradient_of(b, last->o, "features", ".x"), .do2 = -1};
    int in[] = {dfeatures}, out[] = {g.do1};
    STEP(b, GLOBAL_POOL_DX, in, out, NULL, "features");
    for (int i = b->block_count - 1; i >= 0; i--)
        g = block_backward(b, &b->blocks[i], g);
    stem_backward(b, g);
}
