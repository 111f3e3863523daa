/* SPDX-License-Identifier: Apache-2.0
 * genet_session_*: classifying pictures, the public face of a session. Pictures are prepared as evaluation prepares
 * them, by the checkpoint's own rules. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/config.h"
#include "data/threads.h"
#include "genet/infer.h"
#include "infer/scores.h"
#include "infer/session.h"

#define MAX_FILE ((size_t)1 << 30)

struct genet_session {
    gn_session session;
    int decoders;                 /* threads that prepare pictures */
    gn_prepare_scratch **scratch; /* (decoders) */
    unsigned char *pixels;        /* (batch,size,size,3) */
    float *logits;                /* (batch,classes) */
};

static size_t picture_bytes(const genet_session *s)
{
    size_t side = (size_t)s->session.checkpoint.model->spec.size;
    return side * side * 3;
}

genet_status genet_session_open(genet_session **session, const genet_config *config, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *settings = gn_config_settings(config);
    gn_session_options options = gn_session_options_from(settings, (int)settings->batch);
    *session = NULL;
    genet_session *s = gn_calloc(1, sizeof *s);
    if (!s)
        return gn_fail_memory(err, sizeof *s, "a session");
    GN_TRY(gn_session_open(&s->session, settings->model, &options, err));
    gn_session_use_settings(&s->session, settings);
    size_t batch = (size_t)s->session.batch;
    s->decoders = s->session.device.threads < s->session.batch ? s->session.device.threads : s->session.batch;
    s->scratch = gn_calloc((size_t)s->decoders, sizeof(gn_prepare_scratch *));
    s->pixels = gn_calloc(batch, picture_bytes(s));
    s->logits = gn_calloc(batch * (size_t)s->session.checkpoint.class_count, sizeof *s->logits);
    if (!s->scratch || !s->pixels || !s->logits) {
        status = gn_fail_memory(err, batch * picture_bytes(s), "prepared pictures");
        goto out;
    }
    for (int i = 0; i < s->decoders; i++)
        GN_TRY(gn_prepare_scratch_create(&s->scratch[i], err));
    *session = s;
    s = NULL;
out:
    genet_session_close(s);
    return status;
}

void genet_session_close(genet_session *session)
{
    if (!session)
        return;
    gn_session_close(&session->session);
    for (int i = 0; session->scratch && i < session->decoders; i++)
        gn_prepare_scratch_free(session->scratch[i]);
    gn_free(session->scratch);
    gn_free(session->pixels);
    gn_free(session->logits);
    gn_free(session);
}

int genet_session_class_count(const genet_session *session)
{
    return session->session.checkpoint.class_count;
}

const char *genet_session_class_name(const genet_session *session, int index)
{
    const gn_checkpoint *c = &session->session.checkpoint;
    return index >= 0 && index < c->class_count ? c->classes[index] : NULL;
}

int genet_session_input_size(const genet_session *session)
{
    return session->session.checkpoint.model->spec.size;
}

const char *genet_session_notes(const genet_session *session)
{
    return session->session.notes.data ? session->session.notes.data : "";
}

/* The `top` best classes by repeated selection, each marked as taken; among equals the lower index. Uses up the logits. */
static int select_best(const genet_session *s, float *logits, genet_prediction *best, int top)
{
    const gn_checkpoint *c = &s->session.checkpoint;
    int found = 0;
    gn_softmax(logits, c->class_count);
    for (; found < top && found < c->class_count; found++) {
        int pick = 0;
        for (int k = 1; k < c->class_count; k++)
            if (logits[k] > logits[pick])
                pick = k;
        best[found] = (genet_prediction){.class_index = pick, .class_name = c->classes[pick], .probability = logits[pick]};
        logits[pick] = -1;
    }
    return found;
}

/* --- many ----------------------------------------------------------------------------------------------------------------- */

typedef struct batch {
    genet_session *session;
    genet_picture *pictures;
} batch;

static genet_status read_and_prepare(genet_session *s, gn_prepare_scratch *scratch, const genet_picture *p, unsigned char *out,
                                     genet_error *err)
{
    unsigned char *file = NULL;
    const unsigned char *bytes = p->bytes;
    size_t size = p->size;
    genet_status status = GENET_OK;
    if (!bytes) {
        GN_TRY(gn_file_read(p->path, MAX_FILE, &file, &size, err));
        bytes = file;
    }
    status = gn_prepare(scratch, bytes, size, &s->session.checkpoint.preprocess, NULL, 0, 0, 0, out, NULL, err);
    if (status != GENET_OK && p->path)
        gn_error_prefix(err, "%s", p->path);
out:
    gn_free(file);
    return status;
}

/* A picture's own fault is written beside it; what would stop the next ones too ends the batch. */
static genet_status prepare_one(void *user, int thread, int64_t i, genet_error *err)
{
    batch *b = user;
    genet_session *s = b->session;
    genet_picture *p = &b->pictures[i];
    p->status = read_and_prepare(s, s->scratch[thread], p, s->pixels + (size_t)i * picture_bytes(s), &p->error);
    if (p->status != GENET_MEMORY && p->status != GENET_INTERNAL)
        return GENET_OK;
    return gn_fail(err, p->status, "%s", p->error.text);
}

static genet_status classify_batch(genet_session *s, genet_picture *pictures, int count, int top, genet_error *err)
{
    genet_status status = GENET_OK;
    batch b = {.session = s, .pictures = pictures};
    int good = 0;
    size_t bytes = picture_bytes(s);
    if (count == 1)
        GN_TRY(prepare_one(&b, 0, 0, err));
    else
        GN_TRY(gn_parallel(count, s->decoders, prepare_one, &b, NULL, NULL, err));
    for (int i = 0; i < count; i++) /* closes the gaps that unreadable pictures leave */
        if (pictures[i].status == GENET_OK && good++ != i)
            memcpy(s->pixels + (size_t)(good - 1) * bytes, s->pixels + (size_t)i * bytes, bytes);
    if (good == 0)
        goto out;
    GN_TRY(gn_session_run(&s->session, s->pixels, good, s->logits, err));
    float *logits = s->logits;
    for (int i = 0; i < count; i++)
        if (pictures[i].status == GENET_OK) {
            pictures[i].found = select_best(s, logits, pictures[i].best, top);
            logits += s->session.checkpoint.class_count;
        }
out:
    return status;
}

genet_status genet_session_classify_many(genet_session *session, genet_picture *pictures, int count, int top, genet_error *err)
{
    genet_status status = GENET_OK;
    for (int i = 0; i < count; i++)
        pictures[i].found = 0;
    for (int done = 0, n; done < count && status == GENET_OK; done += n) {
        n = count - done < session->session.batch ? count - done : session->session.batch;
        status = classify_batch(session, pictures + done, n, top, err);
    }
    return status;
}

/* --- one ------------------------------------------------------------------------------------------------------------------ */

static genet_status classify_one(genet_session *session, genet_picture picture, int top, int *found, genet_error *err)
{
    genet_status status = genet_session_classify_many(session, &picture, 1, top, err);
    *found = picture.found;
    if (status == GENET_OK && picture.status != GENET_OK)
        status = gn_fail(err, picture.status, "%s", picture.error.text);
    return status;
}

genet_status genet_session_classify(genet_session *session, const void *bytes, size_t size, genet_prediction *best, int top,
                                    int *found, genet_error *err)
{
    return classify_one(session, (genet_picture){.bytes = bytes ? bytes : "", .size = bytes ? size : 0, .best = best}, top, found,
                        err);
}

genet_status genet_session_classify_file(genet_session *session, const char *path, genet_prediction *best, int top,
                                         int *found, genet_error *err)
{
    return classify_one(session, (genet_picture){.path = path, .best = best}, top, found, err);
}
