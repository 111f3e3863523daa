/* SPDX-License-Identifier: Apache-2.0
 * ONNX: every variant, form and extent is written, read back by the interpreter, and agrees with the reference backend; and
 * the interpreter refuses what it does not know. What other programs say to the files is in tests/interop. */
#include "formats/onnx.h"
#include "formats/run_ref.h"

enum { IMAGES = 2 };

static void fill_pixels(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(golden_hash("pixels", i) >> 56);
}

/* Writes c in one way, runs it, and returns the largest difference to `ours` in units of their rms. */
static double difference(const gn_checkpoint *c, const gn_onnx_options *o, const unsigned char *pixels, const float *ours)
{
    char path[4096];
    genet_error e;
    gn_map map;
    gn_onnx *m;
    uint64_t bytes = 0;
    int size = c->model->spec.size, classes = c->model->spec.classes;
    int64_t area = (int64_t)size * size, dim[3];
    float *planes = calloc((size_t)(IMAGES * 3 * area), sizeof *planes), logits[IMAGES * 10];
    assert_non_null(planes);
    for (int64_t i = 0; i < IMAGES * area; i++)
        for (int k = 0; k < 3; k++)
            planes[(i / area * 3 + k) * area + i % area] = (pixels[3 * i + k] - c->preprocess.mean[k]) / c->preprocess.std[k];
    MUST(gn_onnx_write(c, &c->weights, o, scratch(path, "net.onnx"), &bytes, &e));
    MUST(gn_map_open(&map, path, &e));
    assert_int_equal(map.bytes, bytes);
    MUST(gn_onnx_open(&m, map.data, map.bytes, path, &e));
    assert_int_equal(gn_onnx_takes_pixels(m), o->pixels);
    assert_int_equal(gn_onnx_classes(m), classes);
    gn_onnx_input(m, dim);
    assert_int_equal(dim[o->pixels ? 2 : 0], 3);
    for (int again = 0; again < 2; again++) /* a second run starts clean */
        MUST(gn_onnx_run(m, o->pixels ? (const void *)pixels : planes, IMAGES, logits, &e));
    gn_onnx_close(m);
    gn_map_close(&map);
    free(planes);
    return largest_difference(logits, ours, IMAGES * classes) / rms(ours, IMAGES * classes);
}

static void agrees(gn_model_spec spec, gn_naming naming)
{
    static const gn_onnx_options ways[] = {
        {0}, {.keep_norms = true}, {.pixels = true}, {.keep_norms = true, .pixels = true, .batch = IMAGES}};
    gn_checkpoint c;
    float ours[IMAGES * 10];
    make_checkpoint(&c, spec, naming, naming == GN_NAMES_MINDSPORE ? 1.2 : 1);
    size_t n = (size_t)IMAGES * (size_t)spec.size * (size_t)spec.size * 3;
    unsigned char *pixels = malloc(n);
    assert_non_null(pixels);
    fill_pixels(pixels, n);
    run_ref(&c, GN_F32, pixels, true, IMAGES, ours);
    double most = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double d = difference(&c, &ways[i], pixels, ours);
        most = d > most || isnan(d) ? d : most;
    }
    print_message("%s %s extent %d size %d: %.1e of the rms\n", gn_form_name(spec.form), gn_variant_name(spec.variant),
                  spec.extent, spec.size, most);
    assert_true(most < 2e-5);
    free(pixels);
    gn_checkpoint_free(&c);
}

static void every_paper_network_agrees(void **state)
{
    (void)state;
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++)
        for (int extent = 0; extent <= (v > GN_SE ? 8 : 0); extent = extent ? extent * 2 : 2)
            for (int size = 64; size <= 72; size += 8) {
                gn_model_spec spec = small_spec((gn_variant)v, extent);
                spec.size = size;
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

static void fixed_batches_are_held(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    gn_map map;
    gn_onnx *m;
    float input[1] = {0}, logits[10];
    const gn_onnx_options o = {.batch = 3};
    make_checkpoint(&c, small_spec(GN_SE, 0), GN_NAMES_GENET, 1);
    MUST(gn_onnx_write(&c, &c.weights, &o, scratch(path, "three.onnx"), NULL, &e));
    MUST(gn_map_open(&map, path, &e));
    MUST(gn_onnx_open(&m, map.data, map.bytes, path, &e));
    assert_int_equal(gn_onnx_run(m, input, 2, logits, &e), GENET_MISMATCH);
    SAYS(e, "batches of 3");
    gn_onnx_close(m);
    gn_map_close(&map);
    gn_checkpoint_free(&c);
}

/* Damage anywhere is refused or harmless: every cut near the structure, and bytes changed all over the small parts. */
static void damage_does_no_harm(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    gn_map map;
    gn_onnx *m;
    const gn_onnx_options o = {.pixels = true};
    int refused = 0;
    gn_model_spec spec = small_spec(GN_THETA_MINUS, 2);
    spec.depth = 0;
    for (int i = 0; i < 4; i++)
        spec.blocks[i] = 1;
    make_checkpoint(&c, spec, GN_NAMES_GENET, 1);
    MUST(gn_onnx_write(&c, &c.weights, &o, scratch(path, "damaged.onnx"), NULL, &e));
    MUST(gn_map_open(&map, path, &e));
    unsigned char *copy = malloc(map.bytes);
    assert_non_null(copy);
    for (size_t i = 0; i < map.bytes; i += 211) {
        unsigned char *cut = malloc(i + 1);
        assert_non_null(cut);
        memcpy(cut, map.data, i);
        genet_status status = gn_onnx_open(&m, cut, i, "cut", &e);
        assert_true(status == GENET_FORMAT);
        free(cut);
        memcpy(copy, map.data, map.bytes);
        copy[i] ^= 0x41;
        if (gn_onnx_open(&m, copy, map.bytes, "changed", &e) == GENET_OK)
            gn_onnx_close(m);
        else
            refused++;
    }
    assert_true(refused > 0);
    free(copy);
    gn_map_close(&map);
    gn_checkpoint_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_paper_network_agrees), cmocka_unit_test(every_mindspore_network_agrees),
        cmocka_unit_test(fixed_batches_are_held), cmocka_unit_test(damage_does_no_harm)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
