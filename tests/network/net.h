/* SPDX-License-Identifier: Apache-2.0
 * A small network ready to run on a backend: model, weights, gradients, plan, executor. */
#ifndef TEST_NET_H
#define TEST_NET_H
#include "exec/exec.h"

typedef struct net {
    gn_model *model;
    gn_weights weights;
    void *grads;
    gn_plan *plan;
    gn_exec *exec;
    const gn_backend *backend;
    void *device;
    void *x;
    int32_t *labels;
    float *lambda;
} net;

/* Fails the running test with the error's text when something cannot be built. x holds `batch` images. */
void net_open(net *n, const char *backend, const gn_model_spec *spec, gn_dtype type, int batch, int training,
              int published_smoothing);
void net_close(net *n);
/* Plans another batch or mode over the same weights. */
void net_plan(net *n, gn_dtype type, int batch, int training, int published_smoothing);
void net_run(net *n, int phases);
/* Element i of a tensor or of a weight's gradient, as double. */
double net_value(const net *n, int tensor, int64_t i);
double net_grad(const net *n, int weight, int64_t i);
double net_mean_loss(const net *n);
#endif
