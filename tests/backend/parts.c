/* SPDX-License-Identifier: Apache-2.0
 * Parts of scenarios (parts.h). */
#include "backend/parts.h"

#include <math.h>

part_bn part_bn_make(rig *r, int64_t c, double eps)
{
    part_bn bn = {.eps = eps};
    int *vectors[] = {&bn.gamma, &bn.beta, &bn.running_mean, &bn.running_var, &bn.dgamma, &bn.dbeta};
    for (int i = 0; i < 6; i++)
        *vectors[i] = rig_vector(r, 1, c, 1, 1);
    bn.stats = rig_vector(r, 2, 4, c, 1);
    bn.sums = rig_vector(r, 2, 2, c, 1);
    rig_fill(r, bn.gamma, 1, 0.5);
    rig_fill(r, bn.beta, 0, 0.5);
    rig_fill(r, bn.running_mean, 0, 1);
    rig_fill(r, bn.running_var, 1, 0.5);
    return bn;
}

void part_bn_stats(rig *r, const part_bn *bn, int y)
{
    gn_attr attr = {.eps = bn->eps, .keep = 0.75};
    rig_step(r, GN_OP_BN_STATS, &attr, LIST(y, bn->gamma, bn->beta), LIST(bn->stats, bn->running_mean, bn->running_var));
}

int part_bn_act(rig *r, const part_bn *bn, int y, bool relu)
{
    gn_attr attr = {.eps = bn->eps, .relu = relu};
    int o = rig_map_like(r, y);
    rig_step(r, GN_OP_BN_ACT, &attr, LIST(y, bn->stats), LIST(o));
    if (relu)
        rig_watch(r, o);
    return o;
}

int part_bn_back(rig *r, const part_bn *bn, int d, int y, bool relu)
{
    gn_attr attr = {.eps = bn->eps, .relu = relu};
    int dy = r->in_place ? d : rig_map_like(r, d);
    rig_back(r, GN_OP_BN_SUMS, &attr, LIST(d, y, bn->stats), LIST(bn->sums, bn->dgamma, bn->dbeta));
    rig_back(r, GN_OP_BN_DX, &attr, LIST(d, y, bn->stats, bn->sums), LIST(dy));
    rig_pair(r, bn->gamma, bn->dgamma);
    rig_pair(r, bn->beta, bn->dbeta);
    return dy;
}

part_conv part_conv_make(rig *r, int x, int64_t k, const part_window *window, bool depthwise)
{
    const gn_tensor t = *rig_tensor(r, x);
    part_conv conv = {.x = x, .depthwise = depthwise, .attr.stride = window->stride};
    int64_t side[2];
    for (int i = 0; i < 4; i++)
        conv.attr.pad[i] = window->pad[i];
    for (int i = 0; i < 2; i++)
        side[i] = (t.dim[1 + i] + window->pad[i] + window->pad[i + 2] - (i ? window->s : window->r)) / window->stride + 1;
    conv.w = rig_weight(r, depthwise ? t.dim[3] : k, depthwise ? 1 : t.dim[3], window->r, window->s);
    conv.y = rig_map(r, t.dim[0], side[0], side[1], depthwise ? t.dim[3] : k);
    rig_fill(r, conv.w, 0, depthwise ? 0.6 : 2 / sqrt((double)(t.dim[3] * window->r * window->s)));
    rig_step(r, depthwise ? GN_OP_DWCONV : GN_OP_CONV, &conv.attr, LIST(x, conv.w), LIST(conv.y));
    return conv;
}

int part_conv_back(rig *r, const part_conv *conv, int dy)
{
    int dx = rig_map_like(r, conv->x), dw = rig_map_like(r, conv->w);
    rig_back(r, conv->depthwise ? GN_OP_DWCONV_DW : GN_OP_CONV_DW, &conv->attr, LIST(conv->x, dy), LIST(dw));
    rig_back(r, conv->depthwise ? GN_OP_DWCONV_DX : GN_OP_CONV_DX, &conv->attr, LIST(dy, conv->w), LIST(dx));
    rig_pair(r, conv->w, dw);
    return dx;
}

part_dense part_dense_make(rig *r, int x, int64_t k, bool bias, bool relu)
{
    const gn_tensor t = *rig_tensor(r, x);
    gn_attr attr = {.relu = relu};
    int64_t c = t.rank == 4 ? t.dim[3] : t.dim[1];
    part_dense d = {.x = x, .bias = -1, .relu = relu};
    d.w = rig_weight(r, k, c, 1, 1);
    d.y = t.rank == 4 ? rig_map(r, t.dim[0], t.dim[1], t.dim[2], k) : rig_vector(r, 2, t.dim[0], k, 1);
    rig_fill(r, d.w, 0, 2 / sqrt((double)c));
    if (bias) {
        d.bias = rig_vector(r, 1, k, 1, 1);
        rig_fill(r, d.bias, 0.1, 0.3);
    }
    rig_step(r, GN_OP_DENSE, &attr, LIST(x, d.w, d.bias), LIST(d.y));
    if (relu)
        rig_watch(r, d.y);
    return d;
}

int part_dense_back(rig *r, const part_dense *d, int dy)
{
    gn_attr attr = {.relu = d->relu};
    int dx = rig_map_like(r, d->x), dw = rig_map_like(r, d->w), y = d->relu ? d->y : -1;
    int dbias = d->bias < 0 ? -1 : rig_map_like(r, d->bias);
    rig_back(r, GN_OP_DENSE_DW, &attr, LIST(d->x, dy, y), LIST(dw, dbias));
    rig_back(r, GN_OP_DENSE_DX, &attr, LIST(dy, d->w, y), LIST(dx));
    rig_pair(r, d->w, dw);
    if (dbias >= 0)
        rig_pair(r, d->bias, dbias);
    return dx;
}

int part_loss(rig *r, int o)
{
    int d = rig_map_like(r, o);
    rig_loss(r, o, d);
    return d;
}
