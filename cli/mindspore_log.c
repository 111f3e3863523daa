/* SPDX-License-Identifier: Apache-2.0
 * --log-format mindspore: the lines that the published training and evaluation print, for what reads them. An epoch's loss is
 * that of its last step, as there; times are in milliseconds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

bool cli_wants_mindspore_log(const cli_call *call)
{
    char *format = cli_value(call, "log-format");
    bool wanted = strcmp(format, "mindspore") == 0;
    free(format);
    return wanted;
}

/* The shortest decimal that reads back as the same number (a float where `single`), with a point, as Python writes it. */
static const char *number(char to[40], double value, bool single)
{
    if (!isfinite(value)) {
        snprintf(to, 40, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return to;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(to, 40, "%.*g", digits, value);
        if (single ? strtof(to, NULL) == (float)value : strtod(to, NULL) == value)
            break;
    }
    if (!strpbrk(to, ".e"))
        strcat(to, ".0");
    return to;
}

void cli_mindspore_progress(cli_mindspore_log *log, const genet_progress *p)
{
    log->loss = p->step_loss;
    log->steps = p->steps;
}

void cli_mindspore_epoch(const cli_mindspore_log *log, const genet_epoch_report *r)
{
    char loss[40];
    printf("epoch: %d step: %lld, loss is %s\n", r->epoch, (long long)log->steps, number(loss, log->loss, true));
    printf("Train epoch time: %5.3f ms, per step time: %5.3f ms\n", 1000 * r->seconds,
           log->steps ? 1000 * r->seconds / (double)log->steps : 0);
    fflush(stdout);
}

void cli_mindspore_result(const genet_evaluation *e, const char *model)
{
    char top1[40], top5[40], shown[4096];
    printf("result: {'top_1_accuracy': %s, 'top_5_accuracy': %s} ckpt= %s\n", number(top1, e->top1, false),
           number(top5, e->top5, false), cli_name(shown, sizeof shown, model, stdout));
}
