/* SPDX-License-Identifier: Apache-2.0
 * From the steps of an evaluation plan to plain operations. A convolution's output and its statistics become, where they
 * are first used together, a batch-norm node; every later use of the pair takes the same node. In a folded plan, which int8
 * networks have, statistics are fixed affine maps: they become part of the convolution before them. */
#include "formats/graph.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* What is known of a plan's tensor. */
typedef struct seen {
    int value;       /* its value in the graph, -1 */
    int normed;      /* the same after its batch norm, -1 where not made yet */
    int norm;        /* a stats tensor: number of its gamma in the table */
    double eps;
    int of, kernel;  /* a raw gather: the map's tensor, the kernel's or -1 */
    int affine;      /* a stats tensor of a folded network: its number in the table, else -1 */
} seen;
static const seen unseen = {.value = -1, .normed = -1, .norm = -1, .of = -1, .kernel = -1, .affine = -1};

typedef struct walker {
    gn_graph *g;
    const gn_plan *plan;
    const gn_step *step;
    seen *seen;
    seen absent;     /* what stands for an operand that a step has not */
    bool folded;     /* the plan is a folded network's */
    bool strange;    /* a step stands where it cannot be taken apart */
    bool failed;
} walker;

const float *gn_graph_weight(const gn_graph *g, int index)
{
    return gn_weights_at(g->weights, index);
}

/* Appends a node and returns its value. Outputs start as in[0]'s shape. */
static int add(walker *w, gn_node_kind kind, int in0, int in1, const char *part)
{
    static const gn_node nowhere;
    gn_graph *g = w->g;
    if (g->count == g->room) {
        int room = g->room ? g->room * 2 : 256;
        gn_node *more = gn_realloc(g->nodes, (size_t)room * sizeof *more);
        w->failed = w->failed || !more;
        if (!more)
            return g->count;
        g->nodes = more;
        g->room = room;
    }
    const gn_node *from = in0 > 0 && in0 <= g->count ? &g->nodes[in0 - 1] : &nowhere;
    gn_node n = {.kind = kind, .in = {in0, in1}, .channels = from->channels, .height = from->height, .width = from->width,
                 .groups = 1, .weight = -1, .bias = -1, .norm = -1, .scale = -1};
    if (in0 == 0)
        n.channels = 3, n.height = n.width = g->size;
    snprintf(n.label, sizeof n.label, "%s%s", w->step->label, part);
    g->nodes[g->count++] = n;
    return g->count;
}

static gn_node *node_of(walker *w, int value)
{
    return &w->g->nodes[value - 1];
}

/* ".weight" of "layer1.0.conv1.weight"; "" where there is no dot. */
static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot : name + strlen(name);
}

/* The label of a node that owns a weight is the weight's name without its last part. */
static void name_after(gn_node *n, const char *weight)
{
    snprintf(n->label, sizeof n->label, "%.*s", (int)(last_part(weight) - weight), weight);
}

static seen *in(walker *w, int i)
{
    w->absent = unseen;
    return w->step->in[i] < 0 ? &w->absent : &w->seen[w->step->in[i]];
}

static seen *out(walker *w, int i)
{
    return &w->seen[w->step->out[i]];
}

static int table_index(walker *w, int tensor)
{
    return tensor < 0 ? -1 : gn_weight_find(w->g->weights->table, w->plan->tensors[tensor].name);
}

static int convolution(walker *w, int x, int weight, int bias, const gn_attr *a, bool depthwise)
{
    const gn_weight *item = &w->g->weights->table->items[weight];
    int v = add(w, GN_NODE_CONV, x, -1, "");
    if (w->failed)
        return v;
    gn_node *n = node_of(w, v);
    name_after(n, item->name);
    n->weight = weight;
    n->bias = bias;
    n->w = gn_graph_weight(w->g, weight);
    n->b = bias < 0 ? NULL : gn_graph_weight(w->g, bias);
    n->kernel = (int)item->dim[2];
    n->stride = a->stride > 1 ? a->stride : 1;
    memcpy(n->pad, a->pad, sizeof n->pad);
    n->groups = depthwise ? n->channels : 1;
    n->channels = (int)item->dim[0];
    n->height = (n->height + n->pad[0] + n->pad[2] - n->kernel) / n->stride + 1;
    n->width = (n->width + n->pad[1] + n->pad[3] - n->kernel) / n->stride + 1;
    return v;
}

/* Memory that goes with the graph. */
static float *hold(gn_graph *g, int64_t count)
{
    if (g->folded_count == g->folded_room) {
        int room = g->folded_room ? g->folded_room * 2 : 64;
        float **more = gn_realloc(g->folded, (size_t)room * sizeof *more);
        if (!more)
            return NULL;
        g->folded = more;
        g->folded_room = room;
    }
    float *w = gn_calloc((size_t)count, sizeof *w);
    if (w)
        g->folded[g->folded_count++] = w;
    return w;
}

/* Convolution n, which has no bias, becomes a*n + b: its rows are scaled, b is its bias. */
static bool scale_rows(gn_graph *g, gn_node *n, const double *a, const double *b)
{
    const gn_weight *item = &g->weights->table->items[n->weight];
    int64_t each = item->count / item->dim[0];
    float *w = hold(g, item->count + item->dim[0]), *bias = w + item->count;
    if (!w)
        return false;
    for (int64_t k = 0; k < item->dim[0]; k++) {
        for (int64_t i = 0; i < each; i++)
            w[k * each + i] = (float)(n->w[k * each + i] * a[k]);
        bias[k] = (float)b[k];
    }
    n->w = w;
    n->b = bias;
    return true;
}

/* y behind the fixed affine map whose (4,C) numbers are `index` of the table: nothing, or part of the convolution that makes
 * y, which nothing else reads. */
static int affine(walker *w, const seen *y, int index)
{
    const int64_t channels = w->g->weights->table->items[index].dim[1];
    const float *stats = gn_graph_weight(w->g, index), *a = stats + 2 * channels, *b = stats + 3 * channels;
    bool identity = true;
    for (int64_t c = 0; c < channels; c++)
        identity = identity && a[c] == 1 && b[c] == 0;
    if (identity || w->failed)
        return y->value;
    gn_node *n = node_of(w, y->value);
    double *rows = gn_calloc((size_t)channels * 2, sizeof *rows);
    for (int64_t c = 0; rows && c < channels; c++) {
        rows[c] = a[c];
        rows[channels + c] = b[c];
    }
    w->strange = w->strange || n->kind != GN_NODE_CONV || n->b;
    w->failed = w->failed || !rows || (!w->strange && !scale_rows(w->g, n, rows, rows + channels));
    gn_free(rows);
    return y->value;
}

/* y behind the batch norm whose statistics are `stats`. */
static int normed(walker *w, seen *y, const seen *stats)
{
    if (stats->affine >= 0)
        return y->normed < 0 ? y->normed = affine(w, y, stats->affine) : y->normed;
    if (y->normed < 0) {
        y->normed = add(w, GN_NODE_NORM, y->value, -1, "");
        if (!w->failed) {
            name_after(node_of(w, y->normed), w->g->weights->table->items[stats->norm].name);
            node_of(w, y->normed)->norm = stats->norm;
            node_of(w, y->normed)->eps = stats->eps;
        }
    }
    return y->normed;
}

static int window(walker *w, gn_node_kind kind, int x)
{
    const gn_attr *a = &w->step->attr;
    int v = add(w, kind, x, -1, kind == GN_NODE_MAX_POOL ? ".max" : ".average");
    if (w->failed)
        return v;
    gn_node *n = node_of(w, v);
    n->kernel = a->kernel;
    n->stride = a->stride;
    memcpy(n->pad, a->pad, sizeof n->pad);
    n->height = (n->height + a->pad[0] + a->pad[2] - a->kernel) / a->stride + 1;
    n->width = (n->width + a->pad[1] + a->pad[3] - a->kernel) / a->stride + 1;
    return v;
}

static int mean(walker *w, int x)
{
    int v = add(w, GN_NODE_MEAN, x, -1, ".mean");
    if (!w->failed)
        node_of(w, v)->height = node_of(w, v)->width = 1;
    return v;
}

static int upsample(walker *w, int s, int like)
{
    if (w->failed || node_of(w, s)->height * node_of(w, s)->width == 1 ||
        (node_of(w, s)->height == node_of(w, like)->height && node_of(w, s)->width == node_of(w, like)->width))
        return s;
    int v = add(w, GN_NODE_UPSAMPLE, s, -1, ".up");
    if (!w->failed) {
        node_of(w, v)->height = node_of(w, like)->height;
        node_of(w, v)->width = node_of(w, like)->width;
    }
    return v;
}

/* relu(u * up(sigmoid(t)) + identity); t, id, id_stats stand at these places of the step's operands. */
static void finish_block(walker *w, int u, int t, int id, int id_stats)
{
    if (w->step->in[t] >= 0) {
        int s = add(w, GN_NODE_SIGMOID, in(w, t)->value, -1, ".gate");
        u = add(w, GN_NODE_MUL, u, upsample(w, s, u), ".excite");
    }
    int identity = w->step->in[id_stats] < 0 ? in(w, id)->value : normed(w, in(w, id), in(w, id_stats));
    out(w, 0)->value = add(w, GN_NODE_RELU, add(w, GN_NODE_ADD, u, identity, ".add"), -1, ".relu");
}

static void dense(walker *w)
{
    int weight = table_index(w, w->step->in[1]), bias = table_index(w, w->step->in[2]), v;
    const gn_weight *item = &w->g->weights->table->items[weight];
    if (w->step->out[0] == w->plan->logits) {
        v = add(w, GN_NODE_DENSE, in(w, 0)->value, -1, "");
        if (!w->failed) {
            gn_node *n = node_of(w, v);
            *n = (gn_node){.kind = n->kind, .in = {n->in[0], -1}, .channels = (int)item->dim[0], .height = 1, .width = 1,
                           .w = gn_graph_weight(w->g, weight), .b = gn_graph_weight(w->g, bias), .weight = weight, .bias = bias,
                           .norm = -1, .scale = -1, .label = "head"};
        }
    } else { /* the gate's layers are 1x1 convolutions over the gathered map */
        v = convolution(w, in(w, 0)->value, weight, bias, &w->step->attr, false);
        if (w->step->attr.relu)
            v = add(w, GN_NODE_RELU, v, -1, ".relu");
    }
    out(w, 0)->value = v;
}

/* x in steps of `step`. */
static int steps(walker *w, int x, float step)
{
    int v = add(w, GN_NODE_STEPS, x, -1, ".steps");
    if (!w->failed)
        node_of(w, v)->step = step;
    return v;
}

/* A convolution of the folded network, what it adds, its ReLU, and its output in steps. */
static void folded_convolution(walker *w)
{
    const gn_step *s = w->step;
    bool int8 = s->op == GN_OP_CONV_INT8;
    int x = in(w, 0)->value, bias = int8 ? 3 : 2;
    int v = convolution(w, x, table_index(w, s->in[1]), table_index(w, s->in[bias]), &s->attr, false);
    if (int8 && !w->failed) {
        node_of(w, v)->scale = table_index(w, s->in[2]);
        node_of(w, v)->step = node_of(w, x)->step;
        w->strange = w->strange || node_of(w, x)->kind != GN_NODE_STEPS;
    }
    if (s->in[bias + 1] >= 0)
        v = add(w, GN_NODE_ADD, v, in(w, bias + 1)->value, ".add");
    if (s->attr.relu)
        v = add(w, GN_NODE_RELU, v, -1, ".relu");
    out(w, 0)->value = int8 && w->plan->tensors[s->out[0]].dtype == GN_U8 ? steps(w, v, s->attr.scale) : v;
    out(w, 0)->normed = -1;
}

/* The weighted sum or mean of a map over itself. */
static int gather(walker *w, int v, int kernel)
{
    const gn_attr whole = {.stride = 1};
    return kernel < 0 ? mean(w, v) : convolution(w, v, table_index(w, kernel), -1, &whole, true);
}

/* One step of the plan; false for an operation that evaluation plans do not have. */
static bool walk(walker *w)
{
    const gn_step *s = w->step;
    int v;
    switch (s->op) {
    case GN_OP_QUANTIZE:
        out(w, 0)->value = steps(w, in(w, 0)->value, s->attr.scale);
        return true;
    case GN_OP_CONV_INT8:
        folded_convolution(w);
        return true;
    case GN_OP_CONV:
    case GN_OP_DWCONV:
        if (w->folded && s->op == GN_OP_CONV)
            folded_convolution(w);
        else
            out(w, 0)->value = convolution(w, in(w, 0)->value, table_index(w, s->in[1]), -1, &s->attr, s->op == GN_OP_DWCONV);
        return true;
    case GN_OP_BN_RUNNING:
        out(w, 0)->norm = table_index(w, s->in[0]);
        out(w, 0)->eps = s->attr.eps;
        return true;
    case GN_OP_BN_ACT:
        v = normed(w, in(w, 0), in(w, 1));
        out(w, 0)->value = s->attr.relu ? add(w, GN_NODE_RELU, v, -1, ".relu") : v;
        return true;
    case GN_OP_BN_POOL:
        v = add(w, GN_NODE_RELU, normed(w, in(w, 0), in(w, 1)), -1, ".relu");
        out(w, 0)->value = window(w, GN_NODE_MAX_POOL, v);
        return true;
    case GN_OP_GATHER:
        out(w, 0)->of = s->in[0];
        out(w, 0)->kernel = s->in[1];
        if (w->folded)
            out(w, 0)->value = gather(w, in(w, 0)->value, s->in[1]);
        return true;
    case GN_OP_GATHER_AFFINE:
        v = normed(w, w->folded ? in(w, 0) : &w->seen[in(w, 0)->of], in(w, 1));
        out(w, 0)->value = w->folded ? v : gather(w, v, in(w, 0)->kernel);
        return true;
    case GN_OP_TAIL:
        finish_block(w, normed(w, in(w, 0), in(w, 1)), 2, 3, 4);
        return true;
    case GN_OP_EXCITE:
        finish_block(w, in(w, 0)->value, 1, 2, 3);
        return true;
    case GN_OP_LOCAL_POOL:
        out(w, 0)->value = window(w, GN_NODE_AVERAGE_POOL, in(w, 0)->value);
        return true;
    case GN_OP_GLOBAL_POOL:
        out(w, 0)->value = mean(w, in(w, 0)->value);
        return true;
    case GN_OP_DENSE:
        dense(w);
        return true;
    default:
        return false;
    }
}

/* --- folding ---------------------------------------------------------------------------------------------------------- */

/* Weights and bias of convolution n with the batch norm behind it: a = gamma/sqrt(var+eps), b = beta - a*mean. */
static bool fold_into(gn_graph *g, gn_node *n, int norm, double eps)
{
    const float *gamma = gn_graph_weight(g, norm), *beta = gn_graph_weight(g, norm + 1);
    const float *mean_ = gn_graph_weight(g, norm + 2), *var = gn_graph_weight(g, norm + 3);
    int64_t channels = g->weights->table->items[n->weight].dim[0];
    double *a = gn_calloc((size_t)channels * 2, sizeof *a), *b = a + channels;
    for (int64_t k = 0; a && k < channels; k++) {
        a[k] = gamma[k] / sqrt((double)var[k] + eps);
        b[k] = beta[k] - a[k] * mean_[k];
    }
    bool good = a && scale_rows(g, n, a, b);
    gn_free(a);
    return good;
}

/* Takes out the batch norms that stand right behind a convolution which nothing else reads. */
static bool fold(gn_graph *g)
{
    int *now = gn_calloc((size_t)g->count + 1, sizeof *now), *uses = gn_calloc((size_t)g->count + 1, sizeof *uses), kept = 0;
    bool good = now && uses;
    for (int i = 0; good && i < g->count; i++)
        for (int k = 0; k < 2; k++)
            if (g->nodes[i].in[k] > 0)
                uses[g->nodes[i].in[k]]++;
    for (int i = 0; good && i < g->count; i++) {
        gn_node n = g->nodes[i];
        int before = n.in[0];
        gn_node *conv = n.kind == GN_NODE_NORM && before > 0 && uses[before] == 1 ? &g->nodes[now[before] - 1] : NULL;
        if (conv && conv->kind == GN_NODE_CONV && !conv->b) {
            good = fold_into(g, conv, n.norm, n.eps);
            now[i + 1] = now[before];
            continue;
        }
        for (int k = 0; k < 2; k++)
            if (n.in[k] > 0)
                n.in[k] = now[n.in[k]];
        g->nodes[kept++] = n;
        now[i + 1] = kept;
    }
    g->count = kept;
    gn_free(now);
    gn_free(uses);
    return good;
}

/* Takes the whole plan apart. */
static genet_status walk_plan(walker *w, genet_error *err)
{
    const gn_plan *plan = w->plan;
    genet_status status = GENET_OK;
    w->seen = gn_calloc((size_t)plan->tensor_count, sizeof *w->seen);
    w->failed = !w->seen;
    for (int i = 0; !w->failed && i < plan->tensor_count; i++) {
        const gn_tensor *t = &plan->tensors[i];
        w->seen[i] = unseen;
        if (w->folded && t->role == GN_PARAM && t->rank == 2 && !strcmp(last_part(t->name), ".stats"))
            w->seen[i].affine = table_index(w, i);
    }
    if (!w->failed)
        w->seen[plan->x].value = 0;
    for (int i = 0; !w->failed && status == GENET_OK && i < plan->step_count; i++) {
        w->step = &plan->steps[i];
        if (!walk(w) || w->strange)
            status = gn_fail(err, GENET_INTERNAL, "step %s of %s cannot be exported", gn_op_name(w->step->op), w->step->label);
    }
    if (w->failed)
        status = gn_fail_memory(err, (size_t)w->g->room * sizeof *w->g->nodes, "the network's graph");
    gn_free(w->seen);
    return status;
}

genet_status gn_graph_make(gn_graph *g, const gn_checkpoint *c, const gn_weights *weights, bool fold_norms, genet_error *err)
{
    const gn_model *m = c->model;
    const gn_plan_options options = {.batch = 1, .map_type = GN_F32, .float_input = true};
    gn_plan *plan = NULL;
    genet_status status;
    *g = (gn_graph){.size = m->spec.size, .classes = m->spec.classes, .weights = weights};
    GN_TRY(gn_model_plan(m, &options, &plan, err));
    GN_TRY(walk_plan(&(walker){.g = g, .plan = plan}, err));
    if (fold_norms && !fold(g))
        status = gn_fail_memory(err, (size_t)g->room * sizeof *g->nodes, "the network's graph");
out:
    gn_plan_free(plan);
    if (status != GENET_OK)
        gn_graph_free(g);
    return status;
}

genet_status gn_graph_make_int8(gn_graph *g, const gn_folded *f, genet_error *err)
{
    const gn_plan_options options = {.batch = 1, .map_type = GN_F32, .float_input = true};
    gn_plan *plan = NULL;
    genet_status status;
    *g = (gn_graph){.size = f->spec.size, .classes = f->spec.classes, .weights = &f->weights};
    GN_TRY(gn_folded_plan(f, &options, &plan, err));
    GN_TRY(walk_plan(&(walker){.g = g, .plan = plan, .folded = true}, err));
out:
    gn_plan_free(plan);
    if (status != GENET_OK)
        gn_graph_free(g);
    return status;
}

void gn_graph_free(gn_graph *g)
{
    for (int i = 0; i < g->folded_count; i++)
        gn_free(g->folded[i]);
    gn_free(g->folded);
    gn_free(g->nodes);
    memset(g, 0, sizeof *g);
}
