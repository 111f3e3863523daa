/* SPDX-License-Identifier: Apache-2.0
 * --help of a command, from its description and the table of options. */
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

enum { INDENT = 30, WIDTH = 100 };

void cli_option_form(char *to, size_t size, const genet_option *o)
{
    switch (o->type) {
    case GENET_OPTION_FLAG:
        snprintf(to, size, "--[no-]%s", o->key);
        break;
    case GENET_OPTION_CHOICE:
        snprintf(to, size, "--%s %s", o->key, o->choices);
        break;
    default:
        snprintf(to, size, "--%s%s%s", o->key, o->metavar[0] == '[' ? "" : " ", o->metavar);
        break;
    }
}

void cli_option_range(char *to, size_t size, const genet_option *o)
{
    switch (o->type) {
    case GENET_OPTION_INT:
        if (strchr(o->metavar, '|')) /* the metavar lists the values */
            snprintf(to, size, "default %s", o->default_text);
        else if (o->maximum > 9e18)
            snprintf(to, size, "default %s; from %.0f", o->default_text, o->minimum);
        else
            snprintf(to, size, "default %s; %.0f to %.0f", o->default_text, o->minimum, o->maximum);
        break;
    case GENET_OPTION_REAL:
        snprintf(to, size, "default %g; %.9g to %.9g", strtod(o->default_text, NULL), o->minimum, o->maximum);
        break;
    case GENET_OPTION_FLAG:
        snprintf(to, size, "default %s", strcmp(o->default_text, "true") == 0 ? "on" : "off");
        break;
    case GENET_OPTION_LIST:
        snprintf(to, size, "may be repeated");
        break;
    default:
        if (*o->default_text)
            snprintf(to, size, "default %s", o->default_text);
        else
            to[0] = 0;
        break;
    }
}

/* Writes words of text between the columns `indent` and WIDTH; `at` columns of the first line are used. */
static void wrap(FILE *to, const char *text, int indent, int at)
{
    if (at > 0 && at >= indent) {
        putc('\n', to);
        at = 0;
    }
    fprintf(to, "%*s", indent - at, "");
    at = indent;
    while (*text) {
        size_t n = *text == '[' ? strlen(text) : strcspn(text, " "); /* default and range stay together */
        if (at > indent && at + 1 + (int)n > WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
        }
        at += fprintf(to, "%s%.*s", at > indent ? " " : "", (int)n, text);
        text += n + (text[n] == ' ');
    }
    putc('\n', to);
}

static void show_option(FILE *to, const char *form, const char *help, const char *range)
{
    char text[1024];
    snprintf(text, sizeof text, "%s%s%s%s", help, *range ? " [" : "", range, *range ? "]" : "");
    wrap(to, text, INDENT, fprintf(to, "  %s", form));
}

static void show_options(const cli_command *command, FILE *to)
{
    const char *group = "";
    char form[128], range[128];
    for (size_t i = 0; i < command->extra_count; i++) {
        const cli_extra *e = &command->extras[i];
        if (i == 0)
            fprintf(to, "\nOptions\n");
        snprintf(form, sizeof form, "--%s %s", e->key, e->metavar);
        snprintf(range, sizeof range, "default %lld; %lld to %lld", (long long)e->start, (long long)e->minimum,
                 (long long)e->maximum);
        show_option(to, form, e->help, range);
    }
    for (size_t i = 0; i < genet_option_count(); i++) {
        const genet_option *o = genet_option_at(i);
        if (!cli_takes(command, o))
            continue;
        if (strcmp(group, o->group) != 0)
            fprintf(to, "\n%s\n", group = o->group);
        cli_option_form(form, sizeof form, o);
        cli_option_range(range, sizeof range, o);
        show_option(to, form, o->help, range);
    }
}

void cli_help(const cli_command *command, FILE *to)
{
    bool options = command->letter || command->extra_count;
    fprintf(to, "genet %s - %s\n\nusage: genet %s%s%s%s\n", command->name, command->summary, command->name,
            options ? " [OPTIONS]" : "", *command->arguments ? " " : "", command->arguments);
    for (const char *paragraph = command->description; *paragraph;) {
        const char *end = strstr(paragraph, "\n\n");
        size_t n = end ? (size_t)(end - paragraph) : strlen(paragraph);
        char text[2048];
        snprintf(text, sizeof text, "%.*s", (int)n, paragraph);
        putc('\n', to);
        wrap(to, text, 0, 0);
        paragraph += n + (end ? 2 : 0);
    }
    fprintf(to, "\nExamples\n");
    for (size_t i = 0; i < command->example_count; i++)
        fprintf(to, "  # %s\n  %s\n", command->examples[i].what, command->examples[i].line);
    show_options(command, to);
    fprintf(to, "\nExit codes\n");
#define X(name, number, exit_code, text) fprintf(to, "  %-4d %s\n", exit_code, text);
    GENET_STATUS_LIST(X)
#undef X
}
