/* SPDX-License-Identifier: Apache-2.0
 * The bench of rig.h. */
#include "backend/rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define ELEMENTS 48   /* single elements of a tensor that are compared; smaller tensors wholly */
#define DIRECTIONS 3

void rig_open(rig *r, const gn_backend *backend, gn_dtype map_type, int batch, bool in_place)
{
    genet_error err;
    *r = (rig){.backend = backend, .in_place = in_place};
    r->data = calloc(RIG_MOST * 4, sizeof *r->data);
    assert_non_null(r->data);
    assert_int_equal(gn_plan_create(&r->plan, batch, map_type, &err), GENET_OK);
    assert_int_equal(backend->open(&r->device, &(gn_backend_options){.threads = 1}, &err), GENET_OK);
}

void rig_finish(rig *r)
{
    genet_error err = {0};
    if (gn_plan_finish(r->plan, true, &err) != GENET_OK ||
        r->backend->prepare(r->device, r->plan, &r->prepared, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

void rig_close(rig *r)
{
    if (r->prepared)
        r->backend->release(r->prepared);
    r->backend->close(r->device);
    for (int i = 0; i < r->plan->tensor_count; i++)
        free(r->data[i]);
    for (int i = 0; i < r->loss_count; i++)
        free(r->losses[i].coefficient);
    free(r->data);
    gn_plan_free(r->plan);
}

int rig_typed(rig *r, gn_dtype type, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    int t = gn_plan_tensor(r->plan, GN_ACT, type, rank, (int64_t[4]){a, b, c, d}, "t%d", r->plan->tensor_count);
    assert_in_range(t, 0, RIG_MOST * 4 - 1);
    r->data[t] = calloc(1, r->plan->tensors[t].bytes);
    assert_non_null(r->data[t]);
    return t;
}

int rig_map(rig *r, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return rig_typed(r, r->plan->map_type, 4, n, h, w, c);
}

int rig_map_like(rig *r, int tensor)
{
    const gn_tensor t = *rig_tensor(r, tensor);
    return rig_typed(r, t.dtype, t.rank, t.dim[0], t.dim[1], t.dim[2], t.dim[3]);
}

int rig_vector(rig *r, int rank, int64_t a, int64_t b, int64_t c)
{
    return rig_typed(r, r->plan->map_type == GN_F64 ? GN_F64 : GN_F32, rank, a, b, c, 1);
}

int rig_weight(rig *r, int64_t k, int64_t c, int64_t h, int64_t w)
{
    return rig_typed(r, r->plan->map_type == GN_F64 ? GN_F64 : GN_F32, 4, k, c, h, w);
}

const gn_tensor *rig_tensor(const rig *r, int tensor)
{
    return &r->plan->tensors[tensor];
}

static double uniform(uint64_t *seed)
{
    return (double)(gn_mix64((*seed)++) >> 40) / 8388608 - 1;
}

void rig_fill(rig *r, int tensor, double centre, double spread)
{
    for (int64_t i = 0; i < rig_tensor(r, tensor)->count; i++)
        rig_set(r, tensor, i, (float)(centre + spread * uniform(&r->seed)));
}

double rig_get(const rig *r, int tensor, int64_t i)
{
    const void *p = r->data[tensor];
    switch (rig_tensor(r, tensor)->dtype) {
    case GN_F32:
        return ((const float *)p)[i];
    case GN_F64:
        return ((const double *)p)[i];
    case GN_I32:
        return ((const int32_t *)p)[i];
    case GN_U8:
        return ((const uint8_t *)p)[i];
    default: {
        uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
        float f;
        memcpy(&f, &bits, sizeof f);
        return f;
    }
    }
}

/* Nearest bf16, ties to even, without bit tricks: the two neighbours and their distances. */
static uint16_t nearest_bf16(float f)
{
    uint32_t bits, low, high;
    float below, above;
    memcpy(&bits, &f, sizeof f);
    low = bits & 0xffff0000u;
    high = low + 0x10000u;
    if (isnan(f))
        return 0x7fc0;
    if (isinf(f))
        return (uint16_t)(low >> 16);
    memcpy(&below, &low, sizeof f);
    memcpy(&above, &high, sizeof f);
    double step = isinf(above) ? ldexp(1, 120) : fabs((double)above - below), rest = fabs((double)f - below);
    bool up = rest > step / 2 || (rest == step / 2 && (low >> 16 & 1));
    return (uint16_t)((up ? high : low) >> 16);
}

void rig_set(rig *r, int tensor, int64_t i, double value)
{
    void *p = r->data[tensor];
    switch (rig_tensor(r, tensor)->dtype) {
    case GN_F32:
        ((float *)p)[i] = (float)value;
        break;
    case GN_F64:
        ((double *)p)[i] = value;
        break;
    case GN_I32:
        ((int32_t *)p)[i] = (int32_t)value;
        break;
    case GN_U8:
        ((uint8_t *)p)[i] = (uint8_t)value;
        break;
    default:
        ((uint16_t *)p)[i] = nearest_bf16((float)value);
    }
}

void rig_copy(rig *to, const rig *from, int tensor)
{
    for (int64_t i = 0; i < rig_tensor(from, tensor)->count; i++)
        rig_set(to, tensor, i, rig_get(from, tensor, i));
}

int rig_step(rig *r, gn_op op, const gn_attr *attr, const int *in, int n_in, const int *out, int n_out)
{
    int n = r->plan->step_count;
    return gn_plan_step(r->plan, op, GN_FORWARD, in, n_in, out, n_out, attr, "forward %d", n);
}

int rig_back(rig *r, gn_op op, const gn_attr *attr, const int *in, int n_in, const int *out, int n_out)
{
    int n = r->plan->step_count;
    return gn_plan_step(r->plan, op, GN_BACKWARD, in, n_in, out, n_out, attr, "backward %d", n);
}

void rig_run_step(rig *r, int step)
{
    genet_error err = {0};
    if (r->backend->run(r->prepared, step, r->data, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

void rig_run(rig *r, gn_phase phase)
{
    for (int i = 0; phase == GN_BACKWARD && i < r->loss_count; i++) {
        struct rig_loss *l = &r->losses[i];
        for (int64_t e = 0; l->gradient >= 0 && e < rig_tensor(r, l->gradient)->count; e++)
            rig_set(r, l->gradient, e, l->coefficient[e]);
    }
    for (int i = 0; i < r->plan->step_count; i++)
        if (r->plan->steps[i].phase == phase)
            rig_run_step(r, i);
}

void rig_loss(rig *r, int output, int gradient)
{
    int64_t count = rig_tensor(r, output)->count;
    struct rig_loss *l = &r->losses[r->loss_count++];
    assert_in_range(r->loss_count, 1, sizeof r->losses / sizeof *r->losses);
    *l = (struct rig_loss){output, gradient, calloc((size_t)count, sizeof *l->coefficient)};
    assert_non_null(l->coefficient);
    for (int64_t i = 0; i < count; i++)
        l->coefficient[i] = (float)uniform(&r->seed);
}

void rig_pair(rig *r, int value, int gradient)
{
    assert_in_range(r->pair_count, 0, RIG_MOST - 1);
    r->pairs[r->pair_count++] = (struct rig_pair){value, gradient};
}

void rig_watch(rig *r, int tensor)
{
    assert_in_range(r->watched_count, 0, RIG_MOST - 1);
    r->watched[r->watched_count++] = tensor;
}

/* --- finite differences -------------------------------------------------------------------------------------------- */

/* Sums coefficient*output; *size grows by the sum of absolute terms, which bounds the rounding. */
static double loss_of(const rig *r, double *size)
{
    double sum = 0;
    for (int i = 0; i < r->loss_count; i++)
        for (int64_t e = 0; e < rig_tensor(r, r->losses[i].output)->count; e++) {
            double term = r->losses[i].coefficient[e] * rig_get(r, r->losses[i].output, e);
            sum += term;
            *size = fmax(*size, fabs(term));
        }
    return sum;
}

/* Fingerprint of which side of every kink the forward pass is on. */
static uint64_t sides(const rig *r)
{
    uint64_t h = GN_FNV_START;
    for (int i = 0; i < r->watched_count; i++) {
        const gn_tensor *t = rig_tensor(r, r->watched[i]);
        for (int64_t e = 0; e < t->count; e++) {
            double v = rig_get(r, r->watched[i], e);
            unsigned char side = t->dtype == GN_U8 ? (unsigned char)v : v > 0;
            h = gn_fnv1a(h, &side, 1);
        }
    }
    return h;
}

/* Sets value = saved + step*direction (direction NULL: only element e moves). */
static void move(rig *r, int value, const double *saved, const double *direction, int64_t e, double step)
{
    int64_t count = rig_tensor(r, value)->count;
    for (int64_t i = 0; i < count; i++)
        rig_set(r, value, i, saved[i] + (direction ? step * direction[i] : i == e ? step : 0));
}

/* Fourth-order central difference of the loss along a direction; the step shrinks until no kink is crossed. */
static double difference(rig *r, int value, const double *saved, const double *direction, int64_t e, uint64_t home,
                         double *size, double *step_used)
{
    static const struct { double at, weight; } points[] = {{-2, 1}, {-1, -8}, {1, 8}, {2, -1}};
    for (double step = 2e-4; step > 1e-7; step /= 4) {
        double sum = 0;
        bool crossed = false;
        for (int i = 0; i < 4 && !crossed; i++) {
            move(r, value, saved, direction, e, step * points[i].at);
            rig_run(r, GN_FORWARD);
            sum += points[i].weight * loss_of(r, size);
            crossed = sides(r) != home;
        }
        if (!crossed) {
            *step_used = step;
            return sum / (12 * step);
        }
    }
    fail_msg("tensor %d element %lld lies on a kink; choose another seed", value, (long long)e);
    return NAN;
}

static double miss(double gradient, double measured, double largest, double size, double step)
{
    double rounding = 64 * size * 2.3e-16 / step, off = fabs(gradient - measured);
    if (!isfinite(gradient) || !isfinite(measured))
        return INFINITY;
    return off <= rounding ? 0 : (off - rounding) / fmax(largest, 1e-12);
}

static double worst_of_pair(rig *r, struct rig_pair p, uint64_t home, double *saved, double *gradient, double *direction)
{
    int64_t count = rig_tensor(r, p.value)->count;
    double largest = 0, worst = 0, size = 0, step, along;
    assert_int_equal(count, rig_tensor(r, p.gradient)->count);
    for (int64_t i = 0; i < count; i++) {
        saved[i] = rig_get(r, p.value, i);
        gradient[i] = rig_get(r, p.gradient, i);
        largest = fmax(largest, fabs(gradient[i]));
    }
    for (int64_t j = 0; j < ELEMENTS && j < count; j++) {
        int64_t e = count <= ELEMENTS ? j : (int64_t)(gn_mix64(r->seed++) % (uint64_t)count);
        double measured = difference(r, p.value, saved, NULL, e, home, &size, &step);
        worst = fmax(worst, miss(gradient[e], measured, largest, size, step));
    }
    for (int j = 0; j < DIRECTIONS && count > ELEMENTS; j++) {
        along = 0;
        for (int64_t i = 0; i < count; i++) {
            direction[i] = uniform(&r->seed) / sqrt((double)count);
            along += direction[i] * gradient[i];
        }
        double measured = difference(r, p.value, saved, direction, -1, home, &size, &step);
        worst = fmax(worst, miss(along, measured, largest, size, step));
    }
    move(r, p.value, saved, NULL, -1, 0);
    return worst;
}

double rig_worst_gradient(rig *r)
{
    int64_t most = 1;
    double worst = 0;
    for (int i = 0; i < r->plan->tensor_count; i++)
        most = rig_tensor(r, i)->count > most ? rig_tensor(r, i)->count : most;
    double *room = calloc(3 * (size_t)most, sizeof *room);
    assert_non_null(room);
    rig_run(r, GN_FORWARD);
    uint64_t home = sides(r);
    rig_run(r, GN_BACKWARD);
    for (int i = 0; i < r->pair_count; i++)
        worst = fmax(worst, worst_of_pair(r, r->pairs[i], home, room, room + most, room + 2 * most));
    free(room);
    return worst;
}
