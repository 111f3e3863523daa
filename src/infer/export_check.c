/* SPDX-License-Identifier: Apache-2.0
 * The check of an exported graph (export_check.h). */
#include "infer/export_check.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/session.h"

#define ALLOWED 1e-4 /* of the logits' rms: float rounding over 150 layers stays near 2e-6 */

/* Pictures, and the logits of both. */
typedef struct trial {
    const gn_preprocess *preprocess;
    const gn_folded *int8;
    int count, size, classes;
    unsigned char *pixels;
    float *planes;
    gn_onnx *graph;
    genet_export_result *result;
} trial;

void gn_export_note(genet_export_result *r, const char *format, ...)
{
    size_t used = strlen(r->notes);
    va_list args;
    va_start(args, format);
    int n = gn_vsnprintf(r->notes + used, sizeof r->notes - used, format, args);
    va_end(args);
    if (n > 0 && used + (size_t)n + 1 < sizeof r->notes)
        strcat(r->notes, "\n");
}

static void compare(genet_export_result *r, const float *ours, const float *theirs, int64_t n)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)ours[i] - theirs[i]);
        square += (double)ours[i] * ours[i];
        if (!(d <= r->largest_difference))
            r->largest_difference = d;
    }
    r->logits_rms = sqrt(square / (double)n);
}

/* Random pictures, and their planes normalised. */
static genet_status make_pictures(trial *t, genet_error *err)
{
    const gn_preprocess *p = t->preprocess;
    int64_t area = (int64_t)t->size * t->size;
    size_t n = (size_t)t->count * (size_t)area * 3;
    gn_rng rng = gn_rng_make(1, 0, 0, GN_RNG_MADE_DATA);
    t->pixels = gn_calloc(n, 1);
    t->planes = gn_calloc(n, sizeof *t->planes);
    if (!t->pixels || !t->planes)
        return gn_fail_memory(err, n * 5, "the pictures of a check");
    for (size_t i = 0; i < n; i++)
        t->pixels[i] = (unsigned char)(gn_rng_u32(&rng) >> 24);
    for (int64_t i = 0; i < t->count * area; i++)
        for (int k = 0; k < 3; k++)
            t->planes[(i / area * 3 + k) * area + i % area] = (t->pixels[3 * i + k] - p->mean[k]) / p->std[k];
    return GENET_OK;
}

static const void *graph_input(const trial *t)
{
    return gn_onnx_takes_pixels(t->graph) ? (const void *)t->pixels : t->planes;
}

static genet_status run_float(trial *t, const gn_settings *s, genet_error *err)
{
    const gn_session_options options = {.backend = "auto", .batch = t->count, .amp = GN_CHOICE_AMP_OFF, .use_ema = s->use_ema};
    gn_session session = {0};
    size_t logits = (size_t)t->count * (size_t)t->classes;
    float *ours = gn_calloc(2 * logits, sizeof *ours), *theirs = ours + logits;
    genet_status status;
    if (!ours)
        return gn_fail_memory(err, 2 * logits * sizeof *ours, "the logits of a check");
    GN_TRY(gn_session_open(&session, s->model, &options, err));
    GN_TRY(gn_session_run(&session, t->pixels, t->count, ours, err));
    GN_TRY(gn_onnx_run(t->graph, graph_input(t), t->count, theirs, err));
    compare(t->result, ours, theirs, (int64_t)logits);
    if (!(t->result->largest_difference <= ALLOWED * t->result->logits_rms))
        status = gn_fail(err, GENET_INTERNAL,
                         "the written graph's logits differ from the network's by up to %.3g (their rms is %.3g): nothing was kept",
                         t->result->largest_difference, t->result->logits_rms);
out:
    gn_session_close(&session);
    gn_free(ours);
    return status;
}

static genet_status run_int8(trial *t, genet_error *err)
{
    gn_device device = {0};
    gn_int8_agreement a;
    genet_status status;
    GN_TRY(gn_device_open(&device, "auto", NULL, 0, err));
    GN_TRY(gn_int8_agree(&a, &device, t->int8, t->preprocess->mean, t->preprocess->std, t->pixels, t->count, t->graph,
                         graph_input(t), err));
    t->result->largest_difference = a.free_difference;
    t->result->logits_rms = a.rms;
    gn_export_note(t->result,
                   "the written graph was held against the network at its %d maps of 8-bit numbers: %.2g%% of them came out "
                   "one higher or lower; from the same numbers its logits differ by at most %.2g",
                   a.maps, 100 * a.share, a.held_difference);
out:
    gn_device_close(&device);
    return status;
}

genet_status gn_export_check(const gn_settings *s, const gn_checkpoint *c, const gn_folded *int8, const char *path,
                             genet_export_result *result, genet_error *err)
{
    trial t = {.preprocess = &c->preprocess, .int8 = int8, .size = c->model->spec.size, .classes = c->model->spec.classes,
               .count = (int)(s->check_images && s->fixed_batch ? s->fixed_batch : s->check_images), .result = result};
    gn_map map = {0};
    genet_status status;
    if (!t.count) {
        gn_export_note(result, "the written graph was not run (--check 0)");
        return GENET_OK;
    }
    GN_TRY(gn_map_open(&map, path, err));
    GN_TRY(gn_onnx_open(&t.graph, map.data, map.bytes, path, err));
    GN_TRY(make_pictures(&t, err));
    GN_TRY(int8 ? run_int8(&t, err) : run_float(&t, s, err));
    result->checked_images = t.count;
out:
    gn_free(t.pixels);
    gn_free(t.planes);
    gn_onnx_close(t.graph);
    gn_map_close(&map);
    return status;
}
