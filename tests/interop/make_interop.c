/* SPDX-License-Identifier: Apache-2.0
 * Makes what the interop tests read: for every variant, form and extent a checkpoint, its ONNX forms, its MINDIR, where there
 * is one its .ckpt and its torchvision or timm file, the int8 network's ONNX forms, and the reference backend's logits in
 * double precision.
 * usage: make_interop FOLDER. Prints one name a line. */
#include "formats/foreign.h"
#include "formats/int8_net.h"
#include "formats/mindir.h"
#include "formats/mindspore_ckpt.h"
#include "formats/onnx.h"
#include "formats/run_ref.h"
#include "formats/safetensors.h"

enum { IMAGES = 3 };
static const char *folder;

static const char *in_folder(char path[4096], const char *name, const char *end)
{
    snprintf(path, 4096, "%s/%s%s", folder, name, end);
    return path;
}

static void must(genet_status status, const genet_error *e)
{
    if (status == GENET_OK)
        return;
    fprintf(stderr, "%s\n", e->text);
    exit(1);
}

/* Logits of the written graph by our own interpreter: what the file says, in float. */
static void run_graph(const char *path, const float *planes, float *logits)
{
    genet_error e;
    gn_map map;
    gn_onnx *m;
    must(gn_map_open(&map, path, &e), &e);
    must(gn_onnx_open(&m, map.data, map.bytes, path, &e), &e);
    must(gn_onnx_run(m, planes, IMAGES, logits, &e), &e);
    gn_onnx_close(m);
    gn_map_close(&map);
}

/* The int8 network, calibrated on the same pictures: two ONNX files, its logits in double precision, and the graph's. */
static void make_int8_files(const gn_checkpoint *c, const char *name, const double *x, const float *planes)
{
    char path[4096];
    genet_error e;
    int classes = c->model->spec.classes, n = IMAGES * classes;
    int64_t count = (int64_t)IMAGES * c->model->spec.size * c->model->spec.size * 3;
    float *input = malloc((size_t)count * 4), *logits = malloc((size_t)n * 4), *theirs = malloc((size_t)n * 4);
    double *wide = malloc((size_t)n * 8);
    if (!input || !logits || !theirs || !wide)
        exit(1);
    for (int64_t i = 0; i < count; i++)
        input[i] = (float)x[i];
    gn_folded *f = make_int8(c, input, IMAGES, NULL);
    run_folded(f, GN_F64, x, IMAGES, wide, NULL);
    for (int i = 0; i < n; i++)
        logits[i] = (float)wide[i];
    must(gn_onnx_write_int8(c, f, &(gn_onnx_options){.pixels = true, .batch = IMAGES}, in_folder(path, name, ".int8.fixed.onnx"),
                            NULL, &e),
         &e);
    must(gn_onnx_write_int8(c, f, &(gn_onnx_options){0}, in_folder(path, name, ".int8.onnx"), NULL, &e), &e);
    run_graph(path, planes, theirs);
    const gn_st_tensor t[2] = {
        {.name = (char *)"logits", .dtype = "F32", .rank = 2, .dim = {IMAGES, classes}, .data = (unsigned char *)logits},
        {.name = (char *)"graph", .dtype = "F32", .rank = 2, .dim = {IMAGES, classes}, .data = (unsigned char *)theirs}};
    must(gn_safetensors_write(in_folder(path, name, ".int8.logits.safetensors"), t, 2, NULL, NULL, 0, NULL, &e), &e);
    gn_folded_free(f);
    free(input);
    free(logits);
    free(theirs);
    free(wide);
}

static void write_expected(const gn_checkpoint *c, const char *name)
{
    char path[4096];
    genet_error e;
    int size = c->model->spec.size, classes = c->model->spec.classes;
    int64_t area = (int64_t)size * size, n = IMAGES * area * 3;
    unsigned char *pixels = malloc((size_t)n);
    double *x = malloc((size_t)n * 8), *logits = malloc((size_t)(IMAGES * classes) * 8);
    float *planes = malloc((size_t)n * 4), *rounded = malloc((size_t)(IMAGES * classes) * 4);
    if (!pixels || !x || !logits || !planes || !rounded)
        exit(1);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = i % 3, p = i / 3;
        pixels[i] = (unsigned char)(golden_hash("pixels", (uint64_t)i) >> 56);
        float v = (pixels[i] - c->preprocess.mean[k]) / c->preprocess.std[k];
        x[i] = v;
        planes[(p / area * 3 + k) * area + p % area] = v;
    }
    run_ref(c, GN_F64, x, false, IMAGES, logits);
    for (int i = 0; i < IMAGES * classes; i++)
        rounded[i] = (float)logits[i];
    const gn_st_tensor t[3] = {
        {.name = (char *)"pixels", .dtype = "U8", .rank = 4, .dim = {IMAGES, size, size, 3}, .data = pixels},
        {.name = (char *)"input", .dtype = "F32", .rank = 4, .dim = {IMAGES, 3, size, size}, .data = (unsigned char *)planes},
        {.name = (char *)"logits", .dtype = "F32", .rank = 2, .dim = {IMAGES, classes}, .data = (unsigned char *)rounded}};
    must(gn_safetensors_write(in_folder(path, name, ".expected.safetensors"), t, 3, NULL, NULL, 0, NULL, &e), &e);
    make_int8_files(c, name, x, planes);
    free(pixels);
    free(x);
    free(logits);
    free(planes);
    free(rounded);
}

static void make(gn_model_spec spec)
{
    static const struct { const char *end; gn_onnx_options o; } ways[] = {
        {".folded.onnx", {0}}, {".kept.onnx", {.keep_norms = true}}, {".pixels.onnx", {.pixels = true}},
        {".fixed.onnx", {.pixels = true, .keep_norms = true, .batch = IMAGES}}};
    char name[128], path[4096];
    genet_error e;
    gn_checkpoint c;
    bool published = spec.form == GN_FORM_MINDSPORE;
    make_checkpoint(&c, spec, published ? GN_NAMES_MINDSPORE : GN_NAMES_GENET, published ? 1.2 : 1);
    gn_free(c.classes[1]);
    c.classes[1] = gn_strdup("odd \"name\" \xc3\xa9 \xff");
    snprintf(name, sizeof name, "%s-%s-%d-%d", gn_form_name(spec.form), gn_variant_name(spec.variant), spec.extent, spec.size);
    must(gn_checkpoint_save(&c, in_folder(path, name, ".safetensors"), NULL, &e), &e);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        must(gn_onnx_write(&c, &c.weights, &ways[i].o, in_folder(path, name, ways[i].end), NULL, &e), &e);
    must(gn_mindir_write(&c, &c.weights, 0, in_folder(path, name, ".mindir"), NULL, &e), &e);
    must(gn_mindir_write(&c, &c.weights, 1, in_folder(path, name, ".one.mindir"), NULL, &e), &e);
    if (published && spec.variant != GN_PLAIN)
        must(gn_mindspore_ckpt_write(&c, &c.weights, NULL, in_folder(path, name, ".ckpt"), &e), &e);
    if (!published && spec.variant == GN_PLAIN)
        must(gn_foreign_write(&c, &c.weights, false, in_folder(path, name, ".torchvision.safetensors"), NULL, &e), &e);
    if (!published)
        must(gn_foreign_write(&c, &c.weights, true, in_folder(path, name, ".timm.safetensors"), NULL, &e), &e);
    write_expected(&c, name);
    gn_checkpoint_free(&c);
    puts(name);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    folder = argv[1];
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++) {
        make(narrow_spec((gn_variant)v));
        for (int extent = 0; extent <= (v > GN_SE ? 8 : 0); extent = extent ? extent * 2 : 2) {
            gn_model_spec spec = small_spec((gn_variant)v, extent);
            spec.size = 72; /* odd maps: 18, 9, 5, 3 */
            make(spec);
        }
    }
    return 0;
}
