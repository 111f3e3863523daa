/* SPDX-License-Identifier: Apache-2.0
 * genet import: a model of another program as a checkpoint of ours. */
#include "cli/cli.h"

static int run(cli_call *call)
{
    genet_export_result result;
    genet_error error;
    int code = cli_take_model(call);
    if (code >= 0)
        return code;
    if (genet_import(call->config, &result, &error) != GENET_OK)
        return cli_error(call->command, &error);
    cli_show_export(call, &result);
    return 0;
}

static const cli_example examples[] = {
    {"genet import GENet-150_625.ckpt --out genet.safetensors", "a checkpoint of the published MindSpore code"},
    {"genet import GENet-150_625.ckpt --keep-momentum --out genet.safetensors", "with the optimiser's state"},
    {"genet import resnet50.safetensors --class-list imagenet.txt --out resnet50-genet.safetensors",
     "torchvision's or timm's names, and names for the classes"},
    {"genet import ge.safetensors --variant theta-minus --extent 4 --out ge4.safetensors",
     "a gate without weights, which the file cannot tell"},
};

const cli_command cli_import = {
    .name = "import",
    .letter = 'M',
    .arguments = "MODEL",
    .max_arguments = 1,
    .summary = "turn a MindSpore, torchvision or timm checkpoint into one of genet's",
    .description =
        "Variant, form, depth, width, extent and class count follow from the tensors' names and shapes, whatever their "
        "order. A missing weight is an error; nothing is put in its place. Other commands read such files directly, "
        "too: importing adds class names and makes the file self-describing.\n\n"
        "PyTorch's .pth files are pickles and are not read; the message says how to convert one.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
