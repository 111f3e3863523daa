/* SPDX-License-Identifier: Apache-2.0
 * The plan as text: one line a step, with every operand's name, type and shape. */
#include <string.h>

#include "plan/operands.h"

static const char *const op_name[] = {
#define OP(name, in, out, text) [GN_OP_##name] = #name,
#include "plan/ops.def"
#undef OP
};
static const char *const op_in[] = {
#define OP(name, in, out, text) [GN_OP_##name] = in,
#include "plan/ops.def"
#undef OP
};
static const char *const op_out[] = {
#define OP(name, in, out, text) [GN_OP_##name] = out,
#include "plan/ops.def"
#undef OP
};

const char *gn_op_name(gn_op op)
{
    return (unsigned)op < GN_OP_COUNT ? op_name[op] : "?";
}

static int take_apart(const char *text, gn_operand out[GN_MAX_IN])
{
    int n = 0;
    bool optional = false;
    while (*text && n < GN_MAX_IN) {
        while (*text == ' ' || *text == '[') {
            optional = optional || *text == '[';
            text++;
        }
        size_t length = strcspn(text, " []");
        if (length > 0 && length < sizeof out->name) {
            memcpy(out[n].name, text, length);
            out[n].name[length] = '\0';
            out[n++].optional = optional;
        }
        text += length;
        if (*text == ']') {
            optional = false;
            text++;
        }
    }
    return n;
}

int gn_op_inputs(gn_op op, gn_operand out[GN_MAX_IN])
{
    return take_apart(op_in[op], out);
}

int gn_op_outputs(gn_op op, gn_operand out[GN_MAX_IN])
{
    return take_apart(op_out[op], out);
}

static void dump_operands(const gn_plan *p, const int *ids, const gn_operand *names, int n, gn_text *out)
{
    for (int i = 0; i < n; i++) {
        if (ids[i] < 0)
            continue;
        const gn_tensor *t = &p->tensors[ids[i]];
        gn_text_add(out, " %s=%%%d:%s(", names[i].name, ids[i], gn_dtype_name(t->dtype));
        for (int d = 0; d < t->rank; d++)
            gn_text_add(out, "%s%lld", d ? "," : "", (long long)t->dim[d]);
        gn_text_add(out, ")");
    }
}

static void dump_attributes(const gn_step *s, gn_text *out)
{
    const gn_attr *a = &s->attr;
    if (a->kernel)
        gn_text_add(out, " kernel=%d", a->kernel);
    if (a->stride)
        gn_text_add(out, " stride=%d pad=%d,%d,%d,%d", a->stride, a->pad[0], a->pad[1], a->pad[2], a->pad[3]);
    if (a->relu)
        gn_text_add(out, " relu");
    if (a->eps > 0)
        gn_text_add(out, " eps=%g", a->eps);
    if (a->eps2 > 0)
        gn_text_add(out, " eps2=%g", a->eps2);
    if (a->keep > 0)
        gn_text_add(out, " keep=%g", a->keep);
    if (a->scale > 0)
        gn_text_add(out, " scale=%.9g", (double)a->scale);
    if (s->op == GN_OP_SOFTMAX_LOSS)
        gn_text_add(out, " on=%.9g off=%.9g scale=%g%s", a->on, a->off, a->grad_scale, a->exact ? " exact" : "");
}

void gn_plan_dump(const gn_plan *p, gn_text *out)
{
    gn_text_add(out, "plan: batch %d, maps %s, %d steps, %d tensors, activations %zu bytes, kept %zu bytes\n", p->batch,
                gn_dtype_name(p->map_type), p->step_count, p->tensor_count, p->act_bytes, p->kept_bytes);
    for (int i = 0; i < p->step_count; i++) {
        const gn_step *s = &p->steps[i];
        gn_operand in[GN_MAX_IN], outs[GN_MAX_IN];
        int n_in = gn_op_inputs(s->op, in), n_out = gn_op_outputs(s->op, outs);
        gn_text_add(out, "%4d %c %-14s %s", i, s->phase == GN_FORWARD ? 'F' : 'B', gn_op_name(s->op), s->label);
        dump_operands(p, s->in, in, n_in, out);
        gn_text_add(out, " ->");
        dump_operands(p, s->out, outs, n_out, out);
        dump_attributes(s, out);
        gn_text_add(out, "\n");
    }
}
