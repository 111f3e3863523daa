/* SPDX-License-Identifier: Apache-2.0
 * The network for inference: every batch norm folded into the convolution before it, the identity and the ReLU joined to
 * it, the gate on the map it scales. Same answers as the evaluation plan up to rounding; weights of its own. */
#ifndef GN_MODEL_FOLDED_H
#define GN_MODEL_FOLDED_H
#include "model/weights.h"

typedef struct gn_folded {
    gn_model_spec spec;
    gn_weight_table table;
    gn_weights weights; /* f32 or f64; all "trainable", in the parameter slab */
    bool int8;          /* made by model/quantize.h: the trunk's convolutions take and hold 8-bit numbers */
} gn_folded;

/* Folds the weights of a model (running statistics included) into a fresh gn_folded. */
genet_status gn_fold(gn_folded **folded, const gn_model *model, const gn_weights *weights, genet_error *err);
void gn_folded_free(gn_folded *folded);
/* The table that gn_fold makes for this model, alone. */
genet_status gn_fold_table(gn_weight_table *table, const gn_model *model, genet_error *err);
/* Its plan up to the logits. Of the options batch, map_type, float_input, keep_all, mean and std count. */
genet_status gn_folded_plan(const gn_folded *folded, const gn_plan_options *options, gn_plan **plan, genet_error *err);
#endif
