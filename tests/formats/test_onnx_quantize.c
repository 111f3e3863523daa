/* SPDX-License-Identifier: Apache-2.0
 * QuantizeLinear and DequantizeLinear of the interpreter, on graphs written here by hand and on one of another program: the
 * values are those of the ONNX specification (halves to the even neighbour, saturation, one scale or one for each index of
 * an axis), and what a hostile file may do to scales, zero points, types and axes is refused. */
#include "formats/onnx.h"
#include "formats/run_ref.h"
#include "formats/wire.h"

enum { FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7 };
enum { SIDE = 4, VALUES = 3 * SIDE * SIDE };

/* A graph in the making: input "x" float (1,3,4,4), output "y" float (1,48). */
typedef struct made {
    gn_message graph;
    unsigned char *file;
    size_t bytes;
} made;

static void tensor(made *g, const char *name, int type, int rank, const int64_t *dim, const void *data, size_t bytes)
{
    gn_message t = {0};
    for (int i = 0; i < rank; i++)
        gn_message_int(&t, 1, dim[i]);
    gn_message_int(&t, 2, type);
    gn_message_string(&t, 8, name);
    gn_message_bytes(&t, 9, data, bytes);
    gn_message_add(&g->graph, 5, &t);
}

static void scalar(made *g, const char *name, int type, const void *data)
{
    tensor(g, name, type, 0, NULL, data, type == UINT8 || type == INT8 ? 1 : type == INT64 ? 8 : 4);
}

/* axis: 99 for none. inputs end with NULL. */
static void node(made *g, const char *op, int64_t axis, const char *out, const char *const *inputs)
{
    gn_message n = {0}, a = {0};
    while (*inputs)
        gn_message_string(&n, 1, *inputs++);
    gn_message_string(&n, 2, out);
    gn_message_string(&n, 4, op);
    if (axis != 99) {
        gn_message_string(&a, 1, "axis");
        gn_message_int(&a, 3, axis);
        gn_message_int(&a, 20, 2);
        gn_message_add(&n, 5, &a);
    }
    gn_message_add(&g->graph, 1, &n);
}
#define NODE(g, op, axis, out, ...) node(g, op, axis, out, (const char *const[]){__VA_ARGS__, NULL})

static void info(made *g, uint32_t field, const char *name, int rank, const int64_t *dim)
{
    gn_message i = {0}, kind = {0}, t = {0}, shape = {0};
    for (int k = 0; k < rank; k++) {
        gn_message d = {0};
        gn_message_int(&d, 1, dim[k]);
        gn_message_add(&shape, 1, &d);
    }
    gn_message_int(&t, 1, FLOAT);
    gn_message_add(&t, 2, &shape);
    gn_message_add(&kind, 1, &t);
    gn_message_string(&i, 1, name);
    gn_message_add(&i, 2, &kind);
    gn_message_add(&g->graph, field, &i);
}

static const int64_t image[4] = {1, 3, SIDE, SIDE};

/* Flattens "v" to the output, and makes the file. */
static void finish(made *g)
{
    const int64_t flat[2] = {1, VALUES};
    gn_message model = {0}, opset = {0};
    char path[4096];
    genet_error e;
    gn_map map;
    NODE(g, "Flatten", 99, "y", "v");
    info(g, 11, "x", 4, image);
    info(g, 12, "y", 2, flat);
    gn_message_int(&opset, 2, 17);
    gn_message_add(&model, 8, &opset);
    gn_message_add(&model, 7, &g->graph);
    MUST(gn_message_save(&model, scratch(path, "made.onnx"), NULL, &e));
    gn_message_free(&model);
    MUST(gn_map_open(&map, path, &e));
    g->file = malloc(map.bytes);
    assert_non_null(g->file);
    memcpy(g->file, map.data, map.bytes);
    g->bytes = map.bytes;
    gn_map_close(&map);
}

/* Opens and runs the graph; its memory is given back. */
static genet_status run(made *g, const float *x, float *y, genet_error *e)
{
    gn_onnx *m = NULL;
    finish(g);
    genet_status status = gn_onnx_open(&m, g->file, g->bytes, "made", e);
    for (int again = 0; status == GENET_OK && again < 2; again++)
        status = gn_onnx_run(m, x, 1, y, e);
    gn_onnx_close(m);
    free(g->file);
    memset(g, 0, sizeof *g);
    return status;
}

static void halves_go_to_the_even_neighbour(void **state)
{
    (void)state;
    static const float in[VALUES] = {0.25f, 0.75f, 1.25f, 1.75f, -0.25f, -0.75f, 0.2499f, 0.2501f, 63.75f, 63.25f, 127.25f, 127.5f,
                                     1e30f, -1e30f, INFINITY, -INFINITY, -64.25f, -64.0f, -0.0f, 63.5f};
    static const float as_u8[VALUES] = {0, 1, 1, 2, 0, 0, 0, 0.5f, 64, 63, 127, 127.5f, 127.5f, 0, 127.5f, 0, 0, 0, 0, 63.5f};
    static const float as_i8[VALUES] = {0,     1,     1,     2,   0,     -1,  0,   0.5f, 63.5f, 63,
                                        63.5f, 63.5f, 63.5f, -64, 63.5f, -64, -64, -64,  0,     63.5f};
    const float half = 0.5f;
    const unsigned char zero = 0;
    for (int way = 0; way < 3; way++) { /* uint8 by default, by name, int8 */
        made g = {0};
        genet_error e;
        float y[VALUES];
        scalar(&g, "s", FLOAT, &half);
        scalar(&g, "z", way == 2 ? INT8 : UINT8, &zero);
        if (way == 0) {
            NODE(&g, "QuantizeLinear", 99, "q", "x", "s");
            NODE(&g, "DequantizeLinear", 99, "v", "q", "s");
        } else {
            NODE(&g, "QuantizeLinear", 99, "q", "x", "s", "z");
            NODE(&g, "DequantizeLinear", 99, "v", "q", "s", "z");
        }
        MUST(run(&g, in, y, &e));
        for (int i = 0; i < VALUES; i++)
            assert_true(y[i] == (way == 2 ? as_i8 : as_u8)[i]);
    }
}

/* y = (saturate(round(x/s[c]) + z[c]) - z[c])*s[c] for every channel. */
static void an_axis_has_its_own_scales(void **state)
{
    (void)state;
    static const float scale[4] = {0.5f, 2, 0.01f, 3};
    static const unsigned char zero[4] = {0, 128, 255, 7};
    static const int64_t axes[] = {99, 1, -3, 2, 3}; /* the default is 1 */
    float in[VALUES];
    for (int i = 0; i < VALUES; i++)
        in[i] = (float)(golden_hash("axis", (uint64_t)i) >> 40) / 40000 - 200;
    for (int k = 0; k < 5; k++) {
        made g = {0};
        genet_error e;
        float y[VALUES];
        int64_t axis = k < 3 ? 1 : axes[k], count = image[axis], each = axis == 1 ? 16 : axis == 2 ? 4 : 1;
        tensor(&g, "s", FLOAT, 1, &count, scale, (size_t)count * 4);
        tensor(&g, "z", UINT8, 1, &count, zero, (size_t)count);
        NODE(&g, "QuantizeLinear", axes[k], "q", "x", "s", "z");
        NODE(&g, "DequantizeLinear", axes[k], "v", "q", "s", "z");
        MUST(run(&g, in, y, &e));
        for (int i = 0; i < VALUES; i++) {
            int64_t c = i / each % count;
            double q = nearbyint((double)(in[i] / scale[c])) + zero[c];
            q = q < 0 ? 0 : q > 255 ? 255 : q;
            assert_true(y[i] == (float)(q - zero[c]) * scale[c]);
        }
    }
}

/* Weights: int8 for each output channel; biases: int32. */
static void initializers_are_dequantized(void **state)
{
    (void)state;
    static const float scale[3] = {0.5f, 0.25f, 1e-9f};
    static const int64_t three = 3;
    signed char w[VALUES];
    int32_t b[VALUES];
    float x[VALUES] = {0}, y[VALUES];
    for (int i = 0; i < VALUES; i++) {
        w[i] = (signed char)(i * 37 % 256 - 128);
        b[i] = (int32_t)((int64_t)i * 876543210 % 2147483647) - 1073741824 * (i % 2);
    }
    for (int type = INT8; type <= INT32; type += INT32 - INT8) {
        made g = {0};
        genet_error e;
        tensor(&g, "w", type, 4, image, type == INT8 ? (void *)w : b, type == INT8 ? sizeof w : sizeof b);
        tensor(&g, "s", FLOAT, 1, &three, scale, sizeof scale);
        NODE(&g, "DequantizeLinear", 1, "d", "w", "s");
        NODE(&g, "Add", 99, "v", "x", "d");
        MUST(run(&g, x, y, &e));
        for (int i = 0; i < VALUES; i++)
            assert_true(y[i] == (float)(type == INT8 ? w[i] : b[i]) * scale[i / 16]);
    }
}

/* A graph that the onnx package wrote (convolution of dequantised weights, zero points of both types, an axis), and what ONNX
 * Runtime 1.32 without optimisations makes of it: whole numbers less their zero point, times 0.1 and 0.3. */
static void another_program_s_graph_gives_its_answer(void **state)
{
    (void)state;
    static const int answer[32] = {-100, -97, -94, 127, 127, 127, 127, -99, -97, -94, 127, 127, 127, 127, -99, -96,
                                   14, 65, 116, 70, 101, -30, -15, 21, 72, 123, 74, 105, -28, -13, 28, 79};
    genet_error e;
    gn_map map;
    gn_onnx *m;
    float x[VALUES], y[32];
    for (int i = 0; i < VALUES; i++)
        x[i] = (float)(i * 7 % 48) / 16 - 1;
    MUST(gn_map_open(&map, "tests/fuzz/seeds/onnx/quantized.onnx", &e));
    MUST(gn_onnx_open(&m, map.data, map.bytes, "quantized.onnx", &e));
    assert_int_equal(gn_onnx_classes(m), 32);
    MUST(gn_onnx_run(m, x, 1, y, &e));
    for (int i = 0; i < 32; i++)
        assert_true(y[i] == (float)answer[i] * (i < 16 ? 0.1f : 0.3f));
    gn_onnx_close(m);
    gn_map_close(&map);
}

/* --- what is refused -------------------------------------------------------------------------------------------------------- */

typedef struct bad {
    const char *what;
    int scale_type, scale_rank, zero_type, zero_rank;
    int64_t scale_count, zero_count, axis;
    float scale;
    bool back; /* DequantizeLinear of a `kind` initializer instead of QuantizeLinear of x */
    int kind;
    int32_t zero;
} bad;

static void hostile_grids_are_refused(void **state)
{
    (void)state;
    static const bad cases[] = {
        {"a scale of 0", FLOAT, 0, UINT8, 0, 1, 1, 99, 0, false, 0, 0},
        {"a negative scale", FLOAT, 0, UINT8, 0, 1, 1, 99, -1, false, 0, 0},
        {"a scale that is no number", FLOAT, 0, UINT8, 0, 1, 1, 99, NAN, false, 0, 0},
        {"an endless scale", FLOAT, 0, UINT8, 0, 1, 1, 99, INFINITY, false, 0, 0},
        {"a whole scale", INT32, 0, UINT8, 0, 1, 1, 99, 1, false, 0, 0},
        {"a scale of two dimensions", FLOAT, 2, UINT8, 0, 1, 1, 99, 1, false, 0, 0},
        {"too few scales", FLOAT, 1, UINT8, 1, 2, 2, 99, 1, false, 0, 0},
        {"too many scales", FLOAT, 1, UINT8, 1, 4, 4, 99, 1, false, 0, 0},
        {"one scale in a list", FLOAT, 1, UINT8, 1, 1, 1, 1, 1, false, 0, 0},
        {"an axis behind the last", FLOAT, 1, UINT8, 1, 3, 3, 4, 1, false, 0, 0},
        {"an axis before the first", FLOAT, 1, UINT8, 1, 3, 3, -5, 1, false, 0, 0},
        {"an axis far off", FLOAT, 1, UINT8, 1, 3, 3, INT64_MIN, 1, false, 0, 0},
        {"another count of zero points", FLOAT, 1, UINT8, 1, 3, 2, 1, 1, false, 0, 0},
        {"one zero point for many scales", FLOAT, 1, UINT8, 0, 3, 1, 1, 1, false, 0, 0},
        {"quantised to int32", FLOAT, 0, INT32, 0, 1, 1, 99, 1, false, 0, 0},
        {"quantised to float", FLOAT, 0, FLOAT, 0, 1, 1, 99, 1, false, 0, 0},
        {"a zero point of another type", FLOAT, 0, INT8, 0, 1, 1, 99, 1, true, UINT8, 0},
        {"int32 with a zero point", FLOAT, 0, INT32, 0, 1, 1, 99, 1, true, INT32, 5},
        {"int64 dequantised", FLOAT, 0, INT64, 0, 1, 1, 99, 1, true, INT64, 0},
        {"float dequantised", FLOAT, 0, FLOAT, 0, 1, 1, 99, 1, true, FLOAT, 0},
    };
    static const unsigned char zeros[VALUES * 8];
    float x[VALUES] = {0}, y[VALUES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bad *c = &cases[i];
        made g = {0};
        genet_error e;
        const float scales[4] = {c->scale, c->scale, c->scale, c->scale};
        const int64_t dim_s[2] = {c->scale_count, 1};
        const int32_t zero[6] = {c->zero};
        size_t size = c->zero_type == UINT8 || c->zero_type == INT8 ? 1 : c->zero_type == INT64 ? 8 : 4;
        size_t kind = c->kind == UINT8 ? 1 : c->kind == INT64 ? 8 : 4;
        tensor(&g, "s", c->scale_type, c->scale_rank, dim_s, scales, (size_t)c->scale_count * 4);
        tensor(&g, "z", c->zero_type, c->zero_rank, &c->zero_count, zero, (size_t)c->zero_count * size);
        if (c->back) {
            tensor(&g, "w", c->kind, 4, image, zeros, VALUES * kind);
            NODE(&g, "DequantizeLinear", c->axis, "d", "w", "s", "z");
            NODE(&g, "Add", 99, "v", "x", "d");
        } else {
            NODE(&g, "QuantizeLinear", c->axis, "q", "x", "s", "z");
            NODE(&g, "DequantizeLinear", c->axis, "v", "q", "s", "z");
        }
        if (run(&g, x, y, &e) != GENET_FORMAT)
            fail_msg("%s is taken", c->what);
        SAYS(e, "made: node 0");
    }
}

static void hostile_graphs_are_refused(void **state)
{
    (void)state;
    const float one = 1;
    float x[VALUES] = {0}, y[VALUES];
    for (int way = 0; way < 5; way++) {
        made g = {0};
        genet_error e;
        x[7] = way == 4 ? NAN : 0;
        scalar(&g, "s", FLOAT, &one);
        NODE(&g, "QuantizeLinear", 99, "q", "x", "s");
        if (way == 0) /* whole numbers where an operator takes real ones */
            NODE(&g, "Relu", 99, "v", "q");
        else if (way == 1)
            NODE(&g, "Add", 99, "v", "x", "q");
        else if (way == 2) /* quantised twice */
            NODE(&g, "QuantizeLinear", 99, "v", "q", "s");
        else if (way == 3) /* a computed scale of the map's shape */
            NODE(&g, "DequantizeLinear", 99, "v", "q", "x");
        else
            NODE(&g, "DequantizeLinear", 99, "v", "q", "s");
        assert_int_equal(run(&g, x, y, &e), GENET_FORMAT);
        SAYS(e, way == 4 ? "not a number" : "node 1");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_go_to_the_even_neighbour), cmocka_unit_test(an_axis_has_its_own_scales),
        cmocka_unit_test(initializers_are_dequantized),
        cmocka_unit_test(another_program_s_graph_gives_its_answer), cmocka_unit_test(hostile_grids_are_refused),
        cmocka_unit_test(hostile_graphs_are_refused)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
