/* SPDX-License-Identifier: Apache-2.0
 * What is in a data set: counts of every class, and what the images' headers say. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "config/config.h"
#include "data/found.h"
#include "data/threads.h"
#include "genet/data.h"
#include "image/image.h"

/* A JPEG's frame header nearly always lies in the first of its bytes; otherwise the whole file is read. */
#define HEAD_BYTES 65536

typedef struct record {
    gn_image_info info;
    bool readable;
} record;

typedef struct reader {
    unsigned char *bytes;
    size_t capacity;
} reader;

typedef struct survey {
    const gn_dataset *set;
    record *records;
    reader *readers;
} survey;

typedef struct stats {
    genet_data_stats shown; /* first: what the caller sees */
    genet_data_class *classes;
    gn_dataset *set; /* owns the names */
} stats;

gn_dataset_options gn_dataset_options_from(const gn_settings *s)
{
    return (gn_dataset_options){.leaf_names = s->class_names == GN_CHOICE_CLASS_NAMES_LEAF,
                                .merge_classes = s->merge_classes,
                                .caps = (const char *const *)s->cap.items,
                                .cap_count = s->cap.count,
                                .cap_all = s->cap_all,
                                .seed = (uint64_t)s->seed};
}

/* The first bytes of a JPEG, when its header ends in them. */
static bool probe_head(const gn_sample *s, reader *r, gn_image_info *info)
{
    uint64_t n = s->bytes && s->bytes < HEAD_BYTES ? s->bytes : HEAD_BYTES;
    int fd = gn_open_at(AT_FDCWD, s->path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return false;
    long long got = gn_read_at(fd, r->bytes, (size_t)n, s->offset);
    close(fd);
    return got > 3 && r->bytes[0] == 0xff && r->bytes[1] == 0xd8 &&
           gn_image_probe(r->bytes, (size_t)got, info, NULL) == GENET_OK;
}

static genet_status survey_one(void *user, int thread, int64_t i, genet_error *err)
{
    survey *v = user;
    reader *r = &v->readers[thread];
    record *to = &v->records[i];
    size_t bytes;
    genet_status status = GENET_OK;
    to->readable = probe_head(&v->set->samples[i], r, &to->info);
    if (to->readable)
        return GENET_OK;
    status = gn_sample_read(&v->set->samples[i], &r->bytes, &r->capacity, &bytes, err);
    if (status == GENET_OK)
        to->readable = gn_image_probe(r->bytes, bytes, &to->info, NULL) == GENET_OK;
    return status == GENET_MEMORY ? status : GENET_OK;
}

static int by_int(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void spread(int *values, int64_t n, int *min, int *median, int *max)
{
    if (!n)
        return;
    qsort(values, (size_t)n, sizeof *values, by_int);
    *min = values[0];
    *median = values[n / 2];
    *max = values[n - 1];
}

static genet_status count_images(genet_data_stats *s, const record *records, int64_t n, genet_error *err)
{
    int64_t seen = 0;
    int *widths = gn_calloc((size_t)n + 1, sizeof *widths), *heights = gn_calloc((size_t)n + 1, sizeof *heights);
    if (!widths || !heights) {
        gn_free(widths);
        gn_free(heights);
        return gn_fail_memory(err, (size_t)n * sizeof *widths, "image sizes");
    }
    for (int64_t i = 0; i < n; i++) {
        const gn_image_info *info = &records[i].info;
        if (!records[i].readable) {
            s->unreadable++;
            continue;
        }
        widths[seen] = info->width;
        heights[seen++] = info->height;
        s->jpeg += info->kind == GN_IMAGE_JPEG;
        s->png += info->kind == GN_IMAGE_PNG;
        s->webp += info->kind == GN_IMAGE_WEBP;
        s->gray += info->colour == GN_COLOUR_GRAY;
        s->cmyk += info->colour == GN_COLOUR_CMYK;
        s->exif_turned += info->orientation > 1;
    }
    spread(widths, seen, &s->min_width, &s->median_width, &s->max_width);
    spread(heights, seen, &s->min_height, &s->median_height, &s->max_height);
    gn_free(widths);
    gn_free(heights);
    return GENET_OK;
}

static double imbalance(const int64_t *images, int classes)
{
    int64_t most = 0, fewest = 0;
    for (int c = 0; c < classes; c++) {
        if (images[c] > most)
            most = images[c];
        if (images[c] > 0 && (fewest == 0 || images[c] < fewest))
            fewest = images[c];
    }
    return fewest ? (double)most / (double)fewest : 0;
}

static genet_status count_classes(stats *s, genet_error *err)
{
    const gn_dataset *d = s->set;
    s->classes = gn_calloc((size_t)d->class_count + 1, sizeof *s->classes);
    if (!s->classes)
        return gn_fail_memory(err, (size_t)d->class_count * sizeof *s->classes, "class counts");
    for (int c = 0; c < d->class_count; c++) {
        s->classes[c] = (genet_data_class){d->classes[c], d->class_total[c], d->class_kept[c]};
        s->shown.images += d->class_total[c];
        s->shown.empty_classes += d->class_total[c] == 0;
    }
    s->shown.classes = s->classes;
    s->shown.class_count = d->class_count;
    s->shown.kept = d->count;
    s->shown.ignored_files = d->ignored;
    s->shown.loose_files = d->loose;
    s->shown.absent_files = d->absent;
    s->shown.imbalance_before = imbalance(d->class_total, d->class_count);
    s->shown.imbalance_after = imbalance(d->class_kept, d->class_count);
    return GENET_OK;
}

static genet_status read_headers(stats *s, int threads, void (*progress)(void *user, int64_t done, int64_t all), void *user,
                                 genet_error *err)
{
    genet_status status = GENET_OK;
    survey v = {.set = s->set};
    v.records = gn_calloc((size_t)s->set->count + 1, sizeof *v.records);
    v.readers = gn_calloc((size_t)threads, sizeof *v.readers);
    if (!v.records || !v.readers) {
        status = gn_fail_memory(err, (size_t)s->set->count * sizeof *v.records, "image headers");
        goto out;
    }
    for (int i = 0; i < threads; i++) {
        v.readers[i].capacity = HEAD_BYTES;
        v.readers[i].bytes = gn_calloc(1, HEAD_BYTES);
        if (!v.readers[i].bytes) {
            status = gn_fail_memory(err, HEAD_BYTES, "image headers");
            goto out;
        }
    }
    GN_TRY(gn_parallel(s->set->count, threads, survey_one, &v, progress, user, err));
    status = count_images(&s->shown, v.records, s->set->count, err);
out:
    for (int i = 0; v.readers && i < threads; i++)
        gn_free(v.readers[i].bytes);
    gn_free(v.readers);
    gn_free(v.records);
    return status;
}

genet_status genet_data_stats_read(const genet_config *config, void (*progress)(void *user, int64_t done, int64_t all),
                                   void *user, genet_data_stats **out, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *settings = gn_config_settings(config);
    gn_dataset_options options = gn_dataset_options_from(settings);
    stats *s = gn_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return gn_fail_memory(err, sizeof *s, "statistics");
    GN_TRY(gn_dataset_open(&s->set, settings->data, &options, err));
    GN_TRY(count_classes(s, err));
    GN_TRY(read_headers(s, settings->threads ? (int)settings->threads : gn_cores(), progress, user, err));
    *out = &s->shown;
    s = NULL;
out:
    genet_data_stats_free(s ? &s->shown : NULL);
    return status;
}

void genet_data_stats_free(genet_data_stats *shown)
{
    stats *s = (stats *)shown;
    if (!s)
        return;
    gn_dataset_free(s->set);
    gn_free(s->classes);
    gn_free(s);
}
