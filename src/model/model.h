/* SPDX-License-Identifier: Apache-2.0
 * The network: Gather-Excite ResNets (arXiv:1810.12348) in the authors' form and in the form MindSpore published.
 * spec.c checks the description, table.c names the weights, network.c is the network on one page, backward.c its
 * gradients, weights.c slabs and initial values. */
#ifndef GN_MODEL_MODEL_H
#define GN_MODEL_MODEL_H
#include "plan/plan.h"

typedef enum gn_variant { GN_PLAIN, GN_SE, GN_THETA_MINUS, GN_THETA, GN_THETA_PLUS } gn_variant;
typedef enum gn_form { GN_FORM_PAPER, GN_FORM_MINDSPORE } gn_form;

typedef struct gn_model_spec {
    gn_variant variant;
    gn_form form;
    int depth;        /* 26, 50, 101, 152; 0: blocks[] says it */
    int blocks[4];    /* blocks of each stage; filled from depth by gn_model_check */
    int width;        /* stem channels, 64 in the published networks; block outputs are 4*width << stage. multiplier 0.5: 32 */
    int stem;         /* stem channels where they differ from width (narrow golden nets); 0: width */
    int size;         /* input pixels, square */
    int extent;       /* 0 global, or 2, 4, 8 */
    int classes;
} gn_model_spec;

typedef struct gn_model {
    gn_model_spec spec;
    gn_weight_table weights; /* canonical names, see docs/architecture.md */
} gn_model;

const char *gn_variant_name(gn_variant v);            /* "theta-plus" */
bool gn_variant_parse(const char *text, gn_variant *v);
const char *gn_form_name(gn_form f);                  /* "paper", "mindspore" */
bool gn_form_parse(const char *text, gn_form *f);

/* Stem channels of a width multiplier (1.0: 64), a multiple of 4. */
int gn_model_width(double factor);
/* Fills blocks from depth and stem from width, and refuses what is not buildable, with the reason. */
genet_status gn_model_check(gn_model_spec *spec, genet_error *err);
genet_status gn_model_create(gn_model **model, const gn_model_spec *spec, genet_error *err);
void gn_model_free(gn_model *model);

typedef struct gn_plan_options {
    int batch;
    gn_dtype map_type;
    bool training;      /* forward in training mode + loss + backward; else evaluation up to the logits */
    bool float_input;   /* x (N,H,W,3) of the map type is bound instead of pixels + mix */
    bool keep_all;      /* no reuse of activations */
    bool low_memory;    /* the outputs of a block's first two ReLUs are computed again in the backward pass, not kept */
    float mean[3], std[3];
    double on, off;     /* loss targets; see gn_smoothing */
    bool exact_loss_gradient;
    double grad_scale;  /* loss scale / accumulation steps */
    bool head_only;     /* backward stops at the head (frozen body) */
} gn_plan_options;
genet_status gn_model_plan(const gn_model *model, const gn_plan_options *options, gn_plan **plan, genet_error *err);

/* Targets: usual 1-s+s/K and s/K; published 1-s and s/K (rows sum to 1 - s/K; its gradient is softmax - target). */
void gn_smoothing(double smooth, int classes, bool published, double *on, double *off);

/* Area-preserving resampling of a gather kernel (C,1,h,w) to (C,1,h2,w2): sums over the map are kept for constant maps. */
void gn_gather_resample(const float *w, int64_t c, int h, int w_, float *out, int h2, int w2);
/* Side of the map that stage s (0..3) gathers over, for an input of `size`. */
int gn_model_side(const gn_model_spec *spec, int stage);
#endif
