/* SPDX-License-Identifier: Apache-2.0
 * The ring of batches and the threads that fill it. The unit of work is one place of one batch; batches are begun in
 * their order, so the one that is waited for never lacks a slot. Which bytes a place gets is decided by (seed, epoch,
 * batch, place) alone; threads only decide when.
 * Lock order: there is one lock, and no image is read under it. */
#include "data/loader.h"
#include <pthread.h>
#include <string.h>
#include "base/mem.h"
#include "data/mixing.h"
#include "data/sampler.h"
#include "data/threads.h"

#define DEFAULT_RING 3
#define MAX_RING 1024
#define MAX_REPLACEMENTS 1000

typedef enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_HELD } slot_state;

typedef struct slot {
    gn_batch batch; /* first: a gn_batch * is a slot * */
    slot_state state;
    int64_t sequence; /* which batch since the last seek */
    int places, claimed, done;
    int failed_place; /* lowest place that failed, or -1 */
    genet_error error;
} slot;

typedef struct bad_image {
    int64_t sample;
    char reason[256];
} bad_image;

typedef struct worker {
    gn_loader *loader;
    pthread_t thread;
    gn_prepare_scratch *scratch;
    unsigned char *bytes; /* of the file being read */
    size_t capacity;
} worker;

struct gn_loader {
    const gn_dataset *set;
    gn_loader_options options;
    gn_sampler sampler;
    slot *slots;
    int slot_count;
    void *slab;
    size_t slab_bytes, image_bytes;
    worker *workers;
    int worker_count, started_workers;

    pthread_mutex_t lock;
    pthread_cond_t work, ready, idle;
    bool stop, draining;
    uint32_t epoch;     /* where the last seek went */
    int64_t first;      /* batch of that epoch */
    int64_t wanted;     /* batches to deliver since */
    int64_t begun;      /* batches that have got a slot */
    int64_t delivered;
    slot *filling;      /* the batch begun last, while it has unclaimed places */
    int in_flight;      /* places being worked on */
    bool failed;
    genet_error error;

    unsigned char *known_bad; /* [sample] */
    bad_image *bad;
    int64_t bad_count, bad_capacity;
};

/* --- one place --------------------------------------------------------------------------------------------------- */

static genet_status note_bad(gn_loader *l, int64_t sample, const char *reason, genet_error *err)
{
    genet_status status = GENET_OK;
    pthread_mutex_lock(&l->lock);
    if (l->known_bad[sample])
        goto out;
    if (l->bad_count == l->bad_capacity) {
        int64_t capacity = l->bad_capacity ? l->bad_capacity * 2 : 64;
        bad_image *bigger = gn_realloc(l->bad, (size_t)capacity * sizeof *bigger);
        if (!bigger) {
            status = gn_fail_memory(err, (size_t)capacity * sizeof *bigger, "the list of broken images");
            goto out;
        }
        l->bad = bigger;
        l->bad_capacity = capacity;
    }
    l->known_bad[sample] = 1;
    bad_image *b = &l->bad[l->bad_count++];
    size_t n = strnlen(reason, sizeof b->reason - 1);
    b->sample = sample;
    memcpy(b->reason, reason, n);
    b->reason[n] = '\0';
out:
    pthread_mutex_unlock(&l->lock);
    return status;
}

static genet_status load(worker *w, int64_t sample, uint32_t epoch, unsigned char *pixels, genet_error *err)
{
    gn_loader *l = w->loader;
    genet_status status = GENET_OK;
    size_t bytes;
    GN_TRY(gn_sample_read(&l->set->samples[sample], &w->bytes, &w->capacity, &bytes, err));
    GN_TRY(gn_prepare(w->scratch, w->bytes, bytes, &l->options.preprocess,
                      l->options.training ? &l->options.augment : NULL, l->options.seed, epoch, (uint64_t)sample, pixels,
                      NULL, err));
out:
    return status;
}

/* A broken image gives way to the next of the epoch's order. What is known to be broken is tried again each time, or the
 * batch would depend on what was read before it (a truncated JPEG can serve a crop of its upper part). */
static genet_status fill_place(worker *w, slot *s, int place, genet_error *err)
{
    gn_loader *l = w->loader;
    gn_batch *b = &s->batch;
    int64_t images = l->set->count, tries = 1;
    int64_t position = b->number * l->options.batch + place;
    unsigned char *pixels = b->pixels + (size_t)place * l->image_bytes;
    if (l->options.training)
        tries = images < MAX_REPLACEMENTS ? images : MAX_REPLACEMENTS;
    for (int64_t i = 0; i < tries; i++) {
        int64_t sample = gn_sampler_image(&l->sampler, b->epoch, (position + i) % images);
        const gn_sample *image = &l->set->samples[sample];
        genet_error error = {0};
        genet_status status = load(w, sample, b->epoch, pixels, &error);
        if (status == GENET_OK) {
            b->samples[place] = sample;
            b->labels[2 * place] = b->labels[2 * place + 1] = image->label;
            return GENET_OK;
        }
        if (status != GENET_DATA && status != GENET_IO) /* not the picture's fault */
            return gn_fail(err, status, "'%s': %s", image->path, error.text);
        if (l->options.strict)
            return gn_fail(err, GENET_DATA, "the image '%s' cannot be used: %s (--strict makes this an error)",
                           image->bytes ? image->name : image->path, error.text);
        status = note_bad(l, sample, error.text, err);
        if (status != GENET_OK)
            return status;
    }
    if (l->options.training)
        return gn_fail(err, GENET_DATA, "'%s': %lld images in a row cannot be used", l->set->root, (long long)tries);
    memset(pixels, 0, l->image_bytes);
    return GENET_OK;
}

/* The whole batch is there: partners, lambda, boxes; unused places get black pixels. */
static void finish_batch(const gn_loader *l, slot *s)
{
    gn_batch *b = &s->batch;
    int n = l->options.batch;
    gn_mixing m = {.lambda = 1};
    if (l->options.training)
        m = gn_mixing_draw(l->options.seed, b->epoch, b->number, l->options.preprocess.size, l->options.mixup,
                           l->options.cutmix);
    for (int i = 0; i < n; i++) {
        int partner = m.lambda < 1 ? n - 1 - i : i;
        float row[6] = {(float)partner, (float)m.lambda, (float)m.top, (float)m.left, (float)m.bottom, (float)m.right};
        memcpy(b->mix + 6 * i, row, sizeof row);
        b->lambda[i] = (float)m.lambda;
        b->labels[2 * i + 1] = b->labels[2 * partner];
    }
    for (int i = s->places; i < n; i++)
        memset(b->pixels + (size_t)i * l->image_bytes, 0, l->image_bytes);
}

/* --- threads ------------------------------------------------------------------------------------------------------- */

static void begin_batch(gn_loader *l, slot *s)
{
    int64_t batches = gn_sampler_batches(&l->sampler), at = l->first + l->begun;
    s->state = SLOT_FILLING;
    s->sequence = l->begun++;
    s->batch.epoch = l->epoch + (uint32_t)(at / batches);
    s->batch.number = at % batches;
    s->batch.count = s->places = gn_sampler_places(&l->sampler, s->batch.number);
    s->claimed = s->done = 0;
    s->failed_place = -1;
    for (int i = 0; i < l->options.batch; i++) {
        s->batch.samples[i] = -1;
        s->batch.labels[2 * i] = s->batch.labels[2 * i + 1] = -1;
    }
    l->filling = s;
}

/* The next place to work on, or NULL when there is nothing to do. Called under the lock. */
static slot *claim(gn_loader *l, int *place)
{
    if (l->draining)
        return NULL;
    for (int i = 0; !l->filling && l->begun < l->wanted && i < l->slot_count; i++)
        if (l->slots[i].state == SLOT_FREE)
            begin_batch(l, &l->slots[i]);
    slot *s = l->filling;
    if (!s)
        return NULL;
    *place = s->claimed++;
    if (s->claimed == s->places)
        l->filling = NULL;
    l->in_flight++;
    return s;
}

static void place_done(gn_loader *l, slot *s, int place, genet_status status, const genet_error *error)
{
    pthread_mutex_lock(&l->lock);
    if (status != GENET_OK && (s->failed_place < 0 || place < s->failed_place)) {
        s->failed_place = place;
        s->error = *error;
    }
    bool last = ++s->done == s->places;
    if (last) { /* no one else touches this slot now */
        pthread_mutex_unlock(&l->lock);
        finish_batch(l, s);
        pthread_mutex_lock(&l->lock);
        s->state = SLOT_READY;
        pthread_cond_broadcast(&l->ready);
    }
    if (--l->in_flight == 0)
        pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->lock);
}

static void *run(void *argument)
{
    worker *w = argument;
    gn_loader *l = w->loader;
    for (;;) {
        slot *s = NULL;
        int place = 0;
        pthread_mutex_lock(&l->lock);
        while (!l->stop && !(s = claim(l, &place)))
            pthread_cond_wait(&l->work, &l->lock);
        pthread_mutex_unlock(&l->lock);
        if (!s)
            return NULL;
        genet_error error = {0};
        genet_status status = fill_place(w, s, place, &error);
        place_done(l, s, place, status, &error);
    }
}

/* --- construction ---------------------------------------------------------------------------------------------------- */

static size_t rounded(size_t bytes)
{
    return (bytes + GN_SLAB_ALIGN - 1) / GN_SLAB_ALIGN * GN_SLAB_ALIGN;
}

static genet_status cut_slab(gn_loader *l, genet_error *err)
{
    size_t n = (size_t)l->options.batch;
    size_t pixels = rounded(n * l->image_bytes), samples = rounded(n * sizeof(int64_t)),
           labels = rounded(n * 2 * sizeof(int32_t)), lambda = rounded(n * sizeof(float)),
           mix = rounded(n * 6 * sizeof(float));
    size_t one = pixels + samples + labels + lambda + mix;
    l->slab_bytes = one * (size_t)l->slot_count;
    l->slab = gn_slab_alloc(l->slab_bytes);
    if (!l->slab)
        return gn_fail_memory(err, l->slab_bytes, "the ring of prepared batches; a smaller --batch needs less");
    for (int i = 0; i < l->slot_count; i++) {
        unsigned char *at = (unsigned char *)l->slab + one * (size_t)i;
        gn_batch *b = &l->slots[i].batch;
        b->pixels = at;
        b->samples = (void *)(at += pixels);
        b->labels = (void *)(at += samples);
        b->lambda = (void *)(at += labels);
        b->mix = (void *)(at += lambda);
    }
    return GENET_OK;
}

static genet_status check_options(const gn_dataset *d, const gn_loader_options *o, genet_error *err)
{
    if (o->batch < 1 || o->batch > 65536 || o->preprocess.size < 1 || o->preprocess.size > 16384 || o->ring < 0 ||
        o->ring > MAX_RING || o->threads < 0 || o->threads > 4096)
        return gn_fail(err, GENET_INTERNAL, "loader: batch %d, size %d, ring %d, threads %d", o->batch, o->preprocess.size,
                       o->ring, o->threads);
    if (d->count == 0)
        return gn_fail(err, GENET_DATA, "'%s' has no images", d->root);
    if (o->training && d->count < o->batch)
        return gn_fail(err, GENET_DATA, "'%s' has %lld images, fewer than a batch of %d: give a smaller --batch", d->root,
                       (long long)d->count, o->batch);
    return GENET_OK;
}

static genet_status start_workers(gn_loader *l, genet_error *err)
{
    genet_status status = GENET_OK;
    l->worker_count = l->options.threads ? l->options.threads : gn_cores();
    l->workers = gn_calloc((size_t)l->worker_count, sizeof *l->workers);
    if (!l->workers)
        return gn_fail_memory(err, (size_t)l->worker_count * sizeof *l->workers, "loader threads");
    for (int i = 0; i < l->worker_count; i++) {
        l->workers[i].loader = l;
        GN_TRY(gn_prepare_scratch_create(&l->workers[i].scratch, err));
    }
    for (; l->started_workers < l->worker_count; l->started_workers++) {
        int why = gn_thread_start(&l->workers[l->started_workers].thread, run, &l->workers[l->started_workers]);
        if (why) {
            status = gn_fail_errno(err, GENET_MEMORY, why, "cannot start loader thread %d of %d", l->started_workers + 1,
                                   l->worker_count);
            goto out;
        }
    }
out:
    return status;
}

genet_status gn_loader_create(gn_loader **out, const gn_dataset *d, const gn_loader_options *options, genet_error *err)
{
    genet_status status = GENET_OK;
    *out = NULL;
    GN_TRY(check_options(d, options, err));
    gn_loader *l = gn_calloc(1, sizeof *l);
    if (!l)
        return gn_fail_memory(err, sizeof *l, "the loader");
    l->set = d;
    l->options = *options;
    l->sampler = (gn_sampler){.images = d->count, .batch = options->batch, .training = options->training,
                              .seed = options->seed};
    l->image_bytes = (size_t)options->preprocess.size * (size_t)options->preprocess.size * 3;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, NULL);
    pthread_cond_init(&l->idle, NULL);
    l->slot_count = options->ring ? options->ring : DEFAULT_RING;
    l->slots = gn_calloc((size_t)l->slot_count, sizeof *l->slots);
    l->known_bad = gn_calloc((size_t)d->count, 1);
    if (!l->slots || !l->known_bad)
        status = gn_fail_memory(err, (size_t)d->count, "the loader");
    if (status == GENET_OK)
        status = cut_slab(l, err);
    if (status == GENET_OK)
        status = start_workers(l, err);
    if (status == GENET_OK)
        *out = l;
    else
        gn_loader_free(l);
out:
    return status;
}

void gn_loader_free(gn_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started_workers; i++)
        pthread_join(l->workers[i].thread, NULL);
    for (int i = 0; l->workers && i < l->worker_count; i++) {
        gn_prepare_scratch_free(l->workers[i].scratch);
        gn_free(l->workers[i].bytes);
    }
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->ready);
    pthread_cond_destroy(&l->idle);
    pthread_mutex_destroy(&l->lock);
    gn_slab_free(l->slab, l->slab_bytes);
    gn_free(l->workers);
    gn_free(l->slots);
    gn_free(l->known_bad);
    gn_free(l->bad);
    gn_free(l);
}

/* --- delivering ------------------------------------------------------------------------------------------------------ */

int64_t gn_loader_batches(const gn_loader *l)
{
    return gn_sampler_batches(&l->sampler);
}

genet_status gn_loader_seek(gn_loader *l, uint32_t epoch, int64_t batch, int64_t batches, genet_error *err)
{
    if (batch < 0 || batch >= gn_loader_batches(l) || batches < 0)
        return gn_fail(err, GENET_INTERNAL, "loader: batch %lld of %lld", (long long)batch, (long long)gn_loader_batches(l));
    pthread_mutex_lock(&l->lock);
    l->draining = true;
    while (l->in_flight > 0)
        pthread_cond_wait(&l->idle, &l->lock);
    for (int i = 0; i < l->slot_count; i++)
        if (l->slots[i].state != SLOT_HELD)
            l->slots[i].state = SLOT_FREE;
    l->filling = NULL;
    l->epoch = epoch;
    l->first = batch;
    l->wanted = batches;
    l->begun = l->delivered = 0;
    l->failed = false;
    l->draining = false;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    return GENET_OK;
}

static slot *find_ready(gn_loader *l, int *held)
{
    *held = 0;
    for (int i = 0; i < l->slot_count; i++) {
        slot *s = &l->slots[i];
        *held += s->state == SLOT_HELD;
        if (s->state == SLOT_READY && s->sequence == l->delivered)
            return s;
    }
    return NULL;
}

genet_status gn_loader_next(gn_loader *l, gn_batch **batch, double *waited, genet_error *err)
{
    genet_status status = GENET_OK;
    double start = gn_now();
    slot *s = NULL;
    int held = 0;
    *batch = NULL;
    pthread_mutex_lock(&l->lock);
    while (!l->failed && l->delivered < l->wanted && !(s = find_ready(l, &held)) && held < l->slot_count)
        pthread_cond_wait(&l->ready, &l->lock);
    if (s) {
        l->delivered++;
        s->state = s->failed_place < 0 ? SLOT_HELD : SLOT_FREE;
        l->failed = s->failed_place >= 0;
        l->error = l->failed ? s->error : l->error;
        *batch = l->failed ? NULL : &s->batch;
    } else if (!l->failed && l->delivered < l->wanted) {
        status = gn_fail(err, GENET_INTERNAL, "loader: all %d batches are held", l->slot_count);
    }
    if (l->failed)
        status = gn_fail(err, l->error.status, "%s", l->error.text);
    pthread_mutex_unlock(&l->lock);
    if (waited)
        *waited = gn_now() - start;
    return status;
}

void gn_loader_release(gn_loader *l, gn_batch *batch)
{
    if (!batch)
        return;
    pthread_mutex_lock(&l->lock);
    ((slot *)batch)->state = SLOT_FREE;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}

/* --- broken images ----------------------------------------------------------------------------------------------------- */

int64_t gn_loader_bad_count(const gn_loader *l)
{
    pthread_mutex_t *lock = &((gn_loader *)(uintptr_t)l)->lock;
    pthread_mutex_lock(lock);
    int64_t n = l->bad_count;
    pthread_mutex_unlock(lock);
    return n;
}

bool gn_loader_bad(const gn_loader *l, int64_t i, int64_t *sample, char reason[256])
{
    pthread_mutex_t *lock = &((gn_loader *)(uintptr_t)l)->lock;
    pthread_mutex_lock(lock);
    bool there = i >= 0 && i < l->bad_count;
    if (there) {
        *sample = l->bad[i].sample;
        memcpy(reason, l->bad[i].reason, sizeof l->bad[i].reason);
    }
    pthread_mutex_unlock(lock);
    return there;
}
