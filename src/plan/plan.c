/* SPDX-License-Identifier: Apache-2.0
 * Building a plan, the lifetimes of its tensors and their places in the activation slab. A failed call while building
 * is remembered and reported by gn_plan_finish, so that the network's page needs no error handling of its own. */
#include "plan/plan.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "plan/operands.h"

#define ALIGN 64

struct gn_plan_memory {
    int tensor_capacity, step_capacity;
    bool failed, out_of_memory; /* a building call was illegal, or ran out of memory */
    char why[160];
};

size_t gn_dtype_size(gn_dtype t)
{
    static const size_t size[] = {[GN_F32] = 4, [GN_BF16] = 2, [GN_F64] = 8, [GN_I32] = 4, [GN_U8] = 1};
    return size[t];
}

const char *gn_dtype_name(gn_dtype t)
{
    static const char *const name[] = {[GN_F32] = "f32", [GN_BF16] = "bf16", [GN_F64] = "f64", [GN_I32] = "i32",
                                       [GN_U8] = "u8"};
    return name[t];
}

int gn_weight_find(const gn_weight_table *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->items[i].name, name) == 0)
            return i;
    return -1;
}

genet_status gn_plan_create(gn_plan **plan, int batch, gn_dtype map_type, genet_error *err)
{
    gn_plan *p = gn_calloc(1, sizeof *p);
    if (p)
        p->memory = gn_calloc(1, sizeof *p->memory);
    if (!p || !p->memory) {
        gn_free(p);
        *plan = NULL;
        return gn_fail_memory(err, sizeof *p, "a plan");
    }
    p->batch = batch;
    p->map_type = map_type;
    p->pixels = p->mix = p->x = p->labels = p->lambda = p->logits = p->losses = -1;
    *plan = p;
    return GENET_OK;
}

static int refuse(gn_plan *p, const char *why, const char *name)
{
    if (!p->memory->failed)
        snprintf(p->memory->why, sizeof p->memory->why, "%s (%s)", why, name ? name : "?");
    p->memory->failed = true;
    return -1;
}

static int refuse_memory(gn_plan *p)
{
    p->memory->out_of_memory = p->memory->out_of_memory || !p->memory->failed;
    return refuse(p, "not enough memory", NULL);
}

static bool grow(void **items, int *capacity, int count, size_t size)
{
    if (count < *capacity)
        return true;
    int wanted = *capacity ? *capacity * 2 : 64;
    void *more = gn_realloc(*items, (size_t)wanted * size);
    if (!more)
        return false;
    *items = more;
    *capacity = wanted;
    return true;
}

static char *format_name(const char *format, va_list args)
{
    char text[160];
    vsnprintf(text, sizeof text, format, args);
    return gn_strdup(text);
}

static int add_tensor(gn_plan *p, gn_role role, gn_dtype t, int rank, const int64_t dim[4], char *name)
{
    if (!name || !grow((void **)&p->tensors, &p->memory->tensor_capacity, p->tensor_count, sizeof *p->tensors)) {
        gn_free(name);
        return refuse_memory(p);
    }
    gn_tensor *x = &p->tensors[p->tensor_count];
    *x = (gn_tensor){.name = name, .dtype = t, .role = role, .rank = rank, .count = 1, .first = INT_MAX, .last = -1};
    for (int i = 0; i < 4; i++) {
        x->dim[i] = i < rank ? dim[i] : 1;
        if (x->dim[i] < 1 || x->count > INT64_MAX / 16 / x->dim[i])
            refuse(p, "a tensor's shape is empty or too large", name);
        else
            x->count *= x->dim[i];
    }
    x->bytes = (size_t)x->count * gn_dtype_size(t);
    return p->tensor_count++;
}

int gn_plan_tensor(gn_plan *p, gn_role role, gn_dtype t, int rank, const int64_t dim[4], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *name = format_name(format, args);
    va_end(args);
    return add_tensor(p, role, t, rank, dim, name);
}

int gn_plan_bind_weight(gn_plan *p, gn_role role, const gn_weight *w)
{
    char name[160];
    snprintf(name, sizeof name, "%s%s", role == GN_GRAD ? "d " : "", w->name);
    for (int i = 0; i < p->tensor_count; i++)
        if (p->tensors[i].role == role && strcmp(p->tensors[i].name, name) == 0)
            return i;
    gn_dtype t = p->map_type == GN_F64 ? GN_F64 : GN_F32;
    int id = add_tensor(p, role, t, w->rank, w->dim, gn_strdup(name));
    if (id >= 0)
        p->tensors[id].offset = (size_t)w->offset * gn_dtype_size(t);
    return id;
}

int gn_plan_step(gn_plan *p, gn_op op, gn_phase phase, const int *in, int n_in, const int *out, int n_out,
                 const gn_attr *attr, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *label = format_name(format, args);
    va_end(args);
    if (n_in > GN_MAX_IN || n_out > GN_MAX_OUT) {
        gn_free(label);
        return refuse(p, "too many operands", gn_op_name(op));
    }
    if (!label || !grow((void **)&p->steps, &p->memory->step_capacity, p->step_count, sizeof *p->steps)) {
        gn_free(label);
        return refuse_memory(p);
    }
    gn_step *s = &p->steps[p->step_count];
    *s = (gn_step){.op = op, .phase = phase, .label = label};
    if (attr)
        s->attr = *attr;
    for (int i = 0; i < GN_MAX_IN; i++)
        s->in[i] = i < n_in ? in[i] : -1;
    for (int i = 0; i < GN_MAX_OUT; i++)
        s->out[i] = i < n_out ? out[i] : -1;
    return p->step_count++;
}

int gn_plan_input(gn_plan *p, bool float_input, int size, const float mean[3], const float std[3])
{
    const int64_t dim[4] = {p->batch, size, size, 3};
    if (float_input)
        return p->x = gn_plan_tensor(p, GN_BOUND, p->map_type, 4, dim, "x");
    p->pixels = gn_plan_tensor(p, GN_BOUND, GN_U8, 4, dim, "pixels");
    p->mix = gn_plan_tensor(p, GN_BOUND, GN_F32, 2, (int64_t[4]){p->batch, 6}, "mix");
    int x = gn_plan_tensor(p, GN_ACT, p->map_type, 4, dim, "x");
    gn_attr attr = {0};
    memcpy(attr.mean, mean, sizeof attr.mean);
    memcpy(attr.std, std, sizeof attr.std);
    gn_plan_step(p, GN_OP_INPUT, GN_FORWARD, (int[]){p->pixels, p->mix}, 2, &x, 1, &attr, "input");
    return x;
}

static void use(gn_plan *p, int tensor, int step)
{
    if (tensor < 0)
        return;
    gn_tensor *t = &p->tensors[tensor];
    if (step < t->first)
        t->first = step;
    if (step > t->last)
        t->last = step;
}

typedef struct placing {
    int tensor;
    size_t bytes;
} placing;

static int larger_first(const void *a, const void *b)
{
    const placing *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor - y->tensor;
}

static int lower_offset_first(const void *a, const void *b)
{
    const gn_tensor *x = *(gn_tensor *const *)a, *y = *(gn_tensor *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Places the largest tensors first, each at the lowest offset where no tensor alive at the same time lies. */
static genet_status place(gn_plan *p, bool keep_all, genet_error *err)
{
    genet_status status = GENET_OK;
    size_t n = (size_t)p->tensor_count + 1;
    placing *order = gn_calloc(n, sizeof *order);
    gn_tensor **placed = gn_calloc(n, sizeof *placed), **near = gn_calloc(n, sizeof *near);
    int todo = 0, done = 0;
    if (!order || !placed || !near) {
        status = gn_fail_memory(err, n * sizeof *order, "the memory plan");
        goto out;
    }
    for (int i = 0; i < p->tensor_count; i++) {
        gn_tensor *t = &p->tensors[i];
        size_t bytes = (t->bytes + ALIGN - 1) / ALIGN * ALIGN;
        if (t->role == GN_KEPT) {
            t->offset = p->kept_bytes;
            p->kept_bytes += bytes;
        } else if (t->role == GN_ACT && keep_all) {
            t->offset = p->act_bytes;
            p->act_bytes += bytes;
        } else if (t->role == GN_ACT && t->last >= 0) {
            order[todo++] = (placing){i, bytes};
        }
    }
    qsort(order, (size_t)todo, sizeof *order, larger_first);
    for (int i = 0; i < todo; i++) {
        gn_tensor *t = &p->tensors[order[i].tensor];
        int neighbours = 0;
        for (int j = 0; j < done; j++)
            if (placed[j]->first <= t->last && t->first <= placed[j]->last)
                near[neighbours++] = placed[j];
        qsort(near, (size_t)neighbours, sizeof *near, lower_offset_first);
        size_t at = 0;
        for (int j = 0; j < neighbours; j++) {
            if (near[j]->offset >= at + order[i].bytes)
                break;
            size_t end = near[j]->offset + (near[j]->bytes + ALIGN - 1) / ALIGN * ALIGN;
            if (end > at)
                at = end;
        }
        t->offset = at;
        if (at + order[i].bytes > p->act_bytes)
            p->act_bytes = at + order[i].bytes;
        placed[done++] = t;
    }
out:
    gn_free(order);
    gn_free(placed);
    gn_free(near);
    return status;
}

genet_status gn_plan_finish(gn_plan *p, bool keep_all, genet_error *err)
{
    if (p->memory->out_of_memory)
        return gn_fail_memory(err, (size_t)p->tensor_count * sizeof *p->tensors, "a plan");
    if (p->memory->failed)
        return gn_fail(err, GENET_INTERNAL, "the plan cannot be built: %s", p->memory->why);
    for (int i = 0; i < p->step_count; i++) {
        genet_status status = gn_step_check(p, &p->steps[i], err);
        if (status != GENET_OK)
            return status;
        for (int k = 0; k < GN_MAX_IN; k++)
            use(p, p->steps[i].in[k], i);
        for (int k = 0; k < GN_MAX_OUT; k++)
            use(p, p->steps[i].out[k], i);
    }
    return place(p, keep_all, err);
}

void gn_plan_free(gn_plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->tensor_count; i++)
        gn_free((char *)p->tensors[i].name);
    for (int i = 0; i < p->step_count; i++)
        gn_free((char *)p->steps[i].label);
    gn_free(p->tensors);
    gn_free(p->steps);
    gn_free(p->memory);
    gn_free(p);
}
