/* SPDX-License-Identifier: Apache-2.0
 * genet(1), written from the same descriptions as --help so that the two cannot part. docs/man/genet.1 is its output.
 */
#include <string.h>
#include "cli/cli.h"

/* Text with roff's special characters made harmless. */
static void roff(FILE *to, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", to);
    for (; *text; text++)
        if (*text == '-')
            fputs("\\-", to);
        else if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '\n')
            fputs("\n.PP\n", text[1] == '\n' ? (text++, to) : to);
        else
            putc(*text, to);
    putc('\n', to);
}

static void command_section(FILE *to, const cli_command *c)
{
    fprintf(to, ".SS \"genet %s%s%s%s\"\n", c->name, c->letter || c->extra_count ? " [OPTIONS]" : "",
            *c->arguments ? " " : "", c->arguments);
    roff(to, c->description);
    for (size_t i = 0; i < c->extra_count; i++) {
        const cli_extra *e = &c->extras[i];
        fprintf(to, ".TP\n.BI \\-\\-%s \" %s\"\n", e->key, e->metavar);
        fprintf(to, "%s (default %lld; %lld to %lld)\n", e->help, (long long)e->start, (long long)e->minimum,
                (long long)e->maximum);
    }
    fputs(".PP\n.nf\n", to);
    for (size_t i = 0; i < c->example_count; i++) {
        fputs("# ", to);
        roff(to, c->examples[i].what);
        roff(to, c->examples[i].line);
    }
    fputs(".fi\n", to);
}

/* "train, eval": the commands that take an option. */
static void takers(FILE *to, const genet_option *o)
{
    bool first = true;
    for (const cli_command *const *c = cli_commands; *c; c++)
        if (cli_takes(*c, o)) {
            fprintf(to, "%s%s", first ? "" : ", ", (*c)->name);
            first = false;
        }
}

static bool taken(const genet_option *o)
{
    for (const cli_command *const *c = cli_commands; *c; c++)
        if (cli_takes(*c, o))
            return true;
    return false;
}

static void options_section(FILE *to)
{
    const char *group = "";
    char form[128], range[128];
    fputs(".SH OPTIONS\n", to);
    roff(to,
         "Values follow after a blank or an equals sign. A key is the same on the command line and in a recipe file "
         "(\"rate: 0.1\").");
    for (size_t i = 0; i < genet_option_count(); i++) {
        const genet_option *o = genet_option_at(i);
        if (!taken(o))
            continue;
        if (strcmp(group, o->group) != 0)
            fprintf(to, ".SS \"%s\"\n", group = o->group);
        cli_option_form(form, sizeof form, o);
        cli_option_range(range, sizeof range, o);
        fputs(".TP\n.B ", to);
        roff(to, form);
        roff(to, o->help);
        if (*range) {
            fputs("[", to);
            roff(to, range);
            fputs("]\n", to);
        }
        fputs(".br\n", to);
        fputs("(", to);
        takers(to, o);
        fputs(")\n", to);
    }
}

void cli_man(FILE *to)
{
    fprintf(to, ".\\\" Written by `genet help --man`; do not edit.\n.TH GENET 1 \"\" \"genet %s\" \"User Commands\"\n",
            GENET_VERSION);
    fputs(".SH NAME\ngenet \\- train, evaluate and use Gather\\-Excite ResNets\n.SH SYNOPSIS\n", to);
    for (const cli_command *const *c = cli_commands; *c; c++) {
        fprintf(to, ".B genet %s\n%s%s\n.br\n", (*c)->name, (*c)->letter || (*c)->extra_count ? "[OPTIONS] " : "",
                (*c)->arguments);
    }
    fputs(".B genet help\n[COMMAND]\n.SH DESCRIPTION\n", to);
    roff(to,
         "genet classifies photographs with Gather-Excite ResNets (arXiv:1810.12348): it trains them on folders of "
         "pictures, evaluates them, and predicts with them, on the CPU. Every command explains itself with --help.");
    fputs(".SH COMMANDS\n", to);
    for (const cli_command *const *c = cli_commands; *c; c++)
        command_section(to, *c);
    options_section(to);
    fputs(".SH \"EXIT STATUS\"\n", to);
#define X(name, number, exit_code, text)                                                                               \
    fprintf(to, ".TP\n.B %d\n", exit_code);                                                                            \
    roff(to, text);
    GENET_STATUS_LIST(X)
#undef X
    fputs(".SH SIGNALS\n.TP\n.B SIGINT, SIGTERM, SIGHUP\n", to);
    roff(to, "genet train finishes its step, writes a checkpoint to resume from and ends with 130; a second one stops "
             "at once.");
    fputs(".TP\n.B SIGUSR1\n", to);
    roff(to, "genet train writes a checkpoint and goes on.");
    fputs(".SH FILES\n", to);
    roff(
        to,
        "The folder of a run holds best.safetensors and last.safetensors (weights, classes and preprocessing in one "
        "file), "
        "metrics.jsonl, metrics.csv, curves.svg, run.json with all settings, and bad-images.txt where there were any.");
}
