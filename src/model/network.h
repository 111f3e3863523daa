/* SPDX-License-Identifier: Apache-2.0
 * Private to model/: the builder that network.c (forward) and backward.c share. What the forward pass of a part leaves for
 * its backward pass is in the small structs here; all members are tensor numbers of the plan, -1 where absent. */
#ifndef GN_MODEL_NETWORK_H
#define GN_MODEL_NETWORK_H
#include "model/model.h"

#define GN_MAX_GATHER 3 /* steps of a local gather: log2(8) */
#define GN_MLP_REDUCTION 16

/* Batch norm of one tensor. */
typedef struct gn_bn {
    int gamma, beta, mean, var, stats;
    double eps, keep;
    char name[64];
} gn_bn;

/* Convolution, batch norm, activation: x -> y -> o. */
typedef struct gn_unit {
    int x, w, y, o;
    gn_attr attr;
    gn_bn bn;
    char name[64]; /* of the convolution */
} gn_unit;

/* Dense layer of the MLP or the head. */
typedef struct gn_dense {
    int x, w, bias, y;
    bool relu;
    char name[64];
} gn_dense;

typedef struct gn_block {
    char name[32];
    int stage, in_channels, channels, stride;
    int x;                 /* input; the identity where there is no projection */
    gn_unit conv1, conv2, conv3, down;
    bool projects;         /* down is a convolution + batch norm */
    /* gate */
    bool gated, local;     /* local: u is a map of its own and EXCITE spreads a gathered map (extents, mindspore stage 1) */
    int u;                 /* local: batch norm of conv3's output */
    int gather_steps;      /* local gathers of theta */
    gn_unit gather[GN_MAX_GATHER]; /* local chain; [0] alone for mindspore's dense convolution */
    bool dense_gather;     /* mindspore stage 1 */
    int kernel, g, q;      /* global gather: kernel w (or -1), raw sums, affine result */
    gn_bn gather_bn;       /* batch norm of q (theta, theta-plus) */
    int r;                 /* its output */
    gn_dense fc1, fc2;     /* MLP */
    int t, s, o;           /* gate logits, gate, block output */
} gn_block;

typedef struct gn_builder {
    const gn_model *model;
    const gn_plan_options *options;
    gn_plan *plan;
    gn_dtype vector;       /* type of vectors */
    gn_unit stem;
    int pool_index, pooled; /* of the stem */
    gn_attr pool;
    gn_block *blocks;
    int block_count;
    int features;          /* (N,C) after the global mean */
    gn_dense head;
    int dlogits;
} gn_builder;

/* A table of weights under construction (table.c). gn_table_add appends one with its place in its slab; after a failed growth
 * `failed` stays true and `spare` is returned. */
typedef struct gn_table_builder {
    gn_weight_table *table;
    int capacity;
    bool failed;
    gn_weight spare;
} gn_table_builder;
gn_weight *gn_table_add(gn_table_builder *b, gn_kind kind, int rank, const int64_t dim[4], const char *name);
/* Frees the items of a table. */
void gn_table_free(gn_weight_table *table);

/* Settings of the form (docs/numerics.md). */
typedef enum gn_bn_place { GN_BN_STEM, GN_BN_TRUNK, GN_BN_GATHER } gn_bn_place;
void gn_form_bn(gn_form form, gn_bn_place place, double *eps, double *keep);
/* Padding top left bottom right of a window over a square map. */
void gn_form_padding(gn_form form, int64_t side, int kernel, int stride, int pad[4]);

static inline bool gn_variant_has_gather_weights(gn_variant v)
{
    return v == GN_THETA || v == GN_THETA_PLUS;
}

static inline bool gn_variant_has_mlp(gn_variant v)
{
    return v == GN_SE || v == GN_THETA_PLUS;
}

/* Tensor of a weight by canonical name in a role; records a failure in the plan when it does not exist. */
int gn_builder_weight(gn_builder *b, gn_role role, const char *format, ...) __attribute__((format(printf, 3, 4)));
int gn_builder_map(gn_builder *b, int64_t n, int64_t h, int64_t w, int64_t c, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
int gn_builder_vector(gn_builder *b, int64_t rows, int64_t columns, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The tensor, or an empty one where memory ran out (id < 0; gn_plan_finish tells). */
const gn_tensor *gn_builder_tensor(const gn_builder *b, int id);
void gn_builder_backward(gn_builder *b);
#endif
