/* SPDX-License-Identifier: Apache-2.0
 * A small plan built by hand, its memory, and the means to look at it: the bench on which operations are tested.
 * Every tensor has its own block of exactly its size, so that a sanitizer sees the first byte beyond it. A rig never
 * fails half-way: everything that goes wrong fails the test. */
#ifndef TESTS_BACKEND_RIG_H
#define TESTS_BACKEND_RIG_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"

#define RIG_MOST 64

typedef struct rig {
    gn_plan *plan;
    const gn_backend *backend;
    void *device, *prepared;
    void **data;
    bool in_place;  /* scenarios use one tensor where ops.def lets an output be an input */
    uint64_t seed;  /* of the next fill */

    /* What a scenario tells the finite differences. The loss is the sum of coefficient*output over `losses`; where
     * `gradient` is a tensor, the coefficients are put there before the backward steps (the `do` of the chain). */
    struct rig_loss { int output, gradient; double *coefficient; } losses[4];
    struct rig_pair { int value, gradient; } pairs[RIG_MOST];
    int watched[RIG_MOST]; /* maps whose sign pattern, indices whose bytes show that a kink was crossed */
    int loss_count, pair_count, watched_count;
} rig;

/* Starts a plan of this map type for a backend; in_place as above. */
void rig_open(rig *r, const gn_backend *backend, gn_dtype map_type, int batch, bool in_place);
/* Checks the plan, takes memory, prepares. Values set before it are kept: tensors can be filled from the start. */
void rig_finish(rig *r);
void rig_close(rig *r);

/* New tensors: a map (map type), a vector of rank 1, 2 or 3, weights (K,C,R,S), bytes. */
int rig_map(rig *r, int64_t n, int64_t h, int64_t w, int64_t c);
int rig_map_like(rig *r, int tensor);
int rig_vector(rig *r, int rank, int64_t a, int64_t b, int64_t c);
int rig_weight(rig *r, int64_t k, int64_t c, int64_t h, int64_t w);
int rig_typed(rig *r, gn_dtype type, int rank, int64_t a, int64_t b, int64_t c, int64_t d);
const gn_tensor *rig_tensor(const rig *r, int tensor);

/* Fills with centre +- spread, uniform, each value exact in f32; the sequence continues from fill to fill. */
void rig_fill(rig *r, int tensor, double centre, double spread);
double rig_get(const rig *r, int tensor, int64_t i);
void rig_set(rig *r, int tensor, int64_t i, double value);
/* Copies values from a tensor of another rig, converting the type. */
void rig_copy(rig *to, const rig *from, int tensor);

#define LIST(...) (const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
/* rig_step(r, GN_OP_ADD, NULL, LIST(a, b), LIST(o)): a forward step; rig_back a backward step. Returns its number. */
int rig_step(rig *r, gn_op op, const gn_attr *attr, const int *in, int n_in, const int *out, int n_out);
int rig_back(rig *r, gn_op op, const gn_attr *attr, const int *in, int n_in, const int *out, int n_out);
void rig_run_step(rig *r, int step);
void rig_run(rig *r, gn_phase phase);

/* Scenario side: output counts in the loss with random coefficients (see rig.losses); value has this gradient. */
void rig_loss(rig *r, int output, int gradient);
void rig_pair(rig *r, int value, int gradient);
void rig_watch(rig *r, int tensor);

/* Runs forward and backward, then compares every registered gradient with central differences of fourth order, in
 * single elements and in random directions over all elements. Returns the largest miss relative to the largest
 * gradient of its tensor (misses below the rounding of the loss count as 0). */
double rig_worst_gradient(rig *r);
#endif
