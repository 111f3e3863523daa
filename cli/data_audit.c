/* SPDX-License-Identifier: Apache-2.0
 * genet data audit: what is wrong with a data set, before training on it. */
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

enum { SHOWN = 10 };

static const char *set_word(int in_val)
{
    return in_val ? "val" : "train";
}

/* One finding: the file, what it repeats, what more there is to say. */
static void show_finding(const genet_audit_report *r, const genet_audit_finding *f)
{
    char name[4096];
    bool two_sets = r->val_images > 0;
    printf("    %s%s%s", two_sets ? set_word(f->in_val) : "", two_sets ? ": " : "",
           cli_name(name, sizeof name, f->file, stdout));
    if (f->other)
        printf("  =  %s%s%s", two_sets ? set_word(f->other_in_val) : "", two_sets ? ": " : "",
               cli_name(name, sizeof name, f->other, stdout));
    if (f->detail)
        printf("  (%s)", cli_name(name, sizeof name, f->detail, stdout));
    printf("\n");
}

static void show(const genet_audit_report *r)
{
    char seconds[32];
    printf("%lld images", (long long)r->images);
    if (r->val_images)
        printf(" and %lld of validation", (long long)r->val_images);
    printf(", %d classes, %.1f MB, decoded in %s\n", r->class_count, (double)r->bytes / 1e6,
           cli_seconds(seconds, r->seconds));
    if (r->finding_count == 0)
        printf("nothing to report\n");
    const genet_audit_finding *f = r->findings;
    for (int k = 0; k < GENET_AUDIT_KINDS; k++) {
        int64_t n = r->counts[k];
        if (n == 0)
            continue;
        printf("\n%lld %s: %s\n", (long long)n, genet_audit_name((genet_audit_kind)k),
               genet_audit_text((genet_audit_kind)k));
        for (int64_t i = 0; i < n && i < SHOWN; i++)
            show_finding(r, &f[i]);
        if (n > SHOWN)
            printf("    ... and %lld more (--json lists all)\n", (long long)(n - SHOWN));
        f += n;
    }
}

static void write_json(FILE *to, const genet_audit_report *r)
{
    fprintf(to, "{\"images\": %lld, \"val_images\": %lld, \"classes\": %d, \"bytes\": %llu,\n \"counts\": {",
            (long long)r->images, (long long)r->val_images, r->class_count, (unsigned long long)r->bytes);
    for (int k = 0; k < GENET_AUDIT_KINDS; k++)
        fprintf(to, "%s\"%s\": %lld", k ? ", " : "", genet_audit_name((genet_audit_kind)k), (long long)r->counts[k]);
    fputs("},\n \"findings\": [", to);
    for (int64_t i = 0; i < r->finding_count; i++) {
        const genet_audit_finding *f = &r->findings[i];
        fprintf(to, "%s\n  {\"kind\": \"%s\", \"set\": \"%s\", \"file\": ", i ? "," : "", genet_audit_name(f->kind),
                set_word(f->in_val));
        cli_json_text(to, f->file);
        if (f->other) {
            fprintf(to, ", \"other_set\": \"%s\", \"other\": ", set_word(f->other_in_val));
            cli_json_text(to, f->other);
        }
        if (f->detail) {
            fputs(", \"detail\": ", to);
            cli_json_text(to, f->detail);
        }
        fputs("}", to);
    }
    fputs("]}\n", to);
}

static int put_json(const cli_call *call, const char *path, const genet_audit_report *r)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory)
        return genet_status_exit_code(GENET_MEMORY);
    write_json(memory, r);
    bool done = fclose(memory) == 0 && cli_write(call->command, path, text, bytes);
    free(text);
    return done ? 0 : genet_status_exit_code(GENET_IO);
}

/* What --strict makes an error. */
static int64_t faults(const genet_audit_report *r)
{
    return r->counts[GENET_AUDIT_BROKEN] + r->counts[GENET_AUDIT_TRUNCATED] + r->counts[GENET_AUDIT_LEAK] +
           r->counts[GENET_AUDIT_TWO_LABELS];
}

static int take_data(cli_call *call)
{
    genet_error error;
    char *data = cli_value(call, "data");
    int code = -1;
    if (call->count == 1 && *data)
        code = cli_mistake(call->command, "names two data sets: --data %s and %s", data, call->arguments[0]);
    else if (call->count == 0 && !*data)
        code = cli_mistake(call->command, "needs a data set: a folder of class folders, a list file, or tar shards");
    else if (call->count == 1 && genet_config_set(call->config, "data", call->arguments[0], &error) != GENET_OK)
        code = cli_error(call->command, &error);
    free(data);
    return code;
}

static int audit(cli_call *call)
{
    genet_error error;
    genet_audit_report *r = NULL;
    int code = take_data(call);
    if (code >= 0)
        return code;
    char *json = cli_value(call, "json"), *manifest = cli_value(call, "manifest"), *strict = cli_value(call, "strict");
    code = 0;
    if (genet_data_audit(call->config, *manifest ? manifest : NULL, cli_count_progress, "decoding", &r, &error) != GENET_OK) {
        code = cli_error(call->command, &error);
    } else {
        if (strcmp(json, "-") != 0)
            show(r);
        if (*json)
            code = put_json(call, json, r);
        if (*manifest && strcmp(json, "-") != 0)
            printf("\nthe manifest %s holds training to these files: genet train --manifest %s\n", manifest, manifest);
        if (code == 0 && strcmp(strict, "true") == 0 && faults(r) > 0)
            code = genet_status_exit_code(GENET_DATA);
    }
    genet_audit_report_free(r);
    free(json);
    free(manifest);
    free(strict);
    return code;
}

static const cli_example examples[] = {
    {"genet data audit photos/train", "broken and odd pictures, duplicates, empty classes"},
    {"genet data audit photos/train --val photos/val", "also what is in both sets"},
    {"genet data audit photos/train --val photos/val --manifest photos.manifest", "and remember what they hold"},
    {"genet data audit photos/train --strict --json | jq .counts", "for a script: exit code 3 on a fault"},
};

const cli_command cli_data_audit = {
    .name = "data audit",
    .letter = 'D',
    .arguments = "PATH",
    .max_arguments = 1,
    .summary = "decode a data set once and say what is wrong with it",
    .description = "Reads and decodes every picture on all cores, and lists what training would stumble over: pictures "
                   "that are broken, end early, are CMYK, turned by EXIF, tiny or very long; files with the same bytes; "
                   "files that show the same picture (by a 64-bit DCT hash and the colours of 16 parts); pictures in "
                   "training and validation; pictures under two classes; empty and tiny classes; classes that only one of "
                   "the sets has. Nothing in the data folders is written.\n\n"
                   "--manifest FILE writes name, size, class and SHA-256 of every picture to FILE; genet train --manifest FILE "
                   "then refuses data that has changed. With --strict the exit code is 3 where a picture is broken, ends "
                   "early, is in both sets, or is under two classes.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .hidden = " cap cap-all seed plot ",
    .run = audit,
};
