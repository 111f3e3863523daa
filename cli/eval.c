/* SPDX-License-Identifier: Apache-2.0
 * genet eval: scores of a model on a labelled set, as tables, JSON or CSV. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

enum { WORST = 15, PAIRS = 10 };

static void percent(char to[16], double share)
{
    if (isfinite(share))
        snprintf(to, 16, "%.1f %%", 100 * share);
    else
        snprintf(to, 16, "-");
}

/* Worst recall first; among equals the class with more images, then by name. Classes without images last. */
static int compare_classes(const void *a, const void *b)
{
    const genet_class_score *x = a, *y = b;
    if (isfinite(x->recall) != isfinite(y->recall))
        return isfinite(x->recall) ? -1 : 1;
    if (isfinite(x->recall) && x->recall != y->recall)
        return x->recall < y->recall ? -1 : 1;
    if (x->images != y->images)
        return x->images > y->images ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void show_classes(const genet_evaluation *e)
{
    genet_class_score *sorted = calloc((size_t)e->class_count + 1, sizeof *sorted);
    char name[512], p[16], r[16], f[16];
    int count = e->class_count <= 2 * WORST ? e->class_count : WORST, width = 5, with_images = 0;
    if (!sorted)
        return;
    memcpy(sorted, e->classes, (size_t)e->class_count * sizeof *sorted);
    qsort(sorted, (size_t)e->class_count, sizeof *sorted, compare_classes);
    for (int i = 0; i < e->class_count; i++)
        with_images += e->classes[i].images > 0;
    count = count < with_images ? count : with_images;
    for (int i = 0; i < count; i++) {
        int w = cli_width(cli_name(name, sizeof name, sorted[i].name, stdout));
        width = w > width ? w : width;
    }
    width = width < 48 ? width : 48;
    printf("\n");
    if (count < with_images) {
        char heading[64];
        snprintf(heading, sizeof heading, "the %d worst of %d classes", count, with_images);
        width = width > (int)strlen(heading) ? width : (int)strlen(heading);
        cli_pad(stdout, heading, width);
    } else {
        cli_pad(stdout, "class", width);
    }
    printf("  images  precision    recall        F1\n");
    for (int i = 0; i < count; i++) {
        percent(p, sorted[i].precision);
        percent(r, sorted[i].recall);
        percent(f, sorted[i].f1);
        cli_pad(stdout, cli_name(name, sizeof name, sorted[i].name, stdout), width);
        printf("  %6lld  %9s  %8s  %8s\n", (long long)sorted[i].images, p, r, f);
    }
    if (count < with_images)
        printf("(all of them: --csv=FILE)\n");
    free(sorted);
}

static void show_pairs(const genet_evaluation *e)
{
    char truth[512], predicted[512];
    int count = e->pair_count < PAIRS ? e->pair_count : PAIRS;
    if (count == 0)
        return;
    printf("\nmost frequent confusions\n");
    for (int i = 0; i < count; i++)
        printf("%6lld  %s  taken for  %s\n", (long long)e->pairs[i].images,
               cli_name(truth, sizeof truth, e->classes[e->pairs[i].truth].name, stdout),
               cli_name(predicted, sizeof predicted, e->classes[e->pairs[i].predicted].name, stdout));
}

static void show(const genet_evaluation *e)
{
    char time[32];
    printf("%lld images of %d classes in %s (%.1f images/s)\n", (long long)e->images, e->class_count,
           cli_seconds(time, e->seconds), e->seconds > 0 ? (double)e->images / e->seconds : 0);
    printf("top-1  %.2f %%  (95 %% interval %.2f to %.2f)\n", 100 * e->top1, 100 * e->top1_low, 100 * e->top1_high);
    printf("top-5  %.2f %%  (95 %% interval %.2f to %.2f)\n", 100 * e->top5, 100 * e->top5_low, 100 * e->top5_high);
    printf("loss   %.4f\n", e->loss);
    printf("mean over classes: recall %.2f %%, F1 %.2f %%\n", 100 * e->macro_recall, 100 * e->macro_f1);
    show_classes(e);
    show_pairs(e);
}

static void write_json(FILE *to, const genet_evaluation *e)
{
    static const char *const names[] = {"top1",      "top1_low", "top1_high",    "top5",     "top5_low",
                                        "top5_high", "loss",     "macro_recall", "macro_f1", "seconds"};
    const double values[] = {e->top1,      e->top1_low, e->top1_high,    e->top5,     e->top5_low,
                             e->top5_high, e->loss,     e->macro_recall, e->macro_f1, e->seconds};
    fprintf(to, "{\"images\": %lld, \"skipped\": %lld", (long long)e->images, (long long)e->skipped);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fprintf(to, ", \"%s\": ", names[i]);
        cli_json_real(to, values[i]);
    }
    fprintf(to, ",\n \"classes\": [");
    for (int i = 0; i < e->class_count; i++) {
        const genet_class_score *c = &e->classes[i];
        fprintf(to, "%s\n  {\"class\": ", i ? "," : "");
        cli_json_text(to, c->name);
        fprintf(to, ", \"images\": %lld, \"predicted\": %lld, \"correct\": %lld, \"precision\": ", (long long)c->images,
                (long long)c->predicted, (long long)c->correct);
        cli_json_real(to, c->precision);
        fprintf(to, ", \"recall\": ");
        cli_json_real(to, c->recall);
        fprintf(to, ", \"f1\": ");
        cli_json_real(to, c->f1);
        fprintf(to, "}");
    }
    fprintf(to, "],\n \"confusions\": [");
    for (int i = 0; i < e->pair_count; i++) {
        fprintf(to, "%s\n  {\"truth\": ", i ? "," : "");
        cli_json_text(to, e->classes[e->pairs[i].truth].name);
        fprintf(to, ", \"predicted\": ");
        cli_json_text(to, e->classes[e->pairs[i].predicted].name);
        fprintf(to, ", \"images\": %lld}", (long long)e->pairs[i].images);
    }
    fprintf(to, "],\n \"notes\": ");
    cli_json_text(to, e->notes);
    fprintf(to, "}\n");
}

/* Undefined shares are empty fields. */
static void csv_share(FILE *to, double share)
{
    fprintf(to, isfinite(share) ? ",%.6f" : ",", share);
}

static void write_csv(FILE *to, const genet_evaluation *e)
{
    fprintf(to, "class,images,predicted,correct,precision,recall,f1\n");
    for (int i = 0; i < e->class_count; i++) {
        const genet_class_score *c = &e->classes[i];
        cli_csv_text(to, c->name);
        fprintf(to, ",%lld,%lld,%lld", (long long)c->images, (long long)c->predicted, (long long)c->correct);
        csv_share(to, c->precision);
        csv_share(to, c->recall);
        csv_share(to, c->f1);
        fprintf(to, "\n");
    }
}

static int put(const cli_call *call, const char *path, const genet_evaluation *e,
               void (*write)(FILE *, const genet_evaluation *))
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory)
        return genet_status_exit_code(GENET_MEMORY);
    write(memory, e);
    bool done = fclose(memory) == 0 && cli_write(call->command, path, text, bytes);
    free(text);
    return done ? 0 : genet_status_exit_code(GENET_IO);
}

static int run(cli_call *call)
{
    genet_error error;
    genet_evaluation *e = NULL;
    char *model = cli_value(call, "model"), *data = cli_value(call, "data"), *json = cli_value(call, "json"),
         *csv = cli_value(call, "csv");
    int code = 0;
    if (!*model || !*data)
        code = cli_mistake(call->command, "needs %s", *model ? "--data FOLDER, the set to score on" : "--model FILE");
    else if (strcmp(json, "-") == 0 && strcmp(csv, "-") == 0)
        code = cli_mistake(call->command,
                           "--json and --csv cannot both go to standard output; give one a file: --csv=FILE");
    else if (genet_evaluate(call->config, cli_count_progress, "evaluating", &e, &error) != GENET_OK)
        code = cli_error(call->command, &error);
    if (e) {
        cli_notes(e->notes);
        if (cli_wants_mindspore_log(call))
            cli_mindspore_result(e, model);
        else if (strcmp(json, "-") != 0 && strcmp(csv, "-") != 0)
            show(e);
        if (*json)
            code = put(call, json, e, write_json);
        if (*csv && code == 0)
            code = put(call, csv, e, write_csv);
    }
    genet_evaluation_free(e);
    free(model);
    free(data);
    free(json);
    free(csv);
    return code;
}

static const cli_example examples[] = {
    {"genet eval --model runs/first/best.safetensors --data photos/test",
     "top-1, top-5, the worst classes, the confusions"},
    {"genet eval --model runs/first/best.safetensors --data photos/test --csv=classes.csv",
     "precision, recall and F1 of every class as a table besides"},
    {"genet eval --model runs/first/best.safetensors --data photos/test --json",
     "everything as JSON on standard output"},
    {"genet eval --model GENet.ckpt --data imagenet/val --preprocess mindspore",
     "a MindSpore checkpoint, with its own resizing"},
};

const cli_command cli_eval = {
    .name = "eval",
    .letter = 'E',
    .arguments = "",
    .summary = "score a model on a labelled set, every picture exactly once",
    .description = "Prints top-1 and top-5 accuracy with their 95 % intervals, precision, recall and F1 of the worst "
                   "classes, and the "
                   "pairs that are most often confused.\n\n"
                   "Classes are compared by name: a class of the set that the model does not know is refused, one that "
                   "the set lacks is "
                   "allowed and said. Preprocessing and input size are those stored in the model unless given.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
