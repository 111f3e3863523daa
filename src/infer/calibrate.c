/* SPDX-License-Identifier: Apache-2.0
 * Calibration (calibrate.h). The float network runs step by step; a convolution's input is looked at before it runs, while
 * it still lies there. */
#include "infer/calibrate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/loader.h"
#include "data/threads.h"

enum { MOST_CHUNKS = 64 };
#define DEAD 1e-20f /* a map whose values stay below it counts as all zeros */

/* What the values of one map have been. */
typedef struct tally {
    uint32_t largest; /* the bits of a float that is not negative: their order is that of the numbers, NaN on top */
    int64_t *bins;
} tally;

typedef struct calibrating {
    const gn_calibration *c;
    gn_plan *plan;
    gn_exec *exec;
    gn_loader *loader;
    tally *maps;
    int map_count;
    int *map_of;      /* [step]: the map it reads, or -1 */
    int64_t *private; /* (chunks, bins) of one look */
    int64_t done, images;
} calibrating;

/* --- where to cut ------------------------------------------------------------------------------------------------------- */

/* Integral from 0 to v of (t - its quantised value)^2: over each whole step step^3/12, then the cube of the rest. */
static double error_up_to(double v, double step)
{
    double whole = fmin(rint(v / step), 255), rest = v - whole * step;
    return whole * step * step * step / 12 + rest * rest * rest / 3;
}

double gn_clip_error(const int64_t bins[GN_HISTOGRAM_BINS], double largest, double clip)
{
    double width = largest / GN_HISTOGRAM_BINS, step = clip / 255, sum = 0, below = 0;
    for (int i = 0; i < GN_HISTOGRAM_BINS; i++) {
        double up_to = error_up_to((i + 1) * width, step);
        sum += (double)bins[i] * (up_to - below) / width;
        below = up_to;
    }
    return sum;
}

double gn_best_clip(const int64_t bins[GN_HISTOGRAM_BINS], double largest)
{
    double best = largest, least = gn_clip_error(bins, largest, largest);
    for (int i = GN_CLIP_STEPS - 1; i >= 1; i--) {
        double clip = largest * i / GN_CLIP_STEPS, error = gn_clip_error(bins, largest, clip);
        if (error < least) {
            least = error;
            best = clip;
        }
    }
    return best;
}

static double squares_of(const int64_t bins[GN_HISTOGRAM_BINS], double largest)
{
    double width = largest / GN_HISTOGRAM_BINS, sum = 0;
    for (int i = 0; i < GN_HISTOGRAM_BINS; i++)
        sum += (double)bins[i] * width * width * ((i + 0.5) * (i + 0.5) + 1.0 / 12);
    return sum;
}

/* --- looking at a map ------------------------------------------------------------------------------------------------------ */

/* Values of a map, shared out in chunks. */
typedef struct look {
    const float *v;
    int64_t count;
    int chunks;
    float largest; /* 0: in search of it */
    uint32_t found[MOST_CHUNKS];
    int64_t *bins; /* (chunks, GN_HISTOGRAM_BINS) */
} look;

static genet_status look_at_chunk(void *user, int thread, int64_t chunk, genet_error *err)
{
    look *l = user;
    (void)thread;
    (void)err;
    int64_t begin = l->count * chunk / l->chunks, end = l->count * (chunk + 1) / l->chunks;
    if (l->largest <= 0) {
        uint32_t most = 0;
        for (int64_t i = begin; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, &l->v[i], sizeof bits);
            bits &= 0x7fffffff;
            most = bits > most ? bits : most;
        }
        l->found[chunk] = most;
        return GENET_OK;
    }
    int64_t *bins = l->bins + chunk * GN_HISTOGRAM_BINS;
    const float per_bin = (float)(GN_HISTOGRAM_BINS / (double)l->largest);
    for (int64_t i = begin; i < end; i++)
        if (l->v[i] > 0) {
            int bin = (int)(fminf(l->v[i], l->largest) * per_bin);
            bins[bin < GN_HISTOGRAM_BINS ? bin : GN_HISTOGRAM_BINS - 1]++;
        }
    return GENET_OK;
}

static genet_status look_at(calibrating *k, tally *t, const float *v, int64_t count, bool histogram, genet_error *err)
{
    int threads = k->c->session->device.threads;
    look l = {.v = v, .count = count, .bins = k->private};
    memcpy(&l.largest, &t->largest, sizeof l.largest);
    if (!histogram)
        l.largest = 0;
    else if (l.largest < DEAD)
        return GENET_OK;
    l.chunks = threads < MOST_CHUNKS && count > 1 << 16 ? threads : 1;
    genet_status status = gn_parallel(l.chunks, l.chunks, look_at_chunk, &l, NULL, NULL, err);
    for (int c = 0; status == GENET_OK && c < l.chunks; c++) {
        if (!histogram)
            t->largest = l.found[c] > t->largest ? l.found[c] : t->largest;
        for (int i = 0; histogram && i < GN_HISTOGRAM_BINS; i++) {
            t->bins[i] += l.bins[c * GN_HISTOGRAM_BINS + i];
            l.bins[c * GN_HISTOGRAM_BINS + i] = 0;
        }
    }
    return status;
}

/* --- the passes ------------------------------------------------------------------------------------------------------------ */

/* Looks at the maps of the batch's pictures: places without one hold whatever was there. */
static genet_status look_at_batch(calibrating *k, const gn_batch *batch, int step, bool histogram, genet_error *err)
{
    int tensor = k->plan->steps[step].in[0];
    const gn_tensor *t = &k->plan->tensors[tensor];
    const float *v = gn_exec_data(k->exec, tensor);
    int64_t one = t->count / t->dim[0];
    genet_status status = GENET_OK;
    for (int n = 0, end; n < batch->count && status == GENET_OK; n = end + 1) {
        for (end = n; end < batch->count && batch->labels[2 * end] >= 0;)
            end++;
        if (end > n)
            status = look_at(k, &k->maps[k->map_of[step]], v + n * one, (end - n) * one, histogram, err);
    }
    return status;
}

static genet_status run_batch(calibrating *k, const gn_batch *batch, bool histogram, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_exec_bind(k->exec, k->plan->pixels, batch->pixels);
    gn_exec_bind(k->exec, k->plan->mix, batch->mix);
    for (int i = 0; i < k->plan->step_count; i++) {
        if (k->map_of[i] >= 0)
            GN_TRY(look_at_batch(k, batch, i, histogram, err));
        GN_TRY(gn_exec_run_step(k->exec, i, err));
    }
out:
    return status;
}

static genet_status run_pass(calibrating *k, bool histogram, genet_error *err)
{
    gn_batch *batch = NULL;
    genet_status status = GENET_OK;
    int64_t images = 0;
    GN_TRY(gn_loader_seek(k->loader, 0, 0, gn_loader_batches(k->loader), err));
    for (;;) {
        GN_TRY(gn_loader_next(k->loader, &batch, NULL, err));
        if (!batch)
            break;
        GN_TRY(run_batch(k, batch, histogram, err));
        for (int n = 0; n < batch->count; n++)
            images += batch->labels[2 * n] >= 0;
        k->done += batch->count;
        gn_loader_release(k->loader, batch);
        batch = NULL;
        if (k->c->progress)
            k->c->progress(k->c->user, k->done, 2 * k->c->set->count);
    }
    k->images = images;
out:
    if (batch)
        gn_loader_release(k->loader, batch);
    return status;
}

/* --- before and after ------------------------------------------------------------------------------------------------------- */

static genet_status take_memory(calibrating *k, const gn_model_spec *spec, genet_error *err)
{
    size_t threads = (size_t)k->c->session->device.threads, chunks = threads < MOST_CHUNKS ? threads : MOST_CHUNKS;
    k->map_count = gn_quantized_maps(spec);
    k->maps = gn_calloc((size_t)k->map_count, sizeof *k->maps);
    k->map_of = gn_calloc((size_t)k->plan->step_count, sizeof *k->map_of);
    k->private = gn_calloc(chunks * GN_HISTOGRAM_BINS, sizeof *k->private);
    bool all = k->maps && k->map_of && k->private;
    for (int i = 0; all && i < k->map_count; i++) {
        k->maps[i].bins = gn_calloc(GN_HISTOGRAM_BINS, sizeof *k->maps[i].bins);
        all = k->maps[i].bins != NULL;
    }
    return all ? GENET_OK
               : gn_fail_memory(err, (size_t)k->map_count * GN_HISTOGRAM_BINS * sizeof *k->private, "histograms of the maps");
}

static void find_maps(calibrating *k, const gn_model_spec *spec)
{
    char name[64];
    for (int i = 0; i < k->plan->step_count; i++) {
        const gn_step *s = &k->plan->steps[i];
        k->map_of[i] = -1;
        for (int m = 0; s->op == GN_OP_CONV && m < k->map_count; m++)
            if (!strcmp(s->label, gn_quantized_map_name(name, spec, m)))
                k->map_of[i] = m;
    }
}

static genet_status start(calibrating *k, genet_error *err)
{
    gn_session *s = k->c->session;
    const gn_model_spec *spec = &s->checkpoint.model->spec;
    gn_plan_options plan = {.batch = s->batch, .map_type = GN_F32};
    gn_loader_options loader = {.batch = s->batch, .threads = k->c->loader_threads, .preprocess = s->checkpoint.preprocess,
                                .strict = k->c->strict};
    genet_status status = GENET_OK;
    memcpy(plan.mean, s->checkpoint.preprocess.mean, sizeof plan.mean);
    memcpy(plan.std, s->checkpoint.preprocess.std, sizeof plan.std);
    GN_TRY(gn_folded_plan(s->folded, &plan, &k->plan, err));
    GN_TRY(gn_exec_create(&k->exec, s->device.backend, s->device.handle, k->plan, &s->folded->weights, NULL, err));
    GN_TRY(take_memory(k, spec, err));
    find_maps(k, spec);
    GN_TRY(gn_loader_create(&k->loader, k->c->set, &loader, err));
out:
    return status;
}

static void end(calibrating *k)
{
    gn_loader_free(k->loader);
    gn_exec_free(k->exec);
    gn_plan_free(k->plan);
    for (int i = 0; k->maps && i < k->map_count; i++)
        gn_free(k->maps[i].bins);
    gn_free(k->maps);
    gn_free(k->map_of);
    gn_free(k->private);
}

/* The largest value of every map is a number. */
static genet_status check_largest(const calibrating *k, genet_error *err)
{
    char name[64];
    const gn_model_spec *spec = &k->c->session->checkpoint.model->spec;
    if (k->images == 0)
        return gn_fail(err, GENET_DATA, "%s: none of the %lld pictures drawn for the calibration could be read", k->c->set->root,
                       (long long)k->c->set->count);
    for (int i = 0; i < k->map_count; i++)
        if (k->maps[i].largest >= 0x7f800000)
            return gn_fail(err, GENET_NUMERIC,
                           "the map that %s reads has values that are no finite numbers: this network cannot be "
                           "quantised",
                           gn_quantized_map_name(name, spec, i));
    return GENET_OK;
}

static gn_map_range range_of(const tally *t, bool largest_only)
{
    gn_map_range r = {0};
    memcpy(&r.largest, &t->largest, sizeof r.largest);
    if (r.largest < DEAD)
        return r;
    r.clip = largest_only ? r.largest : (float)gn_best_clip(t->bins, r.largest);
    r.error = sqrt(gn_clip_error(t->bins, r.largest, r.clip) / squares_of(t->bins, r.largest));
    return r;
}

genet_status gn_calibrate(const gn_calibration *c, gn_map_range *ranges, int64_t *images, genet_error *err)
{
    calibrating k = {.c = c};
    genet_status status = GENET_OK;
    GN_TRY(start(&k, err));
    GN_TRY(run_pass(&k, false, err));
    GN_TRY(check_largest(&k, err));
    GN_TRY(run_pass(&k, true, err));
    for (int i = 0; i < k.map_count; i++)
        ranges[i] = range_of(&k.maps[i], c->largest_only);
    *images = k.images;
out:
    end(&k);
    return status;
}
