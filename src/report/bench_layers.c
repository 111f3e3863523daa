/* SPDX-License-Identifier: Apache-2.0
 * genet bench limits, layer by layer: every distinct convolution of a training plan alone, forward and both gradients, by each
 * implementation that the backend has for it, against the multiply-add peak. Implementations take turns, so that a
 * disturbance does not hit all runs of one. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "report/bench.h"

enum { PARTS = 3, WAYS = 2, LEAST_ROUNDS = 5, MOST_ROUNDS = 200 };
#define LAYER_SECONDS 0.5

static const char *const part_names[PARTS] = {"forward", "data gradient", "weight gradient"};

/* One backend device without the own passes, one with them. */
typedef struct ways {
    const gn_backend *backend;
    void *device[WAYS];
    int count;
} ways;

typedef struct layer {
    const char *label;           /* of the first that is like it */
    gn_attr attr;
    int64_t x[4], w[4], y[4];
    int count;
    const char *used[PARTS]; /* implementation in the network; NULL: it has no such step (the first convolution no data gradient) */
} layer;

/* What was measured of one layer; seconds 0: not there. */
typedef struct measured {
    double seconds[PARTS][WAYS], macs;
    char name[PARTS][WAYS][96];
} measured;

typedef struct totals {
    double used, best[WAYS], macs;
    bool whole[WAYS]; /* every layer has it */
} totals;

/* --- the layers of a plan ------------------------------------------------------------------------------------------- */

static layer layer_of(const gn_plan *p, const gn_step *s)
{
    const gn_tensor *x = &p->tensors[s->op == GN_OP_CONV_DX ? s->out[0] : s->in[0]];
    const gn_tensor *w = &p->tensors[s->op == GN_OP_CONV_DW ? s->out[0] : s->in[1]];
    const gn_tensor *y = &p->tensors[s->op == GN_OP_CONV ? s->out[0] : s->op == GN_OP_CONV_DW ? s->in[1] : s->in[0]];
    layer l = {.label = s->label, .attr = s->attr};
    memcpy(l.x, x->dim, sizeof l.x);
    memcpy(l.w, w->dim, sizeof l.w);
    memcpy(l.y, y->dim, sizeof l.y);
    return l;
}

static bool alike(const layer *a, const layer *b)
{
    return !memcmp(a->x, b->x, sizeof a->x) && !memcmp(a->w, b->w, sizeof a->w) && a->attr.stride == b->attr.stride &&
           !memcmp(a->attr.pad, b->attr.pad, sizeof a->attr.pad);
}

/* Distinct convolutions in the order of the network; room for step_count of them. */
static int gather(const gn_bench_net *n, layer *all)
{
    int count = 0;
    for (int i = 0; i < n->plan->step_count; i++) {
        const gn_step *s = &n->plan->steps[i];
        const int part = gn_bench_part(s->op);
        int at = 0;
        if (part < 0)
            continue;
        const layer mine = layer_of(n->plan, s);
        while (at < count && !alike(&all[at], &mine))
            at++;
        if (at == count)
            all[count++] = mine;
        all[at].count += part == 0;
        all[at].used[part] = gn_exec_implementation(n->exec, i);
    }
    return count;
}

/* --- measuring one ---------------------------------------------------------------------------------------------------- */

/* Tensors 0..5: x w y dx dy dw; steps 0..2: the parts. */
static genet_status small_plan(gn_plan **plan, const layer *l, gn_dtype type, genet_error *err)
{
    static const char *const names[6] = {"x", "w", "y", "dx", "dy", "dw"};
    const int64_t *const dims[6] = {l->x, l->w, l->y, l->x, l->y, l->w};
    genet_status status = gn_plan_create(plan, (int)l->x[0], type, err);
    if (status != GENET_OK)
        return status;
    for (int i = 0; i < 6; i++)
        gn_plan_tensor(*plan, GN_ACT, dims[i] == l->w ? GN_F32 : type, 4, dims[i], "%s", names[i]);
    gn_plan_step(*plan, GN_OP_CONV, GN_FORWARD, (const int[]){0, 1}, 2, (const int[]){2}, 1, &l->attr, "%s", l->label);
    gn_plan_step(*plan, GN_OP_CONV_DX, GN_BACKWARD, (const int[]){4, 1}, 2, (const int[]){3}, 1, &l->attr, "%s", l->label);
    gn_plan_step(*plan, GN_OP_CONV_DW, GN_BACKWARD, (const int[]){0, 4}, 2, (const int[]){5}, 1, &l->attr, "%s", l->label);
    return gn_plan_finish(*plan, true, err);
}

/* 0.5 in every element, of either type. */
static genet_status make_data(const gn_plan *p, void *data[6], genet_error *err)
{
    for (int i = 0; i < 6; i++) {
        const gn_tensor *t = &p->tensors[i];
        data[i] = gn_slab_alloc(t->bytes);
        if (!data[i])
            return gn_fail_memory(err, t->bytes, "a convolution's operand");
        for (int64_t e = 0; e < t->count; e++)
            if (t->dtype == GN_BF16)
                ((uint16_t *)data[i])[e] = 0x3f00;
            else
                ((float *)data[i])[e] = 0.5f;
    }
    return GENET_OK;
}

static genet_status run_rounds(measured *m, const layer *l, const ways *v, void *const *prepared, void *const *data,
                               genet_error *err)
{
    const double start = gn_now();
    for (int round = 0; round <= LEAST_ROUNDS || (round <= MOST_ROUNDS && gn_now() - start < LAYER_SECONDS); round++)
        for (int part = 0; part < PARTS; part++)
            for (int way = 0; way < v->count; way++) {
                if (!l->used[part] || !m->name[part][way][0])
                    continue;
                double before = gn_now();
                genet_status status = v->backend->run(prepared[way], part, data, err);
                double seconds = gn_now() - before, *best = &m->seconds[part][way];
                if (status != GENET_OK)
                    return status;
                if (round > 0 && (round == 1 || seconds < *best)) /* the first warms up */
                    *best = seconds;
            }
    return GENET_OK;
}

static genet_status measure(measured *m, const layer *l, const ways *v, gn_dtype type, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_plan *plan = NULL;
    void *prepared[WAYS] = {0}, *data[6] = {0};
    *m = (measured){0};
    GN_TRY(small_plan(&plan, l, type, err));
    m->macs = (double)gn_step_macs(plan, &plan->steps[0]);
    GN_TRY(make_data(plan, data, err));
    for (int way = 0; way < v->count; way++) {
        GN_TRY(v->backend->prepare(v->device[way], plan, &prepared[way], err));
        for (int part = 0; part < PARTS; part++) {
            const char *name = v->backend->implementation(prepared[way], part);
            if (way == 0 || strcmp(name, m->name[part][0])) /* else it is the same one */
                snprintf(m->name[part][way], sizeof m->name[part][way], "%s", name);
        }
    }
    GN_TRY(run_rounds(m, l, v, prepared, data, err));
out:
    for (int way = 0; way < v->count; way++)
        v->backend->release(prepared[way]);
    for (int i = 0; plan && i < 6; i++)
        gn_slab_free(data[i], data[i] ? plan->tensors[i].bytes : 0);
    gn_plan_free(plan);
    return status;
}

/* --- printing ----------------------------------------------------------------------------------------------------------- */

static void put_line(gn_bench_report *r, const char *head, const char *pass, double seconds, double macs, double peak, int batch,
                     const char *mark, const char *name)
{
    gn_text_add(&r->text, "%-44s %-16s %9.3f %9.1f %6.0f %%  %s%s\n", head, pass, 1e3 * seconds / batch, 2e-9 * macs / seconds,
                200 * macs / seconds / peak, mark, name);
}

static void put_layer(gn_bench_report *r, const layer *l, const measured *m, double peak, bool first)
{
    char head[96];
    const char *separator = "";
    snprintf(head, sizeof head, "%d x %-16s %lldx%lld %lld>%lld %lldx%lld/%d", l->count, l->label, (long long)l->x[1],
             (long long)l->x[2], (long long)l->w[1], (long long)l->w[0], (long long)l->w[2], (long long)l->w[3], l->attr.stride);
    gn_text_add(&r->json, "%s{\"label\":", first ? "" : ",");
    gn_json_put_string(&r->json, l->label);
    gn_text_add(&r->json,
                ",\"count\":%d,\"h\":%lld,\"w\":%lld,\"c\":%lld,\"k\":%lld,\"r\":%lld,\"s\":%lld,\"stride\":%d,\"macs\":%.0f,"
                "\"runs\":[",
                l->count, (long long)l->x[1], (long long)l->x[2], (long long)l->w[1], (long long)l->w[0], (long long)l->w[2],
                (long long)l->w[3], l->attr.stride, m->macs);
    for (int part = 0; part < PARTS; part++)
        for (int way = 0; way < WAYS; way++) {
            if (m->seconds[part][way] <= 0)
                continue;
            const bool used = !strcmp(m->name[part][way], l->used[part]);
            put_line(r, head, part_names[part], m->seconds[part][way], m->macs, peak, (int)l->x[0], used ? "* " : "  ",
                     m->name[part][way]);
            head[0] = 0;
            gn_text_add(&r->json, "%s{\"part\":\"%s\",\"implementation\":", separator, part_names[part]);
            gn_json_put_string(&r->json, m->name[part][way]);
            gn_text_add(&r->json, ",\"used\":%s,\"seconds\":%.6f,\"of_peak\":%.3f}", used ? "true" : "false", m->seconds[part][way],
                        2 * m->macs / m->seconds[part][way] / peak);
            separator = ",";
        }
    gn_text_add(&r->json, "]}");
}

/* Weight gradients: what the network uses, and each way for all layers. */
static void count_in(totals *t, const layer *l, const measured *m)
{
    const int weights = 2;
    double used = m->seconds[weights][0];
    for (int way = 0; way < WAYS; way++) {
        double seconds = m->seconds[weights][way];
        t->whole[way] = t->whole[way] && seconds > 0;
        t->best[way] += l->count * seconds;
        if (seconds > 0 && !strcmp(m->name[weights][way], l->used[weights]))
            used = seconds;
    }
    t->used += l->count * used;
    t->macs += l->count * m->macs;
}

static void put_totals(gn_bench_report *r, const totals *t, double peak, int batch)
{
    static const char *const heads[WAYS] = {"all weight gradients, oneDNN's alone", "all weight gradients, the own alone"};
    put_line(r, "all weight gradients, as the network runs", "", t->used, t->macs, peak, batch, "", "");
    for (int way = 0; way < WAYS; way++)
        if (t->whole[0] && t->whole[1])
            put_line(r, heads[way], "", t->best[way], t->macs, peak, batch, "", "");
    gn_text_add(&r->text, "(* the implementation that the network runs; best of %d runs or more, each layer alone)\n",
                LEAST_ROUNDS);
}

/* --- all ------------------------------------------------------------------------------------------------------------------ */

/* oneDNN's passes and the own ones where the device has both to choose from, else the device as it is. */
static genet_status open_ways(ways *v, const gn_bench_net *n, const char *isa, genet_error *err)
{
    static const gn_own_choice choices[] = {GN_OWN_NEVER, GN_OWN_ALWAYS, GN_OWN_WHERE_FASTER};
    *v = (ways){.backend = n->device.backend};
    for (int i = 0; i < 3 && (choices[i] != GN_OWN_WHERE_FASTER || v->count == 0); i++) {
        const gn_backend_options o = {.threads = n->device.threads, .isa = isa && *isa ? isa : NULL, .own = choices[i]};
        const genet_status status = v->backend->open(&v->device[v->count], &o, err);
        if (status == GENET_OK)
            v->count++;
        else if (status != GENET_UNSUPPORTED || choices[i] == GN_OWN_WHERE_FASTER)
            return status;
    }
    return GENET_OK;
}

genet_status gn_bench_layers(gn_bench_report *r, const gn_bench_net *n, const char *isa, double peak, genet_error *err)
{
    genet_status status = GENET_OK;
    ways v = {0};
    totals t = {.whole = {true, true}};
    layer *all = gn_calloc((size_t)n->plan->step_count, sizeof *all);
    if (!all)
        return gn_fail_memory(err, (size_t)n->plan->step_count * sizeof *all, "the network's convolutions");
    const int count = gather(n, all);
    GN_TRY(open_ways(&v, n, isa, err));
    gn_text_add(&r->text, "\n%-44s %-16s %9s %9s %8s    %s\n", "layer", "", "ms/image", "GFLOP/s", "of peak", "implementation");
    gn_text_add(&r->json, ",\"layers\":[");
    for (int i = 0; i < count; i++) {
        measured m;
        GN_TRY(measure(&m, &all[i], &v, n->map_type, err));
        put_layer(r, &all[i], &m, peak, i == 0);
        count_in(&t, &all[i], &m);
    }
    put_totals(r, &t, peak, n->batch);
    gn_text_add(&r->json, "],\"weight_gradient_seconds\":%.6f", t.used);
    if (t.whole[0] && t.whole[1])
        gn_text_add(&r->json, ",\"weight_gradient_seconds_onednn\":%.6f,\"weight_gradient_seconds_own\":%.6f", t.best[0],
                    t.best[1]);
out:
    for (int way = 0; way < v.count; way++)
        v.backend->close(v.device[way]);
    gn_free(all);
    return status;
}
