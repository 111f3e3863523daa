/* SPDX-License-Identifier: Apache-2.0
 * Scoring a session on a labelled set: what genet_evaluate does, and genet_quantize before and after. */
#ifndef GN_INFER_EVALUATE_H
#define GN_INFER_EVALUATE_H
#include "infer/scores.h"
#include "infer/session.h"

/* Opens `data` as a set of the session's classes (by name) and scores every image of it. Of the settings model (a name in
 * messages), class-names, merge-classes, loader-threads, seed and strict count. *set and scores are the caller's to free, also
 * after a failure. */
genet_status gn_score_set(gn_session *session, const gn_settings *s, const char *data, gn_scores *scores, gn_dataset **set,
                          void (*progress)(void *user, int64_t done, int64_t all), void *user, genet_error *err);
#endif
