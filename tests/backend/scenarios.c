/* SPDX-License-Identifier: Apache-2.0
 * The list of scenarios. Shapes are edges: one image, one pixel, odd sides, channels that are a multiple of nothing,
 * stride 2 with padding on one side only, kernels larger than the map. */
#include "backend/scenarios.h"

#include "backend/parts.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

/* --- convolutions -------------------------------------------------------------------------------------------------- */

static const struct convolution_case { int n, h, w, c, k; part_window window; } convolutions[] = {
    {1, 1, 1, 3, 5, {1, 1, 1, {0, 0, 0, 0}}},
    {1, 1, 1, 3, 2, {3, 3, 2, {1, 1, 1, 1}}}, /* only the middle of the kernel meets the map */
    {2, 5, 7, 3, 4, {3, 3, 1, {1, 1, 1, 1}}},
    {2, 6, 6, 5, 3, {3, 3, 2, {0, 0, 1, 1}}}, /* the mindspore form's stride 2 */
    {1, 7, 5, 2, 3, {3, 3, 2, {1, 1, 1, 1}}},
    {1, 9, 8, 3, 5, {7, 7, 2, {3, 3, 3, 3}}}, /* stems of both forms */
    {1, 8, 8, 3, 4, {7, 7, 2, {2, 2, 3, 3}}},
    {1, 2, 2, 2, 3, {5, 5, 1, {2, 2, 2, 2}}}, /* the kernel is larger than the map */
    {3, 7, 7, 6, 2, {1, 1, 2, {0, 0, 0, 0}}},
    {1, 5, 4, 2, 3, {2, 3, 1, {0, 1, 1, 0}}},
    {2, 4, 5, 17, 13, {1, 1, 1, {0, 0, 0, 0}}},
};

static void build_convolution(rig *r, int variant)
{
    const struct convolution_case *s = &convolutions[variant / 2];
    int x = rig_map(r, s->n, s->h, s->w, s->c);
    rig_fill(r, x, 0, 1);
    part_conv conv = part_conv_make(r, x, s->k, &s->window, variant % 2);
    rig_pair(r, x, part_conv_back(r, &conv, part_loss(r, conv.y)));
}

/* --- batch norm ---------------------------------------------------------------------------------------------------- */

static const int maps[][4] = {{1, 1, 1, 3}, {1, 3, 5, 7}, {5, 1, 1, 4}, {2, 4, 3, 1}, {3, 2, 2, 33}};

/* Convolution + batch norm + activation: the rows of a map, and (from the third bit) of a vector. */
static void build_batch_norm(rig *r, int variant)
{
    const int *m = maps[variant / 4];
    bool relu = variant & 1, vector = variant & 2;
    int y = vector ? rig_vector(r, 2, m[0] * m[1] * m[2], m[3], 1) : rig_map(r, m[0], m[1], m[2], m[3]);
    rig_fill(r, y, 0.3, 2);
    part_bn bn = part_bn_make(r, m[3], 0.05);
    part_bn_stats(r, &bn, y);
    int o = part_bn_act(r, &bn, y, relu);
    rig_pair(r, y, part_bn_back(r, &bn, part_loss(r, o), y, relu));
}

static const struct stem_case { int n, h, w; part_window conv; gn_attr pool; } stems[] = {
    {2, 12, 11, {7, 7, 2, {3, 3, 3, 3}}, {.kernel = 3, .stride = 2, .pad = {1, 1, 1, 1}}}, /* paper */
    {2, 16, 16, {7, 7, 2, {2, 2, 3, 3}}, {.kernel = 3, .stride = 2, .pad = {0, 0, 1, 1}}}, /* mindspore */
    {1, 7, 7, {7, 7, 2, {3, 3, 3, 3}}, {.kernel = 2, .stride = 2}},
    {3, 5, 6, {3, 3, 1, {1, 1, 1, 1}}, {.kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}}}, /* a pixel wins many windows */
    {1, 1, 1, {1, 1, 1, {0}}, {.kernel = 3, .stride = 2, .pad = {1, 1, 1, 1}}},
};

static void build_stem(rig *r, int variant)
{
    const struct stem_case *s = &stems[variant];
    gn_attr pool = s->pool;
    int x = rig_map(r, s->n, s->h, s->w, 3);
    rig_fill(r, x, 0, 1);
    part_conv conv = part_conv_make(r, x, 5, &s->conv, false);
    part_bn bn = part_bn_make(r, 5, pool.eps = 0.05);
    part_bn_stats(r, &bn, conv.y);
    const gn_tensor y = *rig_tensor(r, conv.y);
    int64_t side[2];
    for (int i = 0; i < 2; i++)
        side[i] = (y.dim[1 + i] + pool.pad[i] + pool.pad[i + 2] - pool.kernel) / pool.stride + 1;
    int o = rig_map(r, s->n, side[0], side[1], 5), index = rig_typed(r, GN_U8, 4, s->n, side[0], side[1], 5);
    rig_step(r, GN_OP_BN_POOL, &pool, LIST(conv.y, bn.stats), LIST(o, index));
    rig_watch(r, index);
    int d = part_loss(r, o), dy = rig_map_like(r, conv.y);
    rig_back(r, GN_OP_BN_POOL_SUMS, &pool, LIST(d, index, conv.y, bn.stats), LIST(bn.sums, bn.dgamma, bn.dbeta));
    rig_back(r, GN_OP_BN_POOL_DX, &pool, LIST(d, index, conv.y, bn.stats, bn.sums), LIST(dy));
    rig_pair(r, bn.gamma, bn.dgamma);
    rig_pair(r, bn.beta, bn.dbeta);
    rig_pair(r, conv.y, dy);
    rig_pair(r, x, part_conv_back(r, &conv, dy));
    r->pairs[2] = r->pairs[r->pair_count - 1]; /* conv.y is computed, not a leaf: its gradient shows through x and w */
    r->pair_count--;
}

/* --- the gate -------------------------------------------------------------------------------------------------------- */

enum { NONE, MINUS, SE, THETA, PLUS, BARE, GATES }; /* BARE: a weighted gather without the batch norm that hides offsets */

typedef struct gate {
    int kind, w, g, q, t, dw;
    part_bn bn;          /* of q */
    part_dense fc1, fc2;
} gate;

/* From the gathered g to the logits t. */
static void gate_forward(rig *r, gate *k, int stats, int64_t n, int64_t c, bool bias)
{
    k->q = rig_vector(r, 2, n, c, 1);
    rig_step(r, GN_OP_GATHER_AFFINE, NULL, LIST(k->g, stats, k->w), LIST(k->q));
    k->t = k->q;
    if (k->kind == THETA || k->kind == PLUS) {
        k->bn = part_bn_make(r, c, 0.02);
        part_bn_stats(r, &k->bn, k->q);
        k->t = part_bn_act(r, &k->bn, k->q, false);
    }
    if (k->kind == SE || k->kind == PLUS) {
        k->fc1 = part_dense_make(r, k->t, 3, bias, true);
        k->fc2 = part_dense_make(r, k->fc1.y, c, bias, false);
        k->t = k->fc2.y;
    }
}

/* From dt to dq. */
static int gate_backward(rig *r, const gate *k, int dt)
{
    if (k->kind == SE || k->kind == PLUS)
        dt = part_dense_back(r, &k->fc1, part_dense_back(r, &k->fc2, dt));
    if (k->kind == THETA || k->kind == PLUS)
        dt = part_bn_back(r, &k->bn, dt, k->q, false);
    return dt;
}

static void gather_stats(rig *r, gate *k, const part_bn *bn, int y)
{
    const gn_tensor t = *rig_tensor(r, y);
    gn_attr attr = {.eps = bn->eps, .keep = 0.75};
    k->w = k->dw = -1;
    if (k->kind >= THETA) {
        k->w = rig_weight(r, t.dim[3], 1, t.dim[1], t.dim[2]);
        k->dw = rig_map_like(r, k->w);
        rig_fill(r, k->w, 0.05, 0.5);
    }
    k->g = rig_vector(r, 2, t.dim[0], t.dim[3], 1);
    rig_step(r, GN_OP_GATHER_STATS, &attr, LIST(y, bn->gamma, bn->beta, k->w),
             LIST(bn->stats, bn->running_mean, bn->running_var, k->g));
}

/* --- the fused tail -------------------------------------------------------------------------------------------------- */

static const int tails[][4] = {{3, 2, 3, 5}, {4, 1, 1, 2}, {1, 3, 3, 4}, {2, 4, 4, 19}};

/* What the tail's backward steps share. */
typedef struct tail_parts {
    int y, id, o, s;
    bool projects, second;
    part_bn bn, id_bn;
    gate gate;
} tail_parts;

static void tail_backward(rig *r, const tail_parts *p)
{
    const gn_tensor t = *rig_tensor(r, p->y);
    const part_bn *bn = &p->bn, *ib = &p->id_bn;
    gn_attr attr = {.eps = bn->eps, .eps2 = p->projects ? ib->eps : 0};
    int d1 = part_loss(r, p->o), d2 = p->second ? part_loss(r, p->o) : -1, d = r->in_place ? d1 : rig_map_like(r, p->y);
    int sums = rig_vector(r, 3, 2, t.dim[0], t.dim[3]), dq = -1, did = p->projects ? rig_map_like(r, p->id) : -1;
    int id = p->projects ? p->id : -1, id_stats = p->projects ? ib->stats : -1, id_sums = p->projects ? ib->sums : -1;
    rig_back(r, GN_OP_TAIL_SUMS, &attr, LIST(d1, d2, p->o, p->y, bn->stats, id, id_stats),
             LIST(d, sums, id_sums, p->projects ? ib->dgamma : -1, p->projects ? ib->dbeta : -1));
    if (p->gate.kind != NONE) {
        int dt = rig_map_like(r, p->gate.t);
        rig_back(r, GN_OP_TAIL_GATE, NULL, LIST(sums, p->s, bn->stats, bn->beta), LIST(dt));
        dq = gate_backward(r, &p->gate, dt);
    }
    rig_back(r, GN_OP_TAIL_BN, &attr, LIST(sums, p->s, dq, p->gate.g, bn->stats, p->gate.w),
             LIST(bn->sums, bn->dgamma, bn->dbeta));
    int dy = rig_map_like(r, p->y);
    rig_back(r, GN_OP_TAIL_DX, &attr, LIST(d, p->y, bn->stats, p->s, dq, p->gate.w, bn->sums, id, id_stats, id_sums),
             LIST(dy, p->gate.dw, did));
    rig_pair(r, p->y, dy);
    rig_pair(r, bn->gamma, bn->dgamma);
    rig_pair(r, bn->beta, bn->dbeta);
    rig_pair(r, p->id, p->projects ? did : d);
    if (p->projects) {
        rig_pair(r, ib->gamma, ib->dgamma);
        rig_pair(r, ib->beta, ib->dbeta);
    }
    if (p->gate.w >= 0)
        rig_pair(r, p->gate.w, p->gate.dw);
}

/* Batch norm, gate, identity, ReLU of a block: all gates, with and without projection and second gradient. */
static void build_tail(rig *r, int variant)
{
    const int *m = tails[variant / (4 * GATES)];
    tail_parts p = {.gate = {.kind = variant % GATES, .w = -1, .g = -1, .dw = -1}, .s = -1};
    p.projects = variant / GATES & 1;
    p.second = variant / GATES & 2;
    p.y = rig_map(r, m[0], m[1], m[2], m[3]);
    p.id = rig_map_like(r, p.y);
    p.o = rig_map_like(r, p.y);
    rig_fill(r, p.y, 0.2, 1.5);
    rig_fill(r, p.id, 0.3, 1);
    p.bn = part_bn_make(r, m[3], 0.05);
    if (p.gate.kind == NONE)
        part_bn_stats(r, &p.bn, p.y);
    else {
        gather_stats(r, &p.gate, &p.bn, p.y);
        gate_forward(r, &p.gate, p.bn.stats, m[0], m[3], p.projects);
        p.s = rig_map_like(r, p.gate.t);
    }
    if (p.projects) {
        p.id_bn = part_bn_make(r, m[3], 0.2);
        part_bn_stats(r, &p.id_bn, p.id);
    }
    rig_step(r, GN_OP_TAIL, NULL,
             LIST(p.y, p.bn.stats, p.gate.kind == NONE ? -1 : p.gate.t, p.id, p.projects ? p.id_bn.stats : -1),
             LIST(p.o, p.s));
    rig_watch(r, p.o);
    tail_backward(r, &p);
}

/* --- local gathers, and the mindspore form's stage 1 ------------------------------------------------------------------ */

typedef struct local_parts {
    int y, u, id, t, o, s;
    bool projects, second;
    part_bn bn, id_bn;
} local_parts;

/* y -> u and the identity. */
static local_parts local_start(rig *r, int n, int h, int w, int c, bool projects, bool second)
{
    local_parts p = {.projects = projects, .second = second};
    p.y = rig_map(r, n, h, w, c);
    p.id = rig_map_like(r, p.y);
    rig_fill(r, p.y, 0.2, 1.5);
    rig_fill(r, p.id, 0.3, 1);
    p.bn = part_bn_make(r, c, 0.05);
    part_bn_stats(r, &p.bn, p.y);
    p.u = part_bn_act(r, &p.bn, p.y, false);
    return p;
}

static void local_excite(rig *r, local_parts *p)
{
    if (p->projects) {
        p->id_bn = part_bn_make(r, rig_tensor(r, p->y)->dim[3], 0.2);
        part_bn_stats(r, &p->id_bn, p->id);
    }
    p->o = rig_map_like(r, p->y);
    p->s = rig_map_like(r, p->t);
    rig_step(r, GN_OP_EXCITE, NULL, LIST(p->u, p->t, p->id, p->projects ? p->id_bn.stats : -1), LIST(p->o, p->s));
    rig_watch(r, p->o);
}

/* EXCITE_DX; *du and the returned dt are its gradients. The identity's gradient is complete. */
static int local_excite_back(rig *r, const local_parts *p, int *du)
{
    const part_bn *ib = &p->id_bn;
    gn_attr attr = {.eps2 = p->projects ? ib->eps : 0}, down = {.eps = ib->eps};
    int d1 = part_loss(r, p->o), d2 = p->second ? part_loss(r, p->o) : -1, d = r->in_place ? d1 : rig_map_like(r, p->y);
    int dt = rig_map_like(r, p->t);
    *du = rig_map_like(r, p->u);
    rig_back(r, GN_OP_EXCITE_DX, &attr,
             LIST(d1, d2, p->o, p->u, p->s, p->projects ? p->id : -1, p->projects ? ib->stats : -1),
             LIST(d, *du, dt, p->projects ? ib->sums : -1, p->projects ? ib->dgamma : -1, p->projects ? ib->dbeta : -1));
    if (p->projects) {
        int did = r->in_place ? d : rig_map_like(r, d);
        rig_back(r, GN_OP_BN_DX, &down, LIST(d, p->id, ib->stats, ib->sums), LIST(did));
        rig_pair(r, p->id, did);
        rig_pair(r, ib->gamma, ib->dgamma);
        rig_pair(r, ib->beta, ib->dbeta);
    } else
        rig_pair(r, p->id, d);
    return dt;
}

/* Both ways into u, and the batch norm before it. */
static void local_end(rig *r, const local_parts *p, int du, int du_gather)
{
    int sum = r->in_place ? du : rig_map_like(r, du);
    rig_back(r, GN_OP_ADD, NULL, LIST(du, du_gather), LIST(sum));
    rig_pair(r, p->y, part_bn_back(r, &p->bn, sum, p->y, false));
}

/* {n h w c steps}: theta by a chain of stride-2 depthwise convolutions; with an MLP on every second. */
static const int chains[][5] = {{2, 9, 9, 3, 2}, {1, 5, 7, 2, 1}, {2, 9, 5, 2, 3}, {3, 1, 1, 4, 1}, {2, 2, 3, 5, 2}};

static void build_local_theta(rig *r, int variant)
{
    static const part_window window = {3, 3, 2, {1, 1, 1, 1}};
    const int *m = chains[variant / 4];
    bool mlp = variant & 1;
    local_parts p = local_start(r, m[0], m[1], m[2], m[3], variant & 2, variant & 2);
    part_conv conv[3];
    part_bn bn[3];
    part_dense fc1, fc2;
    int steps = m[4], du;
    p.t = p.u;
    for (int i = 0; i < steps; i++) {
        conv[i] = part_conv_make(r, p.t, 0, &window, true);
        bn[i] = part_bn_make(r, m[3], 0.02);
        part_bn_stats(r, &bn[i], conv[i].y);
        p.t = part_bn_act(r, &bn[i], conv[i].y, i + 1 < steps);
    }
    if (mlp) {
        fc1 = part_dense_make(r, p.t, 3, true, true);
        fc2 = part_dense_make(r, fc1.y, m[3], true, false);
        p.t = fc2.y;
    }
    local_excite(r, &p);
    int d = local_excite_back(r, &p, &du);
    if (mlp)
        d = part_dense_back(r, &fc1, part_dense_back(r, &fc2, d));
    for (int i = steps - 1; i >= 0; i--)
        d = part_conv_back(r, &conv[i], part_bn_back(r, &bn[i], d, conv[i].y, i + 1 < steps));
    local_end(r, &p, du, d);
}

/* {n h w c e}: theta-minus by average pooling, kernel 2e-1, stride e, padding e-1. 9 rows with e = 4 gather to 3. */
static const int pools[][5] = {{2, 9, 9, 3, 4}, {1, 5, 7, 2, 2}, {2, 6, 3, 2, 8}, {3, 1, 1, 4, 2}};

static void build_local_minus(rig *r, int variant)
{
    const int *m = pools[variant / 4], e = m[4];
    gn_attr attr = {.kernel = 2 * e - 1, .stride = e, .pad = {e - 1, e - 1, e - 1, e - 1}};
    local_parts p = local_start(r, m[0], m[1], m[2], m[3], variant & 1, variant & 2);
    int du, du_gather = rig_map_like(r, p.u);
    p.t = rig_map(r, m[0], (m[1] + e - 1) / e, (m[2] + e - 1) / e, m[3]);
    rig_step(r, GN_OP_LOCAL_POOL, &attr, LIST(p.u), LIST(p.t));
    local_excite(r, &p);
    int dt = local_excite_back(r, &p, &du);
    rig_back(r, GN_OP_LOCAL_POOL_DX, &attr, LIST(dt), LIST(du_gather));
    local_end(r, &p, du, du_gather);
}

/* {n h w c}: a dense stride-2 convolution + batch norm, then the whole-map gather of its output; t is a vector. */
static const int dense_gathers[][4] = {{3, 6, 6, 2}, {4, 5, 7, 3}, {2, 2, 2, 3}};

static void build_dense_gather(rig *r, int variant)
{
    static const part_window window = {3, 3, 2, {0, 0, 1, 1}}, odd = {3, 3, 2, {1, 1, 1, 1}};
    const int *m = dense_gathers[variant / 4];
    local_parts p = local_start(r, m[0], m[1], m[2], m[3], variant & 2, variant & 1);
    gate k = {.kind = variant & 1 ? PLUS : THETA};
    part_conv conv = part_conv_make(r, p.u, m[3], m[1] % 2 ? &odd : &window, false);
    part_bn bn = part_bn_make(r, m[3], 0.03);
    gn_attr attr = {.eps = bn.eps};
    int du;
    gather_stats(r, &k, &bn, conv.y);
    gate_forward(r, &k, bn.stats, m[0], m[3], false);
    p.t = k.t;
    local_excite(r, &p);
    int dq = gate_backward(r, &k, local_excite_back(r, &p, &du)), dy = rig_map_like(r, conv.y);
    rig_back(r, GN_OP_TAIL_BN, &attr, LIST(-1, -1, dq, k.g, bn.stats, k.w), LIST(bn.sums, bn.dgamma, bn.dbeta));
    rig_back(r, GN_OP_TAIL_DX, &attr, LIST(-1, conv.y, bn.stats, -1, dq, k.w, bn.sums), LIST(dy, k.dw));
    rig_pair(r, k.w, k.dw);
    rig_pair(r, bn.gamma, bn.dgamma);
    rig_pair(r, bn.beta, bn.dbeta);
    local_end(r, &p, du, part_conv_back(r, &conv, dy));
}

/* --- head and single operations ---------------------------------------------------------------------------------------- */

/* Mean, dense, loss with mixed labels, one unused second label and one image without a label. */
static void build_head(rig *r, int variant)
{
    const int n = 4, classes = 7;
    gn_attr attr = {.on = variant & 1 ? 0.9 : 0.9 + 0.1 / 7, .off = 0.1 / 7, .grad_scale = 3, .exact = variant & 1};
    int x = rig_map(r, n, variant & 2 ? 1 : 3, variant & 2 ? 1 : 2, 5), pooled = rig_vector(r, 2, n, 5, 1);
    rig_fill(r, x, 0.1, 2);
    rig_step(r, GN_OP_GLOBAL_POOL, NULL, LIST(x), LIST(pooled));
    part_dense head = part_dense_make(r, pooled, classes, true, false);
    int labels = rig_typed(r, GN_I32, 2, n, 2, 1, 1), lambda = rig_typed(r, GN_F32, 1, n, 1, 1, 1);
    static const int label[4][2] = {{2, 5}, {6, -1}, {-1, -1}, {0, 0}};
    static const float part[4] = {0.7f, 1, 1, 0.25f};
    for (int i = 0; i < n; i++) {
        rig_set(r, labels, 2 * i, label[i][0]);
        rig_set(r, labels, 2 * i + 1, label[i][1]);
        rig_set(r, lambda, i, part[i]);
    }
    int losses = rig_vector(r, 1, n, 1, 1), dlogits = rig_map_like(r, head.y), dx = rig_map_like(r, x);
    rig_step(r, GN_OP_SOFTMAX_LOSS, &attr, LIST(head.y, labels, lambda), LIST(losses, dlogits));
    rig_loss(r, losses, -1);
    for (int i = 0; i < n; i++)
        r->losses[0].coefficient[i] = attr.grad_scale / n;
    int dpooled = part_dense_back(r, &head, dlogits);
    rig_back(r, GN_OP_GLOBAL_POOL_DX, NULL, LIST(dpooled), LIST(dx));
    rig_pair(r, x, dx);
}

static void build_dense(rig *r, int variant)
{
    int x = variant & 4 ? rig_map(r, 2, 3, 1, 5) : rig_vector(r, 2, 1, 9, 1);
    rig_fill(r, x, 0, 1);
    part_dense dense = part_dense_make(r, x, 6, variant & 1, variant & 2);
    rig_pair(r, x, part_dense_back(r, &dense, part_loss(r, dense.y)));
}

static void build_pool(rig *r, int variant)
{
    static const gn_attr attrs[] = {{.kernel = 3, .stride = 2, .pad = {0, 0, 1, 1}},
                                    {.kernel = 2, .stride = 1, .pad = {1, 0, 0, 1}}};
    const gn_attr *a = &attrs[variant];
    int u = rig_map(r, 2, 6, 4, 3), du = rig_map_like(r, u);
    int q = rig_map(r, 2, (6 + a->pad[0] + a->pad[2] - a->kernel) / a->stride + 1,
                    (4 + a->pad[1] + a->pad[3] - a->kernel) / a->stride + 1, 3);
    rig_fill(r, u, 0, 1);
    rig_step(r, GN_OP_LOCAL_POOL, a, LIST(u), LIST(q));
    rig_back(r, GN_OP_LOCAL_POOL_DX, a, LIST(part_loss(r, q)), LIST(du));
    rig_pair(r, u, du);
}

const scenario scenarios[] = {
    {"convolution", 2 * COUNT(convolutions), build_convolution},
    {"batch norm", 4 * COUNT(maps), build_batch_norm},
    {"stem", COUNT(stems), build_stem},
    {"tail", 4 * GATES * COUNT(tails), build_tail},
    {"local theta", 4 * COUNT(chains), build_local_theta},
    {"local theta-minus", 4 * COUNT(pools), build_local_minus},
    {"dense gather", 4 * COUNT(dense_gathers), build_dense_gather},
    {"head", 4, build_head},
    {"dense", 8, build_dense},
    {"local pool", 2, build_pool},
};
const int scenario_count = COUNT(scenarios);
