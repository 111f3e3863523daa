/* SPDX-License-Identifier: Apache-2.0
 * Settings as JSON, for run.json and for the metadata of checkpoints. A text that is not UTF-8 (a path may hold any
 * bytes) is written as {"hex": "..."} so that it comes back exactly. */
#include <jansson.h>
#include <string.h>
#include "base/mem.h"
#include "config/options.h"

static bool is_utf8(const char *text)
{
    while (*text) {
        size_t n = gn_utf8_length(text);
        if (n == 0)
            return false;
        text += n;
    }
    return true;
}

static void put_text(gn_text *out, const char *text)
{
    if (is_utf8(text)) {
        gn_text_json(out, text);
        return;
    }
    gn_text_add(out, "{\"hex\": \"");
    for (; *text; text++)
        gn_text_add(out, "%02x", (unsigned char)*text);
    gn_text_add(out, "\"}");
}

static void put_value(const gn_settings *s, const gn_option *o, gn_text *out)
{
    const void *at = (const char *)s + o->offset;
    char buf[32];
    if (at == &s->warmup) { /* what it comes out as: whether it was given is not stored */
        gn_text_add(out, "%s", gn_format_real(buf, gn_settings_warmup(s)));
    } else if (o->shown.type == GENET_OPTION_TEXT) {
        put_text(out, *(char *const *)at);
    } else if (o->shown.type == GENET_OPTION_LIST) {
        const gn_string_list *list = at;
        gn_text_add(out, "[");
        for (int i = 0; i < list->count; i++) {
            if (i)
                gn_text_add(out, ", ");
            put_text(out, list->items[i]);
        }
        gn_text_add(out, "]");
    } else {
        bool quoted = o->shown.type == GENET_OPTION_CHOICE;
        gn_text_add(out, "%s", quoted ? "\"" : "");
        gn_value_text(s, o, out);
        gn_text_add(out, "%s", quoted ? "\"" : "");
    }
}

void gn_settings_json(const gn_settings *s, bool only_result, gn_text *out)
{
    bool first = true;
    gn_text_add(out, "{");
    for (size_t i = 0; i < GN_OPTION_COUNT; i++) {
        const gn_option *o = gn_option_at(i);
        if (only_result && !o->shown.changes_result)
            continue;
        gn_text_add(out, "%s\"%s\": ", first ? "" : ", ", o->shown.key);
        put_value(s, o, out);
        first = false;
    }
    gn_text_add(out, "}");
}

/* Fresh text of a JSON string or {"hex": "..."}; NULL where it is neither (or without memory: *memory). */
static char *take_text(const json_t *v, bool *memory)
{
    char *text = NULL;
    if (json_is_string(v)) {
        text = gn_strdup(json_string_value(v));
        *memory = !text;
        return text;
    }
    const char *hex =
        json_is_object(v) && json_object_size(v) == 1 ? json_string_value(json_object_get(v, "hex")) : NULL;
    size_t n = hex ? strlen(hex) : 0;
    if (!hex || n % 2 || strspn(hex, "0123456789abcdef") != n)
        return NULL;
    text = gn_calloc(n / 2 + 1, 1);
    *memory = !text;
    for (size_t i = 0; text && i < n; i++) {
        int digit = hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10;
        text[i / 2] = (char)(i % 2 ? text[i / 2] | digit : digit << 4);
        if (i % 2 && !text[i / 2]) { /* a NUL inside */
            gn_free(text);
            return NULL;
        }
    }
    return text;
}

static genet_status set_text(gn_settings *s, const gn_option *o, const json_t *v, const char *origin, genet_error *err)
{
    bool memory = false;
    char *text = take_text(v, &memory);
    if (!text)
        return memory ? gn_fail_memory(err, 0, o->shown.key) : gn_fail(err, GENET_FORMAT, "%s: not a text", origin);
    genet_status status = gn_value_set(s, o, text, origin, err);
    gn_free(text);
    return status;
}

static genet_status set_value(gn_settings *s, const gn_option *o, const json_t *v, const char *origin, genet_error *err)
{
    char buf[32];
    switch (o->shown.type) {
    case GENET_OPTION_INT:
        if (!json_is_integer(v))
            return gn_fail(err, GENET_FORMAT, "%s: not a whole number", origin);
        gn_text text = {0};
        gn_text_add(&text, "%lld", (long long)json_integer_value(v));
        genet_status status =
            text.failed ? gn_fail_memory(err, 32, origin) : gn_value_set(s, o, text.data, origin, err);
        gn_text_free(&text);
        return status;
    case GENET_OPTION_REAL:
        if (!json_is_number(v))
            return gn_fail(err, GENET_FORMAT, "%s: not a number", origin);
        return gn_value_set(s, o, gn_format_real(buf, json_number_value(v)), origin, err);
    case GENET_OPTION_FLAG:
        if (!json_is_boolean(v))
            return gn_fail(err, GENET_FORMAT, "%s: neither true nor false", origin);
        return gn_value_set(s, o, json_is_true(v) ? "true" : "false", origin, err);
    case GENET_OPTION_LIST:
        if (!json_is_array(v))
            return gn_fail(err, GENET_FORMAT, "%s: not a list", origin);
        gn_value_clear(s, o);
        for (size_t i = 0; i < json_array_size(v); i++) {
            status = set_text(s, o, json_array_get(v, i), origin, err);
            if (status != GENET_OK)
                return status;
        }
        return GENET_OK;
    case GENET_OPTION_TEXT:
    case GENET_OPTION_CHOICE:
        return set_text(s, o, v, origin, err);
    }
    return GENET_INTERNAL;
}

genet_status gn_settings_from_json(gn_settings *s, const char *json, genet_error *err)
{
    json_error_t fault;
    genet_status status = GENET_OK;
    const char *key;
    json_t *value, *root = json_loads(json, JSON_REJECT_DUPLICATES, &fault);
    if (!root)
        return gn_fail(err, GENET_FORMAT, "the stored settings are not JSON: line %d: %s", fault.line, fault.text);
    if (!json_is_object(root)) {
        status = gn_fail(err, GENET_FORMAT, "the stored settings are not a JSON object");
        goto out;
    }
    json_object_foreach(root, key, value)
    {
        size_t id;
        const gn_option *o = gn_option_find(key, &id);
        if (!o) {
            status =
                gn_fail(err, GENET_FORMAT, "the stored settings have a key that this version does not know: %s", key);
            goto out;
        }
        status = set_value(s, o, value, key, err);
        if (status != GENET_OK) {
            /* What a user would call wrong use is a damaged file here. */
            if (status == GENET_USAGE && err)
                err->status = status = GENET_FORMAT;
            else if (status == GENET_USAGE)
                status = GENET_FORMAT;
            gn_error_prefix(err, "stored settings");
            goto out;
        }
        s->given[id] = true;
    }
out:
    json_decref(root);
    return status;
}
