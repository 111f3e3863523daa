/* SPDX-License-Identifier: Apache-2.0
 * Every step of real training plans at 224 x 224 and full width, cpu against ref from the same values: with two blocks a stage
 * the plan has every shape of ResNet-50. f32 and bf16, both forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "backend_cpu/compare.h"
#include "golden_formula.h"

enum { BATCH = 2 };

typedef struct bench {
    const gn_backend *backend;
    void *device, *prepared, **data;
} bench;

static void must(genet_status status, const genet_error *err)
{
    if (status != GENET_OK)
        fail_msg("%s", err->text);
}

static void bench_open(bench *b, const gn_backend *backend, const gn_plan *p)
{
    genet_error err;
    gn_backend_options options = {.threads = backend == &gn_backend_ref ? 1 : 2};
    b->backend = backend;
    must(backend->open(&b->device, &options, &err), &err);
    must(backend->prepare(b->device, p, &b->prepared, &err), &err);
    b->data = calloc((size_t)p->tensor_count, sizeof *b->data);
    for (int i = 0; i < p->tensor_count; i++)
        b->data[i] = aligned_alloc(64, (p->tensors[i].bytes + 63) / 64 * 64);
}

static void bench_close(bench *b, const gn_plan *p)
{
    for (int i = 0; i < p->tensor_count; i++)
        free(b->data[i]);
    free(b->data);
    b->backend->release(b->prepared);
    b->backend->close(b->device);
}

/* Weights by formula, pictures and labels. */
static void fill(bench *b, const gn_plan *p, const gn_model *m)
{
    for (int i = 0; i < p->tensor_count; i++) {
        const gn_tensor *t = &p->tensors[i];
        int w = t->role == GN_PARAM || t->role == GN_STATE ? gn_weight_find(&m->weights, t->name) : -1;
        for (int64_t e = 0; w >= 0 && e < t->count; e++)
            ((float *)b->data[i])[e] = golden_value(&m->weights.items[w], t->name, e, 1);
    }
    for (int64_t e = 0; e < p->tensors[p->pixels].count; e++)
        ((unsigned char *)b->data[p->pixels])[e] = (unsigned char)golden_hash("pixel", (uint64_t)e);
    float *mix = b->data[p->mix], *lambda = b->data[p->lambda];
    memset(mix, 0, p->tensors[p->mix].bytes);
    for (int n = 0; n < BATCH; n++)
        mix[6 * n + 1] = 1;
    golden_labels(b->data[p->labels], lambda, "label", BATCH, 0, m->spec.classes);
}

static double value(const gn_tensor *t, const void *data, int64_t i)
{
    if (t->dtype == GN_BF16) {
        uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        float v;
        memcpy(&v, &bits, sizeof v);
        return v;
    }
    return t->dtype == GN_U8 ? ((const unsigned char *)data)[i] : ((const float *)data)[i];
}

static double largest_of(const gn_tensor *t, const void *data)
{
    double largest = 0;
    for (int64_t e = 0; e < t->count; e++)
        largest = fmax(largest, fabs(value(t, data, e)));
    return largest;
}

static void compare_output(const gn_plan *p, const gn_step *s, const gn_tensor *t, const void *found, const void *right,
                           double gradient)
{
    double largest = fmax(gradient, largest_of(t, right));
    double allowed = t->dtype == GN_U8 ? 0 : allowed_miss(p, s, t, largest);
    for (int64_t e = 0; e < t->count; e++)
        if (!(fabs(value(t, found, e) - value(t, right, e)) <= allowed))
            fail_msg("%s of %s, %s element %lld of (%lld,%lld,%lld,%lld): %.9g, ref says %.9g, allowed %.2g of %.3g",
                     gn_op_name(s->op), s->label, t->name, (long long)e, (long long)t->dim[0], (long long)t->dim[1],
                     (long long)t->dim[2], (long long)t->dim[3], value(t, found, e), value(t, right, e), allowed, largest);
}

static void compare_plan(gn_form form, gn_variant variant, gn_dtype type)
{
    genet_error err;
    gn_model_spec spec = {.variant = variant, .form = form, .depth = 26, .width = 64, .size = 224, .classes = 1000};
    gn_plan_options o = {.batch = BATCH, .map_type = type, .training = true, .keep_all = true, .grad_scale = 1,
                         .mean = {124, 116, 104}, .std = {58, 57, 57}, .on = 0.9, .off = 0.0001};
    gn_model *m;
    gn_plan *p;
    bench ref, cpu;
    must(gn_model_create(&m, &spec, &err), &err);
    must(gn_model_plan(m, &o, &p, &err), &err);
    bench_open(&ref, &gn_backend_ref, p);
    bench_open(&cpu, &gn_backend_cpu, p);
    fill(&cpu, p, m);
    for (int i = 0; i < p->step_count; i++) {
        const gn_step *s = &p->steps[i];
        for (int k = 0; k < GN_MAX_IN; k++)
            if (s->in[k] >= 0)
                memcpy(ref.data[s->in[k]], cpu.data[s->in[k]], p->tensors[s->in[k]].bytes);
        for (int k = 0; k < GN_MAX_OUT; k++)
            if (s->out[k] >= 0 && read_first(s, k))
                memcpy(ref.data[s->out[k]], cpu.data[s->out[k]], p->tensors[s->out[k]].bytes);
            else if (s->out[k] >= 0)
                memset(cpu.data[s->out[k]], 0xff, p->tensors[s->out[k]].bytes);
        double gradient = incoming(s) < 0 ? 0 : largest_of(&p->tensors[incoming(s)], cpu.data[incoming(s)]);
        must(ref.backend->run(ref.prepared, i, ref.data, &err), &err);
        must(cpu.backend->run(cpu.prepared, i, cpu.data, &err), &err);
        for (int k = 0; k < GN_MAX_OUT; k++)
            if (s->out[k] >= 0)
                compare_output(p, s, &p->tensors[s->out[k]], cpu.data[s->out[k]], ref.data[s->out[k]],
                               gradient);
    }
    bench_close(&ref, p);
    bench_close(&cpu, p);
    gn_plan_free(p);
    gn_model_free(m);
}

static void paper_f32(void **state)
{
    (void)state;
    compare_plan(GN_FORM_PAPER, GN_THETA_PLUS, GN_F32);
}

static void paper_bf16(void **state)
{
    (void)state;
    compare_plan(GN_FORM_PAPER, GN_THETA_PLUS, GN_BF16);
}

static void mindspore_f32(void **state)
{
    (void)state;
    compare_plan(GN_FORM_MINDSPORE, GN_THETA, GN_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paper_f32), cmocka_unit_test(paper_bf16), cmocka_unit_test(mindspore_f32)};
    return cmocka_run_group_tests_name("real shapes on backend cpu", tests, NULL, NULL);
}
