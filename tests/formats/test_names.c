/* SPDX-License-Identifier: Apache-2.0
 * The table of names: both directions, for every network; whole files under other worlds' names; what is recognised and what
 * is refused. */
#include "formats/foreign.h"
#include "formats/formats_common.h"

/* Every weight of a network has a name there and comes back from it; different weights have different names. */
static void both_ways(gn_model_spec spec, gn_naming n)
{
    genet_error e;
    gn_model *m;
    char name[GN_NAME_SIZE], back[GN_NAME_SIZE];
    MUST(gn_model_create(&m, &spec, &e));
    for (int i = 0; i < m->weights.count; i++) {
        if (!gn_name_to(name, n, m->weights.items[i].name))
            fail_msg("%s has no name in %s", m->weights.items[i].name, gn_naming_text(n));
        assert_true(gn_name_from(back, n, name));
        assert_string_equal(back, m->weights.items[i].name);
    }
    gn_model_free(m);
}

static void names_go_both_ways(void **state)
{
    (void)state;
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++) {
        both_ways(narrow_spec((gn_variant)v), GN_NAMES_MINDSPORE);
        for (int extent = 0; extent <= (v > GN_SE ? 8 : 0); extent = extent ? extent * 2 : 2)
            both_ways(small_spec((gn_variant)v, extent), GN_NAMES_TIMM_GE);
    }
    both_ways(small_spec(GN_PLAIN, 0), GN_NAMES_TORCHVISION);
    both_ways(small_spec(GN_SE, 0), GN_NAMES_TIMM_SE);
    gn_model_spec deep = {.variant = GN_SE, .depth = 152, .width = 64, .size = 224, .classes = 1000};
    both_ways(deep, GN_NAMES_TIMM_SE);
}

static void known_names(void **state)
{
    (void)state;
    static const struct { gn_naming n; const char *ours, *theirs; } pairs[] = {
        {GN_NAMES_MINDSPORE, "stem.bn.running_var", "bn1.moving_variance"},
        {GN_NAMES_MINDSPORE, "layer1.2.conv3.weight", "layer1.2.conv3.conv.weight"},
        {GN_NAMES_MINDSPORE, "layer4.0.down.bn.bias", "layer4.0.down_layer.batchnorm.beta"},
        {GN_NAMES_MINDSPORE, "layer1.0.gate.gather.bn2.weight", "layer1.0.downop.3.gamma"},
        {GN_NAMES_MINDSPORE, "layer3.5.gate.mlp.fc2.weight", "layer3.5.mlpLayer.2.weight"},
        {GN_NAMES_MINDSPORE, "head.bias", "end_point.bias"},
        {GN_NAMES_TORCHVISION, "layer2.0.down.conv.weight", "layer2.0.downsample.0.weight"},
        {GN_NAMES_TORCHVISION, "layer2.0.down.bn.running_mean", "layer2.0.downsample.1.running_mean"},
        {GN_NAMES_TIMM_SE, "layer2.3.gate.mlp.fc1.bias", "layer2.3.se.fc1.bias"},
        {GN_NAMES_TIMM_GE, "layer2.3.gate.gather.bn3.running_var", "layer2.3.se.gather.norm3.running_var"},
        {GN_NAMES_TIMM_GE, "layer2.3.gate.mlp.fc1.bias", "layer2.3.se.mlp.fc1.bias"}};
    static const char *const strangers[] = {"global_step",
                                            "momentum",
                                            "moments.conv1.weight",
                                            "learning_rate",
                                            "bn1.num_batches_tracked",
                                            "layer1.0.conv1.weightx",
                                            "layer1..conv1.weight",
                                            "layer1.1234.conv1.weight",
                                            "",
                                            "bn1."};
    char name[GN_NAME_SIZE];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_true(gn_name_to(name, pairs[i].n, pairs[i].ours));
        assert_string_equal(name, pairs[i].theirs);
    }
    assert_false(gn_name_to(name, GN_NAMES_TORCHVISION, "layer1.0.gate.mlp.fc1.weight"));
    assert_false(gn_name_to(name, GN_NAMES_MINDSPORE, "layer1.0.gate.mlp.fc1.bias"));
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        for (int n = 0; n < GN_NAMES_COUNT; n++)
            assert_false(gn_name_from(name, (gn_naming)n, strangers[i]));
}

/* --- whole files -------------------------------------------------------------------------------------------------------------- */

static void bare_files_are_recognised(void **state)
{
    (void)state;
    static const struct { gn_variant v; int extent; gn_naming n; const char *prefix, *origin; } cases[] = {
        {GN_PLAIN, 0, GN_NAMES_TORCHVISION, "", "torchvision"},   {GN_PLAIN, 0, GN_NAMES_TORCHVISION, "module.", "torchvision"},
        {GN_SE, 0, GN_NAMES_TIMM_SE, "", "timm"},                 {GN_THETA, 2, GN_NAMES_TIMM_GE, "", "timm"},
        {GN_THETA, 4, GN_NAMES_TIMM_GE, "model.", "timm"},        {GN_THETA_PLUS, 8, GN_NAMES_TIMM_GE, "", "timm"},
        {GN_THETA_PLUS, 2, GN_NAMES_GENET, "", "genet"},          {GN_THETA, 0, GN_NAMES_GENET, "", "genet"},
        {GN_SE, 0, GN_NAMES_GENET, "", "genet"}};
    char path[4096];
    genet_error e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gn_checkpoint c, back;
        gn_model_spec spec = small_spec(cases[i].v, cases[i].extent);
        spec.size = cases[i].v == GN_THETA && !cases[i].extent ? 96 : 224; /* what bare tensors can tell, or the usual size */
        make_checkpoint(&c, spec, cases[i].n, 1);
        MUST(gn_checkpoint_load(&back, bare_file(path, &c, cases[i].n, cases[i].prefix, NULL), &e));
        assert_memory_equal(&back.model->spec, &c.model->spec, sizeof c.model->spec);
        assert_true(same_weights(&back.weights, &c.weights));
        assert_true(back.classes_unknown && !back.preprocess.mindspore && back.preprocess.exif);
        assert_string_equal(back.origin, cases[i].origin);
        gn_checkpoint_free(&c);
        gn_checkpoint_free(&back);
    }
}

static void holes_and_other_networks_are_refused(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c, back;
    make_checkpoint(&c, small_spec(GN_PLAIN, 0), GN_NAMES_TORCHVISION, 1);
    assert_int_equal(gn_checkpoint_load(&back, bare_file(path, &c, GN_NAMES_TORCHVISION, "", "layer3.1.bn2.running_mean"), &e),
                     GENET_FORMAT);
    SAYS(e, "layer3.1.bn2.running_mean is missing");
    assert_int_equal(gn_checkpoint_load(&back, bare_file(path, &c, GN_NAMES_TORCHVISION, "", "layer1.0.conv3.weight"), &e),
                     GENET_MISMATCH);
    SAYS(e, "bottleneck");
    gn_checkpoint_free(&c);
    gn_model_spec global = small_spec(GN_THETA, 0);
    global.size = 224;
    make_checkpoint(&c, global, GN_NAMES_TIMM_GE, 1);
    assert_int_equal(gn_checkpoint_load(&back, bare_file(path, &c, GN_NAMES_TIMM_GE, "", NULL), &e), GENET_UNSUPPORTED);
    SAYS(e, "timm");
    gn_checkpoint_free(&c);
}

static void exported_files_open_again_as_what_they_were(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    for (int v = GN_PLAIN; v <= GN_THETA_PLUS; v++)
        for (int extent = 0; extent <= (v > GN_SE ? 8 : 0); extent = extent ? extent * 2 : 2)
            for (int timm = v == GN_PLAIN ? 0 : 1; timm < 2; timm++) {
                gn_checkpoint c, back;
                make_checkpoint(&c, small_spec((gn_variant)v, extent), GN_NAMES_GENET, 1);
                MUST(gn_foreign_write(&c, &c.weights, timm, scratch(path, "foreign.safetensors"), NULL, &e));
                MUST(gn_checkpoint_load(&back, path, &e));
                assert_memory_equal(&back.model->spec, &c.model->spec, sizeof c.model->spec);
                assert_true(same_weights(&back.weights, &c.weights));
                assert_string_equal(back.classes[3], "class 3");
                gn_checkpoint_free(&c);
                gn_checkpoint_free(&back);
            }
    gn_checkpoint c;
    make_checkpoint(&c, small_spec(GN_SE, 0), GN_NAMES_GENET, 1);
    assert_int_equal(gn_foreign_write(&c, &c.weights, false, path, NULL, &e), GENET_MISMATCH);
    SAYS(e, "safetensors-timm");
    gn_checkpoint_free(&c);
    make_checkpoint(&c, narrow_spec(GN_SE), GN_NAMES_MINDSPORE, 1);
    assert_int_equal(gn_foreign_write(&c, &c.weights, true, path, NULL, &e), GENET_MISMATCH);
    gn_checkpoint_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways), cmocka_unit_test(known_names), cmocka_unit_test(bare_files_are_recognised),
        cmocka_unit_test(holes_and_other_networks_are_refused), cmocka_unit_test(exported_files_open_again_as_what_they_were)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
