/* SPDX-License-Identifier: Apache-2.0
 * The demonstration data set: drawn shop-shelf products, train/ and val/, with a long tail of classes. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/shelf_draw.h"
#include "data/threads.h"
#include "genet/data.h"
#include "image/jpeg_write.h"

#define MIN_IMAGES_A_CLASS 4
#define VAL_SHARE 0.2
#define TAIL 1.0 /* images of the n-th largest class: proportional to n^-TAIL */
#define MAX_SIDE 1024

typedef struct job {
    int product;
    bool val;
    int number; /* in its class */
} job;

typedef struct artist {
    float *canvas;
    gn_image picture;
    unsigned char *bytes;
    size_t capacity;
} artist;

typedef struct shelf {
    const char *folder;
    int classes, side;
    uint64_t seed;
    job *jobs;
    artist *artists;
} shelf;

static genet_status draw_one(void *user, int thread, int64_t i, genet_error *err)
{
    shelf *s = user;
    artist *a = &s->artists[thread];
    const job *j = &s->jobs[i];
    genet_status status = GENET_OK;
    char name[64];
    size_t bytes;
    gn_shelf_name(j->product, name);
    char *path = gn_asprintf("%s/%s/%s/%s-%04d.jpg", s->folder, j->val ? "val" : "train", name, name, j->number);
    if (!path)
        return gn_fail_memory(err, strlen(s->folder), "a file name");
    gn_shelf_draw(j->product, s->classes, s->seed, (uint64_t)j->number, s->side, a->canvas, &a->picture);
    GN_TRY(gn_jpeg_write(&a->picture, 88, &a->bytes, &a->capacity, &bytes, err));
    GN_TRY(gn_file_write(path, a->bytes, bytes, err));
out:
    gn_free(path);
    return status;
}

/* Images of the class at this rank of the tail, at least MIN_IMAGES_A_CLASS; the shares of all ranks sum to `images`. */
static int class_images(int rank, int classes, int images)
{
    double sum = 0;
    int spare = images - MIN_IMAGES_A_CLASS * classes;
    for (int r = 0; r < classes; r++)
        sum += pow(r + 1, -TAIL);
    double before = 0;
    for (int r = 0; r < rank; r++)
        before += pow(r + 1, -TAIL);
    double after = before + pow(rank + 1, -TAIL);
    return MIN_IMAGES_A_CLASS + (int)(spare * (after / sum) + 1e-9) - (int)(spare * (before / sum) + 1e-9);
}

static genet_status plan(shelf *s, int images, genet_error *err)
{
    genet_status status = GENET_OK;
    int64_t n = 0;
    for (int rank = 0; rank < s->classes; rank++) {
        int product = (int)gn_rng_permute(s->seed, 0, (uint64_t)rank, (uint64_t)s->classes);
        int count = class_images(rank, s->classes, images);
        int val = (int)(count * VAL_SHARE + 0.5);
        char name[64];
        gn_shelf_name(product, name);
        for (int part = 0; part < 2; part++) {
            char *folder = gn_asprintf("%s/%s/%s", s->folder, part ? "val" : "train", name);
            if (!folder)
                return gn_fail_memory(err, strlen(s->folder), "a folder name");
            status = gn_folder_make(folder, err);
            gn_free(folder);
            if (status != GENET_OK)
                return status;
        }
        for (int i = 0; i < count; i++)
            s->jobs[n++] = (job){.product = product, .val = i < val, .number = i + 1};
    }
    return status;
}

static genet_status check(const char *folder, int classes, int images, int side, genet_error *err)
{
    if (classes < 2 || classes > GN_SHELF_MAX_CLASSES)
        return gn_fail(err, GENET_USAGE, "%d classes: 2 to %d can be drawn", classes, GN_SHELF_MAX_CLASSES);
    if (images < MIN_IMAGES_A_CLASS * classes || images > 10000000)
        return gn_fail(err, GENET_USAGE, "%d images: from %d a class, so %d, up to 10000000 can be drawn", images,
                       MIN_IMAGES_A_CLASS, MIN_IMAGES_A_CLASS * classes);
    if (side < 32 || side > MAX_SIDE)
        return gn_fail(err, GENET_USAGE, "pictures of %d pixels: 32 to %d can be drawn", side, MAX_SIDE);
    for (int part = 0; part < 2; part++) {
        char *path = gn_path_join(folder, part ? "val" : "train");
        if (!path)
            return gn_fail_memory(err, strlen(folder), "a folder name");
        bool there = gn_file_exists(path) || gn_folder_exists(path);
        gn_free(path);
        if (there)
            return gn_fail(err, GENET_USAGE, "'%s' has a %s already: name a new folder, or remove this one", folder,
                           part ? "val" : "train");
    }
    return GENET_OK;
}

genet_status genet_data_draw_shelf(const char *folder, int classes, int images, int side, uint64_t seed, genet_error *err)
{
    genet_status status = GENET_OK;
    shelf s = {.folder = folder, .classes = classes, .side = side, .seed = seed};
    int threads = gn_cores();
    GN_TRY(check(folder, classes, images, side, err));
    s.jobs = gn_calloc((size_t)images, sizeof *s.jobs);
    s.artists = gn_calloc((size_t)threads, sizeof *s.artists);
    if (!s.jobs || !s.artists) {
        status = gn_fail_memory(err, (size_t)images * sizeof *s.jobs, "the pictures to draw");
        goto out;
    }
    for (int i = 0; i < threads; i++) {
        GN_TRY(gn_image_resize_buffer(&s.artists[i].picture, side, side, err));
        s.artists[i].canvas = gn_calloc((size_t)side * (size_t)side * 6, sizeof(float));
        if (!s.artists[i].canvas) {
            status = gn_fail_memory(err, (size_t)side * (size_t)side * 24, "a picture");
            goto out;
        }
    }
    GN_TRY(plan(&s, images, err));
    GN_TRY(gn_parallel(images, threads, draw_one, &s, NULL, NULL, err));
out:
    for (int i = 0; s.artists && i < threads; i++) {
        gn_free(s.artists[i].canvas);
        gn_image_free(&s.artists[i].picture);
        gn_free(s.artists[i].bytes);
    }
    gn_free(s.artists);
    gn_free(s.jobs);
    return status;
}
