/* SPDX-License-Identifier: Apache-2.0
 * The one loop over steps. Slabs of weights live in gn_weights (model/weights.h) and are shared by a training and an evaluation
 * executor; activations belong to the executor. */
#ifndef GN_EXEC_EXEC_H
#define GN_EXEC_EXEC_H
#include "backend/backend.h"
#include "model/weights.h"

typedef struct gn_exec gn_exec;
/* Executes plan (borrowed) on a device (borrowed). weights and grads (a parameter slab; NULL for plans without backward)
 * are borrowed and may be replaced between runs. */
genet_status gn_exec_create(gn_exec **e, const gn_backend *backend, void *device, const gn_plan *plan,
                            gn_weights *weights, void *grads, genet_error *err);
void gn_exec_free(gn_exec *e);
void gn_exec_use_weights(gn_exec *e, gn_weights *weights);
/* Memory of a GN_BOUND tensor for the next runs. */
void gn_exec_bind(gn_exec *e, int tensor, void *data);
/* Memory of any tensor (activations are reused along the plan: only GN_KEPT is meaningful after a run). */
void *gn_exec_data(const gn_exec *e, int tensor);
/* Runs the steps of the given phases (GN_FORWARD | GN_BACKWARD) in order. */
genet_status gn_exec_run(gn_exec *e, int phases, genet_error *err);
/* Runs one step alone, over whatever its operands hold (benchmarks). */
genet_status gn_exec_run_step(gn_exec *e, int step, genet_error *err);
/* Call after weights changed. */
void gn_exec_weights_changed(gn_exec *e);
/* Timing of every step: seconds summed over runs since gn_exec_profile(e, true). */
void gn_exec_profile(gn_exec *e, bool on);
double gn_exec_seconds(const gn_exec *e, int step);
size_t gn_exec_bytes(const gn_exec *e);
const char *gn_exec_implementation(const gn_exec *e, int step);
#endif
