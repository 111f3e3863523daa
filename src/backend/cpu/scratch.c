/* SPDX-License-Identifier: Apache-2.0
 * What an operation needs beside its operands: phases and scratch memory (kernels.h). The same for every instruction set. */
#include "backend/cpu/kernels.h"

int gn_kernel_phases(gn_op op)
{
    switch (op) {
    case GN_OP_GATHER_STATS: case GN_OP_GATHER: case GN_OP_GLOBAL_POOL:
        return 3;
    case GN_OP_CONV_INT8: /* before the convolution, and behind it */
    case GN_OP_BN_STATS: case GN_OP_BN_SUMS: case GN_OP_BN_POOL_SUMS: case GN_OP_TAIL_SUMS: case GN_OP_DWCONV:
    case GN_OP_DWCONV_DX: case GN_OP_DWCONV_DW: case GN_OP_EXCITE_DX:
        return 2;
    default:
        return 1;
    }
}

static size_t row_length(int64_t c)
{
    return (size_t)((c + GN_ROW_UNIT - 1) / GN_ROW_UNIT * GN_ROW_UNIT);
}

static int64_t columns(const gn_tensor *t)
{
    return t->rank == 4 ? t->dim[3] : t->dim[1];
}

/* Rows for c channels and `behind` floats behind them in every thread's scratch. */
static gn_scratch rows(int64_t c, size_t behind, size_t shared)
{
    return (gn_scratch){shared, (GN_FLOAT_ROWS + 2 * GN_DOUBLE_ROWS) * row_length(c) + behind, 0};
}

/* Long sums of g, doubles (N,C), and the packed gather kernel (P,C). */
static gn_scratch gather_scratch(const gn_tensor *y, bool weighted)
{
    gn_scratch s = rows(columns(y), 0, 2 * (size_t)y->dim[0] * row_length(columns(y)));
    s.packed = weighted ? (size_t)(y->dim[1] * y->dim[2]) * row_length(columns(y)) : 0;
    return s;
}

/* Cells of a gate's row times channels. */
static size_t cell_floats(const gn_tensor *t)
{
    return (size_t)(t->rank == 4 ? t->dim[2] : 1) * row_length(columns(t));
}

static gn_scratch dense_scratch(const gn_tensor *out, int64_t depth)
{
    size_t k = (size_t)(out->dtype == GN_F32 ? GN_DENSE_KC : depth);
    return (gn_scratch){0, GN_DENSE_MR * 2 * GN_ROW_UNIT + k * (GN_DENSE_MR + GN_DENSE_NC), 0};
}

float *gn_kernel_sums(const gn_job *j)
{
    return j->shared + row_length(j->tin[0]->count);
}

gn_scratch gn_kernel_scratch(const gn_plan *plan, const gn_step *s)
{
    const gn_tensor *all = plan->tensors, *in = &all[s->in[0] < 0 ? 0 : s->in[0]], *out = &all[s->out[0]];
    switch (s->op) {
    case GN_OP_INPUT:
        return rows(3, 3 * 256 + row_length(in->dim[2] * 3), 0);
    case GN_OP_CONV_INT8: /* x and the sums in f32 */
        return rows(out->dim[3], 0, row_length(in->count) + row_length(out->count));
    case GN_OP_DWCONV: case GN_OP_DWCONV_DX: {
        const gn_tensor *w = &all[s->in[1]];
        return rows(w->dim[0], 0, (size_t)(w->dim[2] * w->dim[3]) * row_length(w->dim[0]));
    }
    case GN_OP_DWCONV_DW:
        return rows(out->dim[0], 2 * (size_t)(out->dim[2] * out->dim[3]) * row_length(out->dim[0]), 0);
    case GN_OP_GATHER_STATS:
        return gather_scratch(in, s->in[3] >= 0);
    case GN_OP_GATHER:
        return gather_scratch(in, s->in[1] >= 0);
    case GN_OP_GLOBAL_POOL:
        return gather_scratch(in, false);
    case GN_OP_TAIL_BN:
        return rows(all[s->in[4]].dim[1], 0, 0);
    case GN_OP_TAIL_DX:
        return rows(columns(&all[s->in[1]]), 2 * GN_TAIL_TILE * row_length(columns(&all[s->in[1]])), 0);
    case GN_OP_EXCITE:
        return rows(columns(in), cell_floats(&all[s->in[1]]), 0);
    case GN_OP_EXCITE_DX:
        return rows(columns(in), 4 * cell_floats(&all[s->in[4]]), 0);
    case GN_OP_DENSE: case GN_OP_DENSE_DX:
        return dense_scratch(out, columns(in));
    case GN_OP_DENSE_DW:
        return dense_scratch(out, 0);
    case GN_OP_BN_RUNNING:
        return rows(in->dim[0], 0, 0);
    case GN_OP_TAIL_GATE:
        return rows(in->dim[2], 0, 0);
    default:
        return rows(columns(in), 0, 0);
    }
}
