/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/prepare.h"

static void must(genet_status status, const genet_error *err)
{
    if (status != GENET_OK)
        fail_msg("%s", err->text);
}

void net_plan(net *n, gn_dtype type, int batch, int training, int published_smoothing)
{
    genet_error err;
    gn_exec_free(n->exec);
    gn_plan_free(n->plan);
    gn_free(n->x);
    gn_free(n->labels);
    gn_free(n->lambda);
    gn_plan_options o = {.batch = batch, .map_type = type, .training = training, .float_input = true, .grad_scale = 1,
                         .exact_loss_gradient = !published_smoothing};
    gn_smoothing(0.1, n->model->spec.classes, published_smoothing, &o.on, &o.off);
    must(gn_model_plan(n->model, &o, &n->plan, &err), &err);
    must(gn_exec_create(&n->exec, n->backend, n->device, n->plan, &n->weights, n->grads, &err), &err);
    size_t images = (size_t)batch * 3 * (size_t)n->model->spec.size * (size_t)n->model->spec.size;
    n->x = gn_calloc(images, 8);
    n->labels = gn_calloc((size_t)batch * 2, sizeof *n->labels);
    n->lambda = gn_calloc((size_t)batch, sizeof *n->lambda);
    gn_exec_bind(n->exec, n->plan->x, n->x);
    gn_exec_bind(n->exec, n->plan->labels, n->labels);
    gn_exec_bind(n->exec, n->plan->lambda, n->lambda);
}

void net_open(net *n, const char *backend, const gn_model_spec *spec, gn_dtype type, int batch, int training,
              int published_smoothing)
{
    genet_error err;
    memset(n, 0, sizeof *n);
    must(gn_model_create(&n->model, spec, &err), &err);
    gn_dtype vector = type == GN_F64 ? GN_F64 : GN_F32;
    must(gn_weights_create(&n->weights, &n->model->weights, vector, &err), &err);
    n->grads = gn_slab_alloc((size_t)n->model->weights.param_count * 8);
    n->backend = gn_backend_find(backend, &err);
    if (!n->backend)
        fail_msg("%s", err.text);
    gn_backend_options options = {.threads = 2};
    must(n->backend->open(&n->device, &options, &err), &err);
    net_plan(n, type, batch, training, published_smoothing);
}

void net_close(net *n)
{
    gn_exec_free(n->exec);
    gn_plan_free(n->plan);
    n->backend->close(n->device);
    gn_slab_free(n->grads, (size_t)n->model->weights.param_count * 8);
    gn_weights_free(&n->weights);
    gn_model_free(n->model);
    gn_free(n->x);
    gn_free(n->labels);
    gn_free(n->lambda);
}

void net_run(net *n, int phases)
{
    genet_error err;
    gn_exec_weights_changed(n->exec);
    must(gn_exec_run(n->exec, phases, &err), &err);
}

double net_value(const net *n, int tensor, int64_t i)
{
    const void *data = gn_exec_data(n->exec, tensor);
    return n->plan->tensors[tensor].dtype == GN_F64 ? ((const double *)data)[i] : ((const float *)data)[i];
}

double net_grad(const net *n, int weight, int64_t i)
{
    int64_t at = n->model->weights.items[weight].offset + i;
    return n->weights.dtype == GN_F64 ? ((const double *)n->grads)[at] : ((const float *)n->grads)[at];
}

double net_mean_loss(const net *n)
{
    double sum = 0;
    for (int i = 0; i < n->plan->batch; i++)
        sum += net_value(n, n->plan->losses, i);
    return sum / n->plan->batch;
}
