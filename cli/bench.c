/* SPDX-License-Identifier: Apache-2.0
 * genet bench: measures a part of the work against its limit. */
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

static int run(cli_call *call)
{
    static const char *const parts[] = {"step", "loader", "infer", "limits"};
    const char *what = call->count == 1 ? call->arguments[0] : "";
    genet_error error;
    char *text = NULL;
    bool known = false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        known = known || strcmp(what, parts[i]) == 0;
    if (!known && *what)
        return cli_mistake(call->command, "\"%s\" cannot be measured: step, loader, infer or limits", what);
    if (!known)
        return cli_mistake(call->command, "needs what to measure: step, loader, infer or limits");
    char *json = cli_value(call, "json");
    int code = 0;
    if (genet_bench(call->config, what, *json != 0, &text, &error) != GENET_OK)
        code = cli_error(call->command, &error);
    else if (!cli_write(call->command, *json ? json : "-", text, strlen(text)))
        code = genet_status_exit_code(GENET_IO);
    genet_free(text);
    free(json);
    return code;
}

static const cli_example examples[] = {
    {"genet bench limits", "the machine's multiply-add peak and memory bandwidth; each layer's convolution, by implementation"},
    {"genet bench step --variant theta-plus --batch 32 --size 224",
     "a training step, by operation, against the convolutions alone"},
    {"genet bench infer --batch 1 --threads 2", "latency of one picture"},
    {"genet bench infer --model shelf-int8.safetensors", "a model of one's own, float or int8"},
    {"genet bench loader --data photos/train --loader-threads 1", "pictures prepared a second"},
};

const cli_command cli_bench = {
    .name = "bench",
    .letter = 'B',
    .arguments = "step|loader|infer|limits",
    .max_arguments = 1,
    .summary = "measure the training step, the loader, inference, or the machine",
    .description = "Prints the figure, the limit it is held against, their ratio, and where the time went. Figures "
                   "vary with the machine "
                   "and with what else runs on it: compare only what was measured in one run.\n\n"
                   "limits ends with every convolution of the network by itself: forward, data gradient and weight gradient, "
                   "their rate and its share of the multiply-add peak. Where there are several implementations they take turns, "
                   "and a star marks the one that training runs. With --isa the peak is that instruction set's.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
