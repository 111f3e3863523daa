/* SPDX-License-Identifier: Apache-2.0
 * How fast images are read, decoded and prepared: the training loader over a data set, without a network. */
#include "base/mem.h"
#include "data/loader.h"
#include "report/bench.h"

#define SECONDS 10.0
#define PARTS_SECONDS 3.0

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

/* Where one thread's time goes, without batches and threads: seconds and bytes of each part over `images` pictures. */
enum { READ, DECODE, RESIZE, AUGMENT, PARTS };
typedef struct parts {
    double seconds[PARTS], bytes[PARTS];
    int64_t images;
} parts;

/* As a loader's thread does it, in the order of the list; broken pictures are left out. */
static genet_status take_apart(parts *p, const gn_dataset *set, const gn_loader_options *o, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_prepare_scratch *scratch = NULL;
    unsigned char *file = NULL, *pixels = NULL;
    size_t capacity = 0, bytes, out = (size_t)o->preprocess.size * (size_t)o->preprocess.size * 3;
    double end = 0;
    *p = (parts){0};
    GN_TRY(gn_prepare_scratch_create(&scratch, err));
    pixels = gn_calloc(out, 1);
    if (!pixels) {
        status = gn_fail_memory(err, out, "a picture");
        goto out;
    }
    end = gn_now() + PARTS_SECONDS;
    for (int64_t i = 0; gn_now() < end; i = (i + 1) % set->count) {
        genet_error broken;
        gn_image_info info;
        const double start = gn_now();
        if (gn_sample_read(&set->samples[i], &file, &capacity, &bytes, &broken) != GENET_OK)
            continue;
        const double read = gn_now() - start;
        if (gn_prepare(scratch, file, bytes, &o->preprocess, &o->augment, o->seed, 0, (uint64_t)i, pixels, &info, &broken) !=
            GENET_OK)
            continue;
        p->images++;
        p->seconds[READ] += read;
        p->bytes[READ] += (double)bytes;
        p->bytes[DECODE] += 3.0 * info.width * info.height;
        p->bytes[RESIZE] += (double)out;
        p->bytes[AUGMENT] += (double)out;
    }
    const gn_prepare_times spent = gn_prepare_spent(scratch);
    p->seconds[DECODE] = spent.decode;
    p->seconds[RESIZE] = spent.resize;
    p->seconds[AUGMENT] = spent.augment;
    if (!p->images)
        status = gn_fail(err, GENET_DATA, "'%s': no picture can be read", set->root);
out:
    gn_prepare_scratch_free(scratch);
    gn_free(file);
    gn_free(pixels);
    return status;
}

static void put_parts(gn_bench_report *r, const parts *p, double rate_of_a_thread)
{
    static const char *const names[PARTS] = {"read", "decode", "resize", "augment"};
    double all = 0, limit = (double)p->images / (p->seconds[READ] + p->seconds[DECODE]);
    for (int i = 0; i < PARTS; i++)
        all += p->seconds[i];
    gn_text_add(&r->text,
                "limit      %.1f images/s: reading and decoding alone, one thread; the loader reaches %.2f of it a thread\n\n",
                limit, rate_of_a_thread / limit);
    gn_text_add(&r->text, "part       us an image   share     MB/s   (of the file; of the whole picture's pixels, of which only "
                          "the crop is decoded;\n"
                          "                                            of the output)\n");
    gn_text_add(&r->json, ",\"limit_images_per_second\":%.2f,\"parts\":[", limit);
    for (int i = 0; i < PARTS; i++) {
        gn_text_add(&r->text, "%-10s %11.1f %6.1f%% %8.0f\n", names[i], 1e6 * p->seconds[i] / (double)p->images,
                    100 * p->seconds[i] / all, p->seconds[i] > 0 ? 1e-6 * p->bytes[i] / p->seconds[i] : 0);
        gn_text_add(&r->json, "%s{\"part\":\"%s\",\"seconds\":%.9f,\"bytes\":%.0f}", i ? "," : "", names[i],
                    p->seconds[i] / (double)p->images, p->bytes[i] / (double)p->images);
    }
    gn_text_add(&r->json, "]");
}

genet_status gn_bench_loader(gn_bench_report *r, const gn_settings *s, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_dataset *set = NULL;
    gn_loader *loader = NULL;
    gn_dataset_options o = {.seed = (uint64_t)s->seed};
    parts p;
    int64_t images;
    double seconds;
    if (!*s->data)
        return gn_fail(err, GENET_USAGE, "genet bench loader needs --data PATH");
    GN_TRY(gn_dataset_open(&set, s->data, &o, err));
    gn_loader_options options = options_from(s);
    GN_TRY(gn_loader_create(&loader, set, &options, err));
    GN_TRY(deliver(loader, &images, &seconds, err));
    const long long broken = (long long)gn_loader_bad_count(loader);
    gn_loader_free(loader); /* whose threads go on preparing */
    loader = NULL;
    GN_TRY(take_apart(&p, set, &options, err));
    int threads = gn_thread_count(s->loader_threads);
    double rate = (double)images / seconds;
    gn_text_add(&r->text, "data       %lld images, %d classes in %s\n", (long long)set->count, set->class_count, s->data);
    gn_text_add(&r->text, "output     %lld x %lld, batch %lld, fast decoding %s\nthreads    %d\n", (long long)s->size,
                (long long)s->size, (long long)s->batch, s->fast_decode ? "on" : "off", threads);
    gn_text_add(&r->text, "loader     %.1f images/s, %.1f a thread (%lld images in %.1f s, %lld broken)\n", rate, rate / threads,
                (long long)images, seconds, broken);
    gn_text_add(&r->json, "\"images\":%lld,\"seconds\":%.3f,\"threads\":%d,\"size\":%lld,\"batch\":%lld,\"fast_decode\":%s,"
                "\"images_per_second\":%.2f", (long long)images, seconds, threads, (long long)s->size, (long long)s->batch,
                s->fast_decode ? "true" : "false", rate);
    put_parts(r, &p, rate / threads);
out:
    gn_loader_free(loader);
    gn_dataset_free(set);
    return status;
}
