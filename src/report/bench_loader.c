/* SPDX-License-Identifier: Apache-2.0
 * How fast images are read, decoded and prepared: the training loader over a data set, without a network. */
#include "data/loader.h"
#include "report/bench.h"

#define SECONDS 10.0

static gn_loader_options options_from(const gn_settings *s)
{
    bool mindspore = s->preprocess == GN_CHOICE_PREPROCESS_MINDSPORE ||
                     (s->preprocess == GN_CHOICE_PREPROCESS_AUTO && s->form == GN_FORM_MINDSPORE);
    gn_loader_options o = {.batch = (int)s->batch, .threads = (int)s->loader_threads, .training = true,
                           .seed = (uint64_t)s->seed,
                           .preprocess = {.size = (int)s->size, .mindspore = mindspore, .exif = s->exif && !mindspore,
                                          .crop_share = s->crop_share, .max_pixels = (uint64_t)s->max_pixels},
                           .augment = {.area = {s->area_min, s->area_max}, .aspect = {s->aspect_min, s->aspect_max},
                                       .fast_decode = s->fast_decode, .flip = s->flip, .rotate = s->rotate,
                                       .jitter = s->jitter, .hue = s->jitter_hue, .erase = s->erase,
                                       .randaug = (int)s->randaug, .randaug_magnitude = (int)s->randaug_magnitude}};
    for (int i = 0; i < 3; i++) {
        o.preprocess.mean[i] = gn_imagenet_mean[i];
        o.preprocess.std[i] = gn_imagenet_std[i];
    }
    return o;
}

/* Images delivered within SECONDS, from the second epoch's start where the first ends before (files are then cached). */
static genet_status deliver(gn_loader *l, int64_t *images, double *seconds, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_batch *b;
    *images = 0;
    GN_TRY(gn_loader_seek(l, 0, 0, INT64_MAX / 4, err));
    GN_TRY(gn_loader_next(l, &b, NULL, err)); /* warm */
    gn_loader_release(l, b);
    double start = gn_now();
    while (gn_now() - start < SECONDS) {
        GN_TRY(gn_loader_next(l, &b, NULL, err));
        *images += b->count;
        gn_loader_release(l, b);
    }
    *seconds = gn_now() - start;
out:
    return status;
}

genet_status gn_bench_loader(gn_bench_report *r, const gn_settings *s, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_dataset *set = NULL;
    gn_loader *loader = NULL;
    gn_dataset_options o = {.seed = (uint64_t)s->seed};
    int64_t images;
    double seconds;
    if (!*s->data)
        return gn_fail(err, GENET_USAGE, "genet bench loader needs --data PATH");
    GN_TRY(gn_dataset_open(&set, s->data, &o, err));
    gn_loader_options options = options_from(s);
    GN_TRY(gn_loader_create(&loader, set, &options, err));
    GN_TRY(deliver(loader, &images, &seconds, err));
    int threads = gn_thread_count(s->loader_threads);
    double rate = (double)images / seconds;
    gn_text_add(&r->text, "data       %lld images, %d classes in %s\n", (long long)set->count, set->class_count, s->data);
    gn_text_add(&r->text, "output     %lld x %lld, batch %lld, fast decoding %s\nthreads    %d\n", (long long)s->size,
                (long long)s->size, (long long)s->batch, s->fast_decode ? "on" : "off", threads);
    gn_text_add(&r->text, "loader     %.1f images/s, %.1f a thread (%lld images in %.1f s, %lld broken)\n", rate, rate / threads,
                (long long)images, seconds, (long long)gn_loader_bad_count(loader));
    gn_text_add(&r->json, "\"images\":%lld,\"seconds\":%.3f,\"threads\":%d,\"size\":%lld,\"batch\":%lld,\"fast_decode\":%s,"
                "\"images_per_second\":%.2f", (long long)images, seconds, threads, (long long)s->size, (long long)s->batch,
                s->fast_decode ? "true" : "false", rate);
out:
    gn_loader_free(loader);
    gn_dataset_free(set);
    return status;
}
