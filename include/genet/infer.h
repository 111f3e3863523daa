/* SPDX-License-Identifier: Apache-2.0
 * Classifying pictures with a trained model. */
#ifndef GENET_INFER_H
#define GENET_INFER_H
#include <stddef.h>
#include "genet/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A loaded model ready to classify. Not for use by two threads at once; open one a thread. */
typedef struct genet_session genet_session;

typedef struct genet_prediction {
    int class_index;
    const char *class_name; /* owned by the session */
    float probability;      /* softmax, 0..1 */
} genet_prediction;

/* Opens the model named by the settings' "model" (a checkpoint); batch, threads, amp, size, use-ema come from there too.
 * What is needed for one picture and for a batch is made ready when first used. */
GENET_API genet_status genet_session_open(genet_session **session, const genet_config *config, genet_error *error);
GENET_API void genet_session_close(genet_session *session);
GENET_API int genet_session_class_count(const genet_session *session);
GENET_API const char *genet_session_class_name(const genet_session *session, int index); /* NULL out of range */
/* Side of the square input, pixels. */
GENET_API int genet_session_input_size(const genet_session *session);
/* Notes worth showing ("gather kernels resampled from 224 to 160"); "" where there are none. */
GENET_API const char *genet_session_notes(const genet_session *session);

/* Decodes and prepares a JPEG, PNG or WebP as evaluation did, and fills the `top` best classes, best first
 * (at most class_count; *found says how many). */
GENET_API genet_status genet_session_classify(genet_session *session, const void *bytes, size_t size,
                                              genet_prediction *best, int top, int *found, genet_error *error);
/* The same for a file. */
GENET_API genet_status genet_session_classify_file(genet_session *session, const char *path, genet_prediction *best,
                                                   int top, int *found, genet_error *error);

/* A picture of many: what it is, and what became of it. */
typedef struct genet_picture {
    const void *bytes;      /* a JPEG, PNG or WebP; NULL: the file `path` is read */
    size_t size;
    const char *path;       /* also names the picture in errors; may be NULL beside bytes */
    genet_prediction *best; /* room for `top` */
    int found;              /* classes filled in; 0 where status is not GENET_OK */
    genet_status status;    /* GENET_OK, or why this picture could not be classified */
    genet_error error;
} genet_picture;
/* Classifies any number of pictures, decoded on all threads and run through the network in batches of the settings' "batch".
 * Fails only where nothing can go on (memory); a picture that cannot be read says so itself. */
GENET_API genet_status genet_session_classify_many(genet_session *session, genet_picture *pictures, int count, int top,
                                                   genet_error *error);

#ifdef __cplusplus
}
#endif
#endif
