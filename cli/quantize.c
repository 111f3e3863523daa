/* SPDX-License-Identifier: Apache-2.0
 * genet quantize: a float model as an int8 one, and what that cost. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

enum { WORST = 5 };

static void progress(void *user, const char *what, int64_t done, int64_t all)
{
    (void)user;
    cli_count_progress((void *)what, done, all);
}

/* The larger of its two errors. */
static double error_of(const genet_quantized_conv *c)
{
    return c->map_error > c->weight_error ? c->map_error : c->weight_error;
}

static int compare_errors(const void *a, const void *b)
{
    const genet_quantized_conv *x = a, *y = b;
    if (error_of(x) != error_of(y))
        return error_of(x) > error_of(y) ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void show_worst(const genet_quantization *q)
{
    genet_quantized_conv *sorted = calloc((size_t)q->conv_count + 1, sizeof *sorted);
    if (!sorted)
        return;
    memcpy(sorted, q->convs, (size_t)q->conv_count * sizeof *sorted);
    qsort(sorted, (size_t)q->conv_count, sizeof *sorted, compare_errors);
    printf("\nlargest errors         map     weights   the map's largest value, cut off at\n");
    for (int i = 0; i < WORST && i < q->conv_count; i++)
        printf("%-18s %6.2f %%   %6.2f %%   %.4g, %.4g\n", sorted[i].name, 100 * sorted[i].map_error,
               100 * sorted[i].weight_error, sorted[i].largest, sorted[i].clip);
    free(sorted);
}

static void show(const cli_call *call, const genet_quantization *q)
{
    char *out = cli_value(call, "out"), *val = cli_value(call, "val"), *method = cli_value(call, "calibration");
    char shown[4096], time[32];
    printf("%s\n%d convolutions in 8 bits, calibrated on %lld pictures (%s), %s in all\n", q->network, q->conv_count,
           (long long)q->calibration_images, method, cli_seconds(time, q->seconds));
    printf("%s: %.1f MiB; the float model's file has %.1f MiB\n", cli_name(shown, sizeof shown, out, stdout),
           (double)q->bytes / (1 << 20), (double)q->bytes_before / (1 << 20));
    if (q->val_images) {
        printf("\n%lld images of %s\n           top-1      top-5      loss\n", (long long)q->val_images,
               cli_name(shown, sizeof shown, val, stdout));
        printf("float   %6.2f %%   %6.2f %%    %.4f\n", 100 * q->top1_before, 100 * q->top5_before, q->loss_before);
        printf("int8    %6.2f %%   %6.2f %%    %.4f\n", 100 * q->top1, 100 * q->top5, q->loss);
    } else {
        printf("nothing was measured: --val FOLDER scores the model before and after\n");
    }
    show_worst(q);
    free(out);
    free(val);
    free(method);
}

static void put_real(FILE *to, const char *key, double value)
{
    fprintf(to, ", \"%s\": ", key);
    cli_json_real(to, value);
}

static int write_json(const cli_call *call, const char *path, const genet_quantization *q)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return genet_status_exit_code(GENET_MEMORY);
    fprintf(to, "{\"network\": ");
    cli_json_text(to, q->network);
    fprintf(to, ", \"calibration_images\": %lld, \"bytes_before\": %llu, \"bytes\": %llu, \"val_images\": %lld",
            (long long)q->calibration_images, (unsigned long long)q->bytes_before, (unsigned long long)q->bytes,
            (long long)q->val_images);
    put_real(to, "top1_before", q->top1_before);
    put_real(to, "top5_before", q->top5_before);
    put_real(to, "loss_before", q->loss_before);
    put_real(to, "top1", q->top1);
    put_real(to, "top5", q->top5);
    put_real(to, "loss", q->loss);
    put_real(to, "seconds", q->seconds);
    fprintf(to, ",\n \"convolutions\": [");
    for (int i = 0; i < q->conv_count; i++) {
        const genet_quantized_conv *c = &q->convs[i];
        fprintf(to, "%s\n  {\"name\": \"%s\"", i ? "," : "", c->name);
        put_real(to, "largest", c->largest);
        put_real(to, "clip", c->clip);
        put_real(to, "map_error", c->map_error);
        put_real(to, "weight_error", c->weight_error);
        fprintf(to, "}");
    }
    fprintf(to, "],\n \"notes\": ");
    cli_json_text(to, q->notes);
    fprintf(to, "}\n");
    bool done = fclose(to) == 0 && cli_write(call->command, path, text, bytes);
    free(text);
    return done ? 0 : genet_status_exit_code(GENET_IO);
}

static int run(cli_call *call)
{
    genet_error error;
    genet_quantization *q = NULL;
    int code = cli_take_model(call);
    if (code >= 0)
        return code;
    char *json = cli_value(call, "json");
    if (genet_quantize(call->config, progress, NULL, &q, &error) != GENET_OK) {
        code = cli_error(call->command, &error);
    } else {
        code = 0;
        cli_notes(q->notes);
        if (strcmp(json, "-") != 0)
            show(call, q);
        if (*json)
            code = write_json(call, json, q);
    }
    genet_quantization_free(q);
    free(json);
    return code;
}

static const cli_example examples[] = {
    {"genet quantize --model runs/first/best.safetensors --data photos/train --val photos/val --out shelf-int8.safetensors",
     "calibrate on 512 training pictures, score before and after"},
    {"genet predict --model shelf-int8.safetensors picture.jpg", "use it as any model"},
    {"genet quantize --model runs/first/best.safetensors --data photos/train --calibration max --out shelf-int8.safetensors",
     "cut no map off: every value of the calibration fits"},
    {"genet quantize --model runs/first/best.safetensors --size 160 --data photos/train --val photos/val --out small.safetensors",
     "an int8 model has one input size; choose it here"},
};

const cli_command cli_quantize = {
    .name = "quantize",
    .letter = 'Q',
    .arguments = "[MODEL]",
    .max_arguments = 1,
    .summary = "make an int8 model of a trained one: a third of the size",
    .description =
        "The convolutions of the trunk are computed in 8 bits: their maps as 0..255 with one scale a map, their weights as "
        "-127..127 with one scale an output channel. Stem, gates, head and everything between stay float. Nothing is "
        "trained: the ranges of the maps are taken from pictures (--data; training pictures do well, their classes are "
        "not looked at).\n\n"
        "The file written predicts, is evaluated and is exported to ONNX like any model, at its one input size. It cannot be "
        "trained or exported otherwise: that starts from the float model, which is left as it is. With --val both are "
        "scored. A table shows the convolutions that lost most, as rms of what was lost over rms of the values. CPUs "
        "without 8-bit multiply-add (AVX-512 VNNI, AVX-VNNI) compute the same numbers in f32, not faster than the float "
        "model.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
