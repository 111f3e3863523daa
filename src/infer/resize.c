/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints at another input size. */
#include "infer/resize.h"

#include <string.h>

#include "base/mem.h"

/* Copies every tensor of `from` into the table of `to`; kernels whose map differs are resampled. Both are f32. */
static genet_status carry_over(gn_weights *to, const gn_weights *from, int *resampled, genet_error *err)
{
    *resampled = 0;
    for (int i = 0; i < to->table->count; i++) {
        const gn_weight *w = &to->table->items[i], *old = &from->table->items[i];
        const float *source = gn_weights_at(from, i);
        float *target = gn_weights_at(to, i);
        if (w->count == old->count && memcmp(w->dim, old->dim, sizeof w->dim) == 0) {
            memcpy(target, source, (size_t)w->count * sizeof *target);
        } else if (w->kind == GN_KIND_DEPTHWISE && w->dim[0] == old->dim[0]) {
            gn_gather_resample(source, w->dim[0], (int)old->dim[2], (int)old->dim[3], target, (int)w->dim[2],
                               (int)w->dim[3]);
            ++*resampled;
        } else {
            return gn_fail(err, GENET_INTERNAL, "tensor %s cannot be carried to another input size", w->name);
        }
    }
    return GENET_OK;
}

genet_status gn_checkpoint_resize(gn_checkpoint *c, int size, int *resampled, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_model_spec spec = c->model->spec;
    gn_model *model = NULL;
    gn_weights weights = {0}, ema = {0};
    *resampled = 0;
    if (spec.size == size)
        return GENET_OK;
    spec.size = size;
    GN_TRY(gn_model_create(&model, &spec, err));
    GN_TRY(gn_weights_create(&weights, &model->weights, GN_F32, err));
    GN_TRY(carry_over(&weights, &c->weights, resampled, err));
    if (c->has_ema) {
        GN_TRY(gn_weights_create(&ema, &model->weights, GN_F32, err));
        GN_TRY(carry_over(&ema, &c->ema, resampled, err));
    }
    if (c->momentum)
        gn_slab_free(c->momentum, (size_t)c->model->weights.param_count * sizeof(float));
    c->momentum = NULL;
    gn_weights_free(&c->weights);
    gn_weights_free(&c->ema);
    gn_model_free(c->model);
    c->model = model;
    c->weights = weights;
    c->ema = ema;
    c->preprocess.size = size;
    return GENET_OK;
out:
    gn_weights_free(&weights);
    gn_weights_free(&ema);
    gn_model_free(model);
    return status;
}
