/* SPDX-License-Identifier: Apache-2.0
 * The network as other frameworks see it: a flat list of plain operations (convolution, batch norm, ReLU, ...) over NCHW maps,
 * made by taking the fused steps of an evaluation plan apart (of an int8 network: of its own plan). The writers of ONNX and
 * MINDIR walk it; what the network is, stays said in one place, model/network.c and model/folded_network.c. */
#ifndef GN_FORMATS_GRAPH_H
#define GN_FORMATS_GRAPH_H
#include "formats/checkpoint.h"
#include "model/folded.h"

typedef enum gn_node_kind {
    GN_NODE_CONV,         /* in, w (K,C/groups,R,S), [b] */
    GN_NODE_NORM,         /* in; batch norm with running statistics: weights norm (gamma), norm+1 .. norm+3 */
    GN_NODE_RELU,
    GN_NODE_MAX_POOL,     /* padding never wins */
    GN_NODE_AVERAGE_POOL, /* padding is not counted */
    GN_NODE_MEAN,         /* over the map: (C,1,1) */
    GN_NODE_SIGMOID,
    GN_NODE_UPSAMPLE,     /* row i of H reads row floor(i*h/H), columns likewise */
    GN_NODE_MUL,          /* in[1] may be (C,1,1) */
    GN_NODE_ADD,
    GN_NODE_DENSE,        /* in (C,1,1), w (K,C), b: the logits */
    GN_NODE_STEPS         /* in; to u8 and back: step * clamp(x/step rounded half to even, 0, 255) */
} gn_node_kind;

/* Value 0 is the input image (3,S,S); node i writes value i + 1. */
typedef struct gn_node {
    gn_node_kind kind;
    int in[2];             /* values; in[1] -1 where the operation has one operand */
    int channels, height, width; /* of the output */
    int kernel, stride, pad[4] /* top left bottom right */, groups;
    const float *w, *b;    /* in the checkpoint's slab, or in `folded` */
    int weight, bias, norm; /* numbers in the weight table, -1 where absent */
    int scale;             /* of a convolution in 8 bits: number of its NAME.scale; w holds whole numbers; else -1 */
    float step;            /* of GN_NODE_STEPS, and of what a convolution in 8 bits reads */
    double eps;
    char label[64];
} gn_node;

typedef struct gn_graph {
    gn_node *nodes;
    int count, room;
    int size, classes;
    const gn_weights *weights; /* borrowed */
    float **folded;            /* memory of folded weights */
    int folded_count, folded_room;
} gn_graph;

/* weights: those of c to export (c->weights or c->ema). fold: batch norms that follow a convolution become part of it. */
genet_status gn_graph_make(gn_graph *g, const gn_checkpoint *c, const gn_weights *weights, bool fold, genet_error *err);
/* The graph of an int8 network, whose weights it borrows. */
genet_status gn_graph_make_int8(gn_graph *g, const gn_folded *f, genet_error *err);
void gn_graph_free(gn_graph *g);
/* Data of weight `index` of the table. */
const float *gn_graph_weight(const gn_graph *g, int index);
#endif
