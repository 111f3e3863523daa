/* SPDX-License-Identifier: Apache-2.0
 * Threads of data/: starting them with signals blocked (a signal goes to the thread that waits for it), and a loop whose
 * rounds are spread over them. */
#ifndef GN_DATA_THREADS_H
#define GN_DATA_THREADS_H
#include <pthread.h>
#include <stdint.h>
#include "base/error.h"

int gn_cores(void);
/* pthread_create with all signals blocked in the new thread. Returns 0 or an errno value. */
int gn_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/* Calls round(user, thread, i) for every i in [0, count), `thread` in [0, threads). Rounds of one thread do not overlap. A
 * round that fails stops the loop; the failure with the lowest i of those seen is returned. progress (may be NULL) is
 * called from the calling thread a few times a second and at the end. */
genet_status gn_parallel(int64_t count, int threads,
                         genet_status (*round)(void *user, int thread, int64_t i, genet_error *err), void *user,
                         void (*progress)(void *user, int64_t done, int64_t all), void *progress_user, genet_error *err);
#endif
