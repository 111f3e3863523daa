/* SPDX-License-Identifier: Apache-2.0
 * Shared by the tests of formats/: cmocka, files in a scratch folder, and the golden files' formula for weights. */
#ifndef TESTS_FORMATS_COMMON_H
#define TESTS_FORMATS_COMMON_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "formats/checkpoint.h"
#include "formats/names.h"
#include "formats/safetensors.h"
#include "golden_formula.h"

static inline const char *shared_folder(void)
{
    const char *s = getenv("GENET_SHARED");
    return s ? s : "../shared";
}

/* Path of a golden file, or NULL (and a word about it) where it is not there. */
static inline const char *golden(char path[4096], const char *name)
{
    snprintf(path, 4096, "%s/golden/%s", shared_folder(), name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is not there (set GENET_SHARED)\n", path);
    return NULL;
}

/* A path in this process's own scratch folder, made on first use and removed by remove_scratch. */
static inline const char *scratch(char path[4096], const char *name)
{
    snprintf(path, 4096, "/tmp/genet-test-formats-%d", (int)getpid());
    gn_folder_make(path, NULL);
    size_t n = strlen(path);
    snprintf(path + n, 4096 - n, "/%s", name);
    return path;
}

static inline void remove_scratch(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf /tmp/genet-test-formats-%d", (int)getpid());
    if (system(command) != 0)
        print_message("scratch folder stays\n");
}

static inline void must_(genet_status status, const genet_error *e, int line)
{
    if (status != GENET_OK) {
        print_error("line %d: %s\n", line, e->text);
        fail();
    }
}
#define MUST(call) must_((call), &e, __LINE__)

/* The error says each of these words. */
static inline void says_(const genet_error *e, const char *word, int line)
{
    if (!strstr(e->text, word)) {
        print_error("line %d: \"%s\" lacks \"%s\"\n", line, e->text, word);
        fail();
    }
}
#define SAYS(e, word) says_(&(e), word, __LINE__)

/* A checkpoint of this spec with the golden vectors' weights under the names of `naming`; gain is MindSpore's
 * set's, or the factor of each block's last gamma in PyTorch's. */
static inline void make_checkpoint(gn_checkpoint *c, gn_model_spec spec, gn_naming naming, double gain)
{
    genet_error e;
    char name[GN_NAME_SIZE];
    memset(c, 0, sizeof *c);
    MUST(gn_model_create(&c->model, &spec, &e));
    MUST(gn_weights_create(&c->weights, &c->model->weights, GN_F32, &e));
    for (int i = 0; i < c->model->weights.count; i++) {
        const gn_weight *w = &c->model->weights.items[i];
        assert_true(gn_name_to(name, naming, w->name));
        for (int64_t k = 0; k < w->count; k++)
            golden_put(&c->weights, i, k, spec.form == GN_FORM_MINDSPORE ? golden_value_mindspore(w, name, k, gain)
                                                                         : golden_value(w, name, k, w->last_gamma ? gain : 1));
    }
    c->class_count = c->model->spec.classes;
    c->classes = gn_calloc((size_t)c->class_count, sizeof *c->classes);
    for (int i = 0; i < c->class_count; i++)
        c->classes[i] = gn_asprintf("class %d", i);
    c->preprocess = (gn_preprocess){.size = c->model->spec.size, .mindspore = c->model->spec.form == GN_FORM_MINDSPORE,
                                    .exif = true, .crop_share = 0.875, .mean = {123.675f, 116.28f, 103.53f},
                                    .std = {58.395f, 57.12f, 57.375f}, .max_pixels = 1000000};
    c->origin = gn_strdup("genet");
}

/* Writes c's tensors under naming n with nothing else, but `gone`; backwards; with the counters that PyTorch adds. */
static inline const char *bare_file(char path[4096], const gn_checkpoint *c, gn_naming n, const char *prefix, const char *gone)
{
    const gn_weight_table *table = &c->model->weights;
    static const int64_t counter = 7;
    genet_error e;
    int count = 0;
    gn_st_tensor *t = calloc((size_t)table->count + 1, sizeof *t);
    assert_non_null(t);
    for (int i = table->count - 1; i >= 0; i--) {
        char name[GN_NAME_SIZE];
        assert_true(gn_name_to(name, n, table->items[i].name));
        if (gone && !strcmp(gone, name))
            continue;
        t[count] = (gn_st_tensor){.name = gn_asprintf("%s%s", prefix, name), .dtype = "F32", .rank = table->items[i].rank,
                                  .data = gn_weights_at(&c->weights, i)};
        memcpy(t[count++].dim, table->items[i].dim, sizeof table->items[i].dim);
    }
    t[count++] = (gn_st_tensor){.name = gn_asprintf("%sbn1.num_batches_tracked", prefix), .dtype = "I64",
                                .data = (const unsigned char *)&counter};
    MUST(gn_safetensors_write(scratch(path, "bare.safetensors"), t, count, NULL, NULL, 0, NULL, &e));
    for (int i = 0; i < count; i++)
        gn_free(t[i].name);
    free(t);
    return path;
}

/* The golden set's narrow networks of the mindspore form. */
static inline gn_model_spec narrow_spec(gn_variant v)
{
    return (gn_model_spec){.variant = v, .form = GN_FORM_MINDSPORE, .blocks = {2, 2, 1, 1}, .width = 8, .stem = 64,
                           .size = 224, .classes = 10};
}

/* A small network of the paper form. */
static inline gn_model_spec small_spec(gn_variant v, int extent)
{
    return (gn_model_spec){.variant = v, .form = GN_FORM_PAPER, .depth = 26, .width = 4, .size = 64, .extent = extent,
                           .classes = 10};
}

static inline bool same_weights(const gn_weights *a, const gn_weights *b)
{
    for (int i = 0; i < a->table->count; i++)
        if (memcmp(gn_weights_at(a, i), gn_weights_at(b, i), (size_t)a->table->items[i].count * 4))
            return false;
    return true;
}
#endif
