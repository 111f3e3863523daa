/* SPDX-License-Identifier: Apache-2.0
 * Validation inside a training: the evaluation plan over the validation set, every image once. */
#include "train/run.h"

genet_status gn_run_validate(gn_run *r, gn_weights *weights, gn_scores *scores, genet_error *err)
{
    gn_scoring run = {.exec = r->eval_exec, .plan = r->eval_plan, .loader = r->val_loader, .all = r->val->count,
                      .stop = r->callbacks.stop_requested, .user = r->callbacks.user};
    *scores = (gn_scores){.classes = r->val->class_count};
    gn_exec_use_weights(r->eval_exec, weights);
    return gn_scores_run(scores, &run, err);
}
