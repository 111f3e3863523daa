/* SPDX-License-Identifier: Apache-2.0
 * Networks of the published size, and timm's Gather-Excite layers: files under other worlds' names are loaded and give the
 * logits that those frameworks computed (golden vectors). Uses the fastest backend that is built in. */
#include "formats/run_ref.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* twelve passes of a ResNet-50 would take minutes */
#else
enum { SANITIZED = 0 };
#endif

static float ours[2 * 1000], theirs[2 * 1000];

static void compare(const gn_checkpoint *c, const char *file, const char *tensor, double bound)
{
    char path[4096];
    genet_error e;
    gn_safetensors f;
    int side = c->model->spec.size, n = 2 * c->model->spec.classes;
    float *x = malloc((size_t)side * (size_t)side * 6 * sizeof *x);
    assert_non_null(x);
    snprintf(path, sizeof path, "tests/data/formats/%s", file);
    MUST(gn_safetensors_open(&f, path, &e));
    const gn_st_tensor *t = gn_safetensors_find(&f, tensor);
    assert_non_null(t);
    assert_int_equal(t->count, n);
    MUST(gn_st_to_f32(t, theirs, &e));
    gn_safetensors_close(&f);
    golden_images(x, GN_F32, "input", 2, 0, side);
    run_on(gn_backend_find("auto", &e), c, GN_F32, x, false, 2, ours);
    double miss = largest_difference(ours, theirs, n) / rms(theirs, n);
    print_message("%s: %.1e of the rms\n", tensor, miss);
    assert_true(miss < bound);
    free(x);
}

/* By way of a file under naming n. */
static void foreign(gn_model_spec spec, gn_naming n, gn_variant really, int extent, const char *tensor)
{
    char path[4096];
    genet_error e;
    gn_checkpoint c, back;
    make_checkpoint(&c, spec, n, 0.3);
    MUST(gn_checkpoint_load(&back, bare_file(path, &c, n, "", NULL), &e));
    gn_checkpoint_free(&c);
    unlink(path);
    back.model->spec.variant = really; /* a gate without weights leaves no trace in a file, nor does the input's size */
    back.model->spec.extent = extent;
    back.model->spec.size = spec.size;
    compare(&back, "pytorch_fullwidth.safetensors", tensor, 2e-5);
    gn_checkpoint_free(&back);
}

static void torchvision_and_timm(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    gn_model_spec s = {.variant = GN_PLAIN, .depth = 50, .width = 64, .size = 224, .classes = 1000};
    foreign(s, GN_NAMES_TORCHVISION, GN_PLAIN, 0, "torchvision-resnet50");
    s.variant = GN_SE;
    foreign(s, GN_NAMES_TIMM_SE, GN_SE, 0, "timm-seresnet50");
}

static void timm_gather_excite(void **state)
{
    (void)state;
    gn_model_spec s = {.variant = GN_PLAIN, .blocks = {1, 1, 1, 1}, .width = 16, .stem = 64, .size = 64, .classes = 10};
    foreign(s, GN_NAMES_TIMM_GE, GN_THETA_MINUS, 0, "timm-ge/minus-global-nomlp");
    foreign(s, GN_NAMES_TIMM_GE, GN_THETA_MINUS, 2, "timm-ge/minus-2-nomlp");
    foreign(s, GN_NAMES_TIMM_GE, GN_THETA_MINUS, 4, "timm-ge/minus-4-nomlp");
    foreign(s, GN_NAMES_TIMM_GE, GN_THETA_MINUS, 8, "timm-ge/minus-8-nomlp");
    s.variant = GN_SE;
    foreign(s, GN_NAMES_TIMM_GE, GN_SE, 0, "timm-ge/default");
    for (int extent = 2; extent <= 8; extent *= 2)
        for (int mlp = 0; mlp < 2; mlp++) {
            char tensor[64];
            s.variant = mlp ? GN_THETA_PLUS : GN_THETA;
            s.extent = extent;
            snprintf(tensor, sizeof tensor, "timm-ge/theta-%d-%s", extent, mlp ? "mlp" : "nomlp");
            foreign(s, GN_NAMES_TIMM_GE, s.variant, extent, tensor);
        }
}

static void mindspore(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    static const char *const names[] = {"", "logits.se", "logits.theta-minus", "logits.theta", "logits.theta-plus"};
    for (int v = GN_SE; v <= GN_THETA_PLUS; v++) {
        gn_checkpoint c;
        gn_model_spec s = {
            .variant = (gn_variant)v, .form = GN_FORM_MINDSPORE, .depth = 50, .width = 64, .size = 224, .classes = 1000};
        make_checkpoint(&c, s, GN_NAMES_MINDSPORE, 1.0);
        compare(&c, "mindspore_full_logits.safetensors", names[v], 2e-5);
        gn_checkpoint_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(torchvision_and_timm), cmocka_unit_test(timm_gather_excite),
                                       cmocka_unit_test(mindspore)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
