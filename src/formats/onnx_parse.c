/* SPDX-License-Identifier: Apache-2.0
 * Reading an ONNX file into a graph: names are resolved, operators and their attributes are held against the list of those
 * that are known, initializers against their sizes. */
#include "formats/onnx_check.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define MOST_NODES 4096
#define MOST_VALUES 16384

typedef struct parser {
    gn_onnx *m;
    genet_error *err;
    int64_t opset;
    int inputs, outputs;
    bool no_memory; /* why there is no new value or node */
} parser;

static genet_status fail(const parser *p, const char *what)
{
    if (p->no_memory)
        return gn_fail_memory(p->err, (size_t)p->m->value_room * sizeof *p->m->values, p->m->path);
    return gn_fail(p->err, GENET_FORMAT, "%s: %s", p->m->path, what);
}

static uint64_t hash_of(const void *name, size_t n)
{
    return gn_fnv1a(GN_FNV_START, name, n);
}

static int find_value(const gn_onnx *m, const unsigned char *name, size_t n)
{
    uint64_t hash = hash_of(name, n);
    for (int i = 0; i < m->value_count; i++)
        if (m->values[i].hash == hash && m->values[i].name_bytes == n && !memcmp(m->values[i].name, name, n))
            return i;
    return -1;
}

/* Adds a value with a new name; NULL where the name is taken, empty, or there is no room. */
static gn_onnx_value *new_value(parser *p, const unsigned char *name, size_t n)
{
    gn_onnx *m = p->m;
    if (!n || m->value_count == MOST_VALUES || find_value(m, name, n) >= 0)
        return NULL;
    if (m->value_count == m->value_room) {
        int room = m->value_room ? m->value_room * 2 : 256;
        gn_onnx_value *more = gn_realloc(m->values, (size_t)room * sizeof *more);
        p->no_memory = !more;
        if (!more)
            return NULL;
        m->values = more;
        m->value_room = room;
    }
    gn_onnx_value *v = &m->values[m->value_count++];
    *v = (gn_onnx_value){.name = (const char *)name, .name_bytes = n, .hash = hash_of(name, n), .last_use = -1};
    return v;
}

int64_t gn_onnx_elements(const gn_onnx_value *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++)
        if (v->dim[i] < 1 || v->dim[i] > INT32_MAX || (n *= v->dim[i]) > INT32_MAX)
            return 0;
    return n;
}

/* --- initializers ----------------------------------------------------------------------------------------------------- */

/* Bytes of one number; 0 for an unknown type. */
static size_t type_size(int type)
{
    switch (type) {
    case GN_ONNX_UINT8:
    case GN_ONNX_INT8:
        return 1;
    case GN_ONNX_FLOAT:
    case GN_ONNX_INT32:
        return 4;
    case GN_ONNX_INT64:
        return 8;
    default:
        return 0;
    }
}

static genet_status parse_initializer(parser *p, const gn_field *field)
{
    gn_wire w = gn_wire_over(field->data, field->bytes);
    gn_field f;
    gn_onnx_value t = {0};
    const unsigned char *name = NULL, *raw = NULL;
    size_t name_bytes = 0, raw_bytes = 0;
    while (gn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == 0 && t.rank < 4)
            t.dim[t.rank++] = f.value > INT32_MAX ? 0 : (int64_t)f.value;
        else if (f.number == 2 && f.type == 0)
            t.type = f.value > 100 ? 0 : (int)f.value;
        else if (f.number == 8 && f.type == 2)
            name = f.data, name_bytes = f.bytes;
        else if (f.number == 9 && f.type == 2)
            raw = f.data, raw_bytes = f.bytes;
        else
            return fail(p, "an initializer has a field that is not written here");
    }
    int64_t count = gn_onnx_elements(&t);
    size_t size = type_size(t.type);
    if (w.bad || !size || !count || raw_bytes != (size_t)count * size)
        return fail(p, "an initializer is damaged, of an unknown type, or its bytes do not match its shape");
    gn_onnx_value *v = name ? new_value(p, name, name_bytes) : NULL;
    if (!v)
        return fail(p, "an initializer without a name of its own, or too many of them");
    v->type = t.type;
    v->rank = t.rank;
    memcpy(v->dim, t.dim, sizeof v->dim);
    v->raw = raw;
    return GENET_OK;
}

/* --- inputs and outputs ----------------------------------------------------------------------------------------------- */

/* shape: dimensions; the first may be a word (dim 0 here). */
static bool parse_shape(gn_onnx_value *v, const gn_field *field)
{
    gn_wire w = gn_wire_over(field->data, field->bytes);
    gn_field f, d;
    while (gn_wire_next(&w, &f)) {
        if (f.number != 1 || f.type != 2 || v->rank == 4)
            return false;
        gn_wire inner = gn_wire_over(f.data, f.bytes);
        int64_t n = 0;
        while (gn_wire_next(&inner, &d))
            if (d.number == 1 && d.type == 0)
                n = d.value > INT32_MAX ? -1 : (int64_t)d.value;
        if (inner.bad || n < 0 || (v->rank > 0 && n == 0))
            return false;
        v->dim[v->rank++] = n;
    }
    return !w.bad;
}

static genet_status parse_info(parser *p, const gn_field *field, gn_onnx_value *v)
{
    gn_wire w = gn_wire_over(field->data, field->bytes), inner;
    gn_field f;
    bool good = true;
    while (good && gn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == 2) {
            v->name = (const char *)f.data;
            v->name_bytes = f.bytes;
        } else if (f.number == 2 && f.type == 2) {
            inner = gn_wire_over(f.data, f.bytes); /* TypeProto: only tensor_type */
            good = gn_wire_next(&inner, &f) && f.number == 1 && f.type == 2;
            inner = gn_wire_over(f.data, good ? f.bytes : 0);
            while (good && gn_wire_next(&inner, &f)) {
                if (f.number == 1 && f.type == 0)
                    v->type = f.value > 100 ? 0 : (int)f.value;
                else
                    good = f.number == 2 && f.type == 2 && parse_shape(v, &f);
            }
            good = good && !inner.bad;
        }
    }
    return good && !w.bad && v->name_bytes ? GENET_OK : fail(p, "an input or output that cannot be read");
}

static genet_status parse_input(parser *p, const gn_field *field)
{
    gn_onnx_value v = {0};
    genet_status status = parse_info(p, field, &v);
    if (status != GENET_OK)
        return status;
    if (p->inputs++ || v.rank != 4 || (v.type != GN_ONNX_FLOAT && v.type != GN_ONNX_UINT8))
        return fail(p, "one input of float (N,3,S,S) or uint8 (N,S,S,3) was expected");
    gn_onnx_value *to = new_value(p, (const unsigned char *)v.name, v.name_bytes);
    if (!to)
        return fail(p, "the input's name is an initializer's too");
    v.hash = to->hash;
    v.last_use = -1;
    *to = v;
    return GENET_OK;
}

static genet_status parse_output(parser *p, const gn_field *field)
{
    gn_onnx_value v = {0};
    genet_status status = parse_info(p, field, &v);
    if (status != GENET_OK)
        return status;
    p->m->output = find_value(p->m, (const unsigned char *)v.name, v.name_bytes);
    p->m->classes = v.rank == 2 ? v.dim[1] : 0;
    if (p->outputs++ || p->m->output < 0 || v.type != GN_ONNX_FLOAT || v.rank != 2)
        return fail(p, "one output of float (N,K) that a node writes was expected");
    return GENET_OK;
}

/* --- nodes ------------------------------------------------------------------------------------------------------------ */

static bool is(const gn_field *f, const char *text)
{
    return f->bytes == strlen(text) && !memcmp(f->data, text, f->bytes);
}

/* Where an attribute's numbers go, how many there are, and its bit. */
typedef struct place {
    const char *name;
    int64_t *ints;
    int count; /* 0: a single `i`; -1: a float */
    unsigned bit;
} place;

static bool set_attribute(gn_onnx_node *n, const gn_field *name, int64_t i, float f, const int64_t *ints, int count)
{
    const place places[] = {{"kernel_shape", n->kernel, 2, GN_ONNX_KERNEL}, {"strides", n->stride, 2, GN_ONNX_STRIDES},
                            {"pads", n->pad, 4, GN_ONNX_PADS}, {"group", &n->group, 0, GN_ONNX_GROUP},
                            {"epsilon", NULL, -1, GN_ONNX_EPSILON}, {"axis", &n->axis, 0, GN_ONNX_AXIS},
                            {"perm", n->perm, 4, GN_ONNX_PERM}, {"transB", &n->trans_b, 0, GN_ONNX_TRANS_B},
                            {"to", &n->to, 0, GN_ONNX_TO}};
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        if (!is(name, places[k].name))
            continue;
        if (n->given & places[k].bit || (places[k].count > 0 ? count != places[k].count : count != 0))
            return false;
        n->given |= places[k].bit;
        if (places[k].count > 0)
            memcpy(places[k].ints, ints, (size_t)count * sizeof *ints);
        else if (places[k].count == 0)
            *places[k].ints = i;
        else
            n->epsilon = f;
        return true;
    }
    return false;
}

static bool parse_attribute(gn_onnx_node *n, const gn_field *field)
{
    gn_wire w = gn_wire_over(field->data, field->bytes);
    gn_field f, name = {0};
    int64_t ints[4] = {0}, i = 0;
    float real = 0;
    int count = 0;
    while (gn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == 2) {
            name = f;
        } else if (f.number == 2 && f.type == 5) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&real, &bits, 4);
        } else if (f.number == 3 && f.type == 0) {
            i = (int64_t)f.value;
        } else if (f.number == 8 && f.type == 0 && count < 4) {
            ints[count++] = (int64_t)f.value;
        } else if (f.number != 20) {
            return false;
        }
    }
    return !w.bad && name.bytes && set_attribute(n, &name, i, real, ints, count);
}

static gn_onnx_node *new_node(parser *p)
{
    gn_onnx *m = p->m;
    if (m->node_count == MOST_NODES)
        return NULL;
    if (m->node_count == m->node_room) {
        int room = m->node_room ? m->node_room * 2 : 256;
        gn_onnx_node *more = gn_realloc(m->nodes, (size_t)room * sizeof *more);
        p->no_memory = !more;
        if (!more)
            return NULL;
        m->nodes = more;
        m->node_room = room;
    }
    m->nodes[m->node_count] = (gn_onnx_node){.op = -1, .out = -1, .group = 1};
    return &m->nodes[m->node_count++];
}

static genet_status finish_node(parser *p, gn_onnx_node *n, const gn_field *out)
{
    gn_onnx *m = p->m;
    if (n->op < 0 || !out->bytes)
        return fail(p, "a node's operator is not one of those that are written here");
    const gn_onnx_op *op = &gn_onnx_ops[n->op];
    if (n->in_count < op->least || n->in_count > op->most || (n->given & op->needed) != op->needed || n->given & ~op->allowed)
        return gn_fail(p->err, GENET_FORMAT, "%s: a node %s has the wrong number of inputs or attributes it should not have",
                       m->path, op->name);
    gn_onnx_value *v = new_value(p, out->data, out->bytes);
    if (!v)
        return fail(p, "two nodes write one value, or there are too many");
    n->out = m->value_count - 1;
    for (int i = 0; i < n->in_count; i++)
        m->values[n->in[i]].last_use = m->node_count - 1;
    return GENET_OK;
}

static genet_status parse_node(parser *p, const gn_field *field)
{
    gn_wire w = gn_wire_over(field->data, field->bytes);
    gn_field f, out = {0};
    gn_onnx_node *n = new_node(p);
    if (!n)
        return fail(p, "more nodes than can be held");
    while (gn_wire_next(&w, &f)) {
        if (f.type != 2)
            return fail(p, "a node has a field that is not written here");
        if (f.number == 1) {
            int v = find_value(p->m, f.data, f.bytes);
            if (v < 0 || n->in_count == GN_ONNX_INPUTS)
                return fail(p, "a node reads a value that nothing before it makes");
            n->in[n->in_count++] = v;
        } else if (f.number == 2) {
            if (out.bytes)
                return fail(p, "a node with two outputs");
            out = f;
        } else if (f.number == 4) {
            for (int k = 0; k < gn_onnx_op_count; k++)
                if (is(&f, gn_onnx_ops[k].name))
                    n->op = k;
        } else if (f.number == 5 && !parse_attribute(n, &f)) {
            return fail(p, "a node has an attribute that is unknown or damaged");
        }
    }
    return w.bad ? fail(p, "a node that is no well-formed message") : finish_node(p, n, &out);
}

/* --- graph and model -------------------------------------------------------------------------------------------------- */

/* All fields with this number, in order. */
static genet_status each(parser *p, const gn_field *graph, uint32_t number, genet_status (*take)(parser *, const gn_field *))
{
    gn_wire w = gn_wire_over(graph->data, graph->bytes);
    gn_field f;
    genet_status status = GENET_OK;
    while (status == GENET_OK && gn_wire_next(&w, &f))
        if (f.number == number)
            status = f.type == 2 ? take(p, &f) : fail(p, "a field of the wrong kind");
    return status != GENET_OK || !w.bad ? status : fail(p, "the graph is no well-formed message");
}

static void parse_opset(parser *p, const gn_field *field)
{
    gn_wire w = gn_wire_over(field->data, field->bytes);
    gn_field f;
    while (gn_wire_next(&w, &f))
        if (f.number == 2 && f.type == 0)
            p->opset = f.value > 1000 ? -1 : (int64_t)f.value;
}

genet_status gn_onnx_parse(gn_onnx *m, const unsigned char *data, size_t bytes, genet_error *err)
{
    parser p = {.m = m, .err = err};
    gn_wire w = gn_wire_over(data, bytes);
    gn_field f, graph = {0};
    genet_status status;
    while (gn_wire_next(&w, &f)) {
        if (f.number == 7 && f.type == 2)
            graph = f;
        else if (f.number == 8 && f.type == 2)
            parse_opset(&p, &f);
    }
    if (w.bad || !graph.data)
        return fail(&p, "is no ONNX model, or is cut short");
    if (p.opset != 17)
        return fail(&p, "is of another operator set than 17");
    GN_TRY(each(&p, &graph, 11, parse_input));
    GN_TRY(each(&p, &graph, 5, parse_initializer));
    GN_TRY(each(&p, &graph, 1, parse_node));
    GN_TRY(each(&p, &graph, 12, parse_output));
    if (!p.inputs || !p.outputs)
        return fail(&p, "has no input or no output");
    m->values[m->output].last_use = m->node_count;
out:
    return status;
}
