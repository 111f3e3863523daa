/* SPDX-License-Identifier: Apache-2.0
 * What scenarios are put together from: batch norm, convolution, dense layer, each with its backward steps. */
#ifndef TESTS_BACKEND_PARTS_H
#define TESTS_BACKEND_PARTS_H
#include "backend/rig.h"

typedef struct part_bn {
    int gamma, beta, running_mean, running_var, stats, sums, dgamma, dbeta;
    double eps;
} part_bn;
/* Leaves and gradients of a batch norm over c channels. eps is large in tests, so that a wrong one is seen. */
part_bn part_bn_make(rig *r, int64_t c, double eps);
void part_bn_stats(rig *r, const part_bn *bn, int y);
int part_bn_act(rig *r, const part_bn *bn, int y, bool relu);
/* BN_SUMS and BN_DX; returns dy, which is d itself in place. */
int part_bn_back(rig *r, const part_bn *bn, int d, int y, bool relu);

typedef struct part_conv {
    int x, w, y;
    gn_attr attr;
    bool depthwise;
} part_conv;
typedef struct part_window {
    int r, s, stride, pad[4];
} part_window;
part_conv part_conv_make(rig *r, int x, int64_t k, const part_window *window, bool depthwise);
/* *_DW and *_DX; registers the weights; returns dx. */
int part_conv_back(rig *r, const part_conv *conv, int dy);

typedef struct part_dense {
    int x, w, bias, y;
    bool relu;
} part_dense;
part_dense part_dense_make(rig *r, int x, int64_t k, bool bias, bool relu);
/* DENSE_DW and DENSE_DX; registers weights and bias; returns dx. */
int part_dense_back(rig *r, const part_dense *dense, int dy);

/* o + coefficients of the loss; returns the tensor that gets them before the backward steps. */
int part_loss(rig *r, int o);
#endif
