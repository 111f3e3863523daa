/* SPDX-License-Identifier: Apache-2.0
 * An int8 network out of a checkpoint, for the tests of formats/: input scales are the largest values of random pictures
 * over 255; and logits of folded networks by the reference. */
#ifndef TESTS_FORMATS_INT8_NET_H
#define TESTS_FORMATS_INT8_NET_H
#include "formats/run_ref.h"
#include "model/folded.h"
#include "model/quantize.h"

/* Number of the map that the convolution of this step reads for the first time, -1 for another step. */
static inline int map_read_by(const gn_model_spec *spec, const gn_step *s)
{
    char name[64];
    for (int i = 0; s->op == GN_OP_CONV && i < gn_quantized_maps(spec); i++)
        if (!strcmp(gn_quantized_map_name(name, spec, i), s->label))
            return i;
    return -1;
}

/* Runs a folded network on float pictures (n,S,S,3) of `type`; logits of `type`. largest (NULL: not wanted) gets the largest
 * value of every map that an int8 network quantises. */
static inline void run_folded(const gn_folded *f, gn_dtype type, const void *input, int n, void *logits, float *largest)
{
    genet_error e;
    gn_plan *plan;
    gn_exec *exec;
    void *device;
    gn_folded typed = *f;
    gn_backend_options two = {.threads = 2};
    const gn_plan_options o = {.batch = n, .map_type = type, .float_input = true};
    MUST(gn_weights_create(&typed.weights, &f->table, type, &e));
    gn_weights_copy(&typed.weights, &f->weights);
    MUST(gn_folded_plan(f, &o, &plan, &e));
    MUST(gn_backend_ref.open(&device, &two, &e));
    MUST(gn_exec_create(&exec, &gn_backend_ref, device, plan, &typed.weights, NULL, &e));
    gn_exec_bind(exec, plan->x, (void *)input);
    for (int i = 0; i < plan->step_count; i++) {
        int map = largest ? map_read_by(&f->spec, &plan->steps[i]) : -1;
        const float *x = map < 0 ? NULL : gn_exec_data(exec, plan->steps[i].in[0]);
        for (int64_t k = 0; x && k < plan->tensors[plan->steps[i].in[0]].count; k++)
            largest[map] = fmaxf(largest[map], x[k]);
        MUST(gn_exec_run_step(exec, i, &e));
    }
    memcpy(logits, gn_exec_data(exec, plan->logits), (size_t)n * (size_t)f->spec.classes * gn_dtype_size(type));
    gn_exec_free(exec);
    gn_backend_ref.close(device);
    gn_plan_free(plan);
    gn_weights_free(&typed.weights);
}

/* The int8 network of c, calibrated on n float pictures. float_logits (NULL: not wanted): the float network's. */
static inline gn_folded *make_int8(const gn_checkpoint *c, const float *input, int n, float *float_logits)
{
    genet_error e;
    gn_folded *f, *q;
    MUST(gn_fold(&f, c->model, &c->weights, &e));
    int maps = gn_quantized_maps(&c->model->spec);
    float *scales = calloc((size_t)maps, sizeof *scales), *logits = calloc((size_t)(n * c->class_count), sizeof *logits);
    assert_true(scales && logits);
    run_folded(f, GN_F32, input, n, logits, scales);
    for (int i = 0; i < maps; i++)
        scales[i] /= 255;
    MUST(gn_quantize(&q, f, scales, NULL, NULL, &e));
    if (float_logits)
        memcpy(float_logits, logits, (size_t)(n * c->class_count) * sizeof *logits);
    free(scales);
    free(logits);
    gn_folded_free(f);
    return q;
}
#endif
