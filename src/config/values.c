/* SPDX-License-Identifier: Apache-2.0
 * One value of the settings: parsing with messages that teach, printing, comparing, copying. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "config/options.h"

enum { MAX_TEXT = 65536, MAX_ITEMS = 100000 };

static void *place(const gn_settings *s, const gn_option *o)
{
    return (char *)s + o->offset;
}

/* "a, b or c" of "a|b|c". */
static const char *list_choices(char *to, size_t size, const char *choices)
{
    size_t used = 0, n;
    to[0] = 0;
    for (int i = 0;; i++) {
        const char *word = gn_choice_at(choices, i, &n);
        if (!word)
            return to;
        size_t after;
        bool last = !gn_choice_at(choices, i + 1, &after);
        int wrote = snprintf(to + used, size - used, "%s%.*s", i == 0 ? "" : last ? " or " : ", ", (int)n, word);
        if (wrote < 0 || (size_t)wrote >= size - used)
            return to;
        used += (size_t)wrote;
    }
}

static genet_status fail_choice(const char *choices, const char *value, const char *origin, genet_error *err)
{
    enum { MAX_CHOICES = 16 };
    char listed[256], copies[MAX_CHOICES][32];
    const char *words[MAX_CHOICES];
    size_t n, count = 0;
    for (; count < MAX_CHOICES; count++) {
        const char *word = gn_choice_at(choices, (int)count, &n);
        if (!word)
            break;
        snprintf(copies[count], sizeof copies[count], "%.*s", (int)n, word);
        words[count] = copies[count];
    }
    const char *nearest = gn_nearest(value, words, count);
    return gn_fail(err, GENET_USAGE, "%s: \"%s\" is not allowed: %s%s%s%s", origin, value,
                   list_choices(listed, sizeof listed, choices), nearest ? " (did you mean " : "",
                   nearest ? nearest : "", nearest ? "?)" : "");
}

static genet_status set_int(gn_settings *s, const gn_option *o, const char *value, const char *origin, genet_error *err)
{
    int64_t n = 0;
    double real;
    const char *digits = value + (*value == '-' || *value == '+');
    bool too_long = *digits && strspn(digits, "0123456789") == strlen(digits) && !gn_parse_int(value, &n);
    if (too_long) /* a whole number beyond 64 bits is out of range, not a wrong type */
        n = *value == '-' ? INT64_MIN : INT64_MAX;
    else if (!gn_parse_int(value, &n))
        return gn_fail(err, GENET_USAGE, "%s: \"%s\" is not a whole number%s; allowed is %lld to %lld", origin, value,
                       gn_parse_real(value, &real) ? "" : " (digits only)", (long long)o->least, (long long)o->most);
    if (too_long || n < o->least || n > o->most)
        return gn_fail(err, GENET_USAGE, "%s: %s is out of range: allowed is %lld to %lld (nearest: %lld)", origin,
                       value, (long long)o->least, (long long)o->most, (long long)(n < o->least ? o->least : o->most));
    *(int64_t *)place(s, o) = n;
    return GENET_OK;
}

static genet_status set_real(gn_settings *s, const gn_option *o, const char *value, const char *origin,
                             genet_error *err)
{
    double d = 0;
    char low[32], high[32];
    gn_format_real(low, o->shown.minimum);
    gn_format_real(high, o->shown.maximum);
    if (!gn_parse_real(value, &d))
        return gn_fail(err, GENET_USAGE, "%s: \"%s\" is not a number%s; allowed is %s to %s", origin, value,
                       strchr(value, ',') ? " (write a point, not a comma)" : "", low, high);
    if (!(d >= o->shown.minimum && d <= o->shown.maximum))
        return gn_fail(err, GENET_USAGE, "%s: %s is out of range: allowed is %s to %s (nearest: %s)", origin, value,
                       low, high, d < o->shown.minimum ? low : high);
    *(double *)place(s, o) = d;
    return GENET_OK;
}

static genet_status set_flag(gn_settings *s, const gn_option *o, const char *value, const char *origin,
                             genet_error *err)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, yes[i]) != 0 && strcmp(value, no[i]) != 0)
            continue;
        *(bool *)place(s, o) = strcmp(value, yes[i]) == 0;
        return GENET_OK;
    }
    return gn_fail(err, GENET_USAGE, "%s: \"%s\" is neither true nor false (yes/no and on/off are fine too)", origin,
                   value);
}

static genet_status set_text(gn_settings *s, const gn_option *o, const char *value, genet_error *err)
{
    char *copy = gn_strdup(value);
    if (!copy)
        return gn_fail_memory(err, strlen(value) + 1, o->shown.key);
    gn_value_clear(s, o);
    *(char **)place(s, o) = copy;
    return GENET_OK;
}

static genet_status append(gn_settings *s, const gn_option *o, const char *value, const char *origin, genet_error *err)
{
    gn_string_list *list = place(s, o);
    if (list->count >= MAX_ITEMS)
        return gn_fail(err, GENET_USAGE, "%s: more than %d items", origin, MAX_ITEMS);
    size_t bytes = ((size_t)list->count + 1) * sizeof *list->items;
    char **grown = gn_realloc(list->items, bytes);
    if (!grown)
        return gn_fail_memory(err, bytes, o->shown.key);
    list->items = grown;
    list->items[list->count] = gn_strdup(value);
    if (!list->items[list->count])
        return gn_fail_memory(err, strlen(value) + 1, o->shown.key);
    list->count++;
    return GENET_OK;
}

/* What the table's types cannot say: values with a form of their own. */
static genet_status check_form(size_t id, const char *value, const char *origin, genet_error *err)
{
    int64_t n;
    gn_interval interval;
    const char *equals = strrchr(value, '=');
    switch (id) {
    case GN_OPTION_depth:
        if (gn_choice_find("26|50|101|152", value) < 0 && gn_parse_int(value, &n) && n >= 26 && n <= 152)
            return gn_fail(err, GENET_USAGE, "%s: a ResNet of %s layers is not known: 26, 50, 101 or 152", origin,
                           value);
        return GENET_OK;
    case GN_OPTION_cap:
        if (!equals || equals == value || !gn_parse_int(equals + 1, &n) || n < 0)
            return gn_fail(err, GENET_USAGE, "%s: \"%s\" is not of the form CLASS=N, as in other=2262", origin, value);
        return GENET_OK;
    case GN_OPTION_step_epochs:
        if (!gn_parse_int(value, &n) || n < 1 || n > 100000)
            return gn_fail(err, GENET_USAGE, "%s: \"%s\" is not an epoch: a whole number from 1 to 100000", origin,
                           value);
        return GENET_OK;
    case GN_OPTION_checkpoint_every:
        if (!gn_parse_interval(value, &interval))
            return gn_fail(err, GENET_USAGE, "%s: \"%s\" is not an interval: write 500steps, 10min, 30s, 2h or 1epoch",
                           origin, value);
        return GENET_OK;
    case GN_OPTION_isa:
        return !*value || gn_choice_find("sse4|avx2|avx512", value) >= 0
                   ? GENET_OK
                   : fail_choice("sse4|avx2|avx512", value, origin, err);
    default:
        return GENET_OK;
    }
}

genet_status gn_value_set(gn_settings *s, const gn_option *o, const char *value, const char *origin, genet_error *err)
{
    int choice;
    if (strlen(value) > MAX_TEXT)
        return gn_fail(err, GENET_USAGE, "%s: a value of %zu bytes; at most %d are allowed", origin, strlen(value),
                       MAX_TEXT);
    genet_status status = check_form((size_t)(o - gn_option_at(0)), value, origin, err);
    if (status != GENET_OK)
        return status;
    switch (o->shown.type) {
    case GENET_OPTION_INT:
        return set_int(s, o, value, origin, err);
    case GENET_OPTION_REAL:
        return set_real(s, o, value, origin, err);
    case GENET_OPTION_FLAG:
        return set_flag(s, o, value, origin, err);
    case GENET_OPTION_TEXT:
        return set_text(s, o, value, err);
    case GENET_OPTION_CHOICE:
        choice = gn_choice_find(o->shown.choices, value);
        if (choice < 0)
            return fail_choice(o->shown.choices, value, origin, err);
        *(int *)place(s, o) = choice;
        return GENET_OK;
    case GENET_OPTION_LIST:
        return append(s, o, value, origin, err);
    }
    return gn_fail(err, GENET_INTERNAL, "%s: an option of unknown type", o->shown.key);
}

void gn_value_clear(gn_settings *s, const gn_option *o)
{
    if (o->shown.type == GENET_OPTION_TEXT) {
        char **text = place(s, o);
        gn_free(*text);
        *text = NULL;
    } else if (o->shown.type == GENET_OPTION_LIST) {
        gn_string_list *list = place(s, o);
        for (int i = 0; i < list->count; i++)
            gn_free(list->items[i]);
        gn_free(list->items);
        *list = (gn_string_list){NULL, 0};
    }
}

void gn_value_text(const gn_settings *s, const gn_option *o, gn_text *out)
{
    const void *at = place(s, o);
    char buf[32];
    size_t n;
    const char *word;
    const gn_string_list *list;
    switch (o->shown.type) {
    case GENET_OPTION_INT:
        gn_text_add(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case GENET_OPTION_REAL:
        gn_text_add(out, "%s", gn_format_real(buf, *(const double *)at));
        break;
    case GENET_OPTION_FLAG:
        gn_text_add(out, "%s", *(const bool *)at ? "true" : "false");
        break;
    case GENET_OPTION_TEXT:
        gn_text_add(out, "%s", *(char *const *)at);
        break;
    case GENET_OPTION_CHOICE:
        word = gn_choice_at(o->shown.choices, *(const int *)at, &n);
        if (word)
            gn_text_put(out, word, n);
        break;
    case GENET_OPTION_LIST:
        list = at;
        for (int i = 0; i < list->count; i++)
            gn_text_add(out, "%s%s", i ? ", " : "", list->items[i]);
        break;
    }
}

bool gn_value_equal(const gn_settings *a, const gn_settings *b, const gn_option *o)
{
    const void *x = place(a, o), *y = place(b, o);
    const gn_string_list *p, *q;
    switch (o->shown.type) {
    case GENET_OPTION_INT:
        return *(const int64_t *)x == *(const int64_t *)y;
    case GENET_OPTION_REAL:
        return *(const double *)x == *(const double *)y;
    case GENET_OPTION_FLAG:
        return *(const bool *)x == *(const bool *)y;
    case GENET_OPTION_TEXT:
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    case GENET_OPTION_CHOICE:
        return *(const int *)x == *(const int *)y;
    case GENET_OPTION_LIST:
        p = x;
        q = y;
        if (p->count != q->count)
            return false;
        for (int i = 0; i < p->count; i++)
            if (strcmp(p->items[i], q->items[i]) != 0)
                return false;
        return true;
    }
    return false;
}

genet_status gn_value_copy(gn_settings *to, const gn_settings *from, const gn_option *o, genet_error *err)
{
    const gn_string_list *list;
    genet_status status = GENET_OK;
    switch (o->shown.type) {
    case GENET_OPTION_TEXT:
        return set_text(to, o, *(char *const *)place(from, o), err);
    case GENET_OPTION_LIST:
        list = place(from, o);
        gn_value_clear(to, o);
        for (int i = 0; i < list->count && status == GENET_OK; i++)
            status = append(to, o, list->items[i], o->shown.key, err);
        return status;
    case GENET_OPTION_INT:
        *(int64_t *)place(to, o) = *(const int64_t *)place(from, o);
        break;
    case GENET_OPTION_REAL:
        *(double *)place(to, o) = *(const double *)place(from, o);
        break;
    case GENET_OPTION_FLAG:
        *(bool *)place(to, o) = *(const bool *)place(from, o);
        break;
    case GENET_OPTION_CHOICE:
        *(int *)place(to, o) = *(const int *)place(from, o);
        break;
    }
    return GENET_OK;
}
