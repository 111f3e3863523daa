/* SPDX-License-Identifier: Apache-2.0
 * int8 networks as ONNX: every variant, form and extent is written, read back by the interpreter, and held against the
 * network at each of its maps of 8-bit numbers; one wrong scale, bias or row of weights anywhere is found by that; and the
 * rows that ONNX cannot hold as they are. What other programs say to the files is in tests/interop. */
#include "formats/int8_net.h"
#include "formats/onnx.h"
#include "infer/export_check.h"

enum { IMAGES = 2 };

/* A network, its int8 one, and pictures for both. */
typedef struct rig {
    gn_checkpoint c;
    gn_folded *f;
    unsigned char *pixels;
    float *input, *planes; /* (n,S,S,3), (n,3,S,S) */
} rig;

static void open_rig(rig *r, gn_model_spec spec, gn_naming naming)
{
    int64_t area = (int64_t)spec.size * spec.size, n = IMAGES * area * 3;
    make_checkpoint(&r->c, spec, naming, naming == GN_NAMES_MINDSPORE ? 1.2 : 1);
    r->pixels = malloc((size_t)n);
    r->input = calloc((size_t)n * 2, sizeof *r->input);
    assert_true(r->pixels && r->input);
    r->planes = r->input + n;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = i % 3, p = i / 3;
        r->pixels[i] = (unsigned char)(golden_hash("pixels", (uint64_t)i) >> 56);
        r->input[i] = (r->pixels[i] - r->c.preprocess.mean[k]) / r->c.preprocess.std[k];
        r->planes[(p / area * 3 + k) * area + p % area] = r->input[i];
    }
    r->f = make_int8(&r->c, r->input, IMAGES, NULL);
}

static void close_rig(rig *r)
{
    gn_folded_free(r->f);
    gn_checkpoint_free(&r->c);
    free(r->pixels);
    free(r->input);
}

/* Writes `written`, and holds the file against the rig's network on a backend. */
static genet_status hold(rig *r, const gn_folded *written, const gn_onnx_options *o, const char *backend, gn_int8_agreement *a,
                         genet_error *err)
{
    char path[4096];
    genet_error e;
    gn_map map;
    gn_onnx *m;
    gn_device d = {0};
    MUST(gn_onnx_write_int8(&r->c, written, o, scratch(path, "net.onnx"), NULL, &e));
    MUST(gn_map_open(&map, path, &e));
    MUST(gn_onnx_open(&m, map.data, map.bytes, path, &e));
    assert_int_equal(gn_onnx_takes_pixels(m), o->pixels);
    MUST(gn_device_open(&d, backend, NULL, 2, &e));
    genet_status status = gn_int8_agree(a, &d, r->f, r->c.preprocess.mean, r->c.preprocess.std, r->pixels, IMAGES, m,
                                        o->pixels ? (const void *)r->pixels : r->planes, err);
    gn_device_close(&d);
    gn_onnx_close(m);
    gn_map_close(&map);
    return status;
}

static void agrees(gn_model_spec spec, gn_naming naming)
{
    static const gn_onnx_options ways[] = {{0}, {.pixels = true, .batch = IMAGES}};
    static const char *const backends[] = {"ref", "auto"};
    genet_error e;
    rig r;
    open_rig(&r, spec, naming);
    for (int i = 0; i < 2; i++) {
        gn_int8_agreement a;
        MUST(hold(&r, r.f, &ways[i], backends[i], &a, &e));
        print_message("%s %s extent %d size %d on %s: %.1e of the numbers, of one map %.1e (%.2f of what is allowed); logits held "
                      "%.1e, free %.1e of the rms\n",
                      gn_form_name(spec.form), gn_variant_name(spec.variant), spec.extent, spec.size, backends[i], a.share,
                      a.largest_share, a.largest_part, a.held_difference / a.rms, a.free_difference / a.rms);
        assert_int_equal(a.maps, gn_quantized_maps(&r.c.model->spec));
        assert_true(a.largest_part < 0.7 && a.held_difference < 2e-4 * a.rms && a.free_difference < 0.05 * a.rms);
    }
    close_rig(&r);
}

static void every_paper_network_agrees(void **state)
{
    (void)state;
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++)
        for (int extent = 0; extent <= (v > GN_SE ? 8 : 0); extent = extent ? extent * 2 : 2) {
            gn_model_spec spec = small_spec((gn_variant)v, extent);
            spec.size = extent == 4 ? 64 : 72; /* odd maps: 18, 9, 5, 3 */
            agrees(spec, GN_NAMES_GENET);
        }
}

static void every_mindspore_network_agrees(void **state)
{
    (void)state;
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++) {
        gn_model_spec spec = narrow_spec((gn_variant)v);
        spec.size = v == GN_THETA_PLUS ? 224 : 96;
        agrees(spec, GN_NAMES_MINDSPORE);
    }
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

/* Writes a graph with one tensor of the network changed by a factor; the network itself is right again when it is checked. */
static genet_status tampered(rig *r, int tensor, float factor, genet_error *e)
{
    const gn_onnx_options o = {0};
    gn_int8_agreement a;
    gn_folded wrong = *r->f;
    genet_error ignored;
    assert_int_equal(gn_weights_create(&wrong.weights, &r->f->table, GN_F32, &ignored), GENET_OK);
    gn_weights_copy(&wrong.weights, &r->f->weights);
    float *v = gn_weights_at(&wrong.weights, tensor);
    for (int64_t i = 0; i < r->f->table.items[tensor].count; i++)
        v[i] = factor == -1 ? -v[i] : v[i] * factor;
    genet_status status = hold(r, &wrong, &o, "ref", &a, e);
    gn_weights_free(&wrong.weights);
    return status;
}

/* A scale that is 2% too large, of weights or of what is read, in any of the convolutions; weights and biases of another
 * sign. An input's scale that is wrong where it is read and where it is made is a network of its own. */
static void one_wrong_number_is_found(void **state)
{
    (void)state;
    rig r;
    int tried = 0;
    gn_model_spec spec = small_spec(GN_THETA_PLUS, 0);
    open_rig(&r, spec, GN_NAMES_GENET);
    for (int i = 0; i < r.f->table.count; i++) {
        genet_error e = {0};
        const char *name = r.f->table.items[i].name;
        bool scale = ends_with(name, ".scale") || ends_with(name, ".input_scale");
        if (!scale && strncmp(name, "layer", 5))
            continue;
        if (!scale && !ends_with(name, "conv1.weight") && !ends_with(name, "conv2.bias"))
            continue;
        if (ends_with(name, "down.conv.input_scale")) /* the graph reads conv1's: one map, one scale */
            continue;
        genet_status status = tampered(&r, i, scale ? 1.02f : -1, &e);
        if (status != GENET_INTERNAL)
            fail_msg("%s may be wrong", name);
        SAYS(e, "nothing was kept");
        tried++;
    }
    assert_true(tried > 70);
    close_rig(&r);
}

/* Rows of zeros with any bias; rows that training switched off: weights of 1e-20 beside an ordinary bias. */
static void rows_without_a_scale_keep_their_bias(void **state)
{
    (void)state;
    const gn_onnx_options o = {0};
    genet_error e;
    gn_int8_agreement a;
    rig r;
    open_rig(&r, small_spec(GN_SE, 0), GN_NAMES_GENET);
    for (int i = 0; i < r.f->table.count; i++) {
        const gn_weight *w = &r.f->table.items[i];
        if (!ends_with(w->name, "conv1.scale") && !ends_with(w->name, "conv3.scale"))
            continue;
        float *scale = gn_weights_at(&r.f->weights, i), *weight = gn_weights_at(&r.f->weights, i - 1);
        float *bias = gn_weights_at(&r.f->weights, i + 1);
        int64_t row = w[-1].count / w[-1].dim[0];
        memset(weight, 0, (size_t)row * sizeof *weight);
        scale[0] = 1; /* any: half of it would be a large error */
        bias[0] = 0.37f;
        scale[1] = 1e-21f;
        bias[1] = 0.21f;
        scale[2] = fabsf(bias[2]) / 3e9f; /* just too small for an int32 */
        bias[3] = 0;
        scale[3] = GN_SCALE_LEAST;
    }
    MUST(hold(&r, r.f, &o, "ref", &a, &e));
    assert_true(a.held_difference < 2e-4 * a.rms);
    close_rig(&r);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    rig r;
    open_rig(&r, small_spec(GN_PLAIN, 0), GN_NAMES_GENET);
    assert_int_equal(gn_onnx_write_int8(&r.c, r.f, &(gn_onnx_options){.keep_norms = true}, scratch(path, "no.onnx"), NULL, &e),
                     GENET_USAGE);
    SAYS(e, "--keep-bn");
    static const float biases[] = {3e38f, -INFINITY, NAN};
    int scale = gn_weight_find(&r.f->table, "layer2.0.conv2.scale");
    int input = gn_weight_find(&r.f->table, "layer2.0.conv2.input_scale");
    assert_true(scale >= 0 && input >= 0);
    *(float *)gn_weights_at(&r.f->weights, input) = GN_INPUT_SCALE_LEAST;
    for (int i = 0; i < 3; i++) { /* over an input scale: beyond float */
        ((float *)gn_weights_at(&r.f->weights, scale + 1))[3] = biases[i];
        assert_int_equal(gn_onnx_write_int8(&r.c, r.f, &(gn_onnx_options){0}, path, NULL, &e), GENET_UNSUPPORTED);
        SAYS(e, "layer2.0.conv2.weight: row 3");
        assert_false(gn_file_exists(path));
    }
    close_rig(&r);
}

/* Changed bytes all over a file are refused, or run to some end. */
static void damage_does_no_harm(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_map map;
    gn_onnx *m;
    rig r;
    int refused = 0, ran = 0;
    float logits[10];
    gn_model_spec spec = small_spec(GN_SE, 0);
    spec.depth = 0;
    spec.size = 32;
    for (int i = 0; i < 4; i++)
        spec.blocks[i] = 1;
    open_rig(&r, spec, GN_NAMES_GENET);
    MUST(gn_onnx_write_int8(&r.c, r.f, &(gn_onnx_options){0}, scratch(path, "damaged.onnx"), NULL, &e));
    MUST(gn_map_open(&map, path, &e));
    unsigned char *copy = malloc(map.bytes);
    assert_non_null(copy);
    for (size_t i = 0; i < map.bytes; i += 97) {
        memcpy(copy, map.data, map.bytes);
        copy[i] ^= 0x41;
        genet_status status = gn_onnx_open(&m, copy, map.bytes, "changed", &e);
        if (status == GENET_OK && i % 3 == 0) {
            status = gn_onnx_run(m, r.planes, 1, logits, &e);
            ran++;
        }
        gn_onnx_close(m);
        refused += status != GENET_OK;
    }
    assert_true(refused > 0 && ran > 0);
    free(copy);
    gn_map_close(&map);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_paper_network_agrees), cmocka_unit_test(every_mindspore_network_agrees),
        cmocka_unit_test(one_wrong_number_is_found), cmocka_unit_test(rows_without_a_scale_keep_their_bias),
        cmocka_unit_test(what_makes_no_sense_is_refused), cmocka_unit_test(damage_does_no_harm)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
