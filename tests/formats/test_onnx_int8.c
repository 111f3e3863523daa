/* SPDX-License-Identifier: Apache-2.0
 */
#include "formats/int8_net.h"
#include "formats/onnx.h"
#include "infer/export_check.h"

enum { IMAGES = 2 };

static void fill(const gn_checkpoint *c, unsigned char *pixels, float *input, float *planes)
{
    int64_t area = (int64_t)c->model->spec.size * c->model->spec.size;
    for (int64_t i = 0; i < IMAGES * area * 3; i++) {
        int64_t k = i % 3, p = i / 3;
        pixels[i] = (unsigned char)(golden_hash("pixels", (uint64_t)i) >> 56);
        input[i] = (pixels[i] - c->preprocess.mean[k]) / c->preprocess.std[k];
        planes[(p / area * 3 + k) * area + p % area] = input[i];
    }
}

static double difference(const gn_checkpoint *c, const gn_folded *f, const gn_onnx_options *o, const unsigned char *pixels,
                         const float *planes, const float *ours)
{
    char path[4096];
    genet_error e;
    gn_map map;
    gn_onnx *m;
    float logits[IMAGES * 10];
    MUST(gn_onnx_write_int8(c, f, o, scratch(path, "net.onnx"), NULL, &e));
    MUST(gn_map_open(&map, path, &e));
    MUST(gn_onnx_open(&m, map.data, map.bytes, path, &e));
    MUST(gn_onnx_run(m, o->pixels ? (const void *)pixels : planes, IMAGES, logits, &e));
    gn_onnx_close(m);
    gn_map_close(&map);
    return largest_difference(logits, ours, IMAGES * 10) / rms(ours, IMAGES * 10);
}

static void agrees(gn_model_spec spec, gn_naming naming)
{
    gn_checkpoint c;
    make_checkpoint(&c, spec, naming, naming == GN_NAMES_MINDSPORE ? 1.2 : 1);
    int64_t n = (int64_t)IMAGES * spec.size * spec.size * 3;
    unsigned char *pixels = malloc((size_t)n);
    float *input = calloc((size_t)n * 2, sizeof *input), *planes = input + n;
    double *wide = calloc((size_t)n, sizeof *wide), ref64[IMAGES * 10];
    float flt[IMAGES * 10], ours[IMAGES * 10], r64[IMAGES * 10];
    assert_true(pixels && input);
    fill(&c, pixels, input, planes);
    gn_folded *f = make_int8(&c, input, IMAGES, flt);
    run_folded(f, GN_F32, input, IMAGES, ours, NULL);
    for (int64_t i = 0; i < n; i++) wide[i] = input[i];
    run_folded(f, GN_F64, wide, IMAGES, ref64, NULL);
    for (int i = 0; i < IMAGES * 10; i++) r64[i] = (float)ref64[i];
    double d1 = difference(&c, f, &(gn_onnx_options){0}, pixels, planes, ours);
    {
    char path[4096]; genet_error e; gn_map map; gn_onnx *m;
    gn_int8_agreement a;
    gn_device d = {0};
    MUST(gn_map_open(&map, scratch(path, "net.onnx"), &e));
    MUST(gn_onnx_open(&m, map.data, map.bytes, path, &e));
    MUST(gn_device_open(&d, "ref", NULL, 2, &e));
    genet_status st = gn_int8_agree(&a, &d, f, c.preprocess.mean, c.preprocess.std, pixels, IMAGES, m, planes, &e);
    if (st) print_message("%s\n", e.text);
    print_message("maps %d share %.2e largest %.2e held %.2e free %.2e\n", a.maps, a.share, a.largest_share, a.held_difference / a.rms, a.free_difference / a.rms);
    gn_onnx_close(m);
    gn_map_close(&map);
    gn_device_close(&d);
    }
    double d2 = difference(&c, f, &(gn_onnx_options){.pixels = true, .batch = IMAGES}, pixels, planes, ours);
    print_message("%s %s extent %d size %d: onnx %.2e %.2e; f64 ref %.2e; int8-float %.2e\n", gn_form_name(spec.form), gn_variant_name(spec.variant),
                  spec.extent, spec.size, d1, d2, largest_difference(r64, ours, IMAGES * 10) / rms(ours, IMAGES * 10),
                  largest_difference(flt, ours, IMAGES * 10) / rms(ours, IMAGES * 10));
    free(pixels);
    free(input);
    free(wide);
    gn_folded_free(f);
    gn_checkpoint_free(&c);
}

static void every_network_agrees(void **state)
{
    (void)state;
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++) {
        for (int extent = 0; extent <= (v > GN_SE ? 8 : 0); extent = extent ? extent * 2 : 2) {
            gn_model_spec spec = small_spec((gn_variant)v, extent);
            spec.size = 72;
            agrees(spec, GN_NAMES_GENET);
        }
        gn_model_spec spec = narrow_spec((gn_variant)v);
        spec.size = v == GN_THETA_PLUS ? 224 : 96;
        agrees(spec, GN_NAMES_MINDSPORE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_network_agrees)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
