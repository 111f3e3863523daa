/* SPDX-License-Identifier: Apache-2.0
 * The settings as a whole: made at their defaults, set by key, copied, compared, checked against one another. */
#include "config/settings.h"
#include <string.h>
#include "base/mem.h"
#include "config/options.h"

genet_status gn_settings_create(gn_settings **out_settings, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_settings *s = gn_calloc(1, sizeof *s);
    if (!s || !(s->given = gn_calloc(GN_OPTION_COUNT, sizeof *s->given))) {
        status = gn_fail_memory(err, sizeof *s, "settings");
        goto out;
    }
    for (size_t i = 0; i < GN_OPTION_COUNT; i++) {
        const gn_option *o = gn_option_at(i);
        if (o->shown.type != GENET_OPTION_LIST)
            GN_TRY(gn_value_set(s, o, o->shown.default_text, o->shown.key, err));
    }
    *out_settings = s;
    s = NULL;
out:
    gn_settings_free(s);
    return status;
}

genet_status gn_settings_copy(gn_settings **to, const gn_settings *from, genet_error *err)
{
    gn_settings *s = NULL;
    genet_status status = gn_settings_create(&s, err);
    for (size_t i = 0; i < GN_OPTION_COUNT && status == GENET_OK; i++) {
        status = gn_value_copy(s, from, gn_option_at(i), err);
        s->given[i] = from->given[i];
    }
    if (status == GENET_OK)
        *to = s;
    else
        gn_settings_free(s);
    return status;
}

void gn_settings_free(gn_settings *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < GN_OPTION_COUNT; i++)
        gn_value_clear(s, gn_option_at(i));
    gn_free(s->given);
    gn_free(s);
}

genet_status gn_settings_set(gn_settings *s, const char *key, const char *value, const char *origin, genet_error *err)
{
    size_t id;
    const gn_option *o = gn_option_find(key, &id);
    if (!origin)
        origin = key;
    if (!o) {
        const char *nearest = genet_option_nearest(key, 0);
        return gn_fail(err, GENET_USAGE, "%s: unknown key%s%s%s", origin, nearest ? "; did you mean " : "",
                       nearest ? nearest : "", nearest ? "?" : "");
    }
    genet_status status = gn_value_set(s, o, value, origin, err);
    if (status == GENET_OK)
        s->given[id] = true;
    return status;
}

genet_status gn_settings_adopt(gn_settings *s, const gn_settings *from, genet_error *err)
{
    genet_status status = GENET_OK;
    for (size_t i = 0; i < GN_OPTION_COUNT && status == GENET_OK; i++)
        if (!s->given[i])
            status = gn_value_copy(s, from, gn_option_at(i), err);
    s->given[GN_OPTION_warmup] = true; /* stored as it came out: not shortened a second time */
    return status;
}

int gn_settings_differences(const gn_settings *a, const gn_settings *b, gn_text *out)
{
    int count = 0;
    for (size_t i = 0; i < GN_OPTION_COUNT; i++) {
        const gn_option *o = gn_option_at(i);
        if (!o->shown.changes_result || gn_value_equal(a, b, o))
            continue;
        count++;
        gn_text_add(out, "%s: ", o->shown.key);
        gn_value_text(a, o, out);
        gn_text_add(out, " -> ");
        gn_value_text(b, o, out);
        gn_text_add(out, "\n");
    }
    return count;
}

char *gn_settings_get(const gn_settings *s, const char *key)
{
    const gn_option *o = gn_option_find(key, NULL);
    gn_text text = {0};
    if (!o)
        return NULL;
    gn_text_put(&text, "", 0);
    gn_value_text(s, o, &text);
    if (text.failed)
        gn_text_free(&text);
    return text.data;
}

bool gn_settings_given(const gn_settings *s, gn_option_id id)
{
    return s->given[id];
}

double gn_settings_warmup(const gn_settings *s)
{
    double fifth = (double)s->epochs / 5.0;
    return s->given[GN_OPTION_warmup] || s->warmup <= fifth ? s->warmup : fifth;
}

bool gn_parse_interval(const char *text, gn_interval *out)
{
    static const struct {
        const char *unit;
        double steps, seconds, epochs;
    } units[] = {{"step", 1, 0, 0}, {"steps", 1, 0, 0}, {"s", 0, 1, 0},     {"min", 0, 60, 0},
                 {"h", 0, 3600, 0}, {"epoch", 0, 0, 1}, {"epochs", 0, 0, 1}};
    size_t digits = strspn(text, "0123456789");
    char number[16];
    int64_t n;
    if (digits == 0 || digits > 9)
        return false;
    memcpy(number, text, digits);
    number[digits] = 0;
    if (!gn_parse_int(number, &n) || n < 1)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text + digits, units[i].unit) == 0) {
            double count = (double)n;
            *out = (gn_interval){(int64_t)(units[i].steps * count), units[i].seconds * count,
                                 (int64_t)(units[i].epochs * count)};
            return true;
        }
    return false;
}

/* The epochs of schedule "step" rise and lie within the run. */
static genet_status check_steps(const gn_settings *s, genet_error *err)
{
    int64_t before = 0, epoch = 0;
    if (s->schedule == GN_CHOICE_SCHEDULE_STEP && s->step_epochs.count == 0)
        return gn_fail(err, GENET_USAGE,
                       "--schedule step needs the epochs at which the rate drops: --step-epochs 30 "
                       "--step-epochs 60");
    for (int i = 0; i < s->step_epochs.count; i++, before = epoch) {
        if (!gn_parse_int(s->step_epochs.items[i], &epoch) || epoch <= before)
            return gn_fail(err, GENET_USAGE, "--step-epochs: %s follows %lld; the epochs must rise",
                           s->step_epochs.items[i], (long long)before);
        if (s->schedule == GN_CHOICE_SCHEDULE_STEP && epoch >= s->epochs)
            return gn_fail(err, GENET_USAGE, "--step-epochs: %lld lies outside the run of %lld epochs",
                           (long long)epoch, (long long)s->epochs);
    }
    return GENET_OK;
}

genet_status gn_settings_check(const gn_settings *s, genet_error *err)
{
    char a[32], b[32];
    if (s->area_min > s->area_max)
        return gn_fail(err, GENET_USAGE, "--crop-area-min %s is larger than --crop-area-max %s",
                       gn_format_real(a, s->area_min), gn_format_real(b, s->area_max));
    if (s->aspect_min > s->aspect_max)
        return gn_fail(err, GENET_USAGE, "--crop-aspect-min %s is larger than --crop-aspect-max %s",
                       gn_format_real(a, s->aspect_min), gn_format_real(b, s->aspect_max));
    if (s->rate_end > s->rate && (s->schedule == GN_CHOICE_SCHEDULE_COSINE || s->schedule == GN_CHOICE_SCHEDULE_LINEAR))
        return gn_fail(err, GENET_USAGE, "--rate-end %s is larger than --rate %s", gn_format_real(a, s->rate_end),
                       gn_format_real(b, s->rate));
    if (gn_settings_warmup(s) > (double)s->epochs)
        return gn_fail(err, GENET_USAGE, "--warmup: %s epochs of warm-up do not fit into a run of %lld epochs",
                       gn_format_real(a, s->warmup), (long long)s->epochs);
    if (*s->val && s->val_split > 0)
        return gn_fail(err, GENET_USAGE,
                       "--val and --val-split exclude each other: name a validation set, or hold out a share "
                       "of the training set");
    if (s->merge_classes && s->class_names != GN_CHOICE_CLASS_NAMES_LEAF)
        return gn_fail(err, GENET_USAGE,
                       "--merge-classes needs --class-names leaf: by path no two folders have one name");
    if (s->freeze && !*s->init_from && !*s->resume)
        return gn_fail(err, GENET_USAGE, "--freeze-body trains the head alone and needs a trained body: --init MODEL");
    if (s->force_resume && !*s->resume)
        return gn_fail(err, GENET_USAGE, "--force-resume needs --resume FOLDER");
    if (*s->resume && *s->init_from && s->given[GN_OPTION_init_from])
        return gn_fail(err, GENET_USAGE,
                       "--resume and --init exclude each other: a resumed run has its weights already");
    if (s->accumulate > 16777216 / s->batch)
        return gn_fail(err, GENET_USAGE,
                       "--accumulate %lld batches of %lld images: at most 16777216 images an update are allowed",
                       (long long)s->accumulate, (long long)s->batch);
    return check_steps(s, err);
}
