/* SPDX-License-Identifier: Apache-2.0
 * Private to onnx_check.c, onnx_parse.c and onnx_ops.c: an ONNX graph in memory. Written from the ONNX specification, not
 * from the writer. */
#ifndef GN_FORMATS_ONNX_CHECK_H
#define GN_FORMATS_ONNX_CHECK_H
#include "formats/onnx.h"
#include "formats/wire.h"

#define GN_ONNX_INPUTS 5

/* TensorProto.data_type of the types that are known. */
enum { GN_ONNX_FLOAT = 1, GN_ONNX_UINT8 = 2, GN_ONNX_INT8 = 3, GN_ONNX_INT32 = 6, GN_ONNX_INT64 = 7 };

typedef struct gn_onnx_value {
    const char *name; /* in the file, not terminated */
    size_t name_bytes;
    uint64_t hash;
    int type;         /* GN_ONNX_FLOAT, ... */
    int rank;
    int64_t dim[4];
    const unsigned char *raw; /* an initializer's bytes */
    float *data;      /* computed (float), or an initializer's copy, aligned */
    unsigned char *bytes; /* computed (uint8, int8) */
    int last_use;     /* node that reads it last, -1 none */
} gn_onnx_value;

typedef struct gn_onnx_node {
    int op;           /* index into the list of operators */
    int in[GN_ONNX_INPUTS], in_count, out;
    int64_t kernel[2], stride[2], pad[4], perm[4], group, axis, to, trans_b;
    float epsilon;
    unsigned given;   /* bits of the attributes that were there */
} gn_onnx_node;

struct gn_onnx {
    gn_onnx_value *values; /* [0] is the input */
    int value_count, value_room;
    gn_onnx_node *nodes;
    int node_count, node_room;
    int output;       /* value */
    int64_t classes;
    const char *path;
    const void *pixels; /* of a run in progress: the uint8 input */
    gn_onnx_watcher watcher;
    void *watcher_context;
};

/* One operator: checks its operands' shapes, sets the output's, and computes it. */
typedef struct gn_onnx_op {
    const char *name;
    int least, most;      /* inputs */
    unsigned needed, allowed; /* attributes */
    genet_status (*run)(gn_onnx *m, const gn_onnx_node *n, genet_error *err);
} gn_onnx_op;
extern const gn_onnx_op gn_onnx_ops[];
extern const int gn_onnx_op_count;

enum { GN_ONNX_KERNEL = 1, GN_ONNX_STRIDES = 2, GN_ONNX_PADS = 4, GN_ONNX_GROUP = 8, GN_ONNX_EPSILON = 16, GN_ONNX_AXIS = 32,
       GN_ONNX_PERM = 64, GN_ONNX_TRANS_B = 128, GN_ONNX_TO = 256 };

genet_status gn_onnx_parse(gn_onnx *m, const unsigned char *data, size_t bytes, genet_error *err);
/* Elements of a shape; 0 where it is empty or has more than 2^31. */
int64_t gn_onnx_elements(const gn_onnx_value *v);
#endif
