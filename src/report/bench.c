/* SPDX-License-Identifier: Apache-2.0
 * genet_bench: the training step and inference; the loader and the machine's limits are in files of their own. Best and
 * median are over single runs: the best is what the code can do, the median what one gets beside other programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "formats/json.h"
#include "genet/bench.h"
#include "formats/quantized.h"
#include "infer/session.h"
#include "infer/summary.h"
#include "report/bench.h"

#define CLASSES 1000
#define SECONDS 10.0
#define LEAST 3
#define MOST 1000

/* --- a network ----------------------------------------------------------------------------------------------------------- */

static genet_status make_inputs(gn_bench_net *n, genet_error *err)
{
    size_t side = (size_t)n->model->spec.size, bytes = (size_t)n->batch * side * side * 3;
    n->pixels = gn_calloc(bytes, 1);
    n->mix = gn_calloc((size_t)n->batch * 6, sizeof *n->mix);
    n->lambda = gn_calloc((size_t)n->batch, sizeof *n->lambda);
    n->labels = gn_calloc((size_t)n->batch * 2, sizeof *n->labels);
    if (!n->pixels || !n->mix || !n->lambda || !n->labels)
        return gn_fail_memory(err, bytes, "made pictures");
    for (size_t i = 0; i < bytes; i++)
        n->pixels[i] = (unsigned char)(gn_mix64(i) >> 56);
    for (int i = 0; i < n->batch; i++) {
        n->mix[6 * i] = (float)i;
        n->mix[6 * i + 1] = n->lambda[i] = 1;
        n->labels[2 * i] = n->labels[2 * i + 1] = (int)(gn_mix64((uint64_t)i) % CLASSES);
    }
    gn_exec_bind(n->exec, n->plan->pixels, n->pixels);
    gn_exec_bind(n->exec, n->plan->mix, n->mix);
    gn_exec_bind(n->exec, n->plan->labels, n->labels);
    gn_exec_bind(n->exec, n->plan->lambda, n->lambda);
    return GENET_OK;
}

static genet_status make_plan(gn_bench_net *n, const gn_settings *s, bool training, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_plan_options o = {.batch = n->batch, .map_type = n->map_type, .training = training, .grad_scale = 1,
                         .exact_loss_gradient = true, .low_memory = s->memory == 1, .mean = {123.675f, 116.28f, 103.53f},
                         .std = {58.395f, 57.12f, 57.375f}};
    gn_smoothing(0.1, CLASSES, false, &o.on, &o.off);
    if (!training) {
        if (!n->folded)
            GN_TRY(gn_fold(&n->folded, n->model, &n->weights, err));
        GN_TRY(gn_folded_plan(n->folded, &o, &n->plan, err));
        GN_TRY(gn_exec_create(&n->exec, n->device.backend, n->device.handle, n->plan, &n->folded->weights, NULL, err));
        goto out;
    }
    n->slab_bytes = (size_t)n->model->weights.param_count * sizeof(float);
    n->grads = gn_slab_alloc(n->slab_bytes);
    n->momentum = gn_slab_alloc(n->slab_bytes);
    if (!n->grads || !n->momentum) {
        status = gn_fail_memory(err, n->slab_bytes, "gradients");
        goto out;
    }
    GN_TRY(gn_model_plan(n->model, &o, &n->plan, err));
    GN_TRY(gn_exec_create(&n->exec, n->device.backend, n->device.handle, n->plan, &n->weights, n->grads, err));
out:
    return status;
}

/* The network of --model; its model and weights move into n. */
static genet_status load_model(gn_bench_net *n, const char *path, genet_error *err)
{
    gn_checkpoint c = {0};
    bool int8;
    genet_status status = gn_quantized_is(path, &int8, err);
    if (status == GENET_OK)
        status = int8 ? gn_quantized_load(&c, &n->folded, path, err) : gn_checkpoint_load(&c, path, err);
    if (c.momentum)
        gn_slab_free(c.momentum, (size_t)c.model->weights.param_count * sizeof(float));
    c.momentum = NULL;
    n->model = c.model;
    n->weights = c.weights;
    c.model = NULL;
    c.weights = (gn_weights){0};
    gn_checkpoint_free(&c);
    if (int8 && status == GENET_OK)
        snprintf(n->precision + strlen(n->precision), sizeof n->precision - strlen(n->precision),
                 "; the trunk's convolutions int8");
    return status;
}

/* The network that the settings describe, with initial weights. */
static genet_status make_model(gn_bench_net *n, const gn_model_spec *spec, genet_error *err)
{
    genet_status status = gn_model_create(&n->model, spec, err);
    if (status == GENET_OK)
        status = gn_weights_create(&n->weights, &n->model->weights, GN_F32, err);
    if (status == GENET_OK)
        gn_weights_init(&n->weights, GN_INIT_TORCH, false, 1);
    return status;
}

genet_status gn_bench_net_open(gn_bench_net *n, const gn_settings *s, int images, bool training, genet_error *err)
{
    static const int extents[] = {0, 2, 4, 8}; /* options.def */
    genet_status status = GENET_OK;
    gn_model_spec spec = {.variant = (gn_variant)s->variant, .form = (gn_form)s->form, .depth = (int)s->depth,
                          .width = gn_model_width(s->width), .size = (int)s->size, .extent = extents[s->extent],
                          .classes = CLASSES};
    memset(n, 0, sizeof *n);
    GN_TRY(gn_device_open_settings(&n->device, s, err));
    n->images = images;
    n->batch = training ? images : gn_session_piece(images, n->device.threads);
    n->pieces = (images + n->batch - 1) / n->batch;
    n->map_type = gn_device_precision(&n->device, s->amp, n->precision, sizeof n->precision);
    GN_TRY(*s->model ? load_model(n, s->model, err) : make_model(n, &spec, err));
    GN_TRY(make_plan(n, s, training, err));
    GN_TRY(make_inputs(n, err));
out:
    if (status != GENET_OK)
        gn_bench_net_close(n);
    return status;
}

void gn_bench_net_close(gn_bench_net *n)
{
    gn_exec_free(n->exec);
    gn_plan_free(n->plan);
    gn_folded_free(n->folded);
    gn_slab_free(n->grads, n->slab_bytes);
    gn_slab_free(n->momentum, n->slab_bytes);
    gn_weights_free(&n->weights);
    gn_model_free(n->model);
    gn_device_close(&n->device);
    gn_free(n->pixels);
    gn_free(n->mix);
    gn_free(n->lambda);
    gn_free(n->labels);
    memset(n, 0, sizeof *n);
}

void gn_bench_describe(gn_bench_report *r, const gn_bench_net *n)
{
    char device[256];
    const gn_model_spec *s = &n->model->spec;
    n->device.backend->describe(n->device.handle, device, sizeof device);
    gn_text_add(&r->text, "network    ");
    gn_summary_network(&r->text, s);
    gn_text_add(&r->text, ", %s form, %d x %d, %d classes\n", gn_form_name(s->form), s->size, s->size, s->classes);
    gn_text_add(&r->text, "device     %s: %s\nprecision  %s\n", n->device.backend->name, device, n->precision);
    gn_text_add(&r->json, "\"variant\":\"%s\",\"form\":\"%s\",\"depth\":%d,\"width\":%d,\"size\":%d,\"backend\":\"%s\",\"device\":",
                gn_variant_name(s->variant), gn_form_name(s->form), s->depth, s->width, s->size, n->device.backend->name);
    gn_json_put_string(&r->json, device);
    gn_text_add(&r->json, ",\"map_type\":\"%s\",\"threads\":%d", gn_dtype_name(n->map_type), n->device.threads);
}

/* --- timing ---------------------------------------------------------------------------------------------------------------- */

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static gn_bench_times times_of(double *all, int rounds)
{
    qsort(all, (size_t)rounds, sizeof *all, compare_seconds);
    return (gn_bench_times){.best = all[0], .median = all[rounds / 2], .rounds = rounds};
}

/* One whole step as training does it, the update included. */
static genet_status run_step(void *user, genet_error *err)
{
    gn_bench_net *n = user;
    const gn_segment all = {.begin = 0, .end = n->model->weights.param_count, .decay = true};
    genet_status status = gn_exec_run(n->exec, GN_FORWARD | GN_BACKWARD, err);
    if (status != GENET_OK)
        return status;
    gn_sgd sgd = {.w = n->weights.params, .v = n->momentum, .grad = n->grads, .segments = &all, .segment_count = 1,
                  .rate = 1e-6, .momentum = 0.9, .decay = 1e-4, .grad_factor = 1};
    n->device.backend->sgd(n->device.handle, &sgd);
    gn_exec_weights_changed(n->exec);
    return GENET_OK;
}

static genet_status run_forward(void *user, genet_error *err)
{
    gn_bench_net *n = user;
    genet_status status = GENET_OK;
    for (int i = 0; i < n->pieces && status == GENET_OK; i++)
        status = gn_exec_run(n->exec, GN_FORWARD, err);
    return status;
}

/* --- step and inference ------------------------------------------------------------------------------------------------------- */

static void put_times(gn_bench_report *r, const gn_bench_net *n, const gn_bench_times *t, double macs)
{
    double best = t->best / n->images, median = t->median / n->images;
    gn_text_add(&r->text, "batch      %d", n->images);
    if (n->pieces > 1)
        gn_text_add(&r->text, ", in %d pieces of %d", n->pieces, n->batch);
    gn_text_add(&r->text, "\nbest       %.1f ms, %.2f ms an image, %.2f images/s, %.1f GFLOP/s\n", 1e3 * t->best, 1e3 * best,
                1 / best, 2e-9 * macs / t->best);
    gn_text_add(&r->text, "median     %.1f ms, %.2f ms an image, %.2f images/s (of %d runs)\n", 1e3 * t->median, 1e3 * median,
                1 / median, t->rounds);
    gn_text_add(&r->json,
                "\"batch\":%d,\"piece\":%d,\"rounds\":%d,\"best_seconds\":%.6f,\"median_seconds\":%.6f,"
                "\"best_images_per_second\":%.3f,\"median_images_per_second\":%.3f,\"macs\":%.0f,\"best_gflops\":%.2f",
                n->images, n->batch, t->rounds, t->best, t->median, 1 / best, 1 / median, macs, 2e-9 * macs / t->best);
}

static double run_macs(const gn_plan *p)
{
    double sum = 0;
    for (int i = 0; i < p->step_count; i++)
        sum += (double)gn_step_macs(p, &p->steps[i]);
    return sum;
}

static bool is_convolution(gn_op op)
{
    return op == GN_OP_CONV || op == GN_OP_CONV_DX || op == GN_OP_CONV_DW || op == GN_OP_CONV_INT8;
}

/* The convolutions of a step or a forward pass, one after the other, and nothing between them: what it cannot beat. */
static genet_status run_convolutions(void *user, genet_error *err)
{
    gn_bench_net *n = user;
    genet_status status = GENET_OK;
    for (int piece = 0; piece < n->pieces; piece++)
        for (int i = 0; i < n->plan->step_count; i++)
            if (is_convolution(n->plan->steps[i].op))
                GN_TRY(gn_exec_run_step(n->exec, i, err));
out:
    return status;
}

/* A run and its convolutions alone in turns, so that what disturbs the one disturbs the other. */
static genet_status measure_pair(gn_bench_times *whole, gn_bench_times *alone, gn_bench_net *n,
                                 genet_status (*run_whole)(void *, genet_error *), genet_error *err)
{
    genet_status (*const run[2])(void *, genet_error *) = {run_whole, run_convolutions};
    double all[2][MOST], start = gn_now();
    int rounds = 0;
    for (; rounds < MOST && (rounds < LEAST || gn_now() - start < 2 * SECONDS); rounds++)
        for (int k = 0; k < 2; k++) {
            double before = gn_now();
            genet_status status = run[k](n, err);
            if (status != GENET_OK)
                return status;
            all[k][rounds] = gn_now() - before;
        }
    *whole = times_of(all[0], rounds);
    *alone = times_of(all[1], rounds);
    return GENET_OK;
}

static void put_limit(gn_bench_report *r, const gn_bench_net *n, const gn_bench_times *whole, const gn_bench_times *alone)
{
    gn_text_add(&r->text,
                "limit      %.1f ms at best, %.1f in the median (%.2f images/s): the convolutions alone, in turns with the whole,\n"
                "           which reaches %.2f of it at best, %.2f in the median\n\n",
                1e3 * alone->best, 1e3 * alone->median, n->images / alone->median, alone->best / whole->best,
                alone->median / whole->median);
    gn_text_add(&r->json, ",\"convolutions_seconds\":%.6f,\"convolutions_median_seconds\":%.6f", alone->best, alone->median);
}

static genet_status measure(gn_bench_report *r, gn_bench_net *n, genet_status (*run)(void *, genet_error *), genet_error *err)
{
    genet_status status = GENET_OK;
    gn_bench_times t, alone;
    double *best = gn_calloc((size_t)n->plan->step_count, sizeof *best); /* of every step */
    if (!best)
        return gn_fail_memory(err, (size_t)n->plan->step_count * sizeof *best, "times of the steps");
    GN_TRY(run(n, err)); /* warm */
    GN_TRY(measure_pair(&t, &alone, n, run, err));
    put_times(r, n, &t, n->pieces * run_macs(n->plan));
    put_limit(r, n, &t, &alone);
    for (int round = 0; round < (t.median < 1 ? 8 : 3); round++) {
        gn_exec_profile(n->exec, true);
        GN_TRY(run(n, err));
        for (int i = 0; i < n->plan->step_count; i++)
            if (round == 0 || gn_exec_seconds(n->exec, i) < best[i])
                best[i] = gn_exec_seconds(n->exec, i);
    }
    gn_bench_operations(r, n, best);
out:
    gn_free(best);
    return status;
}

static genet_status bench_step(gn_bench_report *r, const gn_settings *s, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_bench_net n = {0};
    char bytes[32];
    GN_TRY(gn_bench_net_open(&n, s, (int)s->batch, true, err));
    gn_bench_describe(r, &n);
    gn_text_add(&r->text, "memory     activations and scratch %s\n", gn_format_bytes(bytes, gn_exec_bytes(n.exec)));
    gn_text_add(&r->json, ",\"activation_bytes\":%llu,", (unsigned long long)gn_exec_bytes(n.exec));
    GN_TRY(measure(r, &n, run_step, err));
out:
    gn_bench_net_close(&n);
    return status;
}

static genet_status bench_infer(gn_bench_report *r, const gn_settings *s, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_bench_net n = {0};
    int batches[2] = {1, (int)s->batch}, count = s->batch > 1 ? 2 : 1;
    for (int i = 0; i < count; i++) {
        GN_TRY(gn_bench_net_open(&n, s, batches[i], false, err));
        if (i == 0) {
            gn_bench_describe(r, &n);
            gn_text_add(&r->json, ",\"runs\":[");
        }
        gn_text_add(&r->json, "%s{", i ? "," : "");
        GN_TRY(measure(r, &n, run_forward, err));
        gn_text_add(&r->json, "}");
        gn_bench_net_close(&n);
    }
    gn_text_add(&r->json, "]");
out:
    gn_bench_net_close(&n);
    return status;
}

genet_status genet_bench(const genet_config *config, const char *what, int as_json, char **report, genet_error *err)
{
    static const struct {
        const char *name;
        genet_status (*run)(gn_bench_report *, const gn_settings *, genet_error *);
    } all[] = {{"step", bench_step}, {"infer", bench_infer}, {"loader", gn_bench_loader}, {"limits", gn_bench_limits}};
    gn_bench_report r = {0};
    genet_status status = gn_fail(err, GENET_USAGE, "%s cannot be measured: step, loader, infer or limits", what);
    *report = NULL;
    if (*gn_config_settings(config)->model && strcmp(what, "infer"))
        return gn_fail(err, GENET_USAGE, "--model is measured by infer alone; %s takes the network that the settings describe",
                       what);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(what, all[i].name))
            continue;
        gn_text_add(&r.json, "{\"what\":\"%s\",", what);
        status = all[i].run(&r, gn_config_settings(config), err);
        gn_text_add(&r.json, "}\n");
    }
    gn_text *wanted = as_json ? &r.json : &r.text;
    gn_text_put(wanted, "", 1);
    if (status == GENET_OK && wanted->failed)
        status = gn_fail_memory(err, wanted->length, "the report");
    if (status == GENET_OK) {
        *report = wanted->data;
        wanted->data = NULL;
    }
    gn_text_free(&r.text);
    gn_text_free(&r.json);
    return status;
}
