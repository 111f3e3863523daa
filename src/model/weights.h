/* SPDX-License-Identifier: Apache-2.0
 * The weights of one model: the parameter slab and the running statistics, laid out by the model's weight table. */
#ifndef GN_MODEL_WEIGHTS_H
#define GN_MODEL_WEIGHTS_H
#include "model/model.h"

typedef struct gn_weights {
    const gn_weight_table *table; /* borrowed from the model */
    gn_dtype dtype;               /* GN_F32, or GN_F64 for `ref` in double */
    void *params, *state;         /* table->param_count and state_count elements */
} gn_weights;
genet_status gn_weights_create(gn_weights *w, const gn_weight_table *table, gn_dtype dtype, genet_error *err); /* zeroed */
void gn_weights_free(gn_weights *w); /* safe on a zeroed one */
/* Start of tensor `index` of the table in its slab. */
void *gn_weights_at(const gn_weights *w, int index);
/* Copies all values between two with one table; types may differ. */
void gn_weights_copy(gn_weights *to, const gn_weights *from);
/* Fills them with initial values, a function of seed and name. */
typedef enum gn_init { GN_INIT_TORCH, GN_INIT_MINDSPORE } gn_init;
void gn_weights_init(gn_weights *w, gn_init init, bool zero_last_gamma, uint64_t seed);
#endif
