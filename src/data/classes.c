/* SPDX-License-Identifier: Apache-2.0
 * What is found becomes classes: their names and order, the list that a model expects, and the draw of a capped class.
 * A class is its name; its number follows from the sorted names and is never taken from outside. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/found.h"

#define MAX_CLASSES 1000000
#define NAMES_SHOWN 5

static const char *leaf(const char *text)
{
    const char *slash = strrchr(text, '/');
    return slash && slash[1] ? slash + 1 : text;
}

/* A decimal number as one would count classes: no sign, no leading zero. */
static bool is_number(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= 9 && strspn(text, "0123456789") == n && (n == 1 || text[0] != '0');
}

static int by_name(const void *a, const void *b)
{
    const gn_group *g = *(gn_group *const *)a, *h = *(gn_group *const *)b;
    int order = strcmp(g->name, h->name);
    return order ? order : strcmp(g->text, h->text);
}

static int by_number(const void *a, const void *b)
{
    const gn_group *g = *(gn_group *const *)a, *h = *(gn_group *const *)b;
    size_t n = strlen(g->name), m = strlen(h->name);
    return n != m ? (n < m ? -1 : 1) : strcmp(g->name, h->name);
}

static int by_label_and_name(const void *a, const void *b)
{
    const gn_sample *s = a, *t = b;
    if (s->label != t->label)
        return s->label < t->label ? -1 : 1;
    int order = strcmp(s->name, t->name);
    if (order == 0)
        order = strcmp(s->path, t->path);
    return order ? order : (s->offset > t->offset) - (s->offset < t->offset);
}

/* --- a folder too high -------------------------------------------------------------------------------------------------- */

/* The first folder above the last that is called train, val, ...: its start in the path and its length; 0 for none. */
static size_t part_of_path(const char *path, size_t *start)
{
    for (const char *at = path, *slash; (slash = strchr(at, '/')); at = slash + 1)
        if (gn_split_name(at, (size_t)(slash - at))) {
            *start = (size_t)(at - path);
            return (size_t)(slash - at);
        }
    return 0;
}

/* Classes below train/ and below val/ beside it would be told apart by the part they come from. */
static genet_status check_parts(const gn_dataset *d, const gn_finds *f, genet_error *err)
{
    const gn_group *first = NULL;
    size_t first_start = 0, first_n = 0;
    for (int i = 0; i < f->group_count && !f->labels; i++) {
        const gn_group *g = &f->groups[i];
        size_t start, n = part_of_path(g->text, &start);
        if (!n)
            continue;
        if (!first) {
            first = g;
            first_start = start;
            first_n = n;
        }
        bool beside = start == first_start && strncmp(g->text, first->text, start) == 0;
        if (!beside || (n == first_n && strncmp(g->text + start, first->text + start, n) == 0))
            continue;
        return gn_fail(err, GENET_DATA, "'%s' holds several parts of a set, '%.*s' and '%.*s': name one of them as the data",
                       d->root, (int)(start + n), g->text, (int)(first_start + first_n), first->text);
    }
    return GENET_OK;
}

/* --- the set's own classes ----------------------------------------------------------------------------------------- */

static genet_status own_classes(gn_dataset *d, const gn_finds *f, gn_group **order, bool merge, genet_error *err)
{
    const gn_group *last = NULL; /* of this name with images, or the first */
    d->classes = gn_calloc((size_t)f->group_count, sizeof *d->classes);
    if (!d->classes)
        return gn_fail_memory(err, (size_t)f->group_count * sizeof *d->classes, "class names");
    for (int i = 0; i < f->group_count; i++) {
        gn_group *g = order[i];
        bool same = last && strcmp(last->name, g->name) == 0;
        if (same && !merge && last->files && g->files)
            return gn_fail(err, GENET_DATA,
                           "'%s': the folders '%s' and '%s' would both be the class '%s': --merge-classes makes them one "
                           "class, --class-names path keeps them apart", d->root, last->text, g->text, g->name);
        if (!same)
            d->classes[d->class_count++] = (char *)(uintptr_t)g->name;
        if (!same || g->files)
            last = g;
        g->label = d->class_count - 1;
    }
    if (d->class_count > MAX_CLASSES)
        return gn_fail(err, GENET_DATA, "'%s' has %d classes (at most %d): is its second column a label?", d->root,
                       d->class_count, MAX_CLASSES);
    return GENET_OK;
}

/* --- classes that someone expects ---------------------------------------------------------------------------------- */

typedef struct expected {
    const char *name;
    int label;
} expected;

static int by_expected(const void *a, const void *b)
{
    return strcmp(((const expected *)a)->name, ((const expected *)b)->name);
}

static int find_expected(const expected *list, int n, const char *name)
{
    expected key = {.name = name};
    const expected *e = bsearch(&key, list, (size_t)n, sizeof *list, by_expected);
    return e ? e->label : -1;
}

static void add_name(gn_text *t, int already, const char *name)
{
    if (already < NAMES_SHOWN)
        gn_text_add(t, "%s'%s'", already ? ", " : "", name);
    else if (already == NAMES_SHOWN)
        gn_text_add(t, ", ...");
}

static bool a_leaf(const expected *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(leaf(list[i].name), name) == 0)
            return true;
    return false;
}

static const char *remedy(const gn_finds *f, const expected *list, int n, bool leaf_names)
{
    int used = 0, numbers = 0, other_way = 0, both_leaf = 0;
    for (int i = 0; i < f->group_count; i++) {
        const gn_group *g = &f->groups[i];
        if (!g->files)
            continue;
        used++;
        numbers += f->labels && is_number(g->text);
        other_way += find_expected(list, n, leaf_names ? g->text : leaf(g->text)) >= 0;
        both_leaf += g->label >= 0 || a_leaf(list, n, leaf(g->text));
    }
    if (other_way == used)
        return leaf_names ? "--class-names path makes them fit" : "--class-names leaf makes them fit";
    if (both_leaf == used && !leaf_names)
        return "trained with --class-names leaf they would fit";
    if (numbers == used)
        return "its labels are numbers, and classes are compared by name: write the names into the list";
    return "rename these classes or take them out of the set";
}

static genet_status fail_unknown(const gn_dataset *d, const gn_finds *f, const expected *list,
                                 const gn_dataset_options *o, gn_group **order, genet_error *err)
{
    gn_text unknown = {0}, missing = {0};
    int unknown_count = 0, missing_count = 0;
    bool *seen = gn_calloc((size_t)o->expect_count + 1, sizeof *seen);
    if (!seen)
        return gn_fail_memory(err, (size_t)o->expect_count, "class names");
    for (int i = 0; i < f->group_count; i++) {
        if (order[i]->label >= 0)
            seen[order[i]->label] = true;
        else if (order[i]->files)
            add_name(&unknown, unknown_count++, order[i]->name);
    }
    for (int i = 0; i < o->expect_count; i++)
        if (!seen[i])
            add_name(&missing, missing_count++, o->expect_classes[i]);
    genet_status status = gn_fail(
        err, GENET_MISMATCH, "'%s' has %d class%s that %s does not know: %s; not here of its %d: %s; %s", d->root, unknown_count,
        unknown_count == 1 ? "" : "es", o->expect_owner ? o->expect_owner : "the model", unknown.data ? unknown.data : "?",
        o->expect_count, missing_count && missing.data ? missing.data : "none", remedy(f, list, o->expect_count, o->leaf_names));
    gn_free(seen);
    gn_text_free(&unknown);
    gn_text_free(&missing);
    return status;
}

static genet_status expect_classes(gn_dataset *d, const gn_finds *f, gn_group **order, const gn_dataset_options *o,
                                   genet_error *err)
{
    genet_status status = GENET_OK;
    int n = o->expect_count;
    bool unknown = false;
    expected *list = gn_calloc((size_t)n + 1, sizeof *list);
    d->classes = gn_calloc((size_t)n + 1, sizeof *d->classes);
    if (!list || !d->classes) {
        status = gn_fail_memory(err, (size_t)n * sizeof *list, "class names");
        goto out;
    }
    for (int i = 0; i < n; i++) {
        const char *name = gn_arena_put(f->memory, o->expect_classes[i], strlen(o->expect_classes[i]));
        if (!name) {
            status = gn_fail_memory(err, strlen(o->expect_classes[i]), "class names");
            goto out;
        }
        d->classes[i] = (char *)(uintptr_t)name;
        list[i] = (expected){name, i};
    }
    d->class_count = n;
    qsort(list, (size_t)n, sizeof *list, by_expected);
    const gn_group *last = NULL;
    for (int i = 0; i < f->group_count; i++) {
        gn_group *g = order[i];
        g->label = find_expected(list, n, g->name);
        unknown |= g->label < 0 && g->files;
        if (g->label >= 0 && g->files && last && last->label == g->label && !o->merge_classes) {
            status = gn_fail(err, GENET_DATA, "'%s': the folders '%s' and '%s' would both be the class '%s': give "
                             "--merge-classes to make them one class", d->root, last->text, g->text, g->name);
            goto out;
        }
        if (g->files)
            last = g;
    }
    if (unknown)
        status = fail_unknown(d, f, list, o, order, err);
out:
    gn_free(list);
    return status;
}

/* --- caps ----------------------------------------------------------------------------------------------------------- */

typedef struct score {
    uint64_t value;
    int64_t sample;
} score;

static int by_score(const void *a, const void *b)
{
    const score *s = a, *t = b;
    if (s->value != t->value)
        return s->value < t->value ? -1 : 1;
    return (s->sample > t->sample) - (s->sample < t->sample);
}

genet_status gn_draw_samples(const gn_sample *samples, int64_t n, int64_t keep, uint64_t seed, int purpose, bool *chosen,
                             genet_error *err)
{
    score *scores = gn_calloc((size_t)n + 1, sizeof *scores);
    if (!scores)
        return gn_fail_memory(err, (size_t)n * sizeof *scores, "drawing images");
    for (int64_t i = 0; i < n; i++) {
        uint64_t key = gn_fnv1a(GN_FNV_START, samples[i].name, strlen(samples[i].name)) >> 8; /* a stream has 56 bits */
        gn_rng rng = gn_rng_make(seed, 0, key, (gn_purpose)purpose);
        scores[i].value = (uint64_t)gn_rng_u32(&rng) << 32;
        scores[i].value |= gn_rng_u32(&rng);
        scores[i].sample = i;
        chosen[i] = false;
    }
    qsort(scores, (size_t)n, sizeof *scores, by_score);
    for (int64_t i = 0; i < n && i < keep; i++)
        chosen[scores[i].sample] = true;
    gn_free(scores);
    return GENET_OK;
}

static genet_status read_caps(const gn_dataset *d, const gn_dataset_options *o, int64_t *cap, genet_error *err)
{
    for (int c = 0; c < d->class_count; c++)
        cap[c] = o->cap_all > 0 ? o->cap_all : INT64_MAX;
    for (int i = 0; i < o->cap_count; i++) {
        const char *equals = strrchr(o->caps[i], '=');
        char *end = NULL;
        errno = 0;
        long long n = equals ? strtoll(equals + 1, &end, 10) : 0;
        if (!equals || equals == o->caps[i] || end == equals + 1 || *end || errno || n < 1)
            return gn_fail(err, GENET_USAGE, "--cap '%s': expected CLASS=N with N from 1 up, as in --cap other=2262",
                           o->caps[i]);
        int found = -1;
        for (int c = 0; c < d->class_count && found < 0; c++)
            if (strncmp(d->classes[c], o->caps[i], (size_t)(equals - o->caps[i])) == 0 &&
                d->classes[c][equals - o->caps[i]] == '\0')
                found = c;
        if (found < 0) {
            char *name = gn_strndup(o->caps[i], (size_t)(equals - o->caps[i]));
            const char *near = name ? gn_nearest(name, (const char *const *)d->classes, (size_t)d->class_count) : NULL;
            genet_status status = gn_fail(err, GENET_USAGE, "--cap '%s': '%s' has no class of this name%s%s%s", o->caps[i],
                                          d->root, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
            gn_free(name);
            return status;
        }
        cap[found] = n;
    }
    return GENET_OK;
}

static genet_status apply_caps(gn_dataset *d, const gn_dataset_options *o, genet_error *err)
{
    genet_status status = GENET_OK;
    int64_t *cap = gn_calloc((size_t)d->class_count + 1, sizeof *cap);
    bool *chosen = gn_calloc((size_t)d->count + 1, sizeof *chosen);
    int64_t kept = 0, first = 0;
    if (!cap || !chosen) {
        status = gn_fail_memory(err, (size_t)d->count, "drawing images");
        goto out;
    }
    GN_TRY(read_caps(d, o, cap, err));
    for (int c = 0; c < d->class_count; c++) {
        int64_t n = d->class_total[c], keep = n < cap[c] ? n : cap[c];
        GN_TRY(gn_draw_samples(d->samples + first, n, keep, o->seed, GN_RNG_CAP, chosen, err));
        for (int64_t i = 0; i < n; i++)
            if (chosen[i])
                d->samples[kept++] = d->samples[first + i];
        first += n;
        d->class_kept[c] = keep;
    }
    d->count = kept;
out:
    gn_free(cap);
    gn_free(chosen);
    return status;
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

static void name_and_order(gn_finds *f, bool leaf_names, gn_group **order, bool own)
{
    bool numbers = f->labels && own;
    for (int i = 0; i < f->group_count; i++) {
        gn_group *g = order[i] = &f->groups[i];
        g->name = leaf_names ? leaf(g->text) : g->text;
        numbers = numbers && is_number(g->name);
    }
    qsort(order, (size_t)f->group_count, sizeof *order, numbers ? by_number : by_name);
}

static genet_status fill_samples(gn_dataset *d, const gn_finds *f, genet_error *err)
{
    size_t classes = (size_t)d->class_count;
    d->samples = gn_calloc((size_t)f->count + 1, sizeof *d->samples);
    d->class_total = gn_calloc(classes + 1, sizeof *d->class_total);
    d->class_kept = gn_calloc(classes + 1, sizeof *d->class_kept);
    if (!d->samples || !d->class_total || !d->class_kept)
        return gn_fail_memory(err, (size_t)f->count * sizeof *d->samples, "the table of images");
    for (int64_t i = 0; i < f->count; i++) {
        const gn_found *item = &f->items[i];
        d->samples[i] = (gn_sample){.path = item->path, .name = item->name, .offset = item->offset, .bytes = item->bytes,
                                    .size = item->size, .label = f->groups[item->group].label};
        d->class_total[d->samples[i].label]++;
    }
    d->count = f->count;
    qsort(d->samples, (size_t)d->count, sizeof *d->samples, by_label_and_name);
    memcpy(d->class_kept, d->class_total, classes * sizeof *d->class_kept);
    return GENET_OK;
}

genet_status gn_classes_resolve(gn_dataset *d, gn_finds *f, const gn_dataset_options *o, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_group **order = gn_calloc((size_t)f->group_count + 1, sizeof *order);
    if (!order)
        return gn_fail_memory(err, (size_t)f->group_count * sizeof *order, "class names");
    GN_TRY(check_parts(d, f, err));
    name_and_order(f, o->leaf_names, order, !o->expect_classes);
    if (o->expect_classes)
        GN_TRY(expect_classes(d, f, order, o, err));
    else
        GN_TRY(own_classes(d, f, order, o->merge_classes, err));
    GN_TRY(fill_samples(d, f, err));
    if (o->cap_count || o->cap_all > 0)
        GN_TRY(apply_caps(d, o, err));
out:
    gn_free(order);
    return status;
}
