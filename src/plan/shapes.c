/* SPDX-License-Identifier: Apache-2.0
 * The shape and type rules of every operation, as ops.def states them. A plan with a step that breaks one is refused
 * before any backend sees it. */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "plan/operands.h"

typedef struct checker {
    const gn_plan *plan;
    const gn_step *step;
    genet_error *err;
    genet_status status;
} checker;

static const gn_tensor *input(const checker *k, int i)
{
    return k->step->in[i] < 0 ? NULL : &k->plan->tensors[k->step->in[i]];
}

static const gn_tensor *output(const checker *k, int i)
{
    return k->step->out[i] < 0 ? NULL : &k->plan->tensors[k->step->out[i]];
}

static void complain(checker *k, const char *what)
{
    if (k->status == GENET_OK)
        k->status = gn_fail(k->err, GENET_INTERNAL, "step %s of %s: %s", gn_op_name(k->step->op), k->step->label, what);
}

/* t (absent is fine) has these dimensions; -1 is any. */
static void want(checker *k, const gn_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t dim[4] = {a, b, c, d};
    if (!t)
        return;
    for (int i = 0; i < 4; i++) {
        if (dim[i] < 0 || t->dim[i] == dim[i])
            continue;
        char text[256];
        snprintf(text, sizeof text, "%s has shape (%lld,%lld,%lld,%lld), expected (%lld,%lld,%lld,%lld)", t->name,
                 (long long)t->dim[0], (long long)t->dim[1], (long long)t->dim[2], (long long)t->dim[3], (long long)a,
                 (long long)b, (long long)c, (long long)d);
        complain(k, text);
        return;
    }
}

static void want_vector(checker *k, const gn_tensor *t, int64_t n)
{
    want(k, t, n, 1, 1, 1);
}

static void want_like(checker *k, const gn_tensor *t, const gn_tensor *like)
{
    if (t && like)
        want(k, t, like->dim[0], like->dim[1], like->dim[2], like->dim[3]);
}

static void want_type(checker *k, const gn_tensor *t, gn_dtype type)
{
    if (t && t->dtype != type)
        complain(k, "an operand has another type than the operation takes");
}

static gn_dtype vector_type(const checker *k)
{
    return k->plan->map_type == GN_F64 ? GN_F64 : GN_F32;
}

/* Rows of stats: mean, var, a, b. */
static void want_stats(checker *k, const gn_tensor *stats, int64_t channels)
{
    if (!stats)
        return;
    want(k, stats, 4, channels, 1, 1);
    want_type(k, stats, vector_type(k));
}

/* A rank-2 operand (N,C) counts as a map (N,1,1,C) in batch norm, dense layers and as EXCITE's t. */
static int64_t rows(const gn_tensor *t)
{
    return t->rank == 4 ? t->dim[0] * t->dim[1] * t->dim[2] : t->dim[0];
}

static int64_t columns(const gn_tensor *t)
{
    return t->rank == 4 ? t->dim[3] : t->dim[1];
}

/* Output side of a window over n with this kernel, stride and padding. */
static int64_t windows(int64_t n, int64_t kernel, const gn_attr *a, int axis)
{
    int64_t padded = n + a->pad[axis] + a->pad[axis + 2];
    return padded < kernel || a->stride < 1 ? 0 : (padded - kernel) / a->stride + 1;
}

/* x (N,H,W,C), w (K,C,R,S), y (N,P,Q,K); depthwise: w (C,1,R,S), K = C. */
static void want_convolution(checker *k, const gn_tensor *x, const gn_tensor *w, const gn_tensor *y, bool depthwise)
{
    const gn_attr *a = &k->step->attr;
    want(k, w, depthwise ? x->dim[3] : y->dim[3], depthwise ? 1 : x->dim[3], -1, -1);
    want(k, y, x->dim[0], windows(x->dim[1], w->dim[2], a, 0), windows(x->dim[2], w->dim[3], a, 1), w->dim[0]);
    want_type(k, x, k->plan->map_type);
    want_type(k, y, k->plan->map_type);
    want_type(k, w, vector_type(k));
}

static void check_convolutions(checker *k)
{
    const gn_tensor *a = input(k, 0), *b = input(k, 1), *o = output(k, 0);
    bool depthwise = k->step->op == GN_OP_DWCONV || k->step->op == GN_OP_DWCONV_DX || k->step->op == GN_OP_DWCONV_DW;
    switch (k->step->op) {
    case GN_OP_CONV:
        want_vector(k, input(k, 2), o->dim[3]);
        if (input(k, 3) && k->step->in[3] != k->step->out[0])
            complain(k, "add is not the output's own tensor");
        /* fall through */
    case GN_OP_DWCONV:
        want_convolution(k, a, b, o, depthwise);
        break;
    case GN_OP_CONV_DX:
    case GN_OP_DWCONV_DX:
        want_convolution(k, o, b, a, depthwise);
        break;
    default: /* *_DW: x, dy -> dw */
        want_convolution(k, a, o, b, depthwise);
    }
}

static void want_scale(checker *k)
{
    float scale = k->step->attr.scale;
    if (!(scale > 0 && scale <= FLT_MAX))
        complain(k, "a u8 output needs attr.scale, finite and > 0");
}

static void check_quantize(checker *k)
{
    want_type(k, input(k, 0), k->plan->map_type);
    want_type(k, output(k, 0), GN_U8);
    want_like(k, output(k, 0), input(k, 0));
    want_scale(k);
}

static void check_convolution_int8(checker *k)
{
    const gn_tensor *x = input(k, 0), *w = input(k, 1), *y = output(k, 0);
    const gn_attr *a = &k->step->attr;
    want(k, w, y->dim[3], x->dim[3], -1, -1);
    want(k, y, x->dim[0], windows(x->dim[1], w->dim[2], a, 0), windows(x->dim[2], w->dim[3], a, 1), w->dim[0]);
    want_type(k, x, GN_U8);
    for (int i = 1; i < 4; i++)
        want_type(k, input(k, i), vector_type(k));
    want_vector(k, input(k, 2), y->dim[3]);
    want_vector(k, input(k, 3), y->dim[3]);
    if (input(k, 4) && (k->step->in[4] != k->step->out[0] || y->dtype == GN_U8))
        complain(k, "add is not the output's own tensor of the map type");
    if (y->dtype == GN_U8)
        want_scale(k);
    else
        want_type(k, y, k->plan->map_type);
}

static void check_batch_norm(checker *k)
{
    const gn_step *s = k->step;
    const gn_tensor *first = input(k, 0);
    int64_t c = columns(first);
    switch (s->op) {
    case GN_OP_BN_STATS:
    case GN_OP_GATHER_STATS:
        want_vector(k, input(k, 1), c);
        want_vector(k, input(k, 2), c);
        want_stats(k, output(k, 0), c);
        want_vector(k, output(k, 1), c);
        want_vector(k, output(k, 2), c);
        want(k, input(k, 3), c, 1, first->dim[1], first->dim[2]);
        want(k, output(k, 3), first->dim[0], c, 1, 1);
        break;
    case GN_OP_BN_RUNNING:
        for (int i = 0; i < 4; i++)
            want_like(k, input(k, i), first);
        want_stats(k, output(k, 0), first->dim[0]);
        break;
    case GN_OP_BN_ACT:
        want_stats(k, input(k, 1), c);
        want_like(k, output(k, 0), first);
        break;
    case GN_OP_BN_SUMS:
        want_like(k, input(k, 1), first);
        want_stats(k, input(k, 2), c);
        want(k, output(k, 0), 2, c, 1, 1);
        want_vector(k, output(k, 1), c);
        want_vector(k, output(k, 2), c);
        break;
    default: /* BN_DX */
        want_like(k, input(k, 1), first);
        want_stats(k, input(k, 2), c);
        want(k, input(k, 3), 2, c, 1, 1);
        want_like(k, output(k, 0), first);
    }
}

static void check_pooling(checker *k)
{
    const gn_attr *a = &k->step->attr;
    const gn_tensor *in = input(k, 0), *out = output(k, 0);
    int64_t c = in->dim[3];
    switch (k->step->op) {
    case GN_OP_BN_POOL:
        want_stats(k, input(k, 1), c);
        want(k, out, in->dim[0], windows(in->dim[1], a->kernel, a, 0), windows(in->dim[2], a->kernel, a, 1), c);
        want_like(k, output(k, 1), out);
        break;
    case GN_OP_BN_POOL_SUMS:
        want_like(k, input(k, 1), in);
        want_stats(k, input(k, 3), c);
        want(k, out, 2, c, 1, 1);
        want_vector(k, output(k, 1), c);
        want_vector(k, output(k, 2), c);
        break;
    case GN_OP_BN_POOL_DX:
        want_like(k, input(k, 1), in);
        want_stats(k, input(k, 3), c);
        want(k, input(k, 4), 2, c, 1, 1);
        want_like(k, out, input(k, 2));
        break;
    case GN_OP_LOCAL_POOL:
        want(k, out, in->dim[0], windows(in->dim[1], a->kernel, a, 0), windows(in->dim[2], a->kernel, a, 1), c);
        break;
    case GN_OP_LOCAL_POOL_DX:
        want(k, in, out->dim[0], windows(out->dim[1], a->kernel, a, 0), windows(out->dim[2], a->kernel, a, 1), c);
        break;
    case GN_OP_GLOBAL_POOL:
        want(k, out, in->dim[0], c, 1, 1);
        break;
    default: /* GLOBAL_POOL_DX */
        want(k, in, out->dim[0], out->dim[3], 1, 1);
    }
}

static void check_gate(checker *k)
{
    const gn_tensor *g = input(k, 0);
    switch (k->step->op) {
    case GN_OP_GATHER:
        want(k, input(k, 1), g->dim[3], 1, g->dim[1], g->dim[2]);
        want(k, output(k, 0), g->dim[0], g->dim[3], 1, 1);
        break;
    case GN_OP_GATHER_AFFINE:
        want_stats(k, input(k, 1), g->dim[1]);
        want(k, input(k, 2), g->dim[1], 1, -1, -1);
        want_like(k, output(k, 0), g);
        break;
    case GN_OP_TAIL_GATE: /* tail_sums (2,N,C), s (N,C), stats, beta -> dt (N,C) */
        want(k, g, 2, input(k, 1)->dim[0], input(k, 1)->dim[1], 1);
        want_stats(k, input(k, 2), g->dim[2]);
        want_vector(k, input(k, 3), g->dim[2]);
        want_like(k, output(k, 0), input(k, 1));
        break;
    default: { /* TAIL_BN: [tail_sums] [s] [dq g] stats [w] -> sums dgamma dbeta */
        int64_t c = input(k, 4)->dim[1];
        want(k, g, 2, -1, c, 1);
        want(k, input(k, 1), -1, c, 1, 1);
        want(k, input(k, 2), -1, c, 1, 1);
        want_like(k, input(k, 3), input(k, 2));
        want(k, input(k, 5), c, 1, -1, -1);
        want(k, output(k, 0), 2, c, 1, 1);
        want_vector(k, output(k, 1), c);
        want_vector(k, output(k, 2), c);
        if (!g && !input(k, 2))
            complain(k, "neither tail_sums nor dq is given");
        if (!input(k, 2) != !input(k, 3))
            complain(k, "dq and g come together");
    }
    }
}

/* id_sums, id_dgamma, id_dbeta as outputs i.. */
static void want_identity_sums(checker *k, int i, int64_t c)
{
    want(k, output(k, i), 2, c, 1, 1);
    want_vector(k, output(k, i + 1), c);
    want_vector(k, output(k, i + 2), c);
}

static void check_tail(checker *k)
{
    const gn_tensor *y = input(k, k->step->op == GN_OP_TAIL ? 0 : k->step->op == GN_OP_TAIL_SUMS ? 3 : 1);
    int64_t n = y->dim[0], c = y->dim[3];
    switch (k->step->op) {
    case GN_OP_TAIL: /* y stats [t] id [id_stats] -> o [s] */
        want_stats(k, input(k, 1), c);
        want(k, input(k, 2), n, c, 1, 1);
        want_like(k, input(k, 3), y);
        want_stats(k, input(k, 4), c);
        want_like(k, output(k, 0), y);
        want(k, output(k, 1), n, c, 1, 1);
        break;
    case GN_OP_TAIL_SUMS: /* do [do2] o y stats [id stats_of_id] -> d tail_sums [id_sums id_dgamma id_dbeta] */
        for (int i = 0; i < 3; i++)
            want_like(k, input(k, i), y);
        want_stats(k, input(k, 4), c);
        want_like(k, input(k, 5), y);
        want_stats(k, input(k, 6), c);
        want_like(k, output(k, 0), y);
        want(k, output(k, 1), 2, n, c, 1);
        want_identity_sums(k, 2, c);
        if ((input(k, 5) != NULL) != (output(k, 2) != NULL))
            complain(k, "id and id_sums come together");
        break;
    default: /* TAIL_DX: [d] y stats [s] [dq] [w] sums [id id_stats id_sums] -> dy [dw] [did] */
        want_like(k, input(k, 0), y);
        want_stats(k, input(k, 2), c);
        want(k, input(k, 3), n, c, 1, 1);
        want(k, input(k, 4), n, c, 1, 1);
        want(k, input(k, 5), c, 1, y->dim[1], y->dim[2]);
        want(k, input(k, 6), 2, c, 1, 1);
        want_like(k, input(k, 7), y);
        want_stats(k, input(k, 8), c);
        want(k, input(k, 9), 2, c, 1, 1);
        want_like(k, output(k, 0), y);
        want_like(k, output(k, 1), input(k, 5));
        want_like(k, output(k, 2), y);
        if (!input(k, 0) && !input(k, 4))
            complain(k, "neither d nor dq is given");
    }
}

static void check_excite(checker *k)
{
    bool backward = k->step->op == GN_OP_EXCITE_DX;
    const gn_tensor *u = input(k, backward ? 3 : 0), *t = input(k, backward ? 4 : 1);
    if (t->rank == 2)
        want(k, t, u->dim[0], u->dim[3], 1, 1);
    else
        want(k, t, u->dim[0], -1, -1, u->dim[3]);
    want_like(k, output(k, 0), u);
    if (!backward) { /* u t id [id_stats] -> o s */
        want_like(k, input(k, 2), u);
        want_stats(k, input(k, 3), u->dim[3]);
        want_like(k, output(k, 1), t);
        return;
    }
    for (int i = 0; i < 3; i++) /* do [do2] o u s [id id_stats] -> d du dt [...] */
        want_like(k, input(k, i), u);
    want_like(k, input(k, 5), u);
    want_stats(k, input(k, 6), u->dim[3]);
    want_like(k, output(k, 1), u);
    want_like(k, output(k, 2), t);
    want_identity_sums(k, 3, u->dim[3]);
}

static void check_dense(checker *k)
{
    const gn_tensor *x = input(k, 0), *y = output(k, 0), *w = input(k, 1);
    if (k->step->op == GN_OP_DENSE_DX) { /* dy w [y] -> dx */
        y = input(k, 0);
        x = output(k, 0);
    } else if (k->step->op == GN_OP_DENSE_DW) { /* x dy [y] -> dw [dbias] */
        y = input(k, 1);
        w = output(k, 0);
    }
    if (rows(x) != rows(y))
        complain(k, "x and y have different numbers of rows");
    want(k, w, columns(y), columns(x), 1, 1);
    want_vector(k, k->step->op == GN_OP_DENSE ? input(k, 2) : NULL, columns(y));
    want_vector(k, k->step->op == GN_OP_DENSE_DW ? output(k, 1) : NULL, columns(y));
    if (k->step->attr.relu && k->step->op != GN_OP_DENSE && !input(k, 2))
        complain(k, "with relu the gradient needs y");
}

static void check_rest(checker *k)
{
    const gn_tensor *a = input(k, 0);
    switch (k->step->op) {
    case GN_OP_INPUT:
        want_type(k, a, GN_U8);
        want_like(k, output(k, 0), a);
        want(k, input(k, 1), a->dim[0], 6, 1, 1);
        break;
    case GN_OP_ADD:
        want_like(k, input(k, 1), a);
        want_like(k, output(k, 0), a);
        break;
    default: /* SOFTMAX_LOSS: logits labels lambda -> losses dlogits */
        want(k, input(k, 1), a->dim[0], 2, 1, 1);
        want_vector(k, input(k, 2), a->dim[0]);
        want_vector(k, output(k, 0), a->dim[0]);
        want_like(k, output(k, 1), a);
    }
}

static void check_presence(checker *k)
{
    gn_operand in[GN_MAX_IN], out[GN_MAX_IN];
    int n_in = gn_op_inputs(k->step->op, in), n_out = gn_op_outputs(k->step->op, out);
    char text[96];
    for (int i = 0; i < GN_MAX_IN; i++) {
        bool given = k->step->in[i] >= 0;
        if (k->step->in[i] >= k->plan->tensor_count || (i >= n_in && given))
            complain(k, "an input is no operand of this operation");
        else if (i < n_in && !in[i].optional && !given) {
            snprintf(text, sizeof text, "input %.23s is missing", in[i].name);
            complain(k, text);
        }
    }
    for (int i = 0; i < GN_MAX_OUT; i++) {
        bool given = k->step->out[i] >= 0;
        if (k->step->out[i] >= k->plan->tensor_count || (i >= n_out && given))
            complain(k, "an output is no operand of this operation");
        else if (i < n_out && !out[i].optional && !given) {
            snprintf(text, sizeof text, "output %.23s is missing", out[i].name);
            complain(k, text);
        }
    }
}

genet_status gn_step_check(const gn_plan *p, const gn_step *s, genet_error *err)
{
    checker k = {p, s, err, GENET_OK};
    check_presence(&k);
    if (k.status != GENET_OK)
        return k.status;
    switch (s->op) {
    case GN_OP_CONV: case GN_OP_CONV_DX: case GN_OP_CONV_DW:
    case GN_OP_DWCONV: case GN_OP_DWCONV_DX: case GN_OP_DWCONV_DW:
        check_convolutions(&k);
        break;
    case GN_OP_QUANTIZE:
        check_quantize(&k);
        break;
    case GN_OP_CONV_INT8:
        check_convolution_int8(&k);
        break;
    case GN_OP_BN_STATS: case GN_OP_GATHER_STATS: case GN_OP_BN_RUNNING: case GN_OP_BN_ACT: case GN_OP_BN_SUMS:
    case GN_OP_BN_DX:
        check_batch_norm(&k);
        break;
    case GN_OP_BN_POOL: case GN_OP_BN_POOL_SUMS: case GN_OP_BN_POOL_DX: case GN_OP_LOCAL_POOL: case GN_OP_LOCAL_POOL_DX:
    case GN_OP_GLOBAL_POOL: case GN_OP_GLOBAL_POOL_DX:
        check_pooling(&k);
        break;
    case GN_OP_GATHER: case GN_OP_GATHER_AFFINE: case GN_OP_TAIL_GATE: case GN_OP_TAIL_BN:
        check_gate(&k);
        break;
    case GN_OP_TAIL: case GN_OP_TAIL_SUMS: case GN_OP_TAIL_DX:
        check_tail(&k);
        break;
    case GN_OP_EXCITE: case GN_OP_EXCITE_DX:
        check_excite(&k);
        break;
    case GN_OP_DENSE: case GN_OP_DENSE_DX: case GN_OP_DENSE_DW:
        check_dense(&k);
        break;
    default:
        check_rest(&k);
    }
    return k.status;
}
