/* SPDX-License-Identifier: Apache-2.0
 * Logits of a checkpoint by a backend, mostly the reference, for the tests of formats/. */
#ifndef TESTS_FORMATS_RUN_REF_H
#define TESTS_FORMATS_RUN_REF_H
#include "backend/backend.h"
#include "exec/exec.h"
#include "formats/formats_common.h"

/* input: float (n,S,S,3) of `type` (GN_F32 or GN_F64), or, with pixels set, u8 (n,S,S,3). logits: n*classes of `type`. */
static inline void run_on(const gn_backend *b, const gn_checkpoint *c, gn_dtype type, const void *input, bool pixels, int n,
                          void *logits)
{
    genet_error e;
    gn_plan *plan;
    gn_exec *exec;
    void *device;
    gn_weights w;
    gn_backend_options one = {.threads = 2};
    gn_plan_options o = {.batch = n, .map_type = type, .float_input = !pixels};
    float *mix = calloc((size_t)n * 6, sizeof *mix);
    assert_non_null(mix);
    memcpy(o.mean, c->preprocess.mean, sizeof o.mean);
    memcpy(o.std, c->preprocess.std, sizeof o.std);
    MUST(gn_weights_create(&w, &c->model->weights, type, &e));
    gn_weights_copy(&w, &c->weights);
    MUST(gn_model_plan(c->model, &o, &plan, &e));
    MUST(b->open(&device, &one, &e));
    MUST(gn_exec_create(&exec, b, device, plan, &w, NULL, &e));
    for (int i = 0; i < n; i++) {
        mix[6 * i] = (float)i;
        mix[6 * i + 1] = 1;
    }
    if (pixels)
        gn_exec_bind(exec, plan->mix, mix);
    gn_exec_bind(exec, pixels ? plan->pixels : plan->x, (void *)input);
    MUST(gn_exec_run(exec, GN_FORWARD, &e));
    memcpy(logits, gn_exec_data(exec, plan->logits), (size_t)n * (size_t)c->model->spec.classes * gn_dtype_size(type));
    gn_exec_free(exec);
    b->close(device);
    gn_plan_free(plan);
    gn_weights_free(&w);
    free(mix);
}

static inline void run_ref(const gn_checkpoint *c, gn_dtype type, const void *input, bool pixels, int n, void *logits)
{
    run_on(&gn_backend_ref, c, type, input, pixels, n, logits);
}

static inline double rms(const float *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)v[i] * v[i];
    return sqrt(sum / (double)n);
}

static inline double largest_difference(const float *a, const float *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        most = d > most || isnan(d) ? d : most;
    }
    return most;
}
#endif
