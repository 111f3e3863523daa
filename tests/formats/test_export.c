/* SPDX-License-Identifier: Apache-2.0
 * genet_export and genet_import as their callers see them: every format, what is refused and why, and that a failed export
 * leaves nothing. */
#include "formats/int8_net.h"
#include "formats/quantized.h"
#include "genet/export.h"

static genet_config *config;

static void set(const char *key, const char *value)
{
    genet_error e;
    MUST(genet_config_set(config, key, value, &e));
}

/* Settings at their defaults, a model and a place to write. */
static void begin(const char *model, char out[4096], const char *name)
{
    genet_error e;
    genet_config_free(config);
    config = NULL;
    MUST(genet_config_create(&config, &e));
    set("model", model);
    set("out", scratch(out, name));
    unlink(out);
}

static void save(gn_checkpoint *c, char path[4096], const char *name)
{
    genet_error e;
    MUST(gn_checkpoint_save(c, scratch(path, name), NULL, &e));
}

static void add_momentum(gn_checkpoint *c)
{
    c->momentum = gn_slab_alloc((size_t)c->model->weights.param_count * 4);
    assert_non_null(c->momentum);
    c->momentum[0] = 0.5f;
}

static int entries_named(const char *part)
{
    char command[256];
    snprintf(command, sizeof command, "ls /tmp/genet-test-formats-%d | grep -c '%s' > /tmp/genet-test-formats-%d/.count",
             (int)getpid(), part, (int)getpid());
    int status = system(command), count = -1;
    (void)status;
    snprintf(command, sizeof command, "/tmp/genet-test-formats-%d/.count", (int)getpid());
    FILE *f = fopen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &count), 1);
    fclose(f);
    return count;
}

static void onnx_is_checked(void **state)
{
    (void)state;
    static const char *const inputs[] = {"float", "uint8"}, *const kept[] = {"false", "true"};
    char model[4096], out[4096];
    genet_error e;
    genet_export_result r;
    gn_checkpoint c;
    make_checkpoint(&c, small_spec(GN_THETA_PLUS, 4), GN_NAMES_GENET, 1);
    save(&c, model, "model.safetensors");
    gn_checkpoint_free(&c);
    for (int i = 0; i < 4; i++) {
        begin(model, out, "net.onnx");
        set("input", inputs[i / 2]);
        set("keep-bn", kept[i % 2]);
        set("check", "3");
        MUST(genet_export(config, &r, &e));
        assert_true(gn_file_exists(out) && r.bytes > 100000);
        assert_int_equal(r.checked_images, 3);
        assert_true(r.logits_rms > 0 && r.largest_difference < 2e-5 * r.logits_rms);
        assert_non_null(strstr(r.network, "theta-plus"));
    }
    begin(model, out, "fixed.onnx");
    set("fixed-batch", "5");
    MUST(genet_export(config, &r, &e));
    assert_int_equal(r.checked_images, 5);
    begin(model, out, "unchecked.onnx");
    set("check", "0");
    MUST(genet_export(config, &r, &e));
    assert_int_equal(r.checked_images, 0);
    assert_non_null(strstr(r.notes, "not run"));
}

static void weights_are_read_back(void **state)
{
    (void)state;
    char model[4096], out[4096];
    genet_error e;
    genet_export_result r;
    gn_checkpoint c, back;
    make_checkpoint(&c, narrow_spec(GN_SE), GN_NAMES_MINDSPORE, 1.2);
    add_momentum(&c);
    save(&c, model, "published.safetensors");
    for (int keep = 0; keep < 2; keep++) {
        static const char *const formats[] = {"mindspore", "safetensors"};
        for (int f = 0; f < 2; f++) {
            begin(model, out, "weights");
            set("format", formats[f]);
            set("keep-momentum", keep ? "true" : "false");
            MUST(genet_export(config, &r, &e));
            assert_true(r.read_back);
            MUST(gn_checkpoint_load(&back, out, &e));
            assert_int_equal(back.momentum != NULL, keep);
            assert_true(same_weights(&back.weights, &c.weights));
            gn_checkpoint_free(&back);
        }
    }
    begin(model, out, "net.mindir");
    set("format", "mindir");
    MUST(genet_export(config, &r, &e));
    assert_non_null(strstr(r.notes, "MindSpore"));
    gn_checkpoint_free(&c);
}

static void averaged_weights_are_chosen(void **state)
{
    (void)state;
    char model[4096], out[4096];
    genet_error e;
    genet_export_result r;
    gn_checkpoint c, back;
    make_checkpoint(&c, small_spec(GN_PLAIN, 0), GN_NAMES_GENET, 1);
    MUST(gn_weights_create(&c.ema, &c.model->weights, GN_F32, &e));
    gn_weights_copy(&c.ema, &c.weights);
    ((float *)c.ema.params)[0] = 0.25f;
    c.has_ema = true;
    save(&c, model, "averaged.safetensors");
    for (int ema = 0; ema < 2; ema++) {
        begin(model, out, "one.safetensors");
        set("format", "safetensors-torchvision");
        set("use-ema", ema ? "true" : "false");
        MUST(genet_export(config, &r, &e));
        MUST(gn_checkpoint_load(&back, out, &e));
        assert_true(same_weights(&back.weights, ema ? &c.ema : &c.weights));
        assert_int_equal(strstr(r.notes, "averaged") != NULL, ema);
        gn_checkpoint_free(&back);
        begin(model, out, "averaged.onnx"); /* the check runs the same weights */
        set("use-ema", ema ? "true" : "false");
        MUST(genet_export(config, &r, &e));
    }
    gn_checkpoint_free(&c);
}

/* The file of an int8 network, calibrated on one picture. */
static void save_int8(gn_model_spec spec, char path[4096], const char *name)
{
    genet_error e;
    gn_checkpoint c;
    make_checkpoint(&c, spec, GN_NAMES_GENET, 1);
    int64_t n = (int64_t)spec.size * spec.size * 3;
    float *input = calloc((size_t)n, sizeof *input);
    assert_non_null(input);
    for (int64_t i = 0; i < n; i++)
        input[i] = (float)(golden_hash("pixels", (uint64_t)i) >> 56) / 64 - 2;
    gn_folded *f = make_int8(&c, input, 1, NULL);
    c.quantized = gn_strdup("{\"method\":\"max\"}");
    MUST(gn_quantized_save(&c, f, scratch(path, name), NULL, &e));
    gn_folded_free(f);
    free(input);
    gn_checkpoint_free(&c);
}

static void refuse(genet_status wanted, const char *word)
{
    genet_error e = {0};
    genet_export_result r;
    char out[4096];
    assert_int_equal(genet_export(config, &r, &e), wanted);
    SAYS(e, word);
    MUST(genet_config_get(config, "out", out, sizeof out, &e));
    if (*out)
        assert_false(access(out, F_OK) == 0 && !gn_folder_exists(out));
    assert_int_equal(entries_named("part"), 0);
}

static void refusals(void **state)
{
    (void)state;
    char model[4096], published[4096], out[4096];
    gn_checkpoint c;
    make_checkpoint(&c, small_spec(GN_THETA, 0), GN_NAMES_GENET, 1);
    save(&c, model, "paper.safetensors");
    gn_checkpoint_free(&c);
    make_checkpoint(&c, narrow_spec(GN_SE), GN_NAMES_MINDSPORE, 1.2);
    save(&c, published, "narrow.safetensors");
    gn_checkpoint_free(&c);
    begin(model, out, "x.air");
    set("format", "air");
    refuse(GENET_UNSUPPORTED, "mindir");
    refuse(GENET_UNSUPPORTED, "onnx");
    begin(model, out, "x.ckpt");
    set("format", "mindspore");
    refuse(GENET_MISMATCH, "--form mindspore");
    begin(model, out, "x.safetensors");
    set("format", "safetensors-torchvision");
    refuse(GENET_MISMATCH, "safetensors-timm");
    begin(published, out, "x.safetensors");
    set("format", "safetensors-timm");
    refuse(GENET_MISMATCH, "one side");
    begin("", out, "x.onnx");
    refuse(GENET_USAGE, "no model");
    begin("/nowhere.safetensors", out, "x.onnx");
    refuse(GENET_IO, "/nowhere.safetensors");
    begin(model, out, "x.onnx");
    set("out", "");
    refuse(GENET_USAGE, "--out");
    set("out", "/tmp");
    refuse(GENET_USAGE, "folder");
    set("out", "/nowhere/x.onnx");
    refuse(GENET_IO, "/nowhere/x.onnx");
}

static void int8_models_become_onnx(void **state)
{
    (void)state;
    static const char *const others[] = {"mindir", "mindspore", "safetensors", "safetensors-torchvision", "safetensors-timm"};
    char model[4096], out[4096], list[4096];
    genet_error e;
    genet_export_result r;
    gn_map map;
    save_int8(small_spec(GN_THETA_PLUS, 2), model, "int8.safetensors");
    for (int way = 0; way < 4; way++) {
        begin(model, out, "int8.onnx");
        set("input", way % 2 ? "uint8" : "float");
        set("fixed-batch", way / 2 ? "3" : "0");
        MUST(genet_export(config, &r, &e));
        assert_int_equal(r.checked_images, way / 2 ? 3 : 2);
        assert_true(gn_file_exists(out) && r.logits_rms > 0 && r.largest_difference < 0.05 * r.logits_rms);
        assert_non_null(strstr(r.network, "int8"));
        assert_non_null(strstr(r.notes, "24 maps of 8-bit numbers"));
    }
    MUST(gn_file_write(scratch(list, "list"), "a\nb\nc\nd\ne\nf\ng\nh\ni\njot\n", 22, &e));
    begin(model, out, "int8.onnx");
    set("class-list", list);
    set("check", "0");
    MUST(genet_export(config, &r, &e));
    assert_int_equal(r.checked_images, 0);
    MUST(gn_map_open(&map, out, &e));
    assert_non_null(memmem(map.data, map.bytes, "\"jot\"", 5));
    assert_non_null(memmem(map.data, map.bytes, "genet.quantized", 15));
    gn_map_close(&map);
    begin(model, out, "kept.onnx");
    set("keep-bn", "true");
    refuse(GENET_USAGE, "--keep-bn");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        begin(model, out, "never");
        set("format", others[i]);
        refuse(GENET_MISMATCH, "--format onnx");
    }
}

static void a_network_that_is_not_a_number_is_not_exported(void **state)
{
    (void)state;
    char model[4096], out[4096];
    gn_checkpoint c;
    make_checkpoint(&c, small_spec(GN_PLAIN, 0), GN_NAMES_GENET, 1);
    ((float *)gn_weights_at(&c.weights, 0))[0] = NAN;
    save(&c, model, "nan.safetensors");
    gn_checkpoint_free(&c);
    begin(model, out, "nan.onnx");
    refuse(GENET_INTERNAL, "logits");
}

static void imports(void **state)
{
    (void)state;
    char bare[4096], out[4096], list[4096];
    genet_error e;
    genet_export_result r;
    gn_checkpoint c, back;
    make_checkpoint(&c, small_spec(GN_PLAIN, 0), GN_NAMES_TORCHVISION, 1);
    bare_file(bare, &c, GN_NAMES_TORCHVISION, "", NULL);
    begin(bare, out, "in.safetensors");
    MUST(genet_import(config, &r, &e));
    assert_true(r.read_back && strstr(r.notes, "names no classes"));
    begin(bare, out, "in.safetensors");
    MUST(gn_file_write(scratch(list, "list"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 20, &e));
    set("class-list", list);
    set("variant", "theta-minus");
    set("extent", "4");
    set("size", "96");
    MUST(genet_import(config, &r, &e));
    MUST(gn_checkpoint_load(&back, out, &e));
    assert_true(back.model->spec.variant == GN_THETA_MINUS && back.model->spec.extent == 4 && back.model->spec.size == 96);
    assert_int_equal(back.preprocess.size, 96);
    assert_string_equal(back.classes[9], "j");
    assert_string_equal(back.origin, "torchvision");
    assert_true(same_weights(&back.weights, &c.weights));
    gn_checkpoint_free(&back);
    gn_checkpoint_free(&c);
    begin(bare, out, "never.safetensors");
    set("variant", "theta-plus");
    assert_int_equal(genet_import(config, &r, &e), GENET_MISMATCH);
    SAYS(e, "its weights say so");
    if (golden(bare, "mindspore/train_theta-plus_GENet-4_3.ckpt")) {
        begin(bare, out, "trained.safetensors");
        MUST(genet_import(config, &r, &e));
        assert_non_null(strstr(r.notes, "--keep-momentum"));
        set("size", "256");
        assert_int_equal(genet_import(config, &r, &e), GENET_MISMATCH);
        SAYS(e, "gather kernels");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(onnx_is_checked), cmocka_unit_test(weights_are_read_back), cmocka_unit_test(averaged_weights_are_chosen),
        cmocka_unit_test(refusals), cmocka_unit_test(int8_models_become_onnx),
        cmocka_unit_test(a_network_that_is_not_a_number_is_not_exported), cmocka_unit_test(imports)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    genet_config_free(config);
    remove_scratch();
    return failed;
}
