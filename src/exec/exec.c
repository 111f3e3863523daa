/* SPDX-License-Identifier: Apache-2.0
 * The one loop over steps, and the memory its tensors live in. */
#include "exec/exec.h"

#include "base/mem.h"
#include "base/text.h"

struct gn_exec {
    const gn_backend *backend;
    const gn_plan *plan;
    void *prepared;
    gn_weights *weights;
    char *grads, *act, *kept;
    void **data;      /* memory of every tensor */
    double *seconds;  /* of every step */
    bool profile;
};

static void point_at_weights(gn_exec *e)
{
    for (int i = 0; i < e->plan->tensor_count; i++) {
        const gn_tensor *t = &e->plan->tensors[i];
        if (t->role == GN_PARAM)
            e->data[i] = (char *)e->weights->params + t->offset;
        else if (t->role == GN_STATE)
            e->data[i] = (char *)e->weights->state + t->offset;
        else if (t->role == GN_GRAD)
            e->data[i] = e->grads + t->offset;
    }
}

genet_status gn_exec_create(gn_exec **exec, const gn_backend *backend, void *device, const gn_plan *plan,
                            gn_weights *weights, void *grads, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_exec *e = gn_calloc(1, sizeof *e);
    *exec = NULL;
    if (!e)
        return gn_fail_memory(err, sizeof *e, "an executor");
    *e = (gn_exec){.backend = backend, .plan = plan, .weights = weights, .grads = grads};
    e->act = gn_slab_alloc(plan->act_bytes);
    e->kept = gn_slab_alloc(plan->kept_bytes);
    e->data = gn_calloc((size_t)plan->tensor_count, sizeof *e->data);
    e->seconds = gn_calloc((size_t)plan->step_count, sizeof *e->seconds);
    if (!e->act || !e->kept || !e->data || !e->seconds) {
        status = gn_fail_memory(err, plan->act_bytes + plan->kept_bytes, "activations; a smaller --batch needs less");
        goto out;
    }
    for (int i = 0; i < plan->tensor_count; i++) {
        const gn_tensor *t = &plan->tensors[i];
        if (t->role == GN_GRAD && !grads) {
            status = gn_fail(err, GENET_INTERNAL, "the plan has gradients but no gradient slab was given");
            goto out;
        }
        if (t->role == GN_ACT)
            e->data[i] = e->act + t->offset;
        else if (t->role == GN_KEPT)
            e->data[i] = e->kept + t->offset;
    }
    point_at_weights(e);
    GN_TRY(backend->prepare(device, plan, &e->prepared, err));
    *exec = e;
    e = NULL;
out:
    gn_exec_free(e);
    return status;
}

void gn_exec_free(gn_exec *e)
{
    if (!e)
        return;
    if (e->prepared)
        e->backend->release(e->prepared);
    gn_slab_free(e->act, e->plan->act_bytes);
    gn_slab_free(e->kept, e->plan->kept_bytes);
    gn_free(e->data);
    gn_free(e->seconds);
    gn_free(e);
}

void gn_exec_use_weights(gn_exec *e, gn_weights *weights)
{
    e->weights = weights;
    point_at_weights(e);
    gn_exec_weights_changed(e);
}

void gn_exec_bind(gn_exec *e, int tensor, void *data)
{
    if (tensor >= 0)
        e->data[tensor] = data;
}

void *gn_exec_data(const gn_exec *e, int tensor)
{
    return tensor < 0 ? NULL : e->data[tensor];
}

genet_status gn_exec_run(gn_exec *e, int phases, genet_error *err)
{
    for (int i = 0; i < e->plan->step_count; i++) {
        if (!(e->plan->steps[i].phase & phases))
            continue;
        double start = e->profile ? gn_now() : 0;
        genet_status status = e->backend->run(e->prepared, i, e->data, err);
        if (status != GENET_OK)
            return status;
        if (e->profile)
            e->seconds[i] += gn_now() - start;
    }
    return GENET_OK;
}

genet_status gn_exec_run_step(gn_exec *e, int step, genet_error *err)
{
    return e->backend->run(e->prepared, step, e->data, err);
}

void gn_exec_weights_changed(gn_exec *e)
{
    e->backend->weights_changed(e->prepared);
}

void gn_exec_profile(gn_exec *e, bool on)
{
    e->profile = on;
    for (int i = 0; on && i < e->plan->step_count; i++)
        e->seconds[i] = 0;
}

double gn_exec_seconds(const gn_exec *e, int step)
{
    return e->seconds[step];
}

size_t gn_exec_bytes(const gn_exec *e)
{
    return e->plan->act_bytes + e->plan->kept_bytes + e->backend->scratch_bytes(e->prepared);
}

const char *gn_exec_implementation(const gn_exec *e, int step)
{
    return e->backend->implementation(e->prepared, step);
}
