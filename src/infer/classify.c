/* SPDX-License-Identifier: Apache-2.0
 * genet_session_*: classifying pictures, the public face of a session. Pictures are prepared as evaluation prepares
 * them, by the checkpoint's own rules. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/config.h"
#include "genet/infer.h"
#include "infer/scores.h"
#include "infer/session.h"

#define MAX_FILE ((size_t)1 << 30)

struct genet_session {
    gn_session session;
    gn_prepare_scratch *scratch;
    unsigned char *pixels; /* (size,size,3) */
    float *logits;         /* (classes) */
};

genet_status genet_session_open(genet_session **session, const genet_config *config, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *settings = gn_config_settings(config);
    gn_session_options options = gn_session_options_from(settings, 1);
    *session = NULL;
    genet_session *s = gn_calloc(1, sizeof *s);
    if (!s)
        return gn_fail_memory(err, sizeof *s, "a session");
    GN_TRY(gn_session_open(&s->session, settings->model, &options, err));
    gn_session_use_settings(&s->session, settings);
    GN_TRY(gn_prepare_scratch_create(&s->scratch, err));
    size_t side = (size_t)s->session.checkpoint.model->spec.size;
    s->pixels = gn_calloc(side * side, 3);
    s->logits = gn_calloc((size_t)s->session.checkpoint.class_count, sizeof *s->logits);
    if (!s->pixels || !s->logits) {
        status = gn_fail_memory(err, side * side * 3, "a prepared picture");
        goto out;
    }
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
    gn_prepare_scratch_free(session->scratch);
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

/* The `top` best classes by repeated selection, each marked as taken; among equals the lower index. */
static int select_best(genet_session *s, genet_prediction *best, int top)
{
    const gn_checkpoint *c = &s->session.checkpoint;
    int found = 0;
    for (; found < top && found < c->class_count; found++) {
        int pick = 0;
        for (int k = 1; k < c->class_count; k++)
            if (s->logits[k] > s->logits[pick])
                pick = k;
        best[found] = (genet_prediction){.class_index = pick, .class_name = c->classes[pick], .probability = s->logits[pick]};
        s->logits[pick] = -1;
    }
    return found;
}

genet_status genet_session_classify(genet_session *session, const void *bytes, size_t size, genet_prediction *best, int top,
                                    int *found, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_session *s = &session->session;
    *found = 0;
    GN_TRY(gn_prepare(session->scratch, bytes, size, &s->checkpoint.preprocess, NULL, 0, 0, 0, session->pixels, NULL, err));
    GN_TRY(gn_session_run(s, session->pixels, 1, session->logits, err));
    gn_softmax(session->logits, s->checkpoint.class_count);
    *found = select_best(session, best, top);
out:
    return status;
}

genet_status genet_session_classify_file(genet_session *session, const char *path, genet_prediction *best, int top,
                                         int *found, genet_error *err)
{
    unsigned char *bytes;
    size_t size;
    *found = 0;
    genet_status status = gn_file_read(path, MAX_FILE, &bytes, &size, err);
    if (status != GENET_OK)
        return status;
    status = genet_session_classify(session, bytes, size, best, top, found, err);
    if (status != GENET_OK)
        gn_error_prefix(err, "%s", path);
    gn_free(bytes);
    return status;
}
