/* SPDX-License-Identifier: Apache-2.0
 * genet info: what this build can do, or what a model file holds. */
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

static int run(cli_call *call)
{
    genet_error error;
    char *text = NULL, *json = cli_value(call, "json"), *model = cli_value(call, "model");
    int code = 0;
    genet_status status = GENET_OK;
    if (call->count == 1 && *model)
        code = cli_mistake(call->command, "names two models: --model %s and %s", model, call->arguments[0]);
    else if (call->count == 1)
        status = genet_config_set(call->config, "model", call->arguments[0], &error);
    if (code == 0 && status == GENET_OK)
        status = call->count == 1 || *model ? genet_model_describe(call->config, *json != 0, &text, &error)
                                            : genet_build_describe(*json != 0, &text, &error);
    if (status != GENET_OK)
        code = cli_error(call->command, &error);
    else if (text && !cli_write(call->command, *json ? json : "-", text, strlen(text)))
        code = genet_status_exit_code(GENET_IO);
    genet_free(text);
    free(json);
    free(model);
    return code;
}

static const cli_example examples[] = {
    {"genet info", "version, processor, instruction sets, libraries, backends"},
    {"genet info runs/first/best.safetensors", "network, classes, preprocessing and training of a model"},
    {"genet info --json runs/first/best.safetensors", "the same as JSON"},
};

const cli_command cli_info = {
    .name = "info",
    .letter = 'I',
    .arguments = "[MODEL]",
    .max_arguments = 1,
    .summary = "what this build can do, or what a model file holds",
    .description = "Without a model: version, processor, instruction sets, libraries and backends, as a bug report "
                   "needs them. With one: "
                   "its network, form, input size, class names in order, preprocessing and how it was trained.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
