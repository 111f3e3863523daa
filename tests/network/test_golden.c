/* SPDX-License-Identifier: Apache-2.0
 * Whole networks against an independent framework: logits, loss, every gradient and the running statistics of 28 small
 * networks that PyTorch computed in double (golden/pytorch). Tolerances: the vectors are stored as float, so a double
 * program agrees to float rounding; a float program to what float PyTorch itself misses (README section 4). Without the
 * folder of vectors the subset in tests/data/networks is checked. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "formats/safetensors.h"
#include "golden_formula.h"
#include "net.h"

#define CLASSES 10

/* "theta-plus-8-72-w4.safetensors": variant, extent, size, width. */
static int parse_name(const char *file, gn_model_spec *spec)
{
    char text[256], *part[3];
    snprintf(text, sizeof text, "%s", file);
    *strstr(text, ".safetensors") = '\0';
    for (int i = 2; i >= 0; i--) { /* from the end: a variant's name has dashes of its own */
        char *dash = strrchr(text, '-');
        if (!dash)
            return 0;
        *dash = '\0';
        part[i] = dash + 1;
    }
    *spec = (gn_model_spec){.blocks = {2, 2, 2, 2}, .width = atoi(part[2] + 1), .size = atoi(part[1]), .classes = CLASSES,
                            .extent = atoi(part[0])}; /* "global" is 0 */
    return gn_variant_parse(text, &spec->variant);
}

static float want(const gn_st_tensor *t, int64_t i)
{
    float v;
    memcpy(&v, t->data + 4 * i, 4);
    return v;
}

static void check_values(const net *n, const char *file, const gn_st_tensor *t, int tensor, double allowed)
{
    assert_non_null(t);
    for (int64_t i = 0; i < t->count; i++)
        if (!(fabs(net_value(n, tensor, i) - (double)want(t, i)) <= allowed))
            fail_msg("%s: %s[%lld] is %.9g, expected %.9g (allowed %.1e)", file, t->name, (long long)i,
                     net_value(n, tensor, i), (double)want(t, i), allowed);
}

/* l2-relative over one tensor. */
static void check_gradient(const net *n, const char *file, const gn_st_tensor *t, double allowed)
{
    int k = gn_weight_find(&n->model->weights, t->name + strlen("grad/"));
    assert_true(k >= 0);
    double miss = 0, norm = 0;
    for (int64_t i = 0; i < t->count; i++) {
        double d = net_grad(n, k, i) - (double)want(t, i);
        miss += d * d;
        norm += (double)want(t, i) * (double)want(t, i);
    }
    if (!(sqrt(miss) <= allowed * sqrt(norm)))
        fail_msg("%s: %s misses by %.2e of its norm (allowed %.1e)", file, t->name, sqrt(miss / norm), allowed);
}

static void check_statistic(const net *n, const char *file, const gn_st_tensor *t, double allowed)
{
    int k = gn_weight_find(&n->model->weights, t->name + strlen("stat/"));
    assert_true(k >= 0);
    for (int64_t i = 0; i < t->count; i++) {
        const void *at = gn_weights_at(&n->weights, k);
        double v = n->weights.dtype == GN_F64 ? ((const double *)at)[i] : ((const float *)at)[i];
        if (!(fabs(v - (double)want(t, i)) <= allowed * (1 + fabs((double)want(t, i)))))
            fail_msg("%s: %s[%lld] is %.9g, expected %.9g", file, t->name, (long long)i, v, (double)want(t, i));
    }
}

static void check_network(const char *path, const char *file, const char *backend, gn_dtype type)
{
    genet_error err;
    gn_safetensors f;
    gn_model_spec spec;
    net n;
    bool exact = type == GN_F64;
    assert_true(parse_name(file, &spec));
    if (gn_safetensors_open(&f, path, &err) != GENET_OK)
        fail_msg("%s", err.text);
    net_open(&n, backend, &spec, type, 4, false, false);
    golden_fill(&n.weights);
    golden_images(n.x, type, "input", 4, 0, spec.size);
    net_run(&n, GN_FORWARD);
    /* float: 10 times float PyTorch's own 1.5e-6, since another order of sums misses differently */
    check_values(&n, file, gn_safetensors_find(&f, "eval_logits"), n.plan->logits, exact ? 2e-6 : 2e-5);
    net_plan(&n, type, 8, true, false);
    golden_images(n.x, type, "input", 8, 0, spec.size);
    golden_labels(n.labels, n.lambda, "label", 8, 0, CLASSES);
    net_run(&n, GN_FORWARD | GN_BACKWARD);
    check_values(&n, file, gn_safetensors_find(&f, "train_logits"), n.plan->logits, exact ? 2e-6 : 1e-4);
    assert_true(fabs(net_mean_loss(&n) - (double)want(gn_safetensors_find(&f, "loss"), 0)) < (exact ? 1e-6 : 2e-5));
    int gradients = 0;
    for (int i = 0; i < f.count; i++) {
        if (strncmp(f.tensors[i].name, "stat/", 5) == 0)
            check_statistic(&n, file, &f.tensors[i], exact ? 2e-7 : 1e-5);
        if (exact && strncmp(f.tensors[i].name, "grad/", 5) == 0) {
            check_gradient(&n, file, &f.tensors[i], 1e-6); /* stored as float: 3e-8 an element */
            gradients++;
        }
    }
    assert_true(!exact || gradients > 50);
    net_close(&n);
    gn_safetensors_close(&f);
}

/* Runs `check` over all vectors, or over the subset kept in the project; returns how many there were. */
static int for_all(const char *backend, gn_dtype type, const char *only)
{
    const char *shared = golden_shared();
    char folder[4096], path[8192];
    snprintf(folder, sizeof folder, "%s%s", shared ? shared : "tests/data/networks", shared ? "/golden/pytorch/network" : "");
    DIR *d = opendir(folder);
    int count = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!strstr(e->d_name, ".safetensors") || (only && !strstr(e->d_name, only)))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        check_network(path, e->d_name, backend, type);
        count++;
    }
    closedir(d);
    printf("%d networks from %s on %s %s\n", count, folder, backend, gn_dtype_name(type));
    return count;
}

static void test_ref_double(void **state)
{
    (void)state;
    assert_true(for_all("ref", GN_F64, NULL) >= (golden_shared() ? 28 : 3));
}

static void test_ref_float(void **state)
{
    (void)state;
    assert_true(for_all("ref", GN_F32, golden_shared() ? "-64-" : NULL) >= (golden_shared() ? 14 : 3));
}

static void test_cpu_float(void **state)
{
    (void)state;
#ifdef GN_HAVE_CPU
    assert_true(for_all("cpu", GN_F32, NULL) >= (golden_shared() ? 28 : 3));
#else
    print_message("this build has no cpu backend\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref_double), cmocka_unit_test(test_ref_float),
                                       cmocka_unit_test(test_cpu_float)};
    return cmocka_run_group_tests_name("golden networks", tests, NULL, NULL);
}
