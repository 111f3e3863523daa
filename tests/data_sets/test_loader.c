/* SPDX-License-Identifier: Apache-2.0
 * The loader: the same bytes for any number of threads and from any place, broken images, mixing, holding and leaving. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/loader.h"
#include "data/mixing.h"
#include "data/sampler.h"
#include "made.h"

static char *folder;
enum { BATCH = 5, SIZE = 32, IMAGES = 23 }; /* 4 batches of training, 5 of evaluation */

static int begin(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b", "c", NULL};
    const int counts[] = {11, 5, 7};
    folder = made_begin();
    made_set(folder, names, counts);
    return 0;
}

static int end(void **state)
{
    (void)state;
    made_end(folder);
    return 0;
}

static gn_loader_options options(bool training, int threads)
{
    gn_loader_options o = {.batch = BATCH, .threads = threads, .training = training, .seed = 7};
    o.preprocess = (gn_preprocess){.size = SIZE, .exif = true, .crop_share = 0.875, .max_pixels = 1000000};
    memcpy(o.preprocess.mean, gn_imagenet_mean, sizeof o.preprocess.mean);
    memcpy(o.preprocess.std, gn_imagenet_std, sizeof o.preprocess.std);
    o.augment = (gn_augment){.area = {0.3, 1}, .aspect = {0.75, 1.333}, .fast_decode = true, .flip = 0.5, .rotate = 10,
                             .jitter = 0.3, .hue = 0.1, .erase = 0.3, .randaug = 1, .randaug_magnitude = 9};
    o.mixup = 0.8;
    o.cutmix = 1;
    return o;
}

static gn_loader *created(const gn_dataset *d, const gn_loader_options *o)
{
    gn_loader *l = NULL;
    genet_error err = {0};
    if (gn_loader_create(&l, d, o, &err) != GENET_OK)
        fail_msg("%s", err.text);
    return l;
}

static uint64_t batch_hash(const gn_batch *b)
{
    uint64_t h = gn_fnv1a(GN_FNV_START, b->pixels, (size_t)BATCH * SIZE * SIZE * 3);
    h = gn_fnv1a(h, b->labels, BATCH * 2 * sizeof *b->labels);
    h = gn_fnv1a(h, b->lambda, BATCH * sizeof *b->lambda);
    h = gn_fnv1a(h, b->mix, BATCH * 6 * sizeof *b->mix);
    h = gn_fnv1a(h, b->samples, BATCH * sizeof *b->samples);
    return gn_fnv1a(h, &b->number, sizeof b->number);
}

/* Hashes of `n` batches from a place. */
static void hashes(gn_loader *l, uint32_t epoch, int64_t first, int64_t n, uint64_t *to)
{
    genet_error err = {0};
    assert_int_equal(gn_loader_seek(l, epoch, first, n, &err), GENET_OK);
    for (int64_t i = 0; i < n; i++) {
        gn_batch *b;
        if (gn_loader_next(l, &b, NULL, &err) != GENET_OK)
            fail_msg("%s", err.text);
        assert_non_null(b);
        assert_int_equal(b->number, (first + i) % gn_loader_batches(l));
        assert_int_equal(b->epoch, epoch + (uint32_t)((first + i) / gn_loader_batches(l)));
        to[i] = batch_hash(b);
        gn_loader_release(l, b);
    }
    gn_batch *none;
    assert_int_equal(gn_loader_next(l, &none, NULL, &err), GENET_OK);
    assert_null(none);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    made_text(made_path(folder, "a/broken.jpg"), "this is no picture");
    made_text(made_path(folder, "c/broken.jpg"), "nor this");
    for (int training = 0; training < 2; training++) {
        gn_dataset *d = opened(folder, NULL);
        uint64_t one[12], more[12];
        gn_loader_options o = options(training, 1);
        gn_loader *l = created(d, &o);
        hashes(l, 0, 0, 12, one);
        gn_loader_free(l);
        const int threads[] = {2, 5, 5}, rings[] = {0, 1, 7};
        for (int t = 0; t < 3; t++) {
            o = options(training, threads[t]);
            o.ring = rings[t];
            l = created(d, &o);
            hashes(l, 0, 0, 12, more);
            assert_memory_equal(one, more, sizeof one);
            for (int64_t at = 0; at < gn_loader_batches(l); at += 3) { /* from the middle, and back */
                hashes(l, 1, at, 12 - gn_loader_batches(l) - at, more);
                assert_memory_equal(one + gn_loader_batches(l) + at, more,
                                    (size_t)(12 - gn_loader_batches(l) - at) * sizeof *more);
            }
            gn_loader_free(l);
        }
        assert_true(one[0] != one[1]);
        if (training) /* other epochs are other crops and another order */
            assert_true(one[0] != one[4] && one[0] != one[8]);
        o = options(training, 2);
        o.seed = 8;
        l = created(d, &o);
        hashes(l, 0, 0, 12, more);
        assert_int_equal(one[0] != more[0], training); /* evaluation has no seed */
        gn_loader_free(l);
        gn_dataset_free(d);
    }
}

static void every_image_once(void **state)
{
    (void)state;
    gn_dataset *d = opened(folder, NULL);
    gn_loader_options o = options(false, 2);
    gn_loader *l = created(d, &o);
    genet_error err = {0};
    assert_int_equal(gn_loader_batches(l), 5);
    assert_int_equal(gn_loader_seek(l, 0, 0, 5, &err), GENET_OK);
    int64_t next = 0;
    for (int n = 0; n < 5; n++) {
        gn_batch *b;
        double waited = -1;
        assert_int_equal(gn_loader_next(l, &b, &waited, &err), GENET_OK);
        assert_true(waited >= 0);
        assert_int_equal(b->count, n < 4 ? BATCH : IMAGES - 4 * BATCH);
        for (int i = 0; i < BATCH; i++) {
            assert_int_equal(b->samples[i], i < b->count ? next : -1);
            assert_int_equal(b->labels[2 * i], i < b->count ? d->samples[next].label : -1);
            assert_int_equal(b->labels[2 * i + 1], b->labels[2 * i]);
            assert_true(b->lambda[i] == 1 && b->mix[6 * i] == i && b->mix[6 * i + 1] == 1 && b->mix[6 * i + 5] == 0);
            next += i < b->count;
        }
        gn_loader_release(l, b);
    }
    assert_int_equal(next, IMAGES);
    gn_loader_free(l);
    gn_dataset_free(d);
}

static void epochs_are_permutations(void **state)
{
    (void)state;
    gn_sampler s = {.images = 1000, .batch = 32, .training = true, .seed = 1};
    assert_int_equal(gn_sampler_batches(&s), 31);
    int64_t moved = 0;
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        bool seen[1000] = {false};
        for (int64_t i = 0; i < 1000; i++) {
            int64_t image = gn_sampler_image(&s, epoch, i);
            assert_in_range(image, 0, 999);
            assert_false(seen[image]);
            seen[image] = true;
            moved += image != gn_sampler_image(&s, epoch + 1, i);
        }
    }
    assert_true(moved > 2900);
}

static void check_mixing(const gn_batch *b, const gn_dataset *d, int *mixups, int *boxes)
{
    float lambda = b->lambda[0];
    const float *box = b->mix + 2;
    bool boxed = box[0] < box[2] && box[1] < box[3];
    assert_true(lambda >= 0 && lambda <= 1);
    *boxes += boxed;
    *mixups += !boxed && lambda < 1;
    if (boxed)
        assert_true(fabs(lambda - (1 - (double)(box[2] - box[0]) * (box[3] - box[1]) / (SIZE * SIZE))) < 1e-6);
    for (int i = 0; i < BATCH; i++) {
        int partner = lambda < 1 ? BATCH - 1 - i : i;
        assert_true(b->lambda[i] == lambda && b->mix[6 * i + 1] == lambda); /* one for the batch */
        assert_true(b->mix[6 * i] == partner);
        assert_memory_equal(b->mix + 6 * i + 2, box, 4 * sizeof *box);
        assert_int_equal(b->labels[2 * i], d->samples[b->samples[i]].label);
        assert_int_equal(b->labels[2 * i + 1], d->samples[b->samples[partner]].label);
    }
}

static void mixing_of_batches(void **state)
{
    (void)state;
    gn_dataset *d = opened(folder, NULL);
    for (int which = 0; which < 4; which++) { /* none, mixup, CutMix, both */
        gn_loader_options o = options(true, 2);
        o.mixup = which & 1 ? 0.8 : 0;
        o.cutmix = which & 2 ? 1 : 0;
        gn_loader *l = created(d, &o);
        int mixups = 0, boxes = 0;
        assert_int_equal(gn_loader_seek(l, 0, 0, 40, NULL), GENET_OK);
        for (int n = 0; n < 40; n++) {
            gn_batch *b;
            assert_int_equal(gn_loader_next(l, &b, NULL, NULL), GENET_OK);
            check_mixing(b, d, &mixups, &boxes);
            gn_loader_release(l, b);
        }
        if (which < 3) {
            assert_int_equal(mixups, which == 1 ? 40 : 0);
            assert_true(which == 2 ? boxes > 30 : boxes == 0);
        } else {
            assert_in_range(mixups, 10, 30);
            assert_in_range(boxes, 8, 30);
        }
        gn_loader_free(l);
    }
    gn_dataset_free(d);
}

static void mixing_rules(void **state)
{
    (void)state;
    gn_mixing m = gn_mixing_box(0.36, 20, 200, 224, 224); /* r = 0.8, cut 179 */
    assert_int_equal(m.top, 0);
    assert_int_equal(m.bottom, 110);
    assert_int_equal(m.left, 111);
    assert_int_equal(m.right, 224);
    assert_true(fabs(m.lambda - 0.752272) < 1e-6);
    m = gn_mixing_box(1, 20, 200, 224, 224);
    assert_true(m.lambda == 1 && m.top == 0 && m.bottom == 0 && m.left == 0 && m.right == 0);
    m = gn_mixing_box(0, 112, 112, 224, 224);
    assert_true(m.lambda == 0 && m.top == 0 && m.bottom == 224 && m.left == 0 && m.right == 224);
    double sum = 0;
    for (int i = 0; i < 4000; i++) {
        m = gn_mixing_draw(3, 1, i, 224, 0.2, 0);
        assert_true(m.lambda >= 0 && m.lambda <= 1 && m.bottom == 0);
        sum += m.lambda;
    }
    assert_true(fabs(sum / 4000 - 0.5) < 0.03); /* Beta(0.2, 0.2): deviation 0.42 / sqrt(4000) = 0.0067 */
    m = gn_mixing_draw(3, 1, 5, 224, 0, 0);
    assert_true(m.lambda == 1);
}

static void broken_in_training(void **state)
{
    (void)state;
    made_text(made_path(folder, "b/bad.jpg"), "this is no picture");
    assert_int_equal(symlink("gone", made_path(folder, "c/gone.jpg")), 0);
    gn_dataset *d = opened(folder, NULL);
    gn_loader_options o = options(true, 3);
    o.mixup = o.cutmix = 0;
    gn_loader *l = created(d, &o);
    gn_sampler s = {.images = d->count, .batch = BATCH, .training = true, .seed = o.seed};
    int replaced = 0;
    assert_int_equal(gn_loader_seek(l, 0, 0, 10, NULL), GENET_OK);
    for (int n = 0; n < 10; n++) {
        gn_batch *b;
        assert_int_equal(gn_loader_next(l, &b, NULL, NULL), GENET_OK);
        assert_int_equal(b->count, BATCH);
        for (int i = 0; i < BATCH; i++) {
            int64_t position = b->number * BATCH + i, image = gn_sampler_image(&s, b->epoch, position);
            bool bad = strstr(d->samples[image].name, "bad") || strstr(d->samples[image].name, "gone");
            replaced += bad;
            if (!bad)
                assert_int_equal(b->samples[i], image);
            while (strstr(d->samples[image].name, "bad") || strstr(d->samples[image].name, "gone"))
                image = gn_sampler_image(&s, b->epoch, ++position % d->count);
            assert_int_equal(b->samples[i], image);
            assert_int_equal(b->labels[2 * i], d->samples[image].label);
        }
        gn_loader_release(l, b);
    }
    assert_true(replaced >= 3);
    assert_int_equal(gn_loader_bad_count(l), 2); /* each once */
    for (int64_t i = 0; i < 2; i++) {
        int64_t sample;
        char reason[256];
        assert_true(gn_loader_bad(l, i, &sample, reason));
        bool gone = strstr(d->samples[sample].name, "gone.jpg") != NULL;
        assert_true(gone || strstr(d->samples[sample].name, "bad.jpg"));
        assert_non_null(strstr(reason, gone ? "cannot be opened" : "JPEG"));
    }
    int64_t sample;
    char reason[256];
    assert_false(gn_loader_bad(l, 2, &sample, reason));
    assert_false(gn_loader_bad(l, -1, &sample, reason));
    gn_loader_free(l);
    gn_dataset_free(d);
}

static void broken_in_evaluation(void **state)
{
    (void)state;
    made_text(made_path(folder, "a/003.jpg"), "this is no picture");
    gn_dataset *d = opened(folder, NULL);
    gn_loader_options o = options(false, 2);
    gn_loader *l = created(d, &o);
    gn_batch *b;
    assert_int_equal(gn_loader_seek(l, 0, 0, 1, NULL), GENET_OK);
    assert_int_equal(gn_loader_next(l, &b, NULL, NULL), GENET_OK);
    assert_int_equal(b->count, BATCH);
    for (int i = 0; i < BATCH; i++) {
        assert_int_equal(b->samples[i], i == 3 ? -1 : i);
        assert_int_equal(b->labels[2 * i], i == 3 ? -1 : 0);
    }
    for (size_t i = 0; i < SIZE * SIZE * 3; i++)
        assert_int_equal(b->pixels[3 * SIZE * SIZE * 3 + i], 0);
    gn_loader_release(l, b);
    assert_int_equal(gn_loader_bad_count(l), 1);
    gn_loader_free(l);
    gn_dataset_free(d);
}

static void strict_and_hopeless(void **state)
{
    (void)state;
    made_text(made_path(folder, "a/003.jpg"), "this is no picture");
    gn_dataset *d = opened(folder, NULL);
    for (int training = 0; training < 2; training++) {
        gn_loader_options o = options(training, 2);
        o.strict = true;
        gn_loader *l = created(d, &o);
        genet_error err = {0};
        genet_status status = GENET_OK;
        assert_int_equal(gn_loader_seek(l, 0, 0, 6, NULL), GENET_OK);
        for (gn_batch *b = NULL; status == GENET_OK; gn_loader_release(l, b))
            status = gn_loader_next(l, &b, NULL, &err);
        assert_int_equal(status, GENET_DATA);
        assert_non_null(strstr(err.text, "a/003.jpg"));
        assert_non_null(strstr(err.text, "--strict"));
        gn_batch *b;
        assert_int_equal(gn_loader_next(l, &b, NULL, &err), GENET_DATA); /* and stays so */
        assert_null(b);
        gn_loader_free(l);
    }
    gn_dataset_free(d);
    for (int64_t c = 0; c < 3; c++)
        for (int i = 0; i < 11; i++) {
            const char *path = made_path(folder, "%c/%03d.jpg", (char)('a' + c), i);
            if (access(path, F_OK) == 0)
                made_text(path, "broken");
        }
    d = opened(folder, NULL);
    gn_loader_options o = options(true, 2);
    gn_loader *l = created(d, &o);
    genet_error err = {0};
    gn_batch *b;
    assert_int_equal(gn_loader_seek(l, 0, 0, 2, NULL), GENET_OK);
    assert_int_equal(gn_loader_next(l, &b, NULL, &err), GENET_DATA);
    assert_non_null(strstr(err.text, "23 images in a row"));
    gn_loader_free(l);
    gn_dataset_free(d);
}

static void holding_and_leaving(void **state)
{
    (void)state;
    gn_dataset *d = opened(folder, NULL);
    gn_loader_options o = options(true, 3);
    gn_loader *l = created(d, &o);
    gn_batch *held[3], *b;
    genet_error err = {0};
    uint64_t before[3], again[4], plain[4];
    assert_int_equal(gn_loader_next(l, &b, NULL, &err), GENET_OK); /* nothing was asked for */
    assert_null(b);
    hashes(l, 0, 0, 4, plain);
    assert_int_equal(gn_loader_seek(l, 0, 0, 4, &err), GENET_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gn_loader_next(l, &held[i], NULL, &err), GENET_OK);
        before[i] = batch_hash(held[i]);
    }
    assert_int_equal(gn_loader_next(l, &b, NULL, &err), GENET_INTERNAL); /* would wait for ever */
    assert_non_null(strstr(err.text, "held"));
    gn_loader_release(l, held[1]);
    hashes(l, 0, 0, 4, again); /* two slots are still held */
    assert_memory_equal(again, plain, sizeof plain);
    assert_true(batch_hash(held[0]) == before[0] && batch_hash(held[2]) == before[2]);
    gn_loader_release(l, held[0]);
    assert_int_equal(gn_loader_seek(l, 0, 4, 1, &err), GENET_INTERNAL); /* past the epoch's end */
    gn_loader_free(l); /* one batch is held */
    for (int i = 0; i < 60; i++) { /* leaving with work in flight, also without taking anything */
        o.threads = 1 + i % 4;
        l = created(d, &o);
        assert_int_equal(gn_loader_seek(l, 0, i % 4, 100, &err), GENET_OK);
        if (i % 3)
            assert_int_equal(gn_loader_next(l, &b, NULL, &err), GENET_OK);
        if (i % 3 == 2)
            assert_int_equal(gn_loader_seek(l, 3, 1, 5, &err), GENET_OK);
        gn_loader_free(l);
    }
    gn_dataset_free(d);
}

static void too_few_images(void **state)
{
    (void)state;
    gn_dataset *d = opened(folder, NULL);
    gn_loader_options o = options(true, 1);
    gn_loader *l = NULL;
    genet_error err = {0};
    o.batch = IMAGES + 1;
    assert_int_equal(gn_loader_create(&l, d, &o, &err), GENET_DATA);
    assert_null(l);
    assert_non_null(strstr(err.text, "--batch"));
    o.training = false;
    l = created(d, &o);
    assert_int_equal(gn_loader_batches(l), 1);
    gn_loader_free(l);
    gn_dataset_free(d);
}

static void warm_loader_takes_no_memory(void **state)
{
    (void)state;
    gn_dataset *d = opened(folder, NULL);
    gn_loader_options o = options(true, 1);
    gn_loader *l = created(d, &o);
    uint64_t sums[40];
    hashes(l, 0, 0, 40, sums);
    uint64_t before = gn_alloc_count();
    hashes(l, 0, 0, 40, sums);
    assert_int_equal(gn_alloc_count() - before, 0);
    gn_loader_free(l);
    gn_dataset_free(d);
}

/* Every allocation on the way fails once: an error, or the same batches; no leak (seen by LeakSanitizer). */
static void failing_allocations(void **state)
{
    (void)state;
    gn_dataset *d = opened(folder, NULL);
    gn_loader_options o = options(true, 1);
    gn_loader *l = created(d, &o);
    uint64_t sums[4];
    hashes(l, 0, 0, 4, sums);
    gn_loader_free(l);
    int failed = 0;
    for (int64_t n = 1;; n++) {
        genet_error err = {0};
        gn_dataset *e = NULL;
        l = NULL;
        gn_fault_arm(GN_FAULT_ALLOCATION, n);
        genet_status status = gn_dataset_open(&e, folder, NULL, &err);
        if (status == GENET_OK)
            status = gn_loader_create(&l, e, &o, &err);
        if (status == GENET_OK)
            status = gn_loader_seek(l, 0, 0, 4, &err);
        for (int i = 0; status == GENET_OK && i < 4; i++) {
            gn_batch *b;
            status = gn_loader_next(l, &b, NULL, &err);
            if (status == GENET_OK) {
                assert_true(batch_hash(b) == sums[i]);
                gn_loader_release(l, b);
            }
        }
        bool fired = gn_fault_fired() > 0;
        gn_fault_disarm();
        gn_loader_free(l);
        gn_dataset_free(e);
        if (!fired)
            break;
        assert_int_equal(status, GENET_MEMORY);
        assert_non_null(strstr(err.text, "not enough memory"));
        failed++;
    }
    assert_true(failed > 20);
    gn_dataset_free(d);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ONE(threads_change_nothing), ONE(every_image_once), ONE(epochs_are_permutations), ONE(mixing_of_batches),
        ONE(mixing_rules), ONE(broken_in_training), ONE(broken_in_evaluation), ONE(strict_and_hopeless),
        ONE(holding_and_leaving), ONE(too_few_images), ONE(warm_loader_takes_no_memory), ONE(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
