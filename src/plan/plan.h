/* SPDX-License-Identifier: Apache-2.0
 * The plan: the network as a flat list of steps over numbered tensors: forward, backward. One loop (exec/) walks it; a
 * backend prepares and runs single steps. No layer owns a forward or a backward function.
 *
 * Invariants: a step's inputs were written by an earlier step, or are parameters, running statistics or inputs;
 * tensors of role GN_ACT get an offset in one slab from their first and last use (gn_plan_finish), everything else
 * has its own slab, whose offsets depend on the model alone, so that a training and an evaluation plan share it. */
#ifndef GN_PLAN_PLAN_H
#define GN_PLAN_PLAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"

typedef enum gn_dtype { GN_F32, GN_BF16, GN_F64, GN_I32, GN_U8 } gn_dtype;
size_t gn_dtype_size(gn_dtype t);
const char *gn_dtype_name(gn_dtype t);

typedef enum gn_role {
    GN_PARAM,  /* weights, in the parameter slab */
    GN_GRAD,   /* gradient of a parameter: gradient slab, same offset as the parameter */
    GN_STATE,  /* running statistics */
    GN_BOUND,  /* memory the caller binds before every run: pixels, labels, lambda, mix */
    GN_ACT,    /* maps, vectors, their gradients: the activation slab, reused along the plan */
    GN_KEPT    /* like GN_ACT but readable after the run: logits, losses, dlogits */
} gn_role;

/* dim is NHWC for maps, (K,C,R,S) for weights, fewer dimensions as ops.def says; unused dims are 1. */
typedef struct gn_tensor {
    const char *name; /* owned by the plan */
    gn_dtype dtype;
    gn_role role;
    int rank;
    int64_t dim[4];
    int64_t count; /* elements */
    size_t bytes, offset;
    int first, last; /* steps of the first write and last use; filled by gn_plan_finish */
} gn_tensor;

typedef enum gn_op {
#define OP(name, in, out, text) GN_OP_##name,
#include "plan/ops.def"
#undef OP
    GN_OP_COUNT
} gn_op;

#define GN_MAX_IN 10
#define GN_MAX_OUT 6

typedef struct gn_attr {
    int kernel, stride;
    int pad[4]; /* top, left, bottom, right */
    bool relu, exact;
    double eps, eps2, keep;         /* keep: running = keep*running + (1-keep)*batch */
    double on, off, grad_scale;     /* SOFTMAX_LOSS */
    float mean[3], std[3];          /* INPUT, on the 0..255 scale */
    float scale;                    /* u8 outputs of QUANTIZE, CONV_INT8: value of one step, > 0 */
} gn_attr;

typedef enum gn_phase { GN_FORWARD = 1, GN_BACKWARD = 2 } gn_phase;

typedef struct gn_step {
    gn_op op;
    gn_phase phase;
    int in[GN_MAX_IN], out[GN_MAX_OUT]; /* tensor numbers, -1 where absent, in ops.def's order */
    gn_attr attr;
    const char *label; /* "layer2.0.conv1"; owned by the plan */
} gn_step;

/* A parameter or running statistic of the model, in file order. */
typedef enum gn_kind {
    GN_KIND_CONV, GN_KIND_DEPTHWISE, GN_KIND_GATHER_DENSE, GN_KIND_MLP, GN_KIND_HEAD, /* weights */
    GN_KIND_BIAS, GN_KIND_GAMMA, GN_KIND_BETA, GN_KIND_MEAN, GN_KIND_VAR
} gn_kind;
typedef struct gn_weight {
    const char *name; /* "layer1.0.gate.gather.conv1.weight" */
    gn_kind kind;
    int rank;
    int64_t dim[4];
    int64_t count, offset; /* offset in elements, in the parameter or the state slab */
    bool trainable;        /* false: running statistics, in the state slab */
    bool decay;            /* weight decay applies (weights of two and more dimensions) */
    bool last_gamma;       /* gamma of a block's last batch norm */
} gn_weight;
typedef struct gn_weight_table {
    gn_weight *items;
    int count;
    int64_t param_count, state_count; /* elements of the two slabs, padding included */
    int64_t param_values;             /* trainable values proper */
} gn_weight_table;
int gn_weight_find(const gn_weight_table *t, const char *name); /* index or -1 */

typedef struct gn_plan {
    gn_tensor *tensors;
    int tensor_count;
    gn_step *steps;
    int step_count;
    int batch;
    gn_dtype map_type;
    size_t act_bytes; /* activation slab, after gn_plan_finish */
    size_t kept_bytes;
    /* The tensors a caller binds or reads; -1 where the plan has none. x is bound instead of pixels where the plan was
     * built with float_input. */
    int pixels, mix, x, labels, lambda, logits, losses;
    struct gn_plan_memory *memory; /* names and labels */
} gn_plan;

/* Building (used by model/). All return the new index or -1 after a failed allocation or an illegal operand, which
 * gn_plan_finish reports. */
genet_status gn_plan_create(gn_plan **plan, int batch, gn_dtype map_type, genet_error *err);
int gn_plan_tensor(gn_plan *p, gn_role role, gn_dtype t, int rank, const int64_t dim[4], const char *format, ...)
    __attribute__((format(printf, 6, 7)));
int gn_plan_bind_weight(gn_plan *p, gn_role role, const gn_weight *w); /* GN_PARAM, GN_GRAD or GN_STATE; deduplicated */
int gn_plan_step(gn_plan *p, gn_op op, gn_phase phase, const int *in, int n_in, const int *out, int n_out,
                 const gn_attr *attr, const char *format, ...) __attribute__((format(printf, 9, 10)));
/* The images: a bound x (N,size,size,3) of the map type, or bound pixels + mix and the INPUT step. Returns x. */
int gn_plan_input(gn_plan *p, bool float_input, int size, const float mean[3], const float std[3]);
/* Checks every step's shapes and types, computes lifetimes and offsets. keep_all: no reuse (tests look at everything). */
genet_status gn_plan_finish(gn_plan *p, bool keep_all, genet_error *err);
void gn_plan_free(gn_plan *p);

const char *gn_op_name(gn_op op);
/* One line a step: number, op, label, operands with shapes and types. */
void gn_plan_dump(const gn_plan *p, gn_text *out);
/* Multiply-accumulates of the forward steps for the whole batch; bytes that a step reads and writes at least. */
int64_t gn_plan_macs(const gn_plan *p);
int64_t gn_step_macs(const gn_plan *p, const gn_step *s);
int64_t gn_step_bytes(const gn_plan *p, const gn_step *s);
#endif
