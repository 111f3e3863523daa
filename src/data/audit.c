/* SPDX-License-Identifier: Apache-2.0
 * Auditing a data set: every image is read, hashed and decoded once; then repeats, classes and odd pictures are listed. */
#include "data/audit.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "config/config.h"
#include "data/found.h"
#include "data/manifest.h"
#include "data/threads.h"
#include "genet/data.h"

typedef struct bench { /* of one thread */
    gn_decoder *decoder;
    gn_image picture, small, scratch;
    unsigned char *bytes;
    size_t capacity;
} bench;

typedef struct audit {
    gn_dataset *sets[2]; /* training, validation (or NULL) */
    int64_t count;
    gn_audit_image *images;
    gn_audit_twins *twins;
    bench *benches;
    int threads;
    gn_decode_options decode;
} audit;

typedef struct report {
    genet_audit_report shown; /* first: what the caller sees */
    genet_audit_finding *findings;
    int64_t capacity;
    gn_dataset_memory *memory; /* of names and details */
} report;

const char *genet_audit_name(genet_audit_kind kind)
{
    static const char *const names[] = {
#define X(name, word, text) word,
        GENET_AUDIT_LIST(X)
#undef X
    };
    return (unsigned)kind < GENET_AUDIT_KINDS ? names[kind] : NULL;
}

const char *genet_audit_text(genet_audit_kind kind)
{
    static const char *const texts[] = {
#define X(name, word, text) text,
        GENET_AUDIT_LIST(X)
#undef X
    };
    return (unsigned)kind < GENET_AUDIT_KINDS ? texts[kind] : NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

static const gn_sample *sample_at(const audit *a, int64_t i, bool *in_val)
{
    *in_val = i >= a->sets[0]->count;
    return *in_val ? &a->sets[1]->samples[i - a->sets[0]->count] : &a->sets[0]->samples[i];
}

static genet_status keep_reason(gn_audit_image *im, const char *reason, genet_error *err)
{
    im->reason = gn_strdup(reason);
    return im->reason ? GENET_OK : gn_fail_memory(err, strlen(reason) + 1, "what is wrong with an image");
}

static void hash_bytes(gn_audit_image *im, const unsigned char *bytes, size_t n)
{
    gn_sha256 s;
    gn_sha256_init(&s);
    gn_sha256_add(&s, bytes, n);
    gn_sha256_hex(&s, im->sha);
}

static genet_status look_at(void *user, int thread, int64_t i, genet_error *err)
{
    audit *a = user;
    bench *b = &a->benches[thread];
    gn_audit_image *im = &a->images[i];
    gn_decode_options decode = a->decode;
    bool in_val;
    size_t n;
    genet_error why = {0};
    memcpy(im->sha, "-", 2);
    genet_status status = gn_sample_read(sample_at(a, i, &in_val), &b->bytes, &b->capacity, &n, &why);
    if (status == GENET_OK) {
        hash_bytes(im, b->bytes, n);
        status = gn_decode(b->decoder, b->bytes, n, &decode, &b->picture, &im->info, &why);
        if (status == GENET_DATA) { /* perhaps only its end is missing */
            decode.allow_truncated = true;
            im->truncated = gn_decode(b->decoder, b->bytes, n, &decode, &b->picture, &im->info, NULL) == GENET_OK;
        }
    }
    if (status != GENET_OK && status != GENET_DATA && status != GENET_IO) /* not the picture's fault */
        return gn_fail(err, status, "%s", why.text);
    im->decoded = status == GENET_OK;
    if (!im->decoded)
        return keep_reason(im, why.text, err);
    return gn_picture_hash_make(&b->picture, &b->small, &b->scratch, &im->picture, err);
}

/* Classes of the validation set get the training set's numbers where the names are equal. */
static genet_status number_classes(audit *a, genet_error *err)
{
    const gn_dataset *train = a->sets[0], *val = a->sets[1];
    for (int64_t i = 0; i < train->count; i++)
        a->images[i].label = train->samples[i].label;
    if (!val)
        return GENET_OK;
    int *number = gn_calloc((size_t)val->class_count + 1, sizeof *number);
    if (!number)
        return gn_fail_memory(err, (size_t)val->class_count * sizeof *number, "class names");
    for (int c = 0, k = 0; c < val->class_count; c++) { /* both are sorted, if by the same rule */
        int found = -1;
        for (int tries = 0; tries < train->class_count && found < 0; tries++, k = (k + 1) % train->class_count)
            if (strcmp(val->classes[c], train->classes[k]) == 0)
                found = k;
        number[c] = found >= 0 ? found : train->class_count + c;
    }
    for (int64_t i = 0; i < val->count; i++)
        a->images[train->count + i].label = number[val->samples[i].label];
    gn_free(number);
    return GENET_OK;
}

static genet_status prepare(audit *a, const gn_settings *s, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_dataset_options options = gn_dataset_options_from(s);
    options.caps = NULL;
    options.cap_count = 0;
    options.cap_all = 0;
    GN_TRY(gn_dataset_open(&a->sets[0], s->data, &options, err));
    if (s->val && *s->val)
        GN_TRY(gn_dataset_open(&a->sets[1], s->val, &options, err));
    a->count = a->sets[0]->count + (a->sets[1] ? a->sets[1]->count : 0);
    a->threads = s->threads ? (int)s->threads : gn_cores();
    a->decode = (gn_decode_options){.max_pixels = (uint64_t)s->max_pixels, .exif = true};
    a->images = gn_calloc((size_t)a->count + 1, sizeof *a->images);
    a->twins = gn_calloc((size_t)a->count + 1, sizeof *a->twins);
    a->benches = gn_calloc((size_t)a->threads, sizeof *a->benches);
    if (!a->images || !a->twins || !a->benches)
        return gn_fail_memory(err, (size_t)a->count * sizeof *a->images, "what is known of the images");
    for (int i = 0; i < a->threads; i++)
        GN_TRY(gn_decoder_create(&a->benches[i].decoder, err));
    status = number_classes(a, err);
out:
    return status;
}

static void free_audit(audit *a)
{
    for (int i = 0; a->benches && i < a->threads; i++) {
        bench *b = &a->benches[i];
        gn_decoder_free(b->decoder);
        gn_image_free(&b->picture);
        gn_image_free(&b->small);
        gn_image_free(&b->scratch);
        gn_free(b->bytes);
    }
    for (int64_t i = 0; a->images && i < a->count; i++)
        gn_free(a->images[i].reason);
    gn_free(a->benches);
    gn_free(a->images);
    gn_free(a->twins);
    gn_dataset_free(a->sets[0]);
    gn_dataset_free(a->sets[1]);
}

/* --- findings ------------------------------------------------------------------------------------------------------------ */

static genet_status add(report *r, genet_audit_kind kind, bool in_val, const char *file, const char *other,
                        bool other_in_val, const char *detail, genet_error *err)
{
    const char *const texts[3] = {file, other, detail};
    const char *copies[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3; i++)
        if (texts[i] && !(copies[i] = gn_arena_put(r->memory, texts[i], strlen(texts[i]))))
            return gn_fail_memory(err, strlen(texts[i]), "what the audit finds");
    if (r->shown.finding_count == r->capacity) {
        int64_t capacity = r->capacity ? r->capacity * 2 : 64;
        genet_audit_finding *bigger = gn_realloc(r->findings, (size_t)capacity * sizeof *bigger);
        if (!bigger)
            return gn_fail_memory(err, (size_t)capacity * sizeof *bigger, "what the audit finds");
        r->findings = bigger;
        r->capacity = capacity;
    }
    r->findings[r->shown.finding_count++] =
        (genet_audit_finding){kind, in_val, other_in_val, copies[0], copies[1], copies[2]};
    r->shown.counts[kind]++;
    return GENET_OK;
}

static bool wrong_name(const char *name, gn_image_kind kind)
{
    static const struct {
        const char *end;
        gn_image_kind kind;
    } ends[] = {{"jpg", GN_IMAGE_JPEG}, {"jpeg", GN_IMAGE_JPEG}, {"jpe", GN_IMAGE_JPEG}, {"jfif", GN_IMAGE_JPEG},
                {"png", GN_IMAGE_PNG},  {"webp", GN_IMAGE_WEBP}, {"gif", GN_IMAGE_UNKNOWN}, {"bmp", GN_IMAGE_UNKNOWN},
                {"tif", GN_IMAGE_UNKNOWN}, {"tiff", GN_IMAGE_UNKNOWN}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof ends / sizeof *ends; i++)
        if (strcasecmp(dot + 1, ends[i].end) == 0)
            return ends[i].kind != kind;
    return false;
}

static genet_status judge_picture(report *r, const audit *a, int64_t i, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_audit_image *im = &a->images[i];
    bool in_val;
    const char *name = sample_at(a, i, &in_val)->name;
    char size[64];
    if (!im->decoded)
        return add(r, im->truncated ? GENET_AUDIT_TRUNCATED : GENET_AUDIT_BROKEN, in_val, name, NULL, false, im->reason, err);
    int shorter = im->info.width < im->info.height ? im->info.width : im->info.height;
    int longer = im->info.width + im->info.height - shorter;
    snprintf(size, sizeof size, "%d x %d", im->info.width, im->info.height);
    if (im->info.colour == GN_COLOUR_CMYK)
        GN_TRY(add(r, GENET_AUDIT_CMYK, in_val, name, NULL, false, NULL, err));
    if (im->info.orientation > 1) {
        char turn[32];
        snprintf(turn, sizeof turn, "orientation %d", im->info.orientation);
        GN_TRY(add(r, GENET_AUDIT_EXIF_TURNED, in_val, name, NULL, false, turn, err));
    }
    if (shorter < GENET_AUDIT_MIN_SIDE)
        GN_TRY(add(r, GENET_AUDIT_TINY, in_val, name, NULL, false, size, err));
    if (longer > (int64_t)GENET_AUDIT_MAX_ASPECT * shorter)
        GN_TRY(add(r, GENET_AUDIT_EXTREME_ASPECT, in_val, name, NULL, false, size, err));
    if (wrong_name(name, im->info.kind))
        GN_TRY(add(r, GENET_AUDIT_WRONG_NAME, in_val, name, NULL, false,
                   im->info.kind == GN_IMAGE_JPEG ? "JPEG" : im->info.kind == GN_IMAGE_PNG ? "PNG" : "WebP", err));
out:
    return status;
}

/* A repeat across the sets, or under another class, is said as that; only the rest as a plain duplicate. */
static genet_status judge_twins(report *r, const audit *a, int64_t i, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_audit_twins *t = &a->twins[i];
    bool in_val, twin_in_val;
    const char *name = sample_at(a, i, &in_val)->name;
    int64_t twin = t->same_bytes >= 0 ? t->same_bytes : t->same_picture;
    int64_t other = t->same_bytes_other_class >= 0 ? t->same_bytes_other_class : t->same_picture_other_class;
    if (in_val && t->same_picture >= 0 && t->same_picture < a->sets[0]->count && twin >= a->sets[0]->count)
        twin = t->same_picture; /* a copy in the training set matters more than the same bytes in this one */
    char bits[64] = "same bytes";
    if (twin < 0)
        return GENET_OK;
    if (twin != t->same_bytes)
        snprintf(bits, sizeof bits, "hashes differ in %d of 64 bits",
                 gn_picture_hash_bits(&a->images[i].picture, &a->images[twin].picture));
    const char *twin_name = sample_at(a, twin, &twin_in_val)->name;
    if (in_val && !twin_in_val)
        GN_TRY(add(r, GENET_AUDIT_LEAK, true, name, twin_name, false, bits, err));
    else if (other < 0)
        GN_TRY(add(r, twin == t->same_bytes ? GENET_AUDIT_DUPLICATE : GENET_AUDIT_SAME_PICTURE, in_val, name, twin_name,
                   twin_in_val, bits, err));
    if (other >= 0) {
        bool same = other == t->same_bytes_other_class;
        snprintf(bits, sizeof bits, same ? "same bytes" : "hashes differ in %d of 64 bits",
                 gn_picture_hash_bits(&a->images[i].picture, &a->images[other].picture));
        twin_name = sample_at(a, other, &twin_in_val)->name;
        GN_TRY(add(r, GENET_AUDIT_TWO_LABELS, in_val, name, twin_name, twin_in_val, bits, err));
    }
out:
    return status;
}

static bool has_class(const gn_dataset *d, const char *name)
{
    for (int c = 0; c < d->class_count; c++)
        if (d->class_total[c] && strcmp(d->classes[c], name) == 0)
            return true;
    return false;
}

static genet_status judge_classes(report *r, const audit *a, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_dataset *train = a->sets[0], *val = a->sets[1];
    for (int c = 0; c < train->class_count; c++) {
        char images[32];
        int64_t n = train->class_total[c];
        snprintf(images, sizeof images, "%lld images", (long long)n);
        if (n == 0)
            GN_TRY(add(r, GENET_AUDIT_EMPTY_CLASS, false, train->classes[c], NULL, false, NULL, err));
        else if (n < GENET_AUDIT_MIN_CLASS)
            GN_TRY(add(r, GENET_AUDIT_TINY_CLASS, false, train->classes[c], NULL, false, images, err));
        if (val && n && !has_class(val, train->classes[c]))
            GN_TRY(add(r, GENET_AUDIT_MISSING_CLASS, false, train->classes[c], NULL, false, NULL, err));
    }
    for (int c = 0; val && c < val->class_count; c++)
        if (val->class_total[c] && !has_class(train, val->classes[c]))
            GN_TRY(add(r, GENET_AUDIT_FOREIGN_CLASS, true, val->classes[c], NULL, false, NULL, err));
out:
    return status;
}

/* Stable sort by kind: findings of a kind stay in the order of the sets. */
static genet_status sort_findings(report *r, genet_error *err)
{
    int64_t next[GENET_AUDIT_KINDS + 1] = {0};
    genet_audit_finding *sorted = gn_calloc((size_t)r->shown.finding_count + 1, sizeof *sorted);
    if (!sorted)
        return gn_fail_memory(err, (size_t)r->shown.finding_count * sizeof *sorted, "what the audit finds");
    for (int k = 0; k < GENET_AUDIT_KINDS; k++)
        next[k + 1] = next[k] + r->shown.counts[k];
    for (int64_t i = 0; i < r->shown.finding_count; i++)
        sorted[next[r->findings[i].kind]++] = r->findings[i];
    gn_free(r->findings);
    r->findings = sorted;
    r->shown.findings = sorted;
    return GENET_OK;
}

static genet_status judge(report *r, const audit *a, genet_error *err)
{
    genet_status status = GENET_OK;
    r->shown.images = a->sets[0]->count;
    r->shown.val_images = a->count - a->sets[0]->count;
    r->shown.class_count = a->sets[0]->class_count;
    for (int64_t i = 0; i < a->count; i++) {
        bool in_val;
        r->shown.bytes += sample_at(a, i, &in_val)->size;
        GN_TRY(judge_picture(r, a, i, err));
        GN_TRY(judge_twins(r, a, i, err));
    }
    GN_TRY(judge_classes(r, a, err));
    status = sort_findings(r, err);
out:
    return status;
}

static genet_status write_manifest(const audit *a, const char *path, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_writer w = {0};
    GN_TRY(gn_writer_open(&w, path, err));
    GN_TRY(gn_manifest_begin(&w, err));
    for (int64_t i = 0; i < a->count; i++) {
        bool in_val;
        const gn_sample *s = sample_at(a, i, &in_val);
        GN_TRY(gn_manifest_add(&w, in_val ? GN_MANIFEST_VAL : GN_MANIFEST_DATA, a->sets[in_val], s,
                               a->images[i].sha, err));
    }
    status = gn_writer_commit(&w, err);
out:
    gn_writer_abort(&w);
    return status;
}

genet_status genet_data_audit(const genet_config *config, const char *manifest,
                              void (*progress)(void *user, int64_t done, int64_t all), void *user,
                              genet_audit_report **out, genet_error *err)
{
    genet_status status = GENET_OK;
    double start = gn_now();
    audit a = {0};
    report *r = gn_calloc(1, sizeof *r);
    *out = NULL;
    if (!r || !(r->memory = gn_calloc(1, sizeof *r->memory))) {
        status = gn_fail_memory(err, sizeof *r, "an audit");
        goto out;
    }
    atomic_init(&r->memory->users, 1);
    GN_TRY(prepare(&a, gn_config_settings(config), err));
    GN_TRY(gn_parallel(a.count, a.threads, look_at, &a, progress, user, err));
    GN_TRY(gn_audit_find_twins(a.images, a.count, a.threads, a.twins, err));
    GN_TRY(judge(r, &a, err));
    if (manifest)
        GN_TRY(write_manifest(&a, manifest, err));
    r->shown.seconds = gn_now() - start;
    *out = &r->shown;
    r = NULL;
out:
    free_audit(&a);
    genet_audit_report_free(r ? &r->shown : NULL);
    return status;
}

void genet_audit_report_free(genet_audit_report *shown)
{
    report *r = (report *)shown;
    if (!r)
        return;
    gn_dataset_memory_release(r->memory);
    gn_free(r->findings);
    gn_free(r);
}
