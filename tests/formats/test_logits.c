/* SPDX-License-Identifier: Apache-2.0
 * Loaded networks compute what MindSpore, torchvision and timm computed: logits of the golden vectors by the reference
 * backend, in float and in double, within the bounds that the vectors' README files state. */
#include "formats/run_ref.h"
#include "formats/safetensors.h"

enum { IMAGES = 4, SIDE = 224 };
static const char *const variant_names[] = {"plain", "se", "theta-minus", "theta", "theta-plus"};

/* Logits of c for the first n images of the stream, in the given precision, as floats. */
static void logits_of(const gn_checkpoint *c, gn_dtype type, const char *stream, int n, float *out)
{
    int side = c->model->spec.size, classes = c->model->spec.classes;
    void *x = malloc((size_t)n * (size_t)side * (size_t)side * 3 * 8);
    double *wide = malloc((size_t)n * (size_t)classes * 8);
    assert_true(x && wide);
    golden_images(x, type, stream, n, 0, side);
    run_ref(c, type, x, false, n, type == GN_F64 ? (void *)wide : out);
    for (int i = 0; type == GN_F64 && i < n * classes; i++)
        out[i] = (float)wide[i];
    free(x);
    free(wide);
}

/* The checkpoint as MindSpore wrote it where the golden files are there, else made by their formula. */
static void narrow(gn_checkpoint *c, gn_variant v)
{
    char name[64], path[4096];
    genet_error e;
    snprintf(name, sizeof name, "mindspore/narrow_%s.ckpt", variant_names[v]);
    if (golden(path, name))
        MUST(gn_checkpoint_load(c, path, &e));
    else
        make_checkpoint(c, narrow_spec(v), GN_NAMES_MINDSPORE, 1.2);
}

static void mindspore_narrow(void **state)
{
    (void)state;
    genet_error e;
    gn_safetensors f;
    MUST(gn_safetensors_open(&f, "tests/data/formats/narrow_logits.safetensors", &e));
    for (int v = GN_SE; v <= GN_THETA_PLUS; v++) {
        gn_checkpoint c;
        char name[64];
        float theirs[IMAGES * 10], ours[IMAGES * 10];
        snprintf(name, sizeof name, "logits.%s", variant_names[v]);
        MUST(gn_st_to_f32(gn_safetensors_find(&f, name), theirs, &e));
        narrow(&c, (gn_variant)v);
        for (int type = GN_F32; type <= GN_F64; type += GN_F64 - GN_F32) {
            logits_of(&c, (gn_dtype)type, "input", IMAGES, ours);
            double miss = largest_difference(ours, theirs, IMAGES * 10) / rms(theirs, IMAGES * 10);
            print_message("%s %s: %.1e of the rms\n", name, gn_dtype_name((gn_dtype)type), miss);
            assert_true(miss < 2e-5);
        }
        gn_checkpoint_free(&c);
    }
    gn_safetensors_close(&f);
}

/* Twelve training steps of MindSpore left these weights: the file loads, and its network gives finite logits. */
static void mindspore_trained(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    float logits[10];
    if (!golden(path, "mindspore/train_theta-plus_GENet-4_3.ckpt"))
        skip();
    MUST(gn_checkpoint_load(&c, path, &e));
    logits_of(&c, GN_F32, "train_input", 1, logits);
    for (int i = 0; i < 10; i++)
        assert_true(isfinite(logits[i]));
    gn_checkpoint_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mindspore_narrow), cmocka_unit_test(mindspore_trained)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
