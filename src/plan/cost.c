/* SPDX-License-Identifier: Apache-2.0
 * What a step costs at least: multiply-accumulates and bytes moved. */
#include "plan/operands.h"

static const gn_tensor *operand(const gn_plan *p, int id)
{
    return id < 0 ? NULL : &p->tensors[id];
}

int64_t gn_step_macs(const gn_plan *p, const gn_step *s)
{
    const gn_tensor *a = operand(p, s->in[0]), *b = operand(p, s->in[1]), *o = operand(p, s->out[0]);
    switch (s->op) {
    case GN_OP_CONV: case GN_OP_CONV_INT8: /* every output element sums over C*R*S */
        return o->count * b->dim[1] * b->dim[2] * b->dim[3];
    case GN_OP_CONV_DX: /* in: dy w */
        return a->count * b->dim[1] * b->dim[2] * b->dim[3];
    case GN_OP_CONV_DW: /* in: x dy; out: dw */
        return b->count * o->dim[1] * o->dim[2] * o->dim[3];
    case GN_OP_DWCONV:
        return o->count * b->dim[2] * b->dim[3];
    case GN_OP_DWCONV_DX:
        return a->count * b->dim[2] * b->dim[3];
    case GN_OP_DWCONV_DW:
        return b->count * o->dim[2] * o->dim[3];
    case GN_OP_DENSE: /* x (rows,C), w (K,C) */
        return a->count * b->dim[0];
    case GN_OP_DENSE_DX: /* dy (rows,K), w (K,C) */
        return a->count * b->dim[1];
    case GN_OP_DENSE_DW: /* x (rows,C), dy (rows,K) */
        return a->count * b->dim[b->rank - 1];
    case GN_OP_GATHER_STATS:
        return s->in[3] >= 0 ? a->count : 0;
    case GN_OP_GATHER:
        return s->in[1] >= 0 ? a->count : 0;
    default:
        return 0;
    }
}

int64_t gn_plan_macs(const gn_plan *p)
{
    int64_t sum = 0;
    for (int i = 0; i < p->step_count; i++)
        if (p->steps[i].phase == GN_FORWARD)
            sum += gn_step_macs(p, &p->steps[i]);
    return sum;
}

int64_t gn_step_bytes(const gn_plan *p, const gn_step *s)
{
    int64_t sum = 0;
    for (int i = 0; i < GN_MAX_IN; i++)
        if (s->in[i] >= 0)
            sum += (int64_t)p->tensors[s->in[i]].bytes;
    for (int i = 0; i < GN_MAX_OUT; i++)
        if (s->out[i] >= 0)
            sum += (int64_t)p->tensors[s->out[i]].bytes;
    if (s->op == GN_OP_CONV_INT8) /* its weights are read as bytes */
        sum -= (int64_t)p->tensors[s->in[1]].bytes - p->tensors[s->in[1]].count;
    return sum;
}
