/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints: exact round trips, and files that lack, exceed or contradict what they say they hold. */
#include "formats/formats_common.h"

#include "base/fault.h"
#include "formats/safetensors.h"

static void fill_slab(float *slab, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        slab[i] = (float)golden_u(name, (uint64_t)i);
}

/* Everything a checkpoint can hold. */
static void make_full(gn_checkpoint *c, gn_variant v, int extent)
{
    genet_error e;
    make_checkpoint(c, small_spec(v, extent), GN_NAMES_GENET, 1);
    const gn_weight_table *t = &c->model->weights;
    MUST(gn_weights_create(&c->ema, t, GN_F32, &e));
    c->has_ema = true;
    c->momentum = gn_slab_alloc((size_t)t->param_count * 4);
    assert_non_null(c->momentum);
    for (int i = 0; i < t->count; i++) {
        fill_slab(gn_weights_at(&c->ema, i), t->items[i].count, "ema");
        if (t->items[i].trainable)
            fill_slab(c->momentum + t->items[i].offset, t->items[i].count, "momentum");
    }
    static const char *const odd[] = {"plain",
                                      "with \"quotes\"",
                                      "back\\slash/slash",
                                      "\xff\xfe not UTF-8 \xe9",
                                      "\xc3\xa9t\xc3\xa9",
                                      "",
                                      "new\nline",
                                      "\xf0\x9f\x8d\x8e",
                                      "a/b/c",
                                      "tab\t\x01"};
    for (int i = 0; i < 10; i++) {
        gn_free(c->classes[i]);
        c->classes[i] = gn_strdup(odd[i]);
    }
    c->preprocess.crop_share = 1.0 / 3;
    c->preprocess.mean[0] = 1.0f / 3;
    c->settings = gn_strdup("{\"epochs\": 3, \"name\": \"\\u00e9\"}");
    c->progress = gn_strdup("{\"step\":12345678901}");
}

static void round_trip(void **state)
{
    (void)state;
    static const struct { gn_variant v; int extent; } cases[] = {{GN_PLAIN, 0}, {GN_SE, 0}, {GN_THETA_MINUS, 4}, {GN_THETA, 8},
                                                                  {GN_THETA_PLUS, 0}, {GN_THETA_PLUS, 2}};
    char path[4096];
    genet_error e;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        gn_checkpoint a, b;
        uint64_t bytes = 0;
        make_full(&a, cases[k].v, cases[k].extent);
        MUST(gn_checkpoint_save(&a, scratch(path, "full.safetensors"), &bytes, &e));
        uint64_t guess = gn_checkpoint_size(&a);
        assert_true(guess >= bytes && guess < bytes + bytes / 10 + 65536);
        MUST(gn_checkpoint_load(&b, path, &e));
        assert_memory_equal(&a.model->spec, &b.model->spec, sizeof a.model->spec);
        assert_true(same_weights(&a.weights, &b.weights) && b.has_ema && same_weights(&a.ema, &b.ema));
        assert_memory_equal(a.momentum, b.momentum, (size_t)a.model->weights.param_count * 4);
        assert_int_equal(b.class_count, 10);
        assert_false(b.classes_unknown);
        for (int i = 0; i < 10; i++)
            assert_string_equal(a.classes[i], b.classes[i]);
        assert_true(a.preprocess.crop_share == b.preprocess.crop_share && a.preprocess.size == b.preprocess.size &&
                    a.preprocess.exif == b.preprocess.exif && a.preprocess.max_pixels == b.preprocess.max_pixels);
        assert_memory_equal(a.preprocess.mean, b.preprocess.mean, sizeof a.preprocess.mean);
        assert_memory_equal(a.preprocess.std, b.preprocess.std, sizeof a.preprocess.std);
        assert_string_equal(a.settings, b.settings);
        assert_string_equal(a.progress, b.progress);
        assert_string_equal(a.origin, b.origin);
        gn_checkpoint_free(&a);
        gn_checkpoint_free(&b);
    }
}

/* --- files that are changed tensor by tensor -------------------------------------------------------------------------------- */

typedef struct edit {
    gn_safetensors f;
    gn_st_tensor *t;
    int count;
} edit;

static void edit_open(edit *x, const char *path)
{
    genet_error e;
    MUST(gn_safetensors_open(&x->f, path, &e));
    x->count = x->f.count;
    x->t = calloc((size_t)x->count + 1, sizeof *x->t);
    assert_non_null(x->t);
    memcpy(x->t, x->f.tensors, (size_t)x->count * sizeof *x->t);
}

static gn_st_tensor *edit_find(edit *x, const char *name)
{
    for (int i = 0; i < x->count; i++)
        if (!strcmp(x->t[i].name, name))
            return &x->t[i];
    fail();
    return NULL;
}

/* Writes the edited file, expects this status and these words, and starts over. */
static void edit_expect(edit *x, genet_status wanted, const char *word1, const char *word2)
{
    char path[4096];
    genet_error e = {0};
    gn_checkpoint c;
    MUST(gn_safetensors_write(scratch(path, "edited.safetensors"), x->t, x->count, (const char *const *)x->f.meta_keys,
                              (const char *const *)x->f.meta_values, x->f.meta_count, NULL, &e));
    genet_status status = gn_checkpoint_load(&c, path, &e);
    if (status != wanted)
        fail_msg("status %d: %s", status, e.text);
    SAYS(e, "edited.safetensors");
    SAYS(e, word1);
    SAYS(e, word2);
    assert_null(c.model);
    free(x->t);
    gn_safetensors_close(&x->f);
}

static const char *full_file(char path[4096])
{
    genet_error e;
    gn_checkpoint c;
    make_full(&c, GN_THETA_PLUS, 0);
    MUST(gn_checkpoint_save(&c, scratch(path, "whole.safetensors"), NULL, &e));
    gn_checkpoint_free(&c);
    return path;
}

static void a_missing_tensor_is_named(void **state)
{
    (void)state;
    static const char *const gone[] = {"layer2.1.conv2.weight", "ema/head.bias", "momentum/layer1.0.gate.mlp.fc1.weight",
                                       "layer4.1.gate.gather.bn1.running_var"};
    char path[4096];
    edit x;
    full_file(path);
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        edit_open(&x, path);
        *edit_find(&x, gone[i]) = x.t[--x.count];
        edit_expect(&x, GENET_FORMAT, gone[i], "missing");
    }
}

static void a_stranger_is_named(void **state)
{
    (void)state;
    char path[4096];
    edit x;
    full_file(path);
    edit_open(&x, path);
    x.t[x.count] = x.t[0];
    x.t[x.count++].name = (char *)"layer1.0.gate.gather.conv2.weight";
    edit_expect(&x, GENET_MISMATCH, "layer1.0.gate.gather.conv2.weight", "no place");
    edit_open(&x, path);
    x.t[x.count] = x.t[0];
    x.t[x.count++].name = (char *)"something";
    edit_expect(&x, GENET_MISMATCH, "something", "no place");
}

static void wrong_shapes_and_types_are_refused(void **state)
{
    (void)state;
    char path[4096];
    edit x;
    full_file(path);
    edit_open(&x, path);
    gn_st_tensor *t = edit_find(&x, "layer3.0.conv2.weight");
    t->dim[0] *= 3, t->dim[2] = 1;
    edit_expect(&x, GENET_MISMATCH, "layer3.0.conv2.weight", "(48,16,1,3)");
    edit_open(&x, path);
    strcpy(edit_find(&x, "head.bias")->dtype, "I32");
    edit_expect(&x, GENET_FORMAT, "head.bias", "I32");
}

static void set_meta(edit *x, const char *key, const char *value)
{
    for (int i = 0; i < x->f.meta_count; i++)
        if (!strcmp(x->f.meta_keys[i], key)) {
            gn_free(x->f.meta_values[i]);
            x->f.meta_values[i] = gn_strdup(value);
            return;
        }
    fail();
}

static void metadata_is_held_against_the_tensors(void **state)
{
    (void)state;
#define MODEL(variant, size, extent, classes)                                                                                \
    "{\"variant\":\"" variant "\",\"form\":\"paper\",\"depth\":26,\"blocks\":[2,2,2,2],\"width\":4,\"stem\":4,\"size\":" size \
    ",\"extent\":" extent ",\"classes\":" classes "}"
    static const struct { const char *key, *value; genet_status status; const char *word1, *word2; } cases[] = {
        {"genet.model", MODEL("theta", "64", "0", "10"), GENET_MISMATCH, "gate.mlp.fc1", "theta network"},
        {"genet.model", MODEL("theta-plus", "128", "0", "10"), GENET_MISMATCH, "layer1.0.gate.gather.conv1.weight", "(16,1,32,32)"},
        {"genet.model", MODEL("theta-plus", "64", "4", "10"), GENET_MISMATCH, "gate.gather.conv1.weight", "(16,1,3,3)"},
        {"genet.model", MODEL("theta-plus", "64", "0", "11"), GENET_FORMAT, "genet.classes", "11"},
        {"genet.model", MODEL("theta-plus", "64", "0", "1000000"), GENET_FORMAT, "genet.classes", "too short"},
        {"genet.model", MODEL("omega", "64", "0", "10"), GENET_FORMAT, "genet.model", "variant"},
        {"genet.model", MODEL("theta-plus", "1e9", "0", "10"), GENET_FORMAT, "genet.model", "whole number"},
        {"genet.model", MODEL("theta-plus", "5000", "0", "10"), GENET_FORMAT, "genet.model", "5000"},
        {"genet.model", MODEL("theta-plus", "64", "3", "10"), GENET_FORMAT, "genet.model", "extent 3"},
        {"genet.model", "{}", GENET_FORMAT, "genet.model", "lacks"},
        {"genet.model", "{\"blocks\":[2,2,2]}", GENET_FORMAT, "genet.model", "number of elements"},
        {"genet.classes", "[\"a\"]", GENET_FORMAT, "genet.classes", "too short"},
        {"genet.classes", "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]", GENET_FORMAT, "genet.classes", "1 names"},
        {"genet.classes", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14]", GENET_FORMAT, "genet.classes", "string"},
        {"genet.preprocess", "{\"size\":64}", GENET_FORMAT, "genet.preprocess", "missing"},
        {"genet.preprocess", "{\"size\":64,\"crop_share\":0.9,\"max_pixels\":1,\"mean\":[1,2,3],\"std\":[1,0,1]}", GENET_FORMAT,
         "genet.preprocess", "std"},
        {"genet.settings", "[]", GENET_FORMAT, "genet.settings", "object"},
        {"genet.progress", "{", GENET_FORMAT, "genet.progress", ""},
    };
    char path[4096];
    edit x;
    full_file(path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        edit_open(&x, path);
        set_meta(&x, cases[i].key, cases[i].value);
        edit_expect(&x, cases[i].status, cases[i].word1, cases[i].word2);
    }
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    char path[4096], cut[4096];
    genet_error e;
    gn_map m;
    gn_checkpoint c;
    full_file(path);
    MUST(gn_map_open(&m, path, &e));
    scratch(cut, "cut.safetensors");
    for (size_t i = 0; i < 60; i++) { /* the reader itself is cut at every byte in test_safetensors */
        MUST(gn_file_write(cut, m.data, m.bytes * i / 60, &e));
        genet_status status = gn_checkpoint_load(&c, cut, &e);
        assert_true(status == GENET_FORMAT || (i == 0 && status == GENET_IO));
    }
    gn_map_close(&m);
}

static void other_kinds_are_named(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t n; const char *word; } kinds[] = {
        {"PK\x03\x04xxxxxxxxxxxx", 16, "save_file"}, {"\x80\x02}q\x00xxxxxxxxxxx", 16, "pickle"},
        {"\x0a\x05" "0.1.1\x12\x09MindSpore", 18, "MINDIR"}, {"\x08\x08\x12\x05genet\x1a\x03xxx", 14, "ONNX"},
        {"hello, world, this is text", 26, "no model file"}, {"\x0a", 1, "no model file"}};
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    scratch(path, "other");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        MUST(gn_file_write(path, kinds[i].bytes, kinds[i].n, &e));
        assert_int_equal(gn_checkpoint_load(&c, path, &e), GENET_FORMAT);
        SAYS(e, kinds[i].word);
    }
    assert_int_equal(gn_checkpoint_load(&c, "/nowhere/at/all", &e), GENET_IO);
}

static void every_failed_call_is_survived(void **state)
{
    (void)state;
    char path[4096], out[4096];
    genet_error e;
    gn_checkpoint c;
    full_file(path);
    MUST(gn_checkpoint_load(&c, path, &e));
    scratch(out, "again.safetensors");
    for (int kind = GN_FAULT_ALLOCATION; kind <= GN_FAULT_RENAME; kind++)
        for (int64_t n = 1;; n += kind == GN_FAULT_ALLOCATION && n > 40 ? 97 : 1) {
            gn_fault_arm((gn_fault_kind)kind, n);
            genet_status status = gn_checkpoint_save(&c, out, NULL, &e);
            gn_fault_disarm();
            if (gn_fault_fired() == 0) {
                unlink(out);
                break;
            }
            assert_int_not_equal(status, GENET_OK);
            gn_checkpoint whole; /* after a fault behind the rename the file is there, and whole */
            if (gn_file_exists(out)) {
                assert_true(kind != GN_FAULT_WRITE && kind != GN_FAULT_RENAME);
                MUST(gn_checkpoint_load(&whole, out, &e));
                gn_checkpoint_free(&whole);
                unlink(out);
            }
        }
    MUST(gn_checkpoint_save(&c, out, NULL, &e));
    gn_checkpoint_free(&c);
    for (int64_t n = 1;; n += n > 40 ? 97 : 1) {
        gn_fault_arm(GN_FAULT_ALLOCATION, n);
        genet_status status = gn_checkpoint_load(&c, out, &e);
        gn_fault_disarm();
        if (status == GENET_OK)
            gn_checkpoint_free(&c);
        if (gn_fault_fired() == 0)
            break;
        assert_int_equal(status, GENET_MEMORY);
    }
}

static void classes_can_be_named(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    make_checkpoint(&c, small_spec(GN_PLAIN, 0), GN_NAMES_GENET, 1);
    MUST(gn_file_write(scratch(path, "names"), "a\nb c\r\n\xff\nd\ne\nf\ng\nh\ni\nj", 22, &e));
    MUST(gn_checkpoint_name_classes(&c, path, &e));
    assert_string_equal(c.classes[1], "b c");
    assert_string_equal(c.classes[2], "\xff");
    assert_string_equal(c.classes[9], "j");
    MUST(gn_file_write(path, "a\nb\n", 4, &e));
    assert_int_equal(gn_checkpoint_name_classes(&c, path, &e), GENET_MISMATCH);
    SAYS(e, "fewer lines");
    MUST(gn_file_write(path, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n", 22, &e));
    assert_int_equal(gn_checkpoint_name_classes(&c, path, &e), GENET_MISMATCH);
    assert_string_equal(c.classes[9], "j");
    gn_checkpoint_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(a_missing_tensor_is_named), cmocka_unit_test(a_stranger_is_named),
        cmocka_unit_test(wrong_shapes_and_types_are_refused), cmocka_unit_test(metadata_is_held_against_the_tensors),
        cmocka_unit_test(cut_files_are_refused), cmocka_unit_test(other_kinds_are_named),
        cmocka_unit_test(every_failed_call_is_survived), cmocka_unit_test(classes_can_be_named)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
