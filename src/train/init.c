/* SPDX-License-Identifier: Apache-2.0
 * --init: starting from the weights of another model. The network is the model's unless the user says the same; gather
 * kernels follow the input size; rows of the head follow the class names, and the rest of the head is new. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "infer/resize.h"
#include "train/run.h"

#define SHOWN 20 /* class names a line */

/* Depth whose blocks are these, or 0. */
static int depth_of(const int blocks[4])
{
    static const int depths[] = {26, 50, 101, 152};
    for (int i = 0; i < 4; i++) {
        gn_model_spec s = {.depth = depths[i], .width = 64, .size = 224, .classes = 2};
        if (gn_model_check(&s, NULL) == GENET_OK && memcmp(s.blocks, blocks, sizeof s.blocks) == 0)
            return depths[i];
    }
    return 0;
}

/* Sets a network option to what the model is, or refuses when the user asked for something else. */
static genet_status adopt(gn_run *r, gn_option_id id, const char *key, const char *value, genet_error *err)
{
    char *have = gn_settings_get(r->settings, key);
    genet_status status = GENET_OK;
    if (!have)
        return gn_fail_memory(err, strlen(key), "a setting");
    if (gn_settings_given(r->settings, id) && strcmp(have, value))
        status = gn_fail(err, GENET_MISMATCH, "--%s is %s, but the model %s has %s: leave --%s out, or start without --init",
                         key, have, r->settings->init_from, value, key);
    else if (strcmp(have, value))
        status = gn_settings_set(r->settings, key, value, NULL, err);
    gn_free(have);
    return status;
}

genet_status gn_init_load(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    char text[32];
    if (!*r->settings->init_from)
        return GENET_OK;
    GN_TRY(gn_checkpoint_load(&r->init, r->settings->init_from, err));
    const gn_model_spec *s = &r->init.model->spec;
    int depth = s->depth ? s->depth : depth_of(s->blocks);
    if (!depth || s->stem != s->width || gn_model_width(s->width / 64.0) != s->width) {
        status = gn_fail(err, GENET_MISMATCH, "the network of %s (blocks %d-%d-%d-%d, width %d, stem %d) is none that genet "
                         "trains", r->settings->init_from, s->blocks[0], s->blocks[1], s->blocks[2], s->blocks[3], s->width,
                         s->stem);
        goto out;
    }
    GN_TRY(adopt(r, GN_OPTION_variant, "variant", gn_variant_name(s->variant), err));
    GN_TRY(adopt(r, GN_OPTION_form, "form", gn_form_name(s->form), err));
    snprintf(text, sizeof text, "%d", depth);
    GN_TRY(adopt(r, GN_OPTION_depth, "depth", text, err));
    if (gn_model_width(r->settings->width) != s->width || !gn_settings_given(r->settings, GN_OPTION_width))
        GN_TRY(adopt(r, GN_OPTION_width, "width", gn_format_real(text, s->width / 64.0), err));
    snprintf(text, sizeof text, s->extent ? "%d" : "global", s->extent);
    GN_TRY(adopt(r, GN_OPTION_extent, "extent", text, err));
    if (!gn_settings_given(r->settings, GN_OPTION_size) && r->settings->size != s->size) {
        snprintf(text, sizeof text, "%d", s->size);
        GN_TRY(gn_settings_set(r->settings, "size", text, NULL, err));
    }
out:
    return status;
}

/* --- the head ------------------------------------------------------------------------------------------------------------ */

static int find_class(const gn_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->class_count; i++)
        if (!strcmp(c->classes[i], name))
            return i;
    return -1;
}

/* Row of the model's head that class k of the data takes, or -1. Outputs without names fit any set of as many classes. */
static int row_for(const gn_run *r, int k)
{
    if (r->init.classes_unknown)
        return r->init.class_count == r->train->class_count ? k : -1;
    return find_class(&r->init, r->train->classes[k]);
}

static void list_classes(gn_text *t, const gn_run *r, bool matched, bool as_json)
{
    int n = 0;
    for (int k = 0; k < r->train->class_count; k++) {
        char name[256];
        if ((row_for(r, k) >= 0) != matched)
            continue;
        if (as_json) {
            gn_text_add(t, "%s", n ? "," : "");
            gn_json_put_string(t, r->train->classes[k]);
        } else if (n < SHOWN) {
            gn_escape_name(name, sizeof name, r->train->classes[k]);
            gn_text_add(t, "%s%s", n ? ", " : "", name);
        }
        n++;
    }
    if (!as_json && n > SHOWN)
        gn_text_add(t, " and %d more (run.json lists all)", n - SHOWN);
}

static void tell(gn_run *r, int matched)
{
    gn_text old = {0}, fresh = {0};
    int all = r->train->class_count;
    list_classes(&old, r, true, false);
    list_classes(&fresh, r, false, false);
    gn_run_log(r, GENET_LOG_INFO, "head: %d of %d classes taken from %s%s%s", matched, all, r->settings->init_from,
               matched ? ": " : "", old.data ? old.data : "");
    if (matched < all)
        gn_run_log(r, GENET_LOG_INFO, "head: %d classes are new: %s", all - matched, fresh.data ? fresh.data : "");
    if (!r->init.classes_unknown && matched < r->init.class_count)
        gn_run_log(r, GENET_LOG_INFO, "head: %d classes of the model are not in the data and were dropped",
                   r->init.class_count - matched);
    gn_text_free(&old);
    gn_text_free(&fresh);
    gn_text_free(&r->init_json);
    gn_text_add(&r->init_json, "{\"from\":");
    gn_json_put_string(&r->init_json, r->settings->init_from);
    gn_text_add(&r->init_json, ",\"matched\":[");
    list_classes(&r->init_json, r, true, true);
    gn_text_add(&r->init_json, "],\"new\":[");
    list_classes(&r->init_json, r, false, true);
    gn_text_add(&r->init_json, "]}");
}

/* Head rows of matched classes; the others keep their initial values. */
static int take_head(gn_run *r, const gn_weights *from)
{
    gn_weights *to = &r->update.weights;
    int weight = gn_weight_find(to->table, "head.weight"), bias = gn_weight_find(to->table, "head.bias"), matched = 0;
    size_t columns = (size_t)to->table->items[weight].dim[1];
    float *w = gn_weights_at(to, weight), *b = gn_weights_at(to, bias);
    const float *old_w = gn_weights_at(from, gn_weight_find(from->table, "head.weight"));
    const float *old_b = gn_weights_at(from, gn_weight_find(from->table, "head.bias"));
    for (int k = 0; k < r->train->class_count; k++) {
        int row = row_for(r, k);
        if (row < 0)
            continue;
        memcpy(w + (size_t)k * columns, old_w + (size_t)row * columns, columns * sizeof *w);
        b[k] = old_b[row];
        matched++;
    }
    return matched;
}

genet_status gn_init_take(gn_run *r, genet_error *err)
{
    genet_status status = GENET_OK;
    int trained_at = r->init.model->spec.size, resampled;
    GN_TRY(gn_checkpoint_resize(&r->init, (int)r->settings->size, &resampled, err));
    if (resampled)
        gn_run_log(r, GENET_LOG_INFO, "%d gather kernels resampled from %d to %d pixels of input", resampled, trained_at,
                   r->model->spec.size);
    if (r->init.has_ema)
        gn_run_log(r, GENET_LOG_INFO, "starting from the averaged weights of %s", r->settings->init_from);
    const gn_weights *from = r->init.has_ema ? &r->init.ema : &r->init.weights;
    gn_weights *to = &r->update.weights;
    for (int i = 0; i < to->table->count; i++) {
        const gn_weight *w = &to->table->items[i], *old = &from->table->items[i];
        if (strncmp(w->name, "head.", 5) == 0)
            continue;
        if (strcmp(w->name, old->name) || w->count != old->count) {
            status = gn_fail(err, GENET_INTERNAL, "tensor %s of %s does not fit %s", old->name, r->settings->init_from, w->name);
            goto out;
        }
        memcpy(gn_weights_at(to, i), gn_weights_at(from, i), (size_t)w->count * sizeof(float));
    }
    tell(r, take_head(r, from));
out:
    return status;
}
