/* SPDX-License-Identifier: Apache-2.0
 * Private to plan/: the operand strings of ops.def taken apart, and the shape rules. */
#ifndef GN_PLAN_OPERANDS_H
#define GN_PLAN_OPERANDS_H
#include "plan/plan.h"

typedef struct gn_operand {
    char name[24];
    bool optional;
} gn_operand;

/* The operands of an operation in ops.def's order; returns their number (at most GN_MAX_IN). */
int gn_op_inputs(gn_op op, gn_operand out[GN_MAX_IN]);
int gn_op_outputs(gn_op op, gn_operand out[GN_MAX_IN]);

/* Checks operands, shapes and types of one step against ops.def. */
genet_status gn_step_check(const gn_plan *p, const gn_step *s, genet_error *err);
#endif
