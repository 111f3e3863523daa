/* SPDX-License-Identifier: Apache-2.0
 * Holding an exported graph against its int8 network, one map of 8-bit numbers after the other (export_check.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "exec/exec.h"
#include "infer/export_check.h"

/* The network's run, which kept all its maps, and how far the graph has come beside it. */
typedef struct held {
    const gn_folded *f;
    const gn_plan *plan;
    const gn_exec *exec;
    int next; /* step of the plan from which on the next map of 8-bit numbers is looked for */
    double error; /* of the float maps so far: that of the biases of the convolutions that end in one */
    int64_t numbers, apart;
    gn_int8_agreement *found;
} held;

/* Mean error of a convolution's output for its biases being whole multiples of the scale: evenly spread over half of it. */
static double bias_error(const held *h, const gn_step *s)
{
    int index = gn_weight_find(&h->f->table, h->plan->tensors[s->in[2]].name);
    const float *scale = gn_weights_at(&h->f->weights, index);
    int64_t count = h->f->table.items[index].count;
    double sum = 0;
    for (int64_t k = 0; k < count; k++)
        sum += scale[k];
    return sum / (double)count / 4;
}

/* The next step that makes 8-bit numbers; NULL behind the last. *error: the mean one expected before rounding. */
static const gn_step *next_step(held *h, double *error)
{
    while (h->next < h->plan->step_count) {
        const gn_step *s = &h->plan->steps[h->next++];
        bool whole = h->plan->tensors[s->out[0]].dtype == GN_U8;
        *error = s->op == GN_OP_CONV_INT8 ? bias_error(h, s) : h->error;
        if (whole && (s->op == GN_OP_CONV_INT8 || s->op == GN_OP_QUANTIZE))
            return s;
        if (s->op == GN_OP_CONV_INT8)
            h->error = hypot(h->error, *error); /* the blocks' outputs are added up, their errors have no common sign */
    }
    return NULL;
}

/* Puts the network's numbers (N,H,W,C) over the graph's (N,C,H,W); *apart counts those that were another, the largest
 * distance is returned. */
static int replace(unsigned char *theirs, const unsigned char *ours, const int64_t nhwc[4], int64_t *apart)
{
    int64_t area = nhwc[1] * nhwc[2], channels = nhwc[3];
    int most = 0;
    for (int64_t i = 0; i < nhwc[0] * area; i++)
        for (int64_t c = 0; c < channels; c++) {
            unsigned char *to = &theirs[(i / area * channels + c) * area + i % area];
            int distance = abs(*to - ours[i * channels + c]);
            *apart += distance != 0;
            most = distance > most ? distance : most;
            *to = ours[i * channels + c];
        }
    return most;
}

static genet_status watch(void *context, int rank, const int64_t *dim, unsigned char *numbers, genet_error *err)
{
    held *h = context;
    double error;
    const gn_step *s = next_step(h, &error);
    const gn_tensor *t = s ? &h->plan->tensors[s->out[0]] : NULL;
    int64_t apart = 0;
    if (!t || rank != 4 || dim[0] != t->dim[0] || dim[1] != t->dim[3] || dim[2] != t->dim[1] || dim[3] != t->dim[2])
        return gn_fail(err, GENET_INTERNAL,
                       "the written graph has other maps of 8-bit numbers than the network (%s): nothing was kept",
                       s ? s->label : "one more than its last");
    int most = replace(numbers, gn_exec_data(h->exec, s->out[0]), t->dim, &apart);
    double count = (double)t->count, share = (double)apart / count;
    double allowed = fmin(GN_INT8_FACTOR * error / (double)s->attr.scale + GN_INT8_REST, GN_INT8_MOST) + GN_INT8_FEW / count;
    h->found->maps++;
    h->numbers += t->count;
    h->apart += apart;
    h->found->largest_share = fmax(h->found->largest_share, share);
    h->found->largest_part = fmax(h->found->largest_part, share / allowed);
    if (most > 1 || share > allowed)
        return gn_fail(
            err, GENET_INTERNAL,
            "the written graph's 8-bit numbers of %s are up to %d steps from the network's, %.3g%% of them are others (one "
            "step and %.3g%% are allowed): nothing was kept",
            s->label, most, 100 * share, 100 * allowed);
    return GENET_OK;
}

static double largest_difference(const float *a, const float *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= most))
            most = d;
    }
    return most;
}

/* The graph beside the network, whose logits are `ours`: held to its numbers, then left alone. */
static genet_status run_graph(held *h, const float *ours, int count, gn_onnx *graph, const void *input, genet_error *err)
{
    int64_t n = h->plan->tensors[h->plan->logits].count;
    float *theirs = gn_calloc((size_t)n, sizeof *theirs);
    double square = 0, error;
    genet_status status = GENET_OK;
    if (!theirs)
        return gn_fail_memory(err, (size_t)n * sizeof *theirs, "the logits of a check");
    gn_onnx_watch(graph, watch, h);
    GN_TRY(gn_onnx_run(graph, input, count, theirs, err));
    h->found->held_difference = largest_difference(ours, theirs, n);
    h->found->share = h->numbers ? (double)h->apart / (double)h->numbers : 0;
    const gn_step *left = next_step(h, &error);
    if (left) {
        status = gn_fail(err, GENET_INTERNAL, "the written graph does not round %s to 8 bits: nothing was kept", left->label);
        goto out;
    }
    for (int64_t i = 0; i < n; i++)
        square += (double)ours[i] * ours[i];
    h->found->rms = sqrt(square / (double)n);
    if (!(h->found->held_difference <= GN_INT8_ALLOWED * h->found->rms)) {
        status =
            gn_fail(err, GENET_INTERNAL,
                    "from the same 8-bit numbers the written graph's logits differ from the network's by up to %.3g (their rms is "
                    "%.3g): nothing was kept",
                    h->found->held_difference, h->found->rms);
        goto out;
    }
    gn_onnx_watch(graph, NULL, NULL);
    GN_TRY(gn_onnx_run(graph, input, count, theirs, err));
    h->found->free_difference = largest_difference(ours, theirs, n);
out:
    gn_onnx_watch(graph, NULL, NULL);
    gn_free(theirs);
    return status;
}

genet_status gn_int8_agree(gn_int8_agreement *a, const gn_device *d, const gn_folded *f, const float mean[3], const float std[3],
                           const unsigned char *pixels, int count, gn_onnx *graph, const void *input, genet_error *err)
{
    gn_plan_options options = {.batch = count, .map_type = GN_F32, .keep_all = true};
    gn_plan *plan = NULL;
    gn_exec *exec = NULL;
    float *mix = gn_calloc((size_t)count * 6, sizeof *mix);
    genet_status status = GENET_OK;
    *a = (gn_int8_agreement){0};
    if (!mix)
        return gn_fail_memory(err, (size_t)count * 6 * sizeof *mix, "the pictures of a check");
    for (int i = 0; i < count; i++) {
        mix[6 * i] = (float)i;
        mix[6 * i + 1] = 1;
    }
    memcpy(options.mean, mean, sizeof options.mean);
    memcpy(options.std, std, sizeof options.std);
    GN_TRY(gn_folded_plan(f, &options, &plan, err));
    GN_TRY(gn_exec_create(&exec, d->backend, d->handle, plan, (gn_weights *)&f->weights, NULL, err));
    gn_exec_bind(exec, plan->mix, mix);
    gn_exec_bind(exec, plan->pixels, (void *)pixels);
    GN_TRY(gn_exec_run(exec, GN_FORWARD, err));
    held h = {.f = f, .plan = plan, .exec = exec, .found = a};
    status = run_graph(&h, gn_exec_data(exec, plan->logits), count, graph, input, err);
out:
    gn_exec_free(exec);
    gn_plan_free(plan);
    gn_free(mix);
    return status;
}
