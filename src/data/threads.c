/* SPDX-License-Identifier: Apache-2.0
 * Threads of data/. */
#include "data/threads.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"

#define ROUNDS_AT_ONCE 8
#define PROGRESS_NANOSECONDS 200000000

int gn_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 4096 ? 4096 : (int)n;
}

int gn_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int why = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return why;
}

typedef struct loop {
    int64_t count;
    genet_status (*round)(void *user, int thread, int64_t i, genet_error *err);
    void *user;
    atomic_llong next, done;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int running;
    genet_status status;
    int64_t failed_at;
    genet_error error;
} loop;

typedef struct worker {
    loop *loop;
    pthread_t thread;
    int number;
} worker;

static void note_failure(loop *l, int64_t i, genet_status status, const genet_error *error)
{
    pthread_mutex_lock(&l->lock);
    if (l->status == GENET_OK || i < l->failed_at) {
        l->status = status;
        l->failed_at = i;
        l->error = *error;
    }
    pthread_mutex_unlock(&l->lock);
    atomic_store(&l->next, l->count);
}

static void work(loop *l, int number)
{
    for (;;) {
        int64_t i = atomic_fetch_add(&l->next, ROUNDS_AT_ONCE);
        if (i >= l->count)
            return;
        int64_t end = i + ROUNDS_AT_ONCE < l->count ? i + ROUNDS_AT_ONCE : l->count;
        for (; i < end; i++) {
            genet_error error = {0};
            genet_status status = l->round(l->user, number, i, &error);
            if (status != GENET_OK) {
                note_failure(l, i, status, &error);
                return;
            }
            atomic_fetch_add(&l->done, 1);
        }
    }
}

static void *run(void *argument)
{
    worker *w = argument;
    work(w->loop, w->number);
    pthread_mutex_lock(&w->loop->lock);
    w->loop->running--;
    pthread_cond_signal(&w->loop->ended);
    pthread_mutex_unlock(&w->loop->lock);
    return NULL;
}

static void wait_all(loop *l, void (*progress)(void *user, int64_t done, int64_t all), void *user)
{
    pthread_mutex_lock(&l->lock);
    while (l->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_NANOSECONDS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&l->ended, &l->lock, &until);
        pthread_mutex_unlock(&l->lock);
        if (progress)
            progress(user, atomic_load(&l->done), l->count);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
}

genet_status gn_parallel(int64_t count, int threads,
                         genet_status (*round)(void *user, int thread, int64_t i, genet_error *err), void *user,
                         void (*progress)(void *user, int64_t done, int64_t all), void *progress_user, genet_error *err)
{
    loop l = {.count = count, .round = round, .user = user};
    atomic_init(&l.next, 0);
    atomic_init(&l.done, 0);
    pthread_mutex_init(&l.lock, NULL);
    pthread_cond_init(&l.ended, NULL);
    worker *workers = gn_calloc((size_t)threads, sizeof *workers);
    int started = 0;
    if (workers) {
        l.running = threads;
        for (; started < threads; started++) {
            workers[started] = (worker){.loop = &l, .number = started};
            if (gn_thread_start(&workers[started].thread, run, &workers[started]) != 0)
                break;
        }
        pthread_mutex_lock(&l.lock);
        l.running -= threads - started;
        pthread_mutex_unlock(&l.lock);
    }
    if (started == 0) /* no thread to be had: do it here */
        work(&l, 0);
    wait_all(&l, progress, progress_user);
    for (int i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    if (progress)
        progress(progress_user, atomic_load(&l.done), count);
    gn_free(workers);
    pthread_cond_destroy(&l.ended);
    pthread_mutex_destroy(&l.lock);
    if (l.status != GENET_OK)
        return gn_fail(err, l.status, "%s", l.error.text);
    return GENET_OK;
}
