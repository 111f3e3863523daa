/* SPDX-License-Identifier: Apache-2.0
 * Writing and reading the metadata of a model. Unknown keys inside the JSON values are skipped, so that a newer file opens
 * where its meaning allows it; missing or impossible values are refused. */
#include "formats/metadata.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "genet/version.h"

/* --- writing ---------------------------------------------------------------------------------------------------------- */

static void put_model(gn_text *t, const gn_model_spec *s)
{
    gn_text_add(t, "{\"variant\":\"%s\",\"form\":\"%s\",\"depth\":%d,\"blocks\":[%d,%d,%d,%d],", gn_variant_name(s->variant),
                gn_form_name(s->form), s->depth, s->blocks[0], s->blocks[1], s->blocks[2], s->blocks[3]);
    gn_text_add(t, "\"width\":%d,\"stem\":%d,\"size\":%d,\"extent\":%d,\"classes\":%d}", s->width, s->stem, s->size,
                s->extent, s->classes);
}

static void put_floats(gn_text *t, const float v[3])
{
    for (int i = 0; i < 3; i++) {
        gn_text_put(t, i ? "," : "[", 1);
        gn_json_put_float(t, v[i]);
    }
    gn_text_put(t, "]", 1);
}

static void put_preprocess(gn_text *t, const gn_preprocess *p)
{
    gn_text_add(t, "{\"size\":%d,\"rules\":\"%s\",\"exif\":%s,\"fit\":\"%s\",\"crop_share\":", p->size,
                p->mindspore ? "mindspore" : "genet", p->exif ? "true" : "false", p->pad ? "pad" : "crop");
    gn_json_put_double(t, p->crop_share);
    gn_text_add(t, ",\"colour\":\"RGB\",\"mean\":");
    put_floats(t, p->mean);
    gn_text_add(t, ",\"std\":");
    put_floats(t, p->std);
    gn_text_add(t, ",\"max_pixels\":%llu}", (unsigned long long)p->max_pixels);
}

static void put_classes(gn_text *t, char *const *classes, int count)
{
    for (int i = 0; i < count; i++) {
        gn_text_put(t, i ? "," : "[", 1);
        gn_json_put_string(t, classes[i]);
    }
    gn_text_put(t, count ? "]" : "[]", count ? 1 : 2);
}

/* Takes the text as the value of key. */
static genet_status put(gn_metadata *m, const char *key, gn_text *value, genet_error *err)
{
    gn_text_put(value, "", 1); /* the final NUL */
    m->keys[m->count] = gn_strdup(key);
    m->values[m->count] = value->failed ? NULL : value->data;
    if (value->failed)
        gn_text_free(value);
    memset(value, 0, sizeof *value);
    m->count++;
    if (m->keys[m->count - 1] && m->values[m->count - 1])
        return GENET_OK;
    return gn_fail_memory(err, 0, "the metadata of a model");
}

static genet_status put_words(gn_metadata *m, const char *key, const char *value, genet_error *err)
{
    gn_text t = {0};
    gn_text_put(&t, value, strlen(value));
    return put(m, key, &t, err);
}

genet_status gn_metadata_make(gn_metadata *m, const gn_checkpoint *c, const char *names, bool with_training,
                              genet_error *err)
{
    gn_text t = {0};
    genet_status status = GENET_OK;
    memset(m, 0, sizeof *m);
    GN_TRY(put_words(m, "genet.version", GENET_VERSION, err));
    put_model(&t, &c->model->spec);
    GN_TRY(put(m, "genet.model", &t, err));
    if (!c->classes_unknown) {
        put_classes(&t, c->classes, c->class_count);
        GN_TRY(put(m, "genet.classes", &t, err));
    }
    put_preprocess(&t, &c->preprocess);
    GN_TRY(put(m, "genet.preprocess", &t, err));
    if (c->origin)
        GN_TRY(put_words(m, "genet.origin", c->origin, err));
    if (names)
        GN_TRY(put_words(m, "genet.names", names, err));
    if (c->quantized)
        GN_TRY(put_words(m, "genet.quantized", c->quantized, err));
    if (with_training && c->settings)
        GN_TRY(put_words(m, "genet.settings", c->settings, err));
    if (with_training && c->progress)
        GN_TRY(put_words(m, "genet.progress", c->progress, err));
out:
    if (status != GENET_OK)
        gn_metadata_free(m);
    return status;
}

void gn_metadata_free(gn_metadata *m)
{
    for (int i = 0; i < m->count; i++) {
        gn_free(m->keys[i]);
        gn_free(m->values[i]);
    }
    memset(m, 0, sizeof *m);
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

static void read_int(gn_json *j, int *out)
{
    int64_t v = 0;
    if (gn_json_int(j, &v) && (v < INT32_MIN || v > INT32_MAX))
        gn_json_fail(j, "a number is out of range");
    *out = (int)v;
}

static void read_ints(gn_json *j, int *out, int count)
{
    int i = 0;
    gn_json_array(j);
    while (gn_json_element(j)) {
        int v = 0;
        read_int(j, &v);
        if (i < count)
            out[i] = v;
        i++;
    }
    if (i != count)
        gn_json_fail(j, "a list has the wrong number of elements");
}

static void read_floats(gn_json *j, float *out, int count)
{
    int i = 0;
    gn_json_array(j);
    while (gn_json_element(j)) {
        double v = 0;
        gn_json_number(j, &v);
        if (i < count)
            out[i] = (float)v;
        i++;
    }
    if (i != count)
        gn_json_fail(j, "a list has the wrong number of elements");
}

static void read_variant(gn_json *j, gn_variant *v)
{
    char *text;
    if (gn_json_string(j, &text) && !gn_variant_parse(text, v))
        gn_json_fail(j, "the variant is not known to this version");
    gn_free(text);
}

static void read_form(gn_json *j, gn_form *f)
{
    char *text;
    if (gn_json_string(j, &text) && !gn_form_parse(text, f))
        gn_json_fail(j, "the form is not known to this version");
    gn_free(text);
}

/* One of two words. */
static void read_choice(gn_json *j, const char *no, const char *yes, bool *out)
{
    char *text;
    if (gn_json_string(j, &text)) {
        *out = !strcmp(text, yes);
        if (!*out && strcmp(text, no))
            gn_json_fail(j, "a word is not known to this version");
    }
    gn_free(text);
}

static genet_status parse_model(gn_model_spec *s, const char *text, const char *path, genet_error *err)
{
    static const char *const needed[] = {"variant", "form", "blocks", "width", "stem", "size", "extent", "classes"};
    gn_json j;
    char *key;
    unsigned seen = 0;
    memset(s, 0, sizeof *s);
    gn_json_start(&j, text, strlen(text));
    gn_json_object(&j);
    while (gn_json_key(&j, &key)) {
        for (unsigned i = 0; i < 8; i++)
            if (!strcmp(key, needed[i]))
                seen |= 1u << i;
        if (!strcmp(key, "variant"))
            read_variant(&j, &s->variant);
        else if (!strcmp(key, "form"))
            read_form(&j, &s->form);
        else if (!strcmp(key, "blocks"))
            read_ints(&j, s->blocks, 4);
        else if (!strcmp(key, "depth"))
            read_int(&j, &s->depth);
        else if (!strcmp(key, "width"))
            read_int(&j, &s->width);
        else if (!strcmp(key, "stem"))
            read_int(&j, &s->stem);
        else if (!strcmp(key, "size"))
            read_int(&j, &s->size);
        else if (!strcmp(key, "extent"))
            read_int(&j, &s->extent);
        else if (!strcmp(key, "classes"))
            read_int(&j, &s->classes);
        else
            gn_json_skip(&j);
        gn_free(key);
    }
    gn_json_end(&j);
    if (j.fault)
        return gn_fail(err, gn_json_status(&j), "%s: genet.model: %s", path, j.fault);
    for (unsigned i = 0; i < 8; i++)
        if (!(seen >> i & 1))
            return gn_fail(err, GENET_FORMAT, "%s: genet.model lacks \"%s\"", path, needed[i]);
    if (gn_model_check(s, err) != GENET_OK) {
        gn_error_prefix(err, "%s: genet.model", path);
        if (err)
            err->status = GENET_FORMAT;
        return GENET_FORMAT;
    }
    return GENET_OK;
}

static genet_status parse_preprocess(gn_preprocess *p, const char *text, const char *path, genet_error *err)
{
    gn_json j;
    char *key;
    int64_t pixels = 0;
    gn_json_start(&j, text, strlen(text));
    gn_json_object(&j);
    while (gn_json_key(&j, &key)) {
        if (!strcmp(key, "size"))
            read_int(&j, &p->size);
        else if (!strcmp(key, "rules"))
            read_choice(&j, "genet", "mindspore", &p->mindspore);
        else if (!strcmp(key, "exif"))
            gn_json_bool(&j, &p->exif);
        else if (!strcmp(key, "fit"))
            read_choice(&j, "crop", "pad", &p->pad);
        else if (!strcmp(key, "crop_share"))
            gn_json_number(&j, &p->crop_share);
        else if (!strcmp(key, "mean"))
            read_floats(&j, p->mean, 3);
        else if (!strcmp(key, "std"))
            read_floats(&j, p->std, 3);
        else if (!strcmp(key, "max_pixels")) {
            gn_json_int(&j, &pixels);
            p->max_pixels = (uint64_t)pixels;
        } else
            gn_json_skip(&j);
        gn_free(key);
    }
    gn_json_end(&j);
    if (!j.fault && (p->size < 1 || p->size > 65536 || !(p->crop_share > 0 && p->crop_share <= 1) || pixels < 1))
        gn_json_fail(&j, "size, crop_share or max_pixels is out of range or missing");
    for (int i = 0; i < 3; i++)
        if (!isfinite(p->mean[i]) || !isfinite(p->std[i]) || !(p->std[i] > 0))
            gn_json_fail(&j, "mean or std is no usable number or missing");
    return j.fault ? gn_fail(err, gn_json_status(&j), "%s: genet.preprocess: %s", path, j.fault) : GENET_OK;
}

static genet_status parse_classes(gn_checkpoint *c, int wanted, const char *text, const char *path, genet_error *err)
{
    gn_json j;
    if ((size_t)wanted > strlen(text) / 3 + 1) /* every name takes "", at least */
        return gn_fail(err, GENET_FORMAT, "%s: genet.classes is too short for %d names", path, wanted);
    c->classes = gn_calloc((size_t)wanted, sizeof *c->classes);
    if (!c->classes)
        return gn_fail_memory(err, (size_t)wanted * sizeof *c->classes, "class names");
    gn_json_start(&j, text, strlen(text));
    gn_json_array(&j);
    while (gn_json_element(&j)) {
        if (c->class_count == wanted)
            return gn_fail(err, GENET_FORMAT, "%s: genet.classes has more than the %d names of genet.model", path, wanted);
        if (gn_json_string(&j, &c->classes[c->class_count]))
            c->class_count++;
    }
    gn_json_end(&j);
    if (j.fault)
        return gn_fail(err, gn_json_status(&j), "%s: genet.classes: %s", path, j.fault);
    if (c->class_count != wanted)
        return gn_fail(err, GENET_FORMAT, "%s: genet.classes has %d names, genet.model %d classes", path, c->class_count,
                       wanted);
    return GENET_OK;
}

/* Copies a JSON object's text after a look at its grammar. */
static genet_status copy_object(char **out, const char *text, const char *name, const char *path, genet_error *err)
{
    gn_json j;
    if (!text)
        return GENET_OK;
    gn_json_start(&j, text, strlen(text));
    if (gn_json_peek(&j) != '{')
        gn_json_fail(&j, "an object was expected");
    gn_json_skip(&j);
    gn_json_end(&j);
    if (j.fault)
        return gn_fail(err, gn_json_status(&j), "%s: %s: %s", path, name, j.fault);
    *out = gn_strdup(text);
    return *out ? GENET_OK : gn_fail_memory(err, strlen(text), name);
}

genet_status gn_metadata_read(gn_checkpoint *c, gn_model_spec *spec, const gn_safetensors *f, const char *path,
                              genet_error *err)
{
    const char *classes = gn_safetensors_meta(f, "genet.classes"), *origin = gn_safetensors_meta(f, "genet.origin");
    const char *preprocess = gn_safetensors_meta(f, "genet.preprocess");
    genet_status status = GENET_OK;
    GN_TRY(parse_model(spec, gn_safetensors_meta(f, "genet.model"), path, err));
    if (!preprocess)
        return gn_fail(err, GENET_FORMAT, "%s: genet.preprocess is missing: how pictures were prepared is unknown", path);
    GN_TRY(parse_preprocess(&c->preprocess, preprocess, path, err));
    if (classes)
        GN_TRY(parse_classes(c, spec->classes, classes, path, err));
    else
        GN_TRY(gn_metadata_number_classes(c, spec->classes, err));
    GN_TRY(copy_object(&c->settings, gn_safetensors_meta(f, "genet.settings"), "genet.settings", path, err));
    GN_TRY(copy_object(&c->progress, gn_safetensors_meta(f, "genet.progress"), "genet.progress", path, err));
    GN_TRY(copy_object(&c->quantized, gn_safetensors_meta(f, "genet.quantized"), "genet.quantized", path, err));
    c->origin = gn_strdup(origin ? origin : "genet");
    if (!c->origin)
        status = gn_fail_memory(err, 8, "the origin of a model");
out:
    return status;
}

genet_status gn_metadata_number_classes(gn_checkpoint *c, int count, genet_error *err)
{
    c->classes_unknown = true;
    c->classes = gn_calloc((size_t)count, sizeof *c->classes);
    if (!c->classes)
        return gn_fail_memory(err, (size_t)count * sizeof *c->classes, "class names");
    c->class_count = count;
    for (int i = 0; i < count; i++) {
        c->classes[i] = gn_asprintf("%d", i);
        if (!c->classes[i])
            return gn_fail_memory(err, 8, "class names");
    }
    return GENET_OK;
}

void gn_metadata_free_classes(gn_checkpoint *c)
{
    for (int i = 0; c->classes && i < c->class_count; i++)
        gn_free(c->classes[i]);
    gn_free(c->classes);
    c->classes = NULL;
    c->class_count = 0;
}

gn_preprocess gn_metadata_default_preprocess(int size, bool mindspore)
{
    gn_preprocess p = {.size = size, .mindspore = mindspore, .exif = !mindspore, .crop_share = 0.875,
                       .mean = {123.675f, 116.28f, 103.53f}, .std = {58.395f, 57.12f, 57.375f}, .max_pixels = 178956970};
    return p;
}
