/* SPDX-License-Identifier: Apache-2.0
 * How a run starts and what it leaves: the start table, files and keep-N, a training that learns, warm steps that allocate
 * nothing, --init with other classes and another size, the frozen body, precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/mem.h"
#include "genet/bench.h"
#include "genet/infer.h"
#include "genet/model.h"
#include "infer/device.h"
#include "small.h"

static void must(genet_status status, const genet_error *err)
{
    if (status != GENET_OK)
        fail_msg("%s", err->text);
}

static bool there(const char *name)
{
    return gn_file_exists(small_path(name));
}

static void test_learns(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    genet_train_result result;
    must(small_train("learns", &seen, &result, &err, "epochs", "20", "rate", "0.05", "weight-decay", "1e-4", "save-epochs", "5",
                     "keep", "2", "crop-area-min", "0.5", "width", "0.125", NULL), &err);
    printf("top-1 after 20 epochs: %.3f (best %.3f)\n", result.final_top1, result.best_top1);
    assert_true(result.best_top1 > 0.6); /* 4 classes: chance is 0.25 */
    assert_int_equal(result.epochs_done, 20);
    assert_int_equal(seen.epochs, 20);
    assert_true(there("learns/last.safetensors") && there("learns/best.safetensors") && there("learns/run.json"));
    assert_true(there("learns/metrics.csv") && there("learns/curves.svg"));
    assert_true(there("learns/epoch-0015.safetensors") && there("learns/epoch-0020.safetensors"));
    assert_false(there("learns/epoch-0005.safetensors") || there("learns/epoch-0010.safetensors"));
    assert_int_equal(seen.least_allocations, 0);
    static const char *const rows[] = {"network: ", "form: paper", "parameters: ", "MACs: ", "input: 32 x 32", "memory: ",
                                       "device: ref", "precision: f32 (--amp off)", "threads: 2", "4 classes", "validation: ",
                                       "batch 8", "cosine", "seed: 1", "output: "};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strstr(seen.table, rows[i]))
            fail_msg("the start table has no \"%s\":\n%s", rows[i], seen.table);
    gn_checkpoint c;
    small_load(&c, "learns", "best.safetensors");
    assert_null(c.momentum);
    assert_int_equal(c.class_count, 4);
    assert_int_equal(c.preprocess.size, 32);
    gn_checkpoint_free(&c);
}

/* eval on the validation set says what the last validation said, whatever the batch. */
static void test_evaluation_agrees(void **state)
{
    (void)state;
    genet_error err;
    genet_evaluation *e;
    genet_config *config;
    gn_checkpoint c;
    must(genet_config_create(&config, &err), &err);
    must(genet_config_set(config, "model", small_path("learns/last.safetensors"), &err), &err);
    must(genet_config_set(config, "data", small_path("data/val"), &err), &err);
    must(genet_config_set(config, "backend", "ref", &err), &err);
    must(genet_config_set(config, "amp", "off", &err), &err);
    must(genet_config_set(config, "batch", "7", &err), &err);
    must(genet_evaluate(config, NULL, NULL, &e, &err), &err);
    small_load(&c, "learns", "last.safetensors");
    const char *top1 = strstr(c.progress, "\"val_top1\":"), *loss = strstr(c.progress, "\"val_loss\":");
    assert_true(fabs(atof(top1 + 11) - e->top1) < 1e-9);
    assert_true(fabs(atof(loss + 11) - e->loss) < 1e-4); /* folded batch norm rounds otherwise */
    assert_true(e->top1_low < e->top1 && e->top1 < e->top1_high);
    int64_t images = 0, correct = 0, predicted = 0;
    for (int k = 0; k < e->class_count; k++) {
        images += e->classes[k].images;
        predicted += e->classes[k].predicted;
        correct += e->classes[k].correct;
    }
    assert_int_equal(images, e->images);
    assert_int_equal(predicted, e->images);
    assert_true(fabs((double)correct / (double)images - e->top1) < 1e-12);
    int64_t confused = 0;
    for (int i = 0; i < e->pair_count; i++)
        confused += e->pairs[i].images;
    assert_int_equal(confused, images - correct);
    genet_evaluation_free(e);
    must(genet_config_set(config, "size", "48", &err), &err);
    must(genet_evaluate(config, NULL, NULL, &e, &err), &err);
    assert_non_null(strstr(e->notes, "8 gather kernels resampled from 32 to 48"));
    genet_evaluation_free(e);
    must(genet_config_set(config, "data", small_path("data/absent"), &err), &err);
    assert_int_equal(genet_evaluate(config, NULL, NULL, &e, &err), GENET_IO);
    gn_checkpoint_free(&c);
    genet_config_free(config);
}

/* --- using the model -------------------------------------------------------------------------------------------------------- */

static void first_picture(char *path, size_t size)
{
    char command[2 * SMALL_PATH];
    snprintf(command, sizeof command, "ls '%s'/*/*.jpg", small_path("data/val"));
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(path, (int)size, f));
    path[strcspn(path, "\n")] = '\0';
    char rest[SMALL_PATH];
    while (fgets(rest, sizeof rest, f)) {
    }
    pclose(f);
}

static void test_session(void **state)
{
    (void)state;
    genet_error err;
    genet_config *config;
    genet_session *session;
    genet_prediction best[10];
    int found;
    char picture[SMALL_PATH];
    must(genet_config_create(&config, &err), &err);
    assert_int_equal(genet_session_open(&session, config, &err), GENET_USAGE);
    assert_null(session);
    must(genet_config_set(config, "model", small_path("learns/best.safetensors"), &err), &err);
    must(genet_config_set(config, "backend", "ref", &err), &err);
    must(genet_session_open(&session, config, &err), &err);
    assert_int_equal(genet_session_class_count(session), 4);
    assert_int_equal(genet_session_input_size(session), 32);
    assert_null(genet_session_class_name(session, 4));
    first_picture(picture, sizeof picture);
    must(genet_session_classify_file(session, picture, best, 10, &found, &err), &err);
    assert_int_equal(found, 4);
    double sum = 0;
    for (int i = 0; i < found; i++) {
        sum += (double)best[i].probability;
        assert_true(i == 0 || best[i].probability <= best[i - 1].probability);
        assert_string_equal(best[i].class_name, genet_session_class_name(session, best[i].class_index));
    }
    assert_true(fabs(sum - 1) < 1e-5);
    assert_int_equal(genet_session_classify(session, "no picture", 10, best, 1, &found, &err), GENET_DATA);
    assert_int_equal(found, 0);
    genet_session_close(session);
    genet_config_free(config);
}

static void test_descriptions(void **state)
{
    (void)state;
    genet_error err;
    genet_config *config;
    char *text;
    json_error_t e;
    must(genet_config_create(&config, &err), &err);
    must(genet_config_set(config, "model", small_path("learns/last.safetensors"), &err), &err);
    must(genet_model_describe(config, 1, &text, &err), &err);
    json_t *j = json_loads(text, 0, &e);
    assert_non_null(j);
    assert_int_equal(json_array_size(json_object_get(j, "classes")), 4);
    assert_string_equal(json_string_value(json_object_get(j, "variant")), "theta-plus");
    assert_true(json_is_object(json_object_get(j, "settings")) && json_is_true(json_object_get(j, "momentum")));
    json_decref(j);
    genet_free(text);
    must(genet_model_describe(config, 0, &text, &err), &err);
    assert_non_null(strstr(text, "training      20 epochs, 200 steps; validation top-1 "));
    assert_non_null(strstr(text, "epochs 20"));
    genet_free(text);
    must(genet_build_describe(1, &text, &err), &err);
    j = json_loads(text, 0, &e);
    assert_non_null(j);
    assert_non_null(json_object_get(json_object_get(j, "libraries"), "libjpeg-turbo"));
    json_decref(j);
    genet_free(text);
    must(genet_build_describe(0, &text, &err), &err);
    assert_non_null(strstr(text, "backend ref"));
    genet_free(text);
    genet_config_free(config);
}

static void test_bench(void **state)
{
    (void)state;
    genet_error err;
    genet_config *config;
    char *text;
    json_error_t e;
    static const char *const small[][2] = {{"depth", "26"}, {"width", "0.0625"}, {"size", "32"}, {"batch", "1"}};
    must(genet_config_create(&config, &err), &err);
    for (int i = 0; i < 4; i++)
        must(genet_config_set(config, small[i][0], small[i][1], &err), &err);
    assert_int_equal(genet_bench(config, "weather", 0, &text, &err), GENET_USAGE);
    assert_int_equal(genet_bench(config, "loader", 0, &text, &err), GENET_USAGE); /* no data */
    must(genet_bench(config, "infer", 1, &text, &err), &err);
    json_t *j = json_loads(text, 0, &e);
    assert_non_null(j);
    json_t *run = json_array_get(json_object_get(j, "runs"), 0);
    assert_true(json_real_value(json_object_get(run, "best_images_per_second")) > 0);
    assert_true(json_array_size(json_object_get(run, "operations")) > 3);
    json_decref(j);
    genet_free(text);
    genet_config_free(config);
}

/* --- starting from another model ------------------------------------------------------------------------------------------ */

static const float *row_of(const gn_checkpoint *c, int row)
{
    int k = gn_weight_find(&c->model->weights, "head.weight");
    return (const float *)gn_weights_at(&c->weights, k) + (size_t)row * (size_t)c->model->weights.items[k].dim[1];
}

static int class_at(const gn_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->class_count; i++)
        if (!strcmp(c->classes[i], name))
            return i;
    fail_msg("class %s is missing", name);
    return -1;
}

/* Two of the four classes stay, one is called otherwise, one is gone. */
static void make_other_classes(char kept[2][256])
{
    genet_error err;
    char command[3 * SMALL_PATH];
    gn_checkpoint c;
    small_load(&c, "learns", "best.safetensors");
    snprintf(command, sizeof command,
             "cp -r '%s' '%s' && cd '%s' && for s in train val; do mv \"$s/%s\" $s/aaa-new && rm -r \"$s/%s\"; done",
             small_path("data"), small_path("renamed"), small_path("renamed"), c.classes[0], c.classes[1]);
    assert_int_equal(system(command), 0);
    snprintf(kept[0], 256, "%s", c.classes[2]);
    snprintf(kept[1], 256, "%s", c.classes[3]);
    gn_checkpoint_free(&c);
    (void)err;
}

static void test_init_and_freeze(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    char kept[2][256], init[SMALL_PATH];
    gn_checkpoint from, to;
    make_other_classes(kept);
    snprintf(init, sizeof init, "%s", small_path("learns/best.safetensors"));
    assert_int_equal(small_train("wrong", NULL, NULL, &err, "init", init, NULL), GENET_MISMATCH); /* width was said */
    assert_non_null(strstr(err.text, "width"));
    must(small_train("head", &seen, NULL, &err, "init", init, "width", "0.125", "data", small_path("renamed/train"), "val",
                     small_path("renamed/val"), "freeze-body", "1", "rate", "0", "weight-decay", "0.1", NULL), &err);
    assert_non_null(strstr(seen.log, "head: 2 of 3 classes taken"));
    assert_non_null(strstr(seen.log, "head: 1 classes are new: aaa-new"));
    small_load(&from, "learns", "best.safetensors");
    small_load(&to, "head", "last.safetensors");
    for (int i = 0; i < 2; i++)
        assert_memory_equal(row_of(&to, class_at(&to, kept[i])), row_of(&from, class_at(&from, kept[i])),
                            (size_t)to.model->weights.items[gn_weight_find(&to.model->weights, "head.weight")].dim[1] * 4);
    gn_checkpoint_free(&to);
    must(small_train("head2", &seen, NULL, &err, "init", init, "width", "0.125", "data", small_path("renamed/train"), "val",
                     small_path("renamed/val"), "freeze-body", "1", "rate", "0.1", NULL), &err);
    small_load(&to, "head2", "last.safetensors");
    int moved = 0;
    for (int k = 0; k < to.model->weights.count; k++) { /* the body, statistics included, has the same bits; the head moved */
        const gn_weight *w = &to.model->weights.items[k];
        if (strncmp(w->name, "head.", 5) == 0)
            moved += memcmp(row_of(&to, class_at(&to, kept[0])), row_of(&from, class_at(&from, kept[0])), 16) != 0;
        else if (memcmp(gn_weights_at(&to.weights, k), gn_weights_at(&from.weights, k), (size_t)w->count * 4))
            fail_msg("%s of the frozen body changed", w->name);
    }
    assert_int_equal(moved, 2);
    gn_checkpoint_free(&from);
    gn_checkpoint_free(&to);
}

static void test_init_at_another_size(void **state)
{
    (void)state;
    genet_error err;
    small_seen seen = {0};
    char init[SMALL_PATH];
    gn_checkpoint c;
    snprintf(init, sizeof init, "%s", small_path("learns/best.safetensors"));
    must(small_train("bigger", &seen, NULL, &err, "init", init, "width", "0.125", "size", "48", "rate", "0.01", NULL), &err);
    assert_non_null(strstr(seen.log, "8 gather kernels resampled from 32 to 48"));
    assert_non_null(strstr(seen.log, "head: 4 of 4 classes taken"));
    small_load(&c, "bigger", "last.safetensors");
    assert_int_equal(c.model->spec.size, 48);
    gn_checkpoint_free(&c);
}

/* What --memory low computes twice has the same bits. */
static void test_low_memory(void **state)
{
    (void)state;
    genet_error err;
    gn_checkpoint a, b;
    must(small_train("normal", NULL, NULL, &err, NULL), &err);
    must(small_train("low", NULL, NULL, &err, "memory", "low", NULL), &err);
    small_load(&a, "normal", "last.safetensors");
    small_load(&b, "low", "last.safetensors");
    assert_true(small_equal(&a, &b));
    gn_checkpoint_free(&a);
    gn_checkpoint_free(&b);
}

/* --- precision ----------------------------------------------------------------------------------------------------------- */

static void test_precision(void **state)
{
    (void)state;
    char why[160];
    genet_error err;
    genet_train_result f32, bf16;
    assert_int_equal(gn_precision_choose(GN_CHOICE_AMP_AUTO, false, why, sizeof why), GN_F32);
    assert_non_null(strstr(why, "no native bf16"));
    assert_int_equal(gn_precision_choose(GN_CHOICE_AMP_AUTO, true, why, sizeof why), GN_BF16);
    assert_int_equal(gn_precision_choose(GN_CHOICE_AMP_OFF, true, why, sizeof why), GN_F32);
    assert_int_equal(gn_precision_choose(GN_CHOICE_AMP_BF16, false, why, sizeof why), GN_BF16);
    assert_non_null(strstr(why, "slower"));
    small_seen seen = {0};
    must(small_train("f32", NULL, &f32, &err, "epochs", "6", "rate", "0.01", NULL), &err);
    must(small_train("bf16", &seen, &bf16, &err, "epochs", "6", "rate", "0.01", "amp", "bf16", "loss-scale", "1024", NULL), &err);
    assert_non_null(strstr(seen.table, "bf16 maps, f32 weights"));
    assert_non_null(strstr(seen.log, "loss scale: not applied"));
    char *a = small_metrics("f32"), *b = small_metrics("bf16");
    double loss_a = atof(strstr(strstr(a, "\"epoch\":6,\"step\":60,\"best\""), "train_loss\":") + 12);
    double loss_b = atof(strstr(strstr(b, "\"epoch\":6,\"step\":60,\"best\""), "train_loss\":") + 12);
    printf("training loss of the sixth epoch: f32 %.4f, bf16 %.4f\n", loss_a, loss_b);
    assert_true(fabs(loss_a - loss_b) < 0.1 * loss_a && loss_a != loss_b);
    gn_free(a);
    gn_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_learns), cmocka_unit_test(test_evaluation_agrees),
                                       cmocka_unit_test(test_session), cmocka_unit_test(test_descriptions),
                                       cmocka_unit_test(test_bench),
                                       cmocka_unit_test(test_init_and_freeze), cmocka_unit_test(test_init_at_another_size),
                                       cmocka_unit_test(test_low_memory),
                                       cmocka_unit_test(test_precision)};
    return cmocka_run_group_tests_name("start", tests, small_make, small_done);
}
