/* SPDX-License-Identifier: Apache-2.0
 * genet_evaluate: a model scored on a labelled set, every image exactly once, with intervals and confusions. Classes are
 * compared by name: one that the model does not know is refused by data/, one that the set lacks is allowed and noted. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "genet/evaluate.h"
#include "infer/evaluate.h"

#define MAX_PAIRS 20

typedef struct evaluation {
    genet_evaluation out; /* first: the public handle is this struct */
    genet_class_score *classes;
    genet_confusion *pairs;
    char **names;
    gn_text notes;
} evaluation;

/* --- the set --------------------------------------------------------------------------------------------------------- */

/* How folders became class names when the model was trained; what the user gives wins. */
static genet_status naming(const gn_session *session, const gn_settings *s, gn_dataset_options *o, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_settings *trained = NULL;
    o->leaf_names = s->class_names == 1;
    o->merge_classes = s->merge_classes;
    if (!session->checkpoint.settings)
        return GENET_OK;
    GN_TRY(gn_settings_create(&trained, err));
    if (gn_settings_from_json(trained, session->checkpoint.settings, NULL) != GENET_OK)
        goto out; /* written by another version: the user's own settings hold */
    if (!gn_settings_given(s, GN_OPTION_class_names))
        o->leaf_names = trained->class_names == 1;
    if (!gn_settings_given(s, GN_OPTION_merge_classes))
        o->merge_classes = trained->merge_classes;
out:
    gn_settings_free(trained);
    return status;
}

static genet_status open_set(gn_dataset **set, const gn_session *session, const gn_settings *s, const char *data, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_checkpoint *c = &session->checkpoint;
    gn_dataset_options o = {.seed = (uint64_t)s->seed};
    char *owner = gn_asprintf("the model %s", s->model);
    *set = NULL;
    if (!owner) {
        status = gn_fail_memory(err, strlen(s->model), "a name");
        goto out;
    }
    if (!*data) {
        status = gn_fail(err, GENET_USAGE, "no data given: --data PATH names class folders, a list file or tar shards");
        goto out;
    }
    GN_TRY(naming(session, s, &o, err));
    if (!c->classes_unknown) {
        o.expect_classes = (const char *const *)c->classes;
        o.expect_count = c->class_count;
        o.expect_owner = owner;
    }
    GN_TRY(gn_dataset_open(set, data, &o, err));
    if ((*set)->class_count != c->class_count)
        status = gn_fail(err, GENET_MISMATCH,
                         "%s names no classes and has %d outputs, but %s has %d classes: they must be equally many, in the "
                         "order of the outputs", s->model, c->class_count, data, (*set)->class_count);
out:
    gn_free(owner);
    return status;
}

static genet_status run_set(gn_session *session, gn_dataset *set, const gn_settings *s, gn_scores *scores,
                            void (*progress)(void *user, int64_t done, int64_t all), void *user, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_loader *loader = NULL;
    const gn_lane *lane;
    GN_TRY(gn_scores_create(scores, set->class_count, err));
    GN_TRY(gn_session_many(session, &lane, err));
    gn_loader_options o = {.batch = lane->batch, .threads = (int)s->loader_threads, .seed = (uint64_t)s->seed,
                           .preprocess = session->checkpoint.preprocess, .strict = s->strict};
    GN_TRY(gn_loader_create(&loader, set, &o, err));
    gn_scoring run = {.exec = lane->exec, .plan = lane->plan, .loader = loader, .all = set->count,
                      .progress = progress, .user = user};
    GN_TRY(gn_scores_run(scores, &run, err));
out:
    gn_loader_free(loader);
    return status;
}

genet_status gn_score_set(gn_session *session, const gn_settings *s, const char *data, gn_scores *scores, gn_dataset **set,
                          void (*progress)(void *user, int64_t done, int64_t all), void *user, genet_error *err)
{
    genet_status status = open_set(set, session, s, data, err);
    return status == GENET_OK ? run_set(session, *set, s, scores, progress, user, err) : status;
}

/* --- the result ------------------------------------------------------------------------------------------------------ */

static genet_status fill_classes(evaluation *e, const gn_scores *s, char *const *names, genet_error *err)
{
    int n = s->classes, seen = 0;
    e->classes = gn_calloc((size_t)n, sizeof *e->classes);
    e->names = gn_calloc((size_t)n, sizeof *e->names);
    if (!e->classes || !e->names)
        return gn_fail_memory(err, (size_t)n * sizeof *e->classes, "the scores of the classes");
    e->out.classes = e->classes;
    e->out.class_count = n;
    for (int c = 0; c < n; c++) {
        gn_class_counts counts = gn_scores_class(s, c);
        e->names[c] = gn_strdup(names[c]);
        if (!e->names[c])
            return gn_fail_memory(err, strlen(names[c]), "a class name");
        e->classes[c] = (genet_class_score){.name = e->names[c], .images = counts.images, .predicted = counts.predicted,
                                            .correct = counts.correct, .precision = gn_precision(counts),
                                            .recall = gn_recall(counts), .f1 = gn_f1(counts)};
        if (counts.images) {
            seen++;
            e->out.macro_recall += gn_recall(counts);
            e->out.macro_f1 += gn_f1(counts);
        }
    }
    e->out.macro_recall /= seen ? seen : 1;
    e->out.macro_f1 /= seen ? seen : 1;
    return GENET_OK;
}

/* Keeps the MAX_PAIRS most frequent confusions in order; among equals the one met first. */
static genet_status fill_pairs(evaluation *e, const gn_scores *s, genet_error *err)
{
    e->pairs = gn_calloc(MAX_PAIRS, sizeof *e->pairs);
    if (!e->pairs)
        return gn_fail_memory(err, MAX_PAIRS * sizeof *e->pairs, "the confusions");
    int count = 0;
    for (int t = 0; t < s->classes; t++)
        for (int p = 0; p < s->classes; p++) {
            int64_t n = s->confusion[(int64_t)t * s->classes + p];
            if (t == p || n == 0 || (count == MAX_PAIRS && n <= e->pairs[count - 1].images))
                continue;
            int at = count < MAX_PAIRS ? count++ : MAX_PAIRS - 1;
            for (; at > 0 && e->pairs[at - 1].images < n; at--)
                e->pairs[at] = e->pairs[at - 1];
            e->pairs[at] = (genet_confusion){.truth = t, .predicted = p, .images = n};
        }
    e->out.pairs = e->pairs;
    e->out.pair_count = count;
    return GENET_OK;
}

static void note_missing(evaluation *e, const gn_dataset *set)
{
    gn_text names = {0};
    int missing = gn_dataset_missing_classes(set, &names);
    if (missing)
        gn_text_add(&e->notes, "%d of the model's %d classes have no image in %s: %s\n", missing, set->class_count, set->root,
                    names.data ? names.data : "");
    gn_text_free(&names);
}

static genet_status fill(evaluation *e, const gn_scores *s, const gn_dataset *set, const gn_session *session, genet_error *err)
{
    genet_status status = GENET_OK;
    genet_evaluation *r = &e->out;
    r->images = s->images;
    r->skipped = set->count - s->images;
    if (s->images == 0) {
        status = gn_fail(err, GENET_DATA, "%s: none of its %lld images could be read", set->root, (long long)set->count);
        goto out;
    }
    r->top1 = gn_scores_top1(s);
    r->top5 = gn_scores_top5(s);
    r->loss = gn_scores_loss(s);
    gn_wilson(s->top1, s->images, &r->top1_low, &r->top1_high);
    gn_wilson(s->top5, s->images, &r->top5_low, &r->top5_high);
    GN_TRY(fill_classes(e, s, set->classes, err));
    GN_TRY(fill_pairs(e, s, err));
    if (session->notes.data)
        gn_text_add(&e->notes, "%s", session->notes.data);
    if (session->checkpoint.classes_unknown)
        gn_text_add(&e->notes, "the model names no classes: its outputs are taken to be the set's classes in their order\n");
    note_missing(e, set);
    if (r->skipped)
        gn_text_add(&e->notes, "%lld images could not be read and are not counted\n", (long long)r->skipped);
    r->notes = e->notes.data ? e->notes.data : "";
    if (e->notes.failed)
        status = gn_fail_memory(err, e->notes.length, "notes");
out:
    return status;
}

genet_status genet_evaluate(const genet_config *config, void (*progress)(void *user, int64_t done, int64_t all), void *user,
                            genet_evaluation **result, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *settings = gn_config_settings(config);
    gn_session session = {0};
    gn_scores scores = {0};
    gn_dataset *set = NULL;
    double start = gn_now();
    *result = NULL;
    evaluation *e = gn_calloc(1, sizeof *e);
    if (!e)
        return gn_fail_memory(err, sizeof *e, "an evaluation");
    gn_session_options options = gn_session_options_from(settings, (int)settings->batch);
    GN_TRY(gn_session_open(&session, settings->model, &options, err));
    gn_session_use_settings(&session, settings);
    GN_TRY(gn_score_set(&session, settings, settings->data, &scores, &set, progress, user, err));
    GN_TRY(fill(e, &scores, set, &session, err));
    e->out.seconds = gn_now() - start;
    *result = &e->out;
    e = NULL;
out:
    genet_evaluation_free(e ? &e->out : NULL);
    gn_scores_free(&scores);
    gn_dataset_free(set);
    gn_session_close(&session);
    return status;
}

void genet_evaluation_free(genet_evaluation *result)
{
    evaluation *e = (evaluation *)result;
    if (!e)
        return;
    for (int i = 0; e->names && i < e->out.class_count; i++)
        gn_free(e->names[i]);
    gn_free(e->names);
    gn_free(e->classes);
    gn_free(e->pairs);
    gn_text_free(&e->notes);
    gn_free(e);
}
