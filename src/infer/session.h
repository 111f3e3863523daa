/* SPDX-License-Identifier: Apache-2.0
 * An inference session: a checkpoint, its network with batch norm folded on a device (or an int8 model's, as its file has
 * it), and notes about what was changed on loading. */
#ifndef GN_INFER_SESSION_H
#define GN_INFER_SESSION_H
#include "exec/exec.h"
#include "formats/checkpoint.h"
#include "infer/device.h"
#include "model/folded.h"

typedef struct gn_session_options {
    const char *backend, *isa; /* as gn_device_open */
    int64_t threads;
    int batch;
    int size;          /* 0: the model's own; gather kernels are resampled to another size, which the notes say. An int8 model
                          has its own size alone */
    int amp;           /* GN_CHOICE_AMP_* */
    bool use_ema;      /* averaged weights where the checkpoint has them */
} gn_session_options;

/* The network for so many pictures at once. */
typedef struct gn_lane {
    int batch;
    gn_plan *plan;
    gn_exec *exec;
    float *mix;            /* (batch,6): no mixing */
    unsigned char *pixels; /* (batch,size,size,3): for fewer than `batch` pictures */
} gn_lane;

typedef struct gn_session {
    gn_checkpoint checkpoint; /* after resampling: spec.size is the session's. Without weights where folded->int8 */
    int resampled;            /* gather kernels that were resampled */
    bool averaged;            /* runs with the averaged weights */
    gn_device device;
    gn_dtype map_type;
    char precision[160];
    gn_folded *folded;        /* the network that runs: batch norm folded into the convolutions */
    int batch;                /* most pictures of one call */
    gn_lane one, many;        /* for a single picture, and for a piece of a batch; opened when first needed */
    gn_text notes;            /* lines */
} gn_session;

/* Settings -> options and preprocessing: what the user gave wins over what the checkpoint says. */
gn_session_options gn_session_options_from(const gn_settings *s, int batch);
void gn_session_use_settings(gn_session *session, const gn_settings *s);

genet_status gn_session_open(gn_session *s, const char *model_path, const gn_session_options *options, genet_error *err);
void gn_session_close(gn_session *s); /* safe on a zeroed one */
/* A batch goes through the network in pieces of equal size, of at most four pictures a thread: what a piece's maps take stays
 * nearer to the cores, and in less memory, than a whole batch's. The pictures of one piece. */
int gn_session_piece(int batch, int threads);
/* The lane for pieces of a batch, ready to run. */
genet_status gn_session_many(gn_session *s, const gn_lane **lane, genet_error *err);
/* Logits (count, classes) f32 of count <= batch prepared pictures (u8, (size,size,3) each). */
genet_status gn_session_run(gn_session *s, const unsigned char *pixels, int count, float *logits, genet_error *err);
/* Softmax of one row, in place. */
void gn_softmax(float *logits, int classes);
#endif
