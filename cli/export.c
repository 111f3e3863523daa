/* SPDX-License-Identifier: Apache-2.0
 * genet export: a model in another program's format. */
#include <stdlib.h>
#include "cli/cli.h"

/* The model may be the argument. Returns -1, or the exit code of a mistake. */
int cli_take_model(cli_call *call)
{
    genet_error error;
    char *model = cli_value(call, "model");
    int code = -1;
    if (call->count == 1 && *model)
        code = cli_mistake(call->command, "names two models: --model %s and %s", model, call->arguments[0]);
    else if (call->count == 1 && genet_config_set(call->config, "model", call->arguments[0], &error) != GENET_OK)
        code = cli_error(call->command, &error);
    free(model);
    return code;
}

void cli_show_export(const cli_call *call, const genet_export_result *r)
{
    char *out = cli_value(call, "out"), shown[4096];
    cli_notes(r->notes);
    printf("%s\n", r->network);
    printf("%s: %.1f MiB", cli_name(shown, sizeof shown, out, stdout), (double)r->bytes / (1 << 20));
    if (r->read_back)
        printf(", read back: the same weights");
    printf("\n");
    if (r->checked_images)
        printf("the written graph, run on %d images: its logits differ from the network's by at most %.2g (their rms "
               "is %.3g)\n",
               r->checked_images, r->largest_difference, r->logits_rms);
    free(out);
}

static int run(cli_call *call)
{
    genet_export_result result;
    genet_error error;
    int code = cli_take_model(call);
    if (code >= 0)
        return code;
    if (genet_export(call->config, &result, &error) != GENET_OK)
        return cli_error(call->command, &error);
    cli_show_export(call, &result);
    return 0;
}

static const cli_example examples[] = {
    {"genet export --model runs/first/best.safetensors --out shelf.onnx",
     "ONNX, batch norm folded, any batch, and its check"},
    {"genet export --model runs/first/best.safetensors --input uint8 --out shelf.onnx",
     "ONNX that takes 8-bit RGB pictures (N,H,W,3) and normalises them itself"},
    {"genet export --model runs/first/best.safetensors --format mindir --fixed-batch 1 --out shelf.mindir",
     "MindSpore 2.x"},
    {"genet export --model GENet.ckpt --format onnx --class-list imagenet.txt --out genet.onnx",
     "a MindSpore checkpoint as ONNX, with names for its classes"},
    {"genet export --model shelf-int8.safetensors --fixed-batch 1 --out shelf-int8.onnx",
     "an int8 model as ONNX"},
};

const cli_command cli_export = {
    .name = "export",
    .letter = 'X',
    .arguments = "[MODEL]",
    .max_arguments = 1,
    .summary = "write a model as ONNX, MINDIR, MindSpore .ckpt or safetensors",
    .description =
        "An ONNX file is run again after it was written, by an interpreter that shares no code with the writer, and "
        "the largest difference to the network's own logits is printed; a file of weights is read back. Class names "
        "and preprocessing travel in the metadata.\n\n"
        "mindspore: a .ckpt for the published GENet_Res50 code (networks of the mindspore form). mindir: a graph for "
        "MindSpore 2.x. safetensors: genet's own names, one set of weights; safetensors-torchvision and "
        "safetensors-timm: the names of those libraries. air is refused: only Ascend's software writes it.\n\n"
        "A model of genet quantize becomes ONNX alone, with QuantizeLinear and DequantizeLinear around its 8-bit "
        "convolutions, which ONNX Runtime and OpenVINO take together to integer ones. Its check holds every map of "
        "8-bit numbers against the network's. The logits of two programs still differ by some hundredths of their rms: "
        "a value near a tie is rounded this way here and that way there.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
