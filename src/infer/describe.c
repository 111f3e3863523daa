/* SPDX-License-Identifier: Apache-2.0
 * genet_model_describe, genet_build_describe: what a model file holds, and what this build and machine can do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "data/threads.h"
#include "formats/json.h"
#include "formats/quantized.h"
#include "genet/model.h"
#include "genet/version.h"
#include "infer/build.h"
#include "infer/session.h"
#include "infer/summary.h"

/* Hands the text out, or the reason why not. */
static genet_status hand_out(gn_text *t, char **text, genet_error *err)
{
    gn_text_put(t, "", 1);
    if (t->failed) {
        gn_text_free(t);
        return gn_fail_memory(err, t->length, "a description");
    }
    *text = t->data;
    return GENET_OK;
}

/* --- a model --------------------------------------------------------------------------------------------------------- */

static void model_json(gn_text *t, const gn_checkpoint *c, const char *path, int64_t macs)
{
    const gn_model_spec *s = &c->model->spec;
    const gn_preprocess *p = &c->preprocess;
    gn_text_add(t, "{\"file\":");
    gn_json_put_string(t, path);
    gn_text_add(t, ",\"origin\":\"%s\",\"variant\":\"%s\",\"form\":\"%s\",\"depth\":%d,\"blocks\":[%d,%d,%d,%d],"
                   "\"width\":%d,\"stem\":%d,\"extent\":%d,\"size\":%d,\"parameters\":%lld,\"macs\":%lld,",
                c->origin, gn_variant_name(s->variant), gn_form_name(s->form), s->depth, s->blocks[0], s->blocks[1],
                s->blocks[2], s->blocks[3], s->width, s->stem, s->extent, s->size,
                (long long)c->model->weights.param_values, (long long)macs);
    gn_text_add(t, "\"preprocess\":{\"size\":%d,\"rules\":\"%s\",\"exif\":%s,\"fit\":\"%s\",\"crop_share\":", p->size,
                p->mindspore ? "mindspore" : "genet", p->exif ? "true" : "false", p->pad ? "pad" : "crop");
    gn_json_put_double(t, p->crop_share);
    for (int row = 0; row < 2; row++)
        for (int i = 0; i < 3; i++) {
            gn_text_add(t, "%s", i ? "," : row ? "],\"std\":[" : ",\"mean\":[");
            gn_json_put_float(t, row ? p->std[i] : p->mean[i]);
        }
    gn_text_add(t, "]},\"averaged_weights\":%s,\"momentum\":%s,\"classes_unknown\":%s,\"classes\":[",
                c->has_ema ? "true" : "false", c->momentum ? "true" : "false", c->classes_unknown ? "true" : "false");
    for (int i = 0; i < c->class_count; i++) {
        gn_text_add(t, "%s", i ? "," : "");
        gn_json_put_string(t, c->classes[i]);
    }
    gn_text_add(t, "],\"progress\":%s,\"settings\":%s,\"quantized\":%s}\n", c->progress ? c->progress : "null",
                c->settings ? c->settings : "null", c->quantized ? c->quantized : "null");
}

/* Where the training stood: the members of genet.progress that say something to people. */
static void put_training(gn_text *t, const char *json)
{
    double best = NAN, val = NAN, ema = NAN;
    int64_t step = -1, epochs = -1, best_epoch = 0;
    gn_json j;
    char *key;
    gn_json_start(&j, json, strlen(json));
    gn_json_object(&j);
    while (gn_json_key(&j, &key)) {
        double *number = !strcmp(key, "best_top1")  ? &best
                         : !strcmp(key, "val_top1") ? &val
                         : !strcmp(key, "ema_top1") ? &ema
                                                    : NULL;
        int64_t *count = !strcmp(key, "step") ? &step : !strcmp(key, "epochs_done") ? &epochs
                         : !strcmp(key, "best_epoch") ? &best_epoch : NULL;
        int next = gn_json_peek(&j);
        if (number && next != 'n')
            gn_json_number(&j, number);
        else if (count)
            gn_json_int(&j, count);
        else
            gn_json_skip(&j);
        gn_free(key);
    }
    if (step < 0 || epochs < 0)
        return;
    gn_text_add(t, "training      %lld epochs, %lld steps", (long long)epochs, (long long)step);
    if (isfinite(val))
        gn_text_add(t, "; validation top-1 %.2f %%", 100 * val);
    if (isfinite(ema))
        gn_text_add(t, ", averaged %.2f %%", 100 * ema);
    if (best_epoch && isfinite(best))
        gn_text_add(t, "; best %.2f %% after epoch %lld", 100 * best, (long long)best_epoch);
    gn_text_add(t, "\n");
}

/* How an int8 network was made: the members of genet.quantized that say something to people. */
static void put_quantized(gn_text *t, const char *json)
{
    char *calibration = NULL, *key, shown[64];
    int64_t images = 0;
    gn_json j;
    gn_json_start(&j, json, strlen(json));
    gn_json_object(&j);
    while (gn_json_key(&j, &key)) {
        if (!strcmp(key, "calibration") && !calibration)
            gn_json_string(&j, &calibration);
        else if (!strcmp(key, "calibration_images"))
            gn_json_int(&j, &images);
        else
            gn_json_skip(&j);
        gn_free(key);
    }
    gn_escape_name(shown, sizeof shown, calibration ? calibration : "unknown");
    gn_text_add(t, "int8: the trunk's convolutions in 8 bits, calibration %s on %lld pictures\n", shown, (long long)images);
    gn_free(calibration);
}

/* The settings that change a result and are not at their defaults. */
static void put_settings(gn_text *t, const char *json)
{
    gn_settings *s = NULL;
    int n = 0;
    if (gn_settings_create(&s, NULL) != GENET_OK || gn_settings_from_json(s, json, NULL) != GENET_OK) {
        gn_settings_free(s); /* of another version; --json shows them */
        return;
    }
    for (size_t i = 0; i < genet_option_count(); i++) {
        const genet_option *o = genet_option_at(i);
        char *value = o->changes_result ? gn_settings_get(s, o->key) : NULL;
        if (value && *value && strcmp(value, o->default_text))
            gn_text_add(t, "%s%s %s", n++ == 0 ? "settings      " : n % 5 == 1 ? ",\n              " : ", ", o->key, value);
        gn_free(value);
    }
    if (n)
        gn_text_add(t, "\n");
    gn_settings_free(s);
}

static void model_text(gn_text *t, const gn_checkpoint *c, const char *path, int64_t macs)
{
    const gn_model_spec *s = &c->model->spec;
    char count[32], name[512];
    gn_escape_name(name, sizeof name, path);
    gn_text_add(t, "file          %s (%s)\nnetwork       ", name, c->origin);
    gn_summary_network(t, s);
    gn_text_add(t, "\nform          %s\n", gn_summary_form(s->form));
    gn_text_add(t, "parameters    %s\n", gn_format_count(count, c->model->weights.param_values));
    gn_text_add(t, "MACs          %s an image\n", gn_format_large(count, (double)macs));
    gn_text_add(t, "input         ");
    gn_summary_input(t, &c->preprocess);
    gn_text_add(t, "\nweights       ");
    if (c->quantized)
        put_quantized(t, c->quantized);
    else
        gn_text_add(t, "%s%s\n", c->has_ema ? "current and averaged (EMA)" : "one set", c->momentum ? ", with momentum" : "");
    if (c->classes_unknown)
        gn_text_add(t, "classes       %d outputs without names\n", c->class_count);
    else
        gn_text_add(t, "classes       %d:", c->class_count);
    for (int i = 0; i < c->class_count && !c->classes_unknown; i++) {
        if (i == 20 && c->class_count > 21) {
            gn_text_add(t, " ... and %d more (--json lists all)", c->class_count - i);
            break;
        }
        gn_escape_name(name, sizeof name, c->classes[i]);
        gn_text_add(t, "%s %s", i ? "," : "", name);
    }
    if (!c->classes_unknown)
        gn_text_add(t, "\n");
    if (c->progress)
        put_training(t, c->progress);
    if (c->settings)
        put_settings(t, c->settings);
}

genet_status genet_model_describe(const genet_config *config, int as_json, char **text, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_settings *settings = gn_config_settings(config);
    gn_checkpoint c = {0};
    gn_folded *folded = NULL;
    bool int8;
    gn_text t = {0};
    int64_t macs;
    *text = NULL;
    if (!*settings->model)
        return gn_fail(err, GENET_USAGE, "no model given: --model FILE names a checkpoint");
    GN_TRY(gn_quantized_is(settings->model, &int8, err));
    GN_TRY(int8 ? gn_quantized_load(&c, &folded, settings->model, err) : gn_checkpoint_load(&c, settings->model, err));
    GN_TRY(gn_summary_macs(c.model, &macs, err));
    if (as_json)
        model_json(&t, &c, settings->model, macs);
    else
        model_text(&t, &c, settings->model, macs);
    status = hand_out(&t, text, err);
out:
    gn_folded_free(folded);
    gn_checkpoint_free(&c);
    return status;
}

/* --- the build ------------------------------------------------------------------------------------------------------- */

void gn_cpu_name(char *name, size_t size)
{
    char line[512];
    snprintf(name, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            colon[strcspn(colon, "\n")] = '\0';
            snprintf(name, size, "%s", colon + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

void gn_cpu_features(char *text, size_t size)
{
    text[0] = '\0';
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    const struct {
        int have;
        const char *name;
    } features[] = {{__builtin_cpu_supports("sse4.2"), "sse4.2"}, {__builtin_cpu_supports("avx"), "avx"},
                    {__builtin_cpu_supports("avx2"), "avx2"}, {__builtin_cpu_supports("fma"), "fma"},
                    {__builtin_cpu_supports("avx512f"), "avx512f"}, {__builtin_cpu_supports("avx512bw"), "avx512bw"},
                    {__builtin_cpu_supports("avx512vnni"), "avx512vnni"}, {__builtin_cpu_supports("avx512bf16"), "avx512bf16"}};
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        if (features[i].have && strlen(text) + strlen(features[i].name) + 2 < size)
            snprintf(text + strlen(text), size - strlen(text), "%s%s", *text ? " " : "", features[i].name);
#endif
}

static const char *const libraries[][2] = {
    {"libjpeg-turbo", GN_VERSION_JPEG}, {"libpng", GN_VERSION_PNG}, {"libwebp", GN_VERSION_WEBP},
    {"libarchive", GN_VERSION_ARCHIVE}, {"libyaml", GN_VERSION_YAML},
};

/* The description of a backend's device, or why it does not open here. */
static void backend_text(const char *name, char *text, size_t size)
{
    genet_error err = {0};
    gn_device d;
    if (gn_device_open(&d, name, NULL, 0, &err) != GENET_OK) {
        snprintf(text, size, "not in this build (%.200s)", err.text);
        return;
    }
    d.backend->describe(d.handle, text, size);
    if (d.backend->native(d.handle, GN_BF16) && strlen(text) + 20 < size)
        snprintf(text + strlen(text), size - strlen(text), ", native bf16");
    gn_device_close(&d);
}

void gn_build_json(gn_text *t)
{
    char cpu[256], features[256], device[512];
    gn_cpu_name(cpu, sizeof cpu);
    gn_cpu_features(features, sizeof features);
    gn_text_add(t, "{\"version\":\"%s\",\"compiler\":", GENET_VERSION);
    gn_json_put_string(t, __VERSION__);
    gn_text_add(t, ",\"cpu\":");
    gn_json_put_string(t, cpu);
    gn_text_add(t, ",\"features\":\"%s\",\"cores\":%d,\"backends\":{", features, gn_cores());
    for (int i = 0; i < 2; i++) {
        backend_text(i ? "ref" : "cpu", device, sizeof device);
        gn_text_add(t, "%s\"%s\":", i ? "," : "", i ? "ref" : "cpu");
        gn_json_put_string(t, device);
    }
    gn_text_add(t, "},\"libraries\":{");
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
        gn_text_add(t, "%s\"%s\":\"%s\"", i ? "," : "", libraries[i][0], libraries[i][1]);
    gn_text_add(t, "}}");
}

static void build_text(gn_text *t)
{
    char cpu[256], features[256], device[512];
    gn_cpu_name(cpu, sizeof cpu);
    gn_cpu_features(features, sizeof features);
    gn_text_add(t, "genet         %s, compiled by %s %s\n", GENET_VERSION,
#if defined(__clang__)
                "clang",
#else
                "gcc",
#endif
                __VERSION__);
    gn_text_add(t, "CPU           %s, %d cores\n", cpu, gn_cores());
    gn_text_add(t, "instructions  %s\n", features);
    for (int i = 0; i < 2; i++) {
        backend_text(i ? "ref" : "cpu", device, sizeof device);
        gn_text_add(t, "backend %s   %s\n", i ? "ref" : "cpu", device);
    }
    gn_text_add(t, "libraries     ");
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
        gn_text_add(t, "%s%s %s", i ? ", " : "", libraries[i][0], libraries[i][1]);
    gn_text_add(t, " (as built against)\n");
}

genet_status genet_build_describe(int as_json, char **text, genet_error *err)
{
    gn_text t = {0};
    *text = NULL;
    if (as_json) {
        gn_build_json(&t);
        gn_text_add(&t, "\n");
    } else {
        build_text(&t);
    }
    return hand_out(&t, text, err);
}
