/* SPDX-License-Identifier: Apache-2.0
 * Running an ONNX graph: an interpreter of exactly the operators that the writer emits, with which an export checks itself.
 * It knows nothing of genet's networks and shares no code with the writer. Maps live from their node to their last use. */
#include "formats/onnx_check.h"

#include <string.h>

#include "base/mem.h"

static void free_value(gn_onnx_value *v)
{
    gn_free(v->data);
    gn_free(v->bytes);
    v->data = NULL;
    v->bytes = NULL;
}

/* Initializers of floats are copied once: in the file they stand at any byte. */
static genet_status copy_initializers(gn_onnx *m, genet_error *err)
{
    for (int i = 0; i < m->value_count; i++) {
        gn_onnx_value *v = &m->values[i];
        if (!v->raw || v->type != GN_ONNX_FLOAT)
            continue;
        size_t bytes = (size_t)gn_onnx_elements(v) * sizeof(float);
        v->data = gn_calloc(bytes, 1);
        if (!v->data)
            return gn_fail_memory(err, bytes, "the weights of the exported graph");
        memcpy(v->data, v->raw, bytes);
    }
    return GENET_OK;
}

genet_status gn_onnx_open(gn_onnx **m, const unsigned char *data, size_t bytes, const char *path, genet_error *err)
{
    genet_status status;
    *m = gn_calloc(1, sizeof **m);
    if (!*m)
        return gn_fail_memory(err, sizeof **m, "an exported graph");
    (*m)->path = path;
    GN_TRY(gn_onnx_parse(*m, data, bytes, err));
    GN_TRY(copy_initializers(*m, err));
out:
    if (status != GENET_OK) {
        gn_onnx_close(*m);
        *m = NULL;
    }
    return status;
}

void gn_onnx_close(gn_onnx *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->value_count; i++)
        free_value(&m->values[i]);
    gn_free(m->values);
    gn_free(m->nodes);
    gn_free(m);
}

bool gn_onnx_takes_pixels(const gn_onnx *m)
{
    return m->values[0].type == GN_ONNX_UINT8;
}

void gn_onnx_input(const gn_onnx *m, int64_t dim[3])
{
    memcpy(dim, m->values[0].dim + 1, 3 * sizeof *dim);
}

int64_t gn_onnx_classes(const gn_onnx *m)
{
    return m->classes;
}

void gn_onnx_watch(gn_onnx *m, gn_onnx_watcher watcher, void *context)
{
    m->watcher = watcher;
    m->watcher_context = context;
}

genet_status gn_onnx_run(gn_onnx *m, const void *input, int batch, float *logits, genet_error *err)
{
    gn_onnx_value *x = &m->values[0], *o = &m->values[m->output];
    int64_t declared = x->dim[0], count;
    genet_status status = GENET_OK;
    if (batch < 1 || (declared && declared != batch))
        return gn_fail(err, GENET_MISMATCH, "%s: takes batches of %lld images, not %d", m->path, (long long)declared, batch);
    x->dim[0] = batch;
    count = gn_onnx_elements(x);
    if (!count) {
        status = gn_fail(err, GENET_FORMAT, "%s: the input's shape is empty or too large", m->path);
        goto out;
    }
    if (x->type == GN_ONNX_FLOAT) {
        x->data = gn_calloc((size_t)count, sizeof(float));
        if (!x->data) {
            status = gn_fail_memory(err, (size_t)count * sizeof(float), "the input of the exported graph");
            goto out;
        }
        memcpy(x->data, input, (size_t)count * sizeof(float));
    }
    m->pixels = input;
    for (int i = 0; i < m->node_count; i++) {
        const gn_onnx_node *n = &m->nodes[i];
        GN_TRY(gn_onnx_ops[n->op].run(m, n, err));
        for (int k = 0; k < n->in_count; k++)
            if (m->values[n->in[k]].last_use == i && !m->values[n->in[k]].raw)
                free_value(&m->values[n->in[k]]);
    }
    if (!o->data || o->rank != 2 || o->dim[0] != batch || o->dim[1] != m->classes)
        status = gn_fail(err, GENET_FORMAT, "%s: the output has another shape than declared", m->path);
    else
        memcpy(logits, o->data, (size_t)batch * (size_t)m->classes * sizeof *logits);
out:
    x->dim[0] = declared;
    m->pixels = NULL;
    for (int i = 0; i < m->value_count; i++)
        if (!m->values[i].raw)
            free_value(&m->values[i]);
    return status;
}
