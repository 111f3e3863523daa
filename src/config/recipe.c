/* SPDX-License-Identifier: Apache-2.0
 * Recipes: one flat YAML mapping of option keys to scalars, and to sequences for options that may be repeated. Hostile
 * input: no anchors, aliases, nesting, second documents, repeated keys; at most 1 MiB. */
#include <string.h>
#include <yaml.h>
#include "base/file.h"
#include "base/mem.h"
#include "config/options.h"

enum { MAX_BYTES = 1 << 20 };

typedef struct recipe {
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    bool seen[GN_OPTION_COUNT], before[GN_OPTION_COUNT]; /* in this file; given when it was opened */
} recipe;

static int line_of(const recipe *r)
{
    return (int)r->event.start_mark.line + 1;
}

static genet_status next_event(recipe *r, genet_error *err)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR)
            return gn_fail_memory(err, 0, r->path);
        return gn_fail(err, GENET_USAGE, "%s line %d: not YAML: %s", r->path, (int)r->parser.problem_mark.line + 1,
                       r->parser.problem ? r->parser.problem : "damaged");
    }
    r->has_event = true;
    return GENET_OK;
}

/* The event's scalar as text; refuses what is not one. */
static genet_status take_scalar(recipe *r, const char *what, const char **text, genet_error *err)
{
    if (r->event.type == YAML_ALIAS_EVENT || (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.anchor))
        return gn_fail(err, GENET_USAGE,
                       "%s line %d: anchors (&) and aliases (*) are not allowed in a recipe; quote a text that "
                       "starts with one",
                       r->path, line_of(r));
    if (r->event.type != YAML_SCALAR_EVENT)
        return gn_fail(err, GENET_USAGE,
                       "%s line %d: %s must be a single value; a recipe is a flat list of \"key: value\"", r->path,
                       line_of(r), what);
    *text = (const char *)r->event.data.scalar.value;
    if (strlen(*text) != r->event.data.scalar.length)
        return gn_fail(err, GENET_USAGE, "%s line %d: %s holds a NUL byte", r->path, line_of(r), what);
    return GENET_OK;
}

static genet_status find_key(recipe *r, const gn_option **option, size_t *id, genet_error *err)
{
    const char *key = NULL;
    genet_status status = take_scalar(r, "a key", &key, err);
    if (status != GENET_OK)
        return status;
    const gn_option *o = gn_option_find(key, id);
    if (!o) {
        const char *nearest = genet_option_nearest(key, 'T');
        return gn_fail(err, GENET_USAGE, "%s line %d: unknown key %s%s%s%s", r->path, line_of(r), key,
                       nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    }
    if (!strchr(o->shown.commands, 'T') || *id == GN_OPTION_recipe)
        return gn_fail(err, GENET_USAGE, "%s line %d: %s does not belong into a recipe: it is no setting of a training",
                       r->path, line_of(r), key);
    if (r->seen[*id])
        return gn_fail(err, GENET_USAGE, "%s line %d: %s is there a second time", r->path, line_of(r), key);
    r->seen[*id] = true;
    *option = o;
    return GENET_OK;
}

/* Stores the event's scalar, or, for an option given before the recipe, only checks it. */
static genet_status store(recipe *r, gn_settings *s, gn_settings *checked, const gn_option *o, size_t id,
                          genet_error *err)
{
    const char *value = NULL;
    gn_settings *to = r->before[id] ? checked : s;
    genet_status status = take_scalar(r, o->shown.key, &value, err);
    if (status != GENET_OK)
        return status;
    char *full = gn_asprintf("%s line %d: %s", r->path, line_of(r), o->shown.key);
    if (!full)
        return gn_fail_memory(err, 0, r->path);
    status = gn_value_set(to, o, value, full, err);
    gn_free(full);
    if (status == GENET_OK)
        to->given[id] = true;
    return status;
}

static genet_status read_pair(recipe *r, gn_settings *s, gn_settings *checked, genet_error *err)
{
    const gn_option *o = NULL;
    size_t id = 0;
    genet_status status = GENET_OK;
    GN_TRY(find_key(r, &o, &id, err));
    GN_TRY(next_event(r, err));
    if (r->event.type != YAML_SEQUENCE_START_EVENT || o->shown.type != GENET_OPTION_LIST)
        return store(r, s, checked, o, id, err);
    if (!r->before[id])
        s->given[id] = true; /* an empty list is a choice too */
    GN_TRY(next_event(r, err));
    while (r->event.type != YAML_SEQUENCE_END_EVENT) {
        GN_TRY(store(r, s, checked, o, id, err));
        GN_TRY(next_event(r, err));
    }
out:
    return status;
}

static genet_status read_document(recipe *r, gn_settings *s, gn_settings *checked, genet_error *err)
{
    genet_status status = GENET_OK;
    GN_TRY(next_event(r, err)); /* the stream's start */
    GN_TRY(next_event(r, err));
    if (r->event.type == YAML_STREAM_END_EVENT) /* nothing but comments */
        return GENET_OK;
    GN_TRY(next_event(r, err));
    if (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0) {
        GN_TRY(next_event(r, err));
    } else if (r->event.type != YAML_MAPPING_START_EVENT || r->event.data.mapping_start.anchor) {
        status =
            gn_fail(err, GENET_USAGE, "%s line %d: a recipe is a flat list of \"key: value\"", r->path, line_of(r));
        goto out;
    } else {
        GN_TRY(next_event(r, err));
        while (r->event.type != YAML_MAPPING_END_EVENT) {
            GN_TRY(read_pair(r, s, checked, err));
            GN_TRY(next_event(r, err));
        }
        GN_TRY(next_event(r, err)); /* the document's end */
    }
    GN_TRY(next_event(r, err));
    if (r->event.type != YAML_STREAM_END_EVENT)
        status = gn_fail(err, GENET_USAGE, "%s line %d: a second document; a recipe is one", r->path, line_of(r));
out:
    return status;
}

genet_status gn_settings_parse_recipe(gn_settings *s, const char *name, const unsigned char *text, size_t bytes,
                                      genet_error *err)
{
    recipe r = {.path = name};
    gn_settings *checked = NULL;
    if (!yaml_parser_initialize(&r.parser))
        return gn_fail_memory(err, 0, name);
    memcpy(r.before, s->given, sizeof r.before);
    yaml_parser_set_input_string(&r.parser, text, bytes);
    genet_status status = gn_settings_create(&checked, err);
    if (status == GENET_OK)
        status = read_document(&r, s, checked, err);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    gn_settings_free(checked);
    return status;
}

genet_status gn_settings_read_recipe(gn_settings *s, const char *path, genet_error *err)
{
    unsigned char *text = NULL;
    size_t bytes = 0;
    genet_status status = gn_file_read(path, MAX_BYTES, &text, &bytes, err);
    if (status == GENET_OK)
        status = gn_settings_parse_recipe(s, path, text, bytes, err);
    if (status == GENET_OK)
        status = gn_value_set(s, gn_option_at(GN_OPTION_recipe), path, "recipe", err);
    gn_free(text);
    return status;
}
