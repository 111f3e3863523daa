/* SPDX-License-Identifier: Apache-2.0
 * Files of int8 networks: exact round trips, and files that are cut, changed or contradict themselves. */
#include "formats/formats_common.h"

#include <math.h>

#include "formats/quantized.h"

#define HOW "{\"scheme\":\"s\",\"calibration\":\"mse\",\"calibration_images\":9}"

/* c and its int8 network; c keeps its weights, which the file does not get. */
static gn_folded *make(gn_checkpoint *c, gn_variant v, gn_form form, int extent)
{
    genet_error e;
    gn_folded *f, *q;
    float scales[3 * 8];
    gn_model_spec spec = small_spec(v, extent);
    spec.form = form;
    make_checkpoint(c, spec, GN_NAMES_GENET, 1);
    for (int i = 0; i < 24; i++)
        scales[i] = 0.001f * (float)(i + 1);
    c->quantized = gn_strdup(HOW);
    c->settings = gn_strdup("{\"epochs\": 3}");
    MUST(gn_fold(&f, c->model, &c->weights, &e));
    MUST(gn_quantize(&q, f, scales, NULL, NULL, &e));
    gn_folded_free(f);
    return q;
}

static void round_trip(void **state)
{
    (void)state;
    static const struct { gn_variant v; gn_form form; int extent; } cases[] = {
        {GN_PLAIN, GN_FORM_PAPER, 0}, {GN_SE, GN_FORM_PAPER, 0}, {GN_THETA, GN_FORM_PAPER, 4}, {GN_THETA_PLUS, GN_FORM_PAPER, 0},
        {GN_THETA_MINUS, GN_FORM_MINDSPORE, 0}, {GN_THETA_PLUS, GN_FORM_MINDSPORE, 0}};
    char path[4096];
    genet_error e;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        gn_checkpoint a, b;
        gn_folded *f = make(&a, cases[k].v, cases[k].form, cases[k].extent), *g;
        uint64_t bytes = 0;
        bool is;
        MUST(gn_quantized_save(&a, f, scratch(path, "int8.safetensors"), &bytes, &e));
        MUST(gn_quantized_is(path, &is, &e));
        assert_true(is);
        MUST(gn_quantized_load(&b, &g, path, &e));
        assert_true(g->int8 && g->table.count == f->table.count && !b.weights.params);
        assert_memory_equal(&a.model->spec, &b.model->spec, sizeof a.model->spec);
        assert_memory_equal(&f->spec, &g->spec, sizeof f->spec);
        assert_memory_equal(f->weights.params, g->weights.params, (size_t)f->table.param_count * sizeof(float));
        assert_string_equal(b.quantized, HOW);
        assert_string_equal(b.settings, a.settings);
        assert_string_equal(b.classes[3], "class 3");
        assert_true(b.preprocess.size == a.preprocess.size && b.preprocess.mindspore == a.preprocess.mindspore);
        gn_safetensors st;
        MUST(gn_safetensors_open(&st, path, &e));
        assert_string_equal(gn_safetensors_find(&st, "layer1.0.conv1.weight")->dtype, "I8");
        assert_string_equal(gn_safetensors_find(&st, "layer1.0.conv1.scale")->dtype, "F32");
        assert_string_equal(gn_safetensors_find(&st, "stem.conv.weight")->dtype, "F32");
        gn_safetensors_close(&st);
        gn_checkpoint c;
        assert_int_equal(gn_checkpoint_load(&c, path, &e), GENET_MISMATCH);
        SAYS(e, "is an int8 model (genet quantize)");
        gn_folded_free(f);
        gn_folded_free(g);
        gn_checkpoint_free(&a);
        gn_checkpoint_free(&b);
    }
}

static void others_are_not_taken(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c, b;
    gn_folded *f;
    bool is = true;
    make_checkpoint(&c, small_spec(GN_PLAIN, 0), GN_NAMES_GENET, 1);
    MUST(gn_checkpoint_save(&c, scratch(path, "float.safetensors"), NULL, &e));
    gn_checkpoint_free(&c);
    MUST(gn_quantized_is(path, &is, &e));
    assert_false(is);
    assert_int_equal(gn_quantized_load(&b, &f, path, &e), GENET_FORMAT);
    SAYS(e, "no int8 model");
    assert_true(!f && !b.model);
    MUST(gn_file_write(scratch(path, "text"), "12345678{\"a\":", 13, &e));
    MUST(gn_quantized_is(path, &is, &e));
    assert_false(is);
    assert_int_equal(gn_quantized_is("/nowhere/at/all", &is, &e), GENET_IO);
    assert_int_equal(gn_quantized_load(&b, &f, "/nowhere/at/all", &e), GENET_IO);
    assert_true(!f && !b.model);
}

/* --- changed files ------------------------------------------------------------------------------------------------------- */

/* A network with one thing changed in memory, or in the table of tensors, is refused with these words. */
typedef struct change {
    const char *tensor;
    int64_t at;
    float value;         /* put there */
    const char *type;    /* or: this type in the file */
    bool gone, twice;    /* or: the tensor is left out, or comes under another name too */
    int64_t rows;        /* or: this first dimension, the second divided */
    genet_status status;
    const char *word;
} change;

static gn_st_tensor *find(gn_st_tensor *t, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(t[i].name, name))
            return &t[i];
    fail_msg("no %s", name);
    return NULL;
}

static void refuse(const char *path, const change *x)
{
    char out[4096];
    genet_error e;
    gn_safetensors st;
    gn_checkpoint c;
    gn_folded *f;
    float one[64];
    signed char bytes[8192];
    MUST(gn_safetensors_open(&st, path, &e));
    int count = st.count;
    gn_st_tensor *t = calloc((size_t)count + 1, sizeof *t), *victim;
    memcpy(t, st.tensors, (size_t)count * sizeof *t);
    victim = find(t, count, x->tensor);
    if (x->gone) {
        *victim = t[--count];
    } else if (x->twice) {
        t[count] = *victim;
        t[count++].name = (char *)"stranger.weight";
    } else if (x->type) {
        snprintf(victim->dtype, sizeof victim->dtype, "%s", x->type);
        victim->data = memset(bytes, 0, sizeof bytes);
    } else if (x->rows) {
        victim->dim[1] = victim->dim[1] * victim->dim[0] / x->rows;
        victim->dim[0] = x->rows;
    } else if (!strcmp(victim->dtype, "I8")) {
        memcpy(bytes, victim->data, (size_t)victim->bytes);
        bytes[x->at] = (signed char)x->value;
        victim->data = (const unsigned char *)bytes;
    } else {
        memcpy(one, victim->data, (size_t)victim->bytes);
        one[x->at] = x->value;
        victim->data = (const unsigned char *)one;
    }
    MUST(gn_safetensors_write(scratch(out, "changed.safetensors"), t, count, (const char *const *)st.meta_keys,
                              (const char *const *)st.meta_values, st.meta_count, NULL, &e));
    genet_status status = gn_quantized_load(&c, &f, out, &e);
    if (status != x->status)
        fail_msg("%s: status %d", x->tensor, status);
    SAYS(e, "changed.safetensors");
    SAYS(e, x->word);
    assert_true(!f && !c.model && !c.classes);
    free(t);
    gn_safetensors_close(&st);
}

static const char *whole(char path[4096])
{
    genet_error e;
    gn_checkpoint c;
    gn_folded *f = make(&c, GN_SE, GN_FORM_PAPER, 0);
    MUST(gn_quantized_save(&c, f, scratch(path, "int8.safetensors"), NULL, &e));
    gn_folded_free(f);
    gn_checkpoint_free(&c);
    return path;
}

static void changes_are_refused(void **state)
{
    (void)state;
    static const change changes[] = {
        {.tensor = "layer1.0.conv2.weight", .at = 5, .value = -128, .status = GENET_FORMAT, .word = "-127 to 127"},
        {.tensor = "layer1.0.conv2.scale", .at = 3, .value = 0, .status = GENET_FORMAT, .word = "layer1.0.conv2.scale"},
        {.tensor = "layer1.0.conv2.scale", .at = 0, .value = -1, .status = GENET_FORMAT, .word = "layer1.0.conv2.scale"},
        {.tensor = "layer1.0.conv2.scale", .at = 1, .value = NAN, .status = GENET_FORMAT, .word = "layer1.0.conv2.scale"},
        {.tensor = "layer1.0.conv2.scale", .at = 1, .value = INFINITY, .status = GENET_FORMAT, .word = "layer1.0.conv2.scale"},
        {.tensor = "layer1.0.conv2.input_scale", .at = 0, .value = 0, .status = GENET_FORMAT, .word = "1e-10"},
        {.tensor = "layer1.0.conv3.input_scale",
         .at = 0,
         .value = NAN,
         .status = GENET_FORMAT,
         .word = "layer1.0.conv3.input_scale"},
        {.tensor = "layer2.0.down.conv.input_scale", .at = 0, .value = 0.5f, .status = GENET_FORMAT, .word = "the same map"},
        {.tensor = "layer1.0.conv2.weight", .type = "U8", .status = GENET_FORMAT, .word = "I8"},
        {.tensor = "layer1.0.conv2.weight", .type = "F32", .status = GENET_FORMAT, .word = "I8"},
        {.tensor = "layer1.0.conv2.scale", .type = "F16", .status = GENET_FORMAT, .word = "F32"},
        {.tensor = "head.bias", .type = "I8", .status = GENET_FORMAT, .word = "F32"},
        {.tensor = "layer3.1.conv2.input_scale", .gone = true, .status = GENET_FORMAT, .word = "missing"},
        {.tensor = "layer1.0.conv2.bias", .gone = true, .status = GENET_FORMAT, .word = "missing"},
        {.tensor = "layer1.0.conv1.bias", .twice = true, .status = GENET_MISMATCH, .word = "stranger.weight"},
        {.tensor = "layer1.0.conv2.weight", .rows = 2, .status = GENET_MISMATCH, .word = "(2,8,3,3)"},
    };
    char path[4096];
    whole(path);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        refuse(path, &changes[i]);
}

static void cut_and_flipped_files_are_survived(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_map m;
    gn_checkpoint c;
    gn_folded *f;
    MUST(gn_map_open(&m, whole(path), &e));
    unsigned char *copy = malloc(m.bytes);
    assert_non_null(copy);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(gn_quantized_parse(&c, &f, m.data, m.bytes * i / 200, "cut", &e), GENET_FORMAT);
    for (uint64_t i = 0; i < 400; i++) { /* half of them in the header */
        memcpy(copy, m.data, m.bytes);
        copy[golden_hash("where", i) % (i % 2 ? m.bytes : 8192)] ^= (unsigned char)(1 << golden_hash("bit", i) % 8);
        if (gn_quantized_parse(&c, &f, copy, m.bytes, "flipped", &e) == GENET_OK) {
            const char *tensor, *why;
            assert_true(gn_quantized_sound(f, &tensor, &why));
            gn_folded_free(f);
            gn_checkpoint_free(&c);
        }
        assert_true(!c.model);
    }
    free(copy);
    gn_map_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(others_are_not_taken),
                                       cmocka_unit_test(changes_are_refused), cmocka_unit_test(cut_and_flipped_files_are_survived)};
    int failed = cmocka_run_group_tests_name("files of int8 networks", tests, NULL, NULL);
    remove_scratch();
    return failed;
}
