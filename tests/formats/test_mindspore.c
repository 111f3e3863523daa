/* SPDX-License-Identifier: Apache-2.0
 * MindSpore's .ckpt: the files that MindSpore 2.7.1 wrote, files made here byte by byte, and every way one can lie. The
 * networks are compared with the vectors' formula; their logits are in test_logits.c. */
#include "formats/formats_common.h"

#include "base/fault.h"
#include "formats/mindspore_ckpt.h"
#include "formats/wire.h"

static const char *small_file(char path[4096], const char *name)
{
    snprintf(path, 4096, "tests/data/formats/%s", name);
    return path;
}

/* --- files made here -------------------------------------------------------------------------------------------------------- */

typedef struct maker {
    gn_text bytes;
} maker;

static void put_message(maker *m, gn_message *message)
{
    size_t done = 0;
    assert_false(message->failed);
    for (int i = 0; i < message->blob_count; i++) {
        const gn_blob *b = &message->blobs[i];
        gn_text_put(&m->bytes, message->text.data + done, b->at - done);
        gn_text_put(&m->bytes, b->data, b->bytes);
        done = b->at;
    }
    gn_text_put(&m->bytes, message->text.data + done, message->text.length - done);
    gn_message_free(message);
}

/* One Value. rank -1: dims [0]. */
static void put_value(maker *m, const char *tag, const char *type, int rank, const int64_t *dim, const void *data, size_t n)
{
    gn_message all = {0}, value = {0}, tensor = {0};
    gn_message_string(&value, 1, tag);
    if (rank < 0)
        gn_message_int(&tensor, 1, 0);
    for (int i = 0; i < rank; i++)
        gn_message_int(&tensor, 1, dim[i]);
    gn_message_string(&tensor, 2, type);
    gn_message_bytes(&tensor, 3, data, n);
    gn_message_add(&value, 2, &tensor);
    gn_message_add(&all, 1, &value);
    put_message(m, &all);
}

static genet_status parse(maker *m, gn_file_tensors *t, genet_error *e)
{
    memset(t, 0, sizeof *t);
    return gn_mindspore_ckpt_parse(t, (const unsigned char *)m->bytes.data, m->bytes.length, "made.ckpt", e);
}

static void scalars_and_slices(void **state)
{
    (void)state;
    const float v[6] = {1, 2, 3, 4, 5, 6};
    const int64_t dim[2] = {2, 3}, one[1] = {1};
    maker m = {0};
    gn_file_tensors t;
    genet_error e;
    float back[6];
    put_value(&m, "z.scalar", "Float32", 0, NULL, v, 4);
    put_value(&m, "y.scalar", "Float32", -1, NULL, v + 1, 4);
    put_value(&m, "cut", "Float32", 2, dim, v, 8);
    put_value(&m, "cut", "Float32", 2, dim, v + 2, 12);
    put_value(&m, "cut", "Float32", 2, dim, v + 5, 4);
    put_value(&m, "again", "Float32", 1, one, v, 4);
    put_value(&m, "words", "str", 0, NULL, "abc", 3);
    put_value(&m, "again", "Float32", 1, one, v + 3, 4);
    put_value(&m, "empty", "Float32", -1, NULL, "", 0);
    MUST(parse(&m, &t, &e));
    assert_int_equal(t.count, 7);
    assert_int_equal(gn_file_tensors_find(&t, "z.scalar")->rank, 0);
    const gn_file_tensor *y = gn_file_tensors_find(&t, "y.scalar"), *cut = gn_file_tensors_find(&t, "cut");
    assert_true(y->rank == 0 && y->count == 1);
    MUST(gn_file_tensor_read(&t, y, back, &e));
    assert_true(back[0] == 2);
    assert_int_equal(cut->piece_count, 3);
    MUST(gn_file_tensor_read(&t, cut, back, &e));
    assert_memory_equal(back, v, sizeof v);
    MUST(gn_file_tensor_read(&t, gn_file_tensors_find(&t, "again"), back, &e)); /* of two with one name the later counts */
    assert_true(back[0] == 4);
    assert_int_equal(gn_file_tensor_read(&t, gn_file_tensors_find(&t, "words"), back, &e), GENET_FORMAT);
    assert_int_equal(gn_file_tensors_find(&t, "empty")->count, 0);
    gn_file_tensors_free(&t);
    gn_text_free(&m.bytes);
}

static void refuse_made(maker *m, const char *word)
{
    gn_file_tensors t;
    genet_error e = {0};
    assert_int_equal(parse(m, &t, &e), GENET_FORMAT);
    SAYS(e, word);
    SAYS(e, "made.ckpt");
    gn_file_tensors_free(&t);
    gn_text_free(&m->bytes);
}

static void lies_are_refused(void **state)
{
    (void)state;
    const float v[6] = {0};
    const int64_t two[1] = {2}, huge[2] = {INT64_MAX, 2}, negative[1] = {-1}, nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    maker m = {0};
    put_value(&m, "a", "Float32", 1, two, v, 4);
    refuse_made(&m, "needs 8 bytes, the file holds 4");
    put_value(&m, "a", "Float32", 1, two, v, 12);
    refuse_made(&m, "needs 8 bytes, the file holds 12");
    put_value(&m, "a", "Float32", 1, two, v, 4);
    put_value(&m, "b", "Float32", 1, two, v, 8);
    refuse_made(&m, "tensor a");
    put_value(&m, "a", "Float32", 1, two, v, 4);
    put_value(&m, "a", "Float64", 1, two, v, 8);
    refuse_made(&m, "slices disagree");
    put_value(&m, "a", "Float32", 1, two, v, 3);
    refuse_made(&m, "no whole number");
    put_value(&m, "a", "Float32", 2, huge, v, 4);
    refuse_made(&m, "counted");
    put_value(&m, "a", "Float32", 1, negative, v, 4);
    refuse_made(&m, "dimensions");
    put_value(&m, "a", "Float32", 9, nine, v, 4);
    refuse_made(&m, "dimensions");
    gn_message other = {0};
    gn_message_int(&other, 2, 7);
    put_message(&m, &other);
    refuse_made(&m, "a field that checkpoints do not have");
    gn_message all = {0}, value = {0};
    gn_message_string(&value, 1, "only a name");
    gn_message_add(&all, 1, &value);
    put_message(&m, &all);
    refuse_made(&m, "without a tensor");
}

static void wire_faults(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t n; } bad[] = {
        {"\x08", 1}, {"\x0a\x05x", 3}, {"\x0b", 1}, {"\x0d\x01\x02", 3}, {"\x09\x01", 2}, {"\x00\x01", 2},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gn_wire w = gn_wire_over(bad[i].bytes, bad[i].n);
        gn_field f;
        while (gn_wire_next(&w, &f))
            continue;
        assert_true(w.bad);
    }
    gn_wire w = gn_wire_over("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    gn_field f;
    assert_true(gn_wire_next(&w, &f) && f.value == UINT64_MAX && !gn_wire_next(&w, &f) && !w.bad);
}

/* --- MindSpore's own small files ---------------------------------------------------------------------------------------------- */

static void crc_trailer(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_map plain, crc;
    gn_file_tensors t = {0};
    MUST(gn_map_open(&plain, small_file(path, "tiny_plain.ckpt"), &e));
    MUST(gn_map_open(&crc, small_file(path, "tiny_crc.ckpt"), &e));
    assert_int_equal(crc.bytes, plain.bytes + 17);
    assert_memory_equal(crc.data, plain.data, plain.bytes);
    for (int k = 0; k < 2; k++) {
        const gn_map *m = k ? &crc : &plain;
        float back[12];
        MUST(gn_mindspore_ckpt_parse(&t, m->data, m->bytes, "tiny", &e));
        const gn_file_tensor *w = gn_file_tensors_find(&t, "fc.weight");
        assert_true(t.count == 2 && w && w->rank == 2 && w->dim[0] == 3 && w->dim[1] == 4);
        MUST(gn_file_tensor_read(&t, w, back, &e));
        for (int i = 0; i < 12; i++)
            assert_true(back[i] == (float)(1.2 * __builtin_sqrt(3.0 / 4)) * (float)golden_u("fc.weight", (uint64_t)i));
        gn_file_tensors_free(&t);
    }
    unsigned char *copy = malloc(crc.bytes);
    assert_non_null(copy);
    for (size_t i = 0; i < crc.bytes; i++) { /* every single flipped bit is found */
        if (i >= plain.bytes && i < plain.bytes + 7)
            continue; /* without the word there is no trailer: refused as a broken entry */
        memcpy(copy, crc.data, crc.bytes);
        copy[i] ^= 0x10;
        assert_int_equal(gn_mindspore_ckpt_parse(&t, copy, crc.bytes, "tiny", &e), GENET_FORMAT);
        gn_file_tensors_free(&t);
    }
    free(copy);
    gn_map_close(&plain);
    gn_map_close(&crc);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_map m;
    gn_file_tensors t = {0};
    MUST(gn_map_open(&m, small_file(path, "tiny_plain.ckpt"), &e));
    for (size_t n = 1, whole = 0; n < m.bytes; n++) {
        unsigned char *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, m.data, n);
        genet_status status = gn_mindspore_ckpt_parse(&t, copy, n, "cut", &e);
        whole += status == GENET_OK; /* between two entries a cut cannot be seen; the network then lacks a weight */
        assert_true(status == GENET_OK ? t.count == 1 && whole == 1 : status == GENET_FORMAT);
        gn_file_tensors_free(&t);
        free(copy);
    }
    gn_map_close(&m);
}

static void encrypted_files_are_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"tiny_encrypted_gcm.ckpt", "tiny_encrypted_cbc.ckpt"};
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gn_checkpoint_load(&c, small_file(path, files[i]), &e), GENET_FORMAT);
        SAYS(e, "encrypted");
        SAYS(e, i ? "AES-CBC" : "AES-GCM");
        SAYS(e, "dec_key");
    }
    assert_int_equal(gn_checkpoint_load(&c, small_file(path, "tiny_plain.ckpt"), &e), GENET_FORMAT);
    SAYS(e, "no stem");
}

/* --- networks --------------------------------------------------------------------------------------------------------- */

static const char *const variant_files[] = {NULL, "se", "theta-minus", "theta", "theta-plus"};

static void networks_come_back(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    for (int v = GN_SE; v <= GN_THETA_PLUS; v++) {
        gn_checkpoint a, b;
        gn_map ours, theirs;
        char name[64];
        make_checkpoint(&a, narrow_spec((gn_variant)v), GN_NAMES_MINDSPORE, 1.2);
        MUST(gn_mindspore_ckpt_write(&a, &a.weights, NULL, scratch(path, "ours.ckpt"), &e));
        MUST(gn_checkpoint_load(&b, path, &e));
        assert_memory_equal(&a.model->spec, &b.model->spec, sizeof a.model->spec);
        assert_true(same_weights(&a.weights, &b.weights));
        assert_true(b.classes_unknown && b.class_count == 10 && !b.momentum && b.preprocess.mindspore && !b.preprocess.exif);
        assert_string_equal(b.origin, "mindspore");
        MUST(gn_map_open(&ours, path, &e));
        snprintf(name, sizeof name, "mindspore/narrow_%s.ckpt", variant_files[v]);
        if (golden(path, name)) { /* byte for byte what MindSpore wrote */
            MUST(gn_map_open(&theirs, path, &e));
            assert_int_equal(ours.bytes, theirs.bytes);
            assert_memory_equal(ours.data, theirs.data, ours.bytes);
            gn_map_close(&theirs);
        }
        gn_map_close(&ours);
        gn_checkpoint_free(&a);
        gn_checkpoint_free(&b);
    }
}

static void paper_networks_are_not_written(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    make_checkpoint(&c, small_spec(GN_THETA_PLUS, 0), GN_NAMES_GENET, 1);
    assert_int_equal(gn_mindspore_ckpt_write(&c, &c.weights, NULL, scratch(path, "no.ckpt"), &e), GENET_MISMATCH);
    SAYS(e, "--form mindspore");
    assert_false(gn_file_exists(path));
    gn_checkpoint_free(&c);
}

static void a_training_checkpoint(void **state)
{
    (void)state;
    char path[4096], again[4096];
    genet_error e;
    gn_checkpoint a, b;
    if (!golden(path, "mindspore/train_theta-plus_GENet-4_3.ckpt"))
        skip();
    MUST(gn_checkpoint_load(&a, path, &e));
    assert_int_equal(a.model->spec.variant, GN_THETA_PLUS);
    assert_non_null(a.momentum);
    float most = 0;
    for (int64_t i = 0; i < a.model->weights.param_count; i++)
        most = a.momentum[i] > most ? a.momentum[i] : most;
    assert_true(most > 0);
    MUST(gn_mindspore_ckpt_write(&a, &a.weights, a.momentum, scratch(again, "state.ckpt"), &e));
    MUST(gn_checkpoint_load(&b, again, &e));
    assert_true(same_weights(&a.weights, &b.weights));
    assert_memory_equal(a.momentum, b.momentum, (size_t)a.model->weights.param_count * 4);
    gn_checkpoint_free(&a);
    gn_checkpoint_free(&b);
    if (!golden(path, "mindspore/train_theta-minus_final.safetensors"))
        skip();
    MUST(gn_checkpoint_load(&a, path, &e)); /* MindSpore's own safetensors, the same names */
    assert_int_equal(a.model->spec.variant, GN_THETA_MINUS);
    assert_non_null(a.momentum);
    gn_checkpoint_free(&a);
}

/* --- files of other orders, types and holes --------------------------------------------------------------------------- */

typedef struct changes {
    const char *without, *prefix;
    bool reversed, wide, moments, sliced;
    const char *reshaped; /* gets a dimension of 1 behind its own */
} changes;

static void put_weight(maker *m, const gn_checkpoint *c, int i, const changes *x, const char *before)
{
    const gn_weight *w = &c->model->weights.items[i];
    const float *data = gn_weights_at(&c->weights, i);
    int64_t dim[5] = {w->dim[0], w->dim[1], w->dim[2], w->dim[3], 1};
    char name[GN_NAME_SIZE], tag[200];
    assert_true(gn_name_to(name, GN_NAMES_MINDSPORE, w->name));
    snprintf(tag, sizeof tag, "%s%s%s", before, x->prefix ? x->prefix : "", name);
    if (x->without && !strcmp(x->without, tag))
        return;
    int rank = w->rank + (x->reshaped && !strcmp(x->reshaped, name));
    if (x->wide) {
        double *twice = calloc((size_t)w->count, 8);
        assert_non_null(twice);
        for (int64_t k = 0; k < w->count; k++)
            twice[k] = data[k];
        put_value(m, tag, "Float64", rank, dim, twice, (size_t)w->count * 8);
        free(twice);
    } else if (x->sliced && w->count > 1) {
        size_t half = (size_t)w->count / 2;
        put_value(m, tag, "Float32", rank, dim, data, half * 4);
        put_value(m, tag, "Float32", rank, dim, data + half, ((size_t)w->count - half) * 4);
    } else {
        put_value(m, tag, "Float32", rank, dim, data, (size_t)w->count * 4);
    }
}

static genet_status load_changed(gn_checkpoint *out, const gn_checkpoint *c, const changes *x, genet_error *e)
{
    maker m = {0};
    char path[4096];
    const float scalar = 0.9f;
    const int32_t step = 12;
    const int64_t one[1] = {1};
    int n = c->model->weights.count;
    put_value(&m, "global_step", "Int32", 1, one, &step, 4);
    for (int i = 0; i < n; i++)
        put_weight(&m, c, x->reversed ? n - 1 - i : i, x, "");
    put_value(&m, "momentum", "Float32", 0, NULL, &scalar, 4);
    for (int i = 0; x->moments && i < n; i++)
        if (c->model->weights.items[i].trainable)
            put_weight(&m, c, i, x, "moments.");
    genet_error e2;
    genet_error *keep = e;
    e = &e2;
    must_(gn_file_write(scratch(path, "changed.ckpt"), m.bytes.data, m.bytes.length, e), e, __LINE__);
    gn_text_free(&m.bytes);
    return gn_checkpoint_load(out, path, keep);
}

static void any_order_type_and_prefix(void **state)
{
    (void)state;
    static const changes good[] = {{.reversed = true},
                                   {.wide = true},
                                   {.prefix = "network."},
                                   {.prefix = "network.", .moments = true},
                                   {.moments = true, .reversed = true},
                                   {.sliced = true, .moments = true},
                                   {.reshaped = "end_point.bias"}};
    genet_error e;
    gn_checkpoint c, back;
    make_checkpoint(&c, narrow_spec(GN_THETA_PLUS), GN_NAMES_MINDSPORE, 1.2);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        MUST(load_changed(&back, &c, &good[i], &e));
        assert_memory_equal(&back.model->spec, &c.model->spec, sizeof c.model->spec);
        assert_true(same_weights(&back.weights, &c.weights));
        assert_int_equal(back.momentum != NULL, good[i].moments);
        gn_checkpoint_free(&back);
    }
    gn_checkpoint_free(&c);
}

static void holes_are_never_filled(void **state)
{
    (void)state;
    static const struct { changes x; const char *word; } bad[] = {
        {{.without = "layer2.0.conv2.conv.weight", .moments = true}, "layer2.0.conv2.conv.weight is missing"},
        {{.without = "layer1.1.downop.3.moving_variance"}, "layer1.1.downop.3.moving_variance is missing"},
        {{.without = "moments.layer3.0.mlpLayer.0.weight", .moments = true}, "moments.layer3.0.mlpLayer.0.weight is missing"},
        {{.without = "end_point.weight", .moments = true}, "no classifier"},
        {{.without = "conv1.weight"}, "no stem"},
        {{.without = "layer1.0.downop.2.weight"}, "gather kernels"}};
    genet_error e;
    gn_checkpoint c, back;
    make_checkpoint(&c, narrow_spec(GN_THETA_PLUS), GN_NAMES_MINDSPORE, 1.2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        genet_status status = load_changed(&back, &c, &bad[i].x, &e);
        assert_true(status == GENET_FORMAT || status == GENET_MISMATCH);
        SAYS(e, bad[i].word);
    }
    gn_checkpoint_free(&c);
}

static void published_networks_are_recognised(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 112517498, 102455860, 124644653, 134706291}; /* seed specification, 3.4 */
    char path[4096];
    genet_error e;
    for (int v = GN_SE; v <= GN_THETA_PLUS; v++) {
        gn_checkpoint c = {0}, back;
        gn_map m;
        gn_model_spec spec = {.variant = (gn_variant)v, .form = GN_FORM_MINDSPORE, .depth = 50, .width = 64, .size = 224,
                              .classes = 1000};
        MUST(gn_model_create(&c.model, &spec, &e));
        MUST(gn_weights_create(&c.weights, &c.model->weights, GN_F32, &e));
        MUST(gn_mindspore_ckpt_write(&c, &c.weights, NULL, scratch(path, "full.ckpt"), &e));
        MUST(gn_map_open(&m, path, &e));
        assert_int_equal(m.bytes, sizes[v]);
        gn_map_close(&m);
        MUST(gn_checkpoint_load(&back, path, &e));
        assert_memory_equal(&back.model->spec, &c.model->spec, sizeof c.model->spec);
        gn_checkpoint_free(&back);
        gn_checkpoint_free(&c);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_and_slices), cmocka_unit_test(lies_are_refused), cmocka_unit_test(wire_faults),
        cmocka_unit_test(crc_trailer), cmocka_unit_test(every_truncation_is_refused), cmocka_unit_test(encrypted_files_are_refused),
        cmocka_unit_test(networks_come_back), cmocka_unit_test(paper_networks_are_not_written),
        cmocka_unit_test(a_training_checkpoint), cmocka_unit_test(any_order_type_and_prefix),
        cmocka_unit_test(holes_are_never_filled), cmocka_unit_test(published_networks_are_recognised)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
