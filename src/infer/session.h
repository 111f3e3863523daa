/* SPDX-License-Identifier: Apache-2.0
 * An inference session: a checkpoint, an evaluation plan and a scratch for pictures. */
#ifndef GN_INFER_SESSION_H
#define GN_INFER_SESSION_H
#include "backend/backend.h"
#include "exec/exec.h"
#include "formats/checkpoint.h"

typedef struct gn_session_options {
    const char *backend, *isa;
    int batch, threads;
    int size;          /* 0: the model's own; gather kernels are resampled to another size (*resampled says so) */
    gn_dtype map_type; /* GN_F32 or GN_BF16 */
    bool use_ema;
} gn_session_options;

typedef struct gn_session {
    gn_checkpoint checkpoint; /* after resampling: spec.size is the session's */
    bool resampled;
    const gn_backend *backend;
    void *device;
    gn_plan *plan;
    gn_exec *exec;
    int batch;
} gn_session;
genet_status gn_session_open(gn_session *s, const char *model_path, const gn_session_options *options, genet_error *err);
void gn_session_close(gn_session *s);
/* Logits (count, classes) f32 of count <= batch prepared pictures (u8, (size,size,3) each). */
genet_status gn_session_run(gn_session *s, const unsigned char *pixels, int count, float *logits, genet_error *err);
#endif
