/* SPDX-License-Identifier: Apache-2.0
 * genet data: looking at a data set, and drawing one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

enum { BAR = 40, SHOWN = 40 };

static int compare_classes(const void *a, const void *b)
{
    const genet_data_class *x = a, *y = b;
    if (x->images != y->images)
        return x->images > y->images ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* How many classes have how many images: the shape of the tail, on a logarithmic scale. */
static void show_sizes(const genet_data_stats *s)
{
    static const int64_t edges[] = {0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, INT64_MAX};
    enum { BINS = sizeof edges / sizeof edges[0] - 1 };
    int before[BINS] = {0}, after[BINS] = {0}, most = 1, first = BINS, last = 0;
    bool capped = s->kept != s->images;
    for (int i = 0; i < s->class_count; i++)
        for (int b = 0; b < BINS; b++) {
            before[b] += s->classes[i].images >= edges[b] && s->classes[i].images < edges[b + 1];
            after[b] += s->classes[i].kept >= edges[b] && s->classes[i].kept < edges[b + 1];
        }
    for (int b = 0; b < BINS; b++) {
        int larger = before[b] > after[b] ? before[b] : after[b];
        most = larger > most ? larger : most;
        first = larger && first == BINS ? b : first;
        last = larger ? b : last;
    }
    printf("\n%-14s  classes%s\n", "images", capped ? "  after caps" : "");
    for (int b = first; b <= last; b++) {
        char range[48], bar[BAR + 1];
        if (edges[b + 1] == INT64_MAX)
            snprintf(range, sizeof range, "%lld and more", (long long)edges[b]);
        else if (edges[b + 1] == edges[b] + 1)
            snprintf(range, sizeof range, "%lld", (long long)edges[b]);
        else
            snprintf(range, sizeof range, "%lld to %lld", (long long)edges[b], (long long)edges[b + 1] - 1);
        printf("%-14s  %7d", range, before[b]);
        if (capped)
            printf("  %10d", after[b]);
        int full = (int)lround((double)(capped ? after[b] : before[b]) * BAR / most);
        memset(bar, '#', (size_t)full);
        bar[full] = 0;
        printf("%s%s\n", full ? "  " : "", bar);
    }
}

/* One class: '#' for what is kept, '.' for what a cap leaves out. */
static void show_class(const genet_data_class *c, int width, int64_t most, bool capped)
{
    char name[512], bar[BAR + 1];
    int all = (int)lround((double)c->images * BAR / (double)(most ? most : 1));
    int kept = (int)lround((double)c->kept * BAR / (double)(most ? most : 1));
    all = c->images > 0 && all == 0 ? 1 : all;
    kept = c->kept > 0 && kept == 0 ? 1 : kept;
    memset(bar, '.', (size_t)all);
    memset(bar, '#', (size_t)kept);
    bar[all] = 0;
    cli_pad(stdout, cli_name(name, sizeof name, c->name, stdout), width);
    printf("  %7lld", (long long)c->images);
    if (capped)
        printf("  %7lld", (long long)c->kept);
    printf("  %s\n", bar);
}

static void show_classes(const genet_data_stats *s)
{
    genet_data_class *sorted = calloc((size_t)s->class_count + 1, sizeof *sorted);
    char name[512];
    bool capped = s->kept != s->images;
    int width = 5;
    if (!sorted)
        return;
    memcpy(sorted, s->classes, (size_t)s->class_count * sizeof *sorted);
    qsort(sorted, (size_t)s->class_count, sizeof *sorted, compare_classes);
    int head = s->class_count <= SHOWN ? s->class_count : SHOWN / 2, tail = s->class_count <= SHOWN ? 0 : SHOWN / 2;
    for (int i = 0; i < s->class_count; i++) {
        if (i >= head && i < s->class_count - tail)
            continue;
        int w = cli_width(cli_name(name, sizeof name, sorted[i].name, stdout));
        width = w > width ? w : width;
    }
    width = width < 40 ? width : 40;
    printf("\n");
    cli_pad(stdout, "class", width);
    printf("  %7s%s\n", "images", capped ? "     kept" : "");
    for (int i = 0; i < s->class_count; i++) {
        if (i == head && tail)
            printf("... %d classes between ...\n", s->class_count - head - tail);
        if (i < head || i >= s->class_count - tail)
            show_class(&sorted[i], width, sorted[0].images, capped);
    }
    free(sorted);
}

static void show(const genet_data_stats *s)
{
    printf("%lld images in %d classes", (long long)s->images, s->class_count);
    if (s->empty_classes)
        printf(", %d of them empty", s->empty_classes);
    if (s->kept != s->images)
        printf("; %lld images after caps", (long long)s->kept);
    printf("\nlargest class : smallest class = %.1f", s->imbalance_before);
    if (s->kept != s->images)
        printf("; after caps %.1f", s->imbalance_after);
    printf("\nwidth  %d to %d, median %d\nheight %d to %d, median %d\n", s->min_width, s->max_width, s->median_width,
           s->min_height, s->max_height, s->median_height);
    printf("%lld JPEG, %lld PNG, %lld WebP; %lld gray, %lld CMYK, %lld turned by EXIF\n", (long long)s->jpeg,
           (long long)s->png, (long long)s->webp, (long long)s->gray, (long long)s->cmyk, (long long)s->exif_turned);
    if (s->unreadable)
        printf("%lld cannot be read (%lld of them are not there)\n", (long long)s->unreadable,
               (long long)s->absent_files);
    if (s->loose_files)
        printf("%lld files lie beside the class folders or have no label, and are not taken\n",
               (long long)s->loose_files);
    if (s->ignored_files)
        printf("%lld hidden or system files are ignored\n", (long long)s->ignored_files);
    show_sizes(s);
    show_classes(s);
}

static void write_json(FILE *to, const genet_data_stats *s)
{
    const struct {
        const char *name;
        long long value;
    } numbers[] = {{"images", s->images},
                   {"kept", s->kept},
                   {"ignored_files", s->ignored_files},
                   {"loose_files", s->loose_files},
                   {"absent_files", s->absent_files},
                   {"unreadable", s->unreadable},
                   {"empty_classes", s->empty_classes},
                   {"min_width", s->min_width},
                   {"median_width", s->median_width},
                   {"max_width", s->max_width},
                   {"min_height", s->min_height},
                   {"median_height", s->median_height},
                   {"max_height", s->max_height},
                   {"jpeg", s->jpeg},
                   {"png", s->png},
                   {"webp", s->webp},
                   {"gray", s->gray},
                   {"cmyk", s->cmyk},
                   {"exif_turned", s->exif_turned}};
    fputs("{", to);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        fprintf(to, "\"%s\": %lld, ", numbers[i].name, numbers[i].value);
    fputs("\"imbalance_before\": ", to);
    cli_json_real(to, s->imbalance_before);
    fputs(", \"imbalance_after\": ", to);
    cli_json_real(to, s->imbalance_after);
    fputs(",\n \"classes\": [", to);
    for (int i = 0; i < s->class_count; i++) {
        fprintf(to, "%s\n  {\"class\": ", i ? "," : "");
        cli_json_text(to, s->classes[i].name);
        fprintf(to, ", \"images\": %lld, \"kept\": %lld}", (long long)s->classes[i].images,
                (long long)s->classes[i].kept);
    }
    fputs("]}\n", to);
}

static int put_json(const cli_call *call, const char *path, const genet_data_stats *s)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory)
        return genet_status_exit_code(GENET_MEMORY);
    write_json(memory, s);
    bool done = fclose(memory) == 0 && cli_write(call->command, path, text, bytes);
    free(text);
    return done ? 0 : genet_status_exit_code(GENET_IO);
}

static int stats(cli_call *call)
{
    genet_error error;
    genet_data_stats *s = NULL;
    char *data = cli_value(call, "data"), *json = cli_value(call, "json"), *plot = cli_value(call, "plot");
    int code = 0;
    genet_status status = GENET_OK;
    if (call->count == 1 && *data)
        code = cli_mistake(call->command, "names two data sets: --data %s and %s", data, call->arguments[0]);
    else if (call->count == 0 && !*data)
        code = cli_mistake(call->command, "needs a data set: a folder of class folders, a list file, or tar shards");
    else if (call->count == 1)
        status = genet_config_set(call->config, "data", call->arguments[0], &error);
    if (code == 0 && status == GENET_OK)
        status = genet_data_stats_read(call->config, cli_count_progress, "reading", &s, &error);
    if (code == 0 && status == GENET_OK) {
        if (strcmp(json, "-") != 0)
            show(s);
        if (*json)
            code = put_json(call, json, s);
        if (*plot)
            status = genet_data_stats_plot(s, plot, &error);
    }
    if (status != GENET_OK)
        code = cli_error(call->command, &error);
    genet_data_stats_free(s);
    free(data);
    free(json);
    free(plot);
    return code;
}

static int draw_shelf(cli_call *call)
{
    genet_error error;
    char shown[1024];
    if (call->count == 0)
        return cli_mistake(call->command, "needs the folder to draw into");
    if (call->extra[1] < call->extra[0] * 4)
        return cli_mistake(call->command, "--images %lld are too few for --classes %lld: four a class at least",
                           (long long)call->extra[1], (long long)call->extra[0]);
    if (genet_data_draw_shelf(call->arguments[0], (int)call->extra[0], (int)call->extra[1], (int)call->extra[2],
                              (uint64_t)call->extra[3], &error) != GENET_OK)
        return cli_error(call->command, &error);
    cli_name(shown, sizeof shown, call->arguments[0], stdout);
    printf("%lld pictures of %lld products in %s/train and %s/val\n", (long long)call->extra[1],
           (long long)call->extra[0], shown, shown);
    return 0;
}

static const cli_example stats_examples[] = {
    {"genet data stats photos/train", "images a class, imbalance, sizes and kinds"},
    {"genet data stats photos/train --plot classes.svg", "the same, and drawn"},
    {"genet data stats rp2k/train --cap other=2262 --cap-all 500", "what caps would leave"},
    {"genet data stats photos/train --json | jq .imbalance_before", "as JSON"},
};

const cli_command cli_data_stats = {
    .name = "data stats",
    .letter = 'D',
    .arguments = "PATH",
    .max_arguments = 1,
    .summary = "count a data set: images a class, imbalance, sizes",
    .description = "Reads the header of every picture, not its pixels, and prints how many each class has, before and "
                   "after caps; a "
                   "histogram shows the long tail. Nothing in the data folder is written.",
    .examples = stats_examples,
    .example_count = sizeof stats_examples / sizeof stats_examples[0],
    .hidden = " val manifest ",
    .run = stats,
};

static const cli_example shelf_examples[] = {
    {"genet data draw-shelf demo-data", "twelve products, 1,500 pictures"},
    {"genet data draw-shelf demo-data --classes 40 --images 8000 --size 160 --seed 7", "more, larger, others"},
    {"genet train --recipe recipes/demo.yaml --data demo-data/train --val demo-data/val --out runs/demo",
     "and train on them"},
};

static const cli_extra shelf_extras[] = {
    {"classes", "N", "products", 2, 1000, 12},
    {"images", "N", "pictures in all, most of them of few products", 8, 1000000, 1500},
    {"size", "PIXELS", "side of a picture", 32, 1024, 96},
    {"seed", "N", "the same seed draws the same files", 0, INT64_MAX, 1},
};

const cli_command cli_data_draw_shelf = {
    .name = "data draw-shelf",
    .arguments = "FOLDER",
    .max_arguments = 1,
    .summary = "draw a demonstration data set of products on a shelf",
    .description = "Writes JPEG files of drawn shop-shelf products into class folders below FOLDER/train and "
                   "FOLDER/val, with the long "
                   "tail that real shelves have: a set to try genet on where there is no other.",
    .examples = shelf_examples,
    .example_count = sizeof shelf_examples / sizeof shelf_examples[0],
    .extras = shelf_extras,
    .extra_count = sizeof shelf_extras / sizeof shelf_extras[0],
    .run = draw_shelf,
};
