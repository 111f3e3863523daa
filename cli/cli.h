/* SPDX-License-Identifier: Apache-2.0
 * What the sub-commands share: the description of a command (from which --help and the man page are made), its parsed
 * command line, and how things are shown. The commands use the library through include/genet alone. */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "genet/genet.h"

enum { CLI_MAX_EXTRAS = 8, CLI_USAGE = 2 };

/* A whole number that only this command has; everything else comes from the library's table of options. */
typedef struct cli_extra {
    const char *key, *metavar, *help;
    int64_t minimum, maximum, start;
} cli_extra;

typedef struct cli_example {
    const char *line, *what;
} cli_example;

struct cli_call;
typedef struct cli_command {
    const char *name;        /* "train"; "data stats" for one of a group */
    char letter;             /* of the options in the library's table; 0: none */
    const char *arguments;   /* for the usage line: "FILE|FOLDER|- ..."; "" without */
    int max_arguments;       /* -1: any number */
    const char *summary;     /* half a line, no capital, no stop */
    const char *description; /* paragraphs, parted by an empty line */
    const cli_example *examples;
    size_t example_count;
    const char *hidden;      /* keys of its letter that it does not take, each between blanks; NULL: none */
    const cli_extra *extras;
    size_t extra_count;
    int (*run)(struct cli_call *call); /* returns the exit code */
} cli_command;

typedef struct cli_call {
    const cli_command *command;
    genet_config *config;
    char **arguments; /* what is no option, in order */
    int count;
    int64_t extra[CLI_MAX_EXTRAS];
} cli_call;

/* --- options.c ----- */
/* Whether the command takes this option of the table. */
bool cli_takes(const cli_command *command, const genet_option *option);
/* Reads argv[0..argc) into the call. -1: go on; otherwise the exit code (help was shown, or a mistake named). */
int cli_parse(cli_call *call, int argc, char **argv);
/* The value of an option as text, fresh memory ("" where there is none); ends the program without memory. */
char *cli_value(const cli_call *call, const char *key);
/* Names a mistake in the use of the command on stderr; returns CLI_USAGE. */
int cli_mistake(const cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Names an error of the library on stderr; returns the exit code. */
int cli_error(const cli_command *command, const genet_error *error);

/* --- help.c and man.c ----- */
extern const cli_command *const cli_commands[]; /* main.c; ends with NULL */
void cli_help(const cli_command *command, FILE *to);
/* What stands before and behind an option's help: "--rate RATE", "0.1; 0 to 1000". */
void cli_option_form(char *to, size_t size, const genet_option *option);
void cli_option_range(char *to, size_t size, const genet_option *option);
void cli_man(FILE *to);

/* --- show.c ----- */
bool cli_is_terminal(FILE *to);
int cli_columns(FILE *to); /* of the terminal, 100 where it is none */
/* A foreign name as it may be shown: on a terminal control characters and bytes that are not UTF-8 become \xNN. */
const char *cli_name(char *to, size_t size, const char *name, FILE *where);
/* Columns that UTF-8 text takes. */
int cli_width(const char *text);
/* Writes text and blanks up to `width` columns. */
void cli_pad(FILE *to, const char *text, int width);
/* "12 s", "3 min 04 s", "1 h 03 min". */
const char *cli_seconds(char to[32], double seconds);
/* A bar of `width` characters, `share` of them full. */
const char *cli_bar(char *to, int width, double share);
/* Rewrites the last line of a terminal; NULL clears it. */
void cli_line(FILE *to, const char *line);
/* A JSON string; bytes that are not UTF-8 become \udcNN, as Python's "surrogateescape" reads them. */
void cli_json_text(FILE *to, const char *bytes);
void cli_json_real(FILE *to, double value); /* null where it is not finite */
/* A CSV field, quoted where it must be. */
void cli_csv_text(FILE *to, const char *bytes);
/* Writes to standard output ("-") or whole to a file (temporary, fsync, rename); false with a message on stderr. */
bool cli_write(const cli_command *command, const char *path, const char *data, size_t bytes);
/* Shows the lines of the library's notes on stderr. */
void cli_notes(const char *notes);
/* A progress line for counted work on stderr, where that is a terminal; user is a label. */
void cli_count_progress(void *user, int64_t done, int64_t all);

/* --- mindspore_log.c: --log-format mindspore ----- */
typedef struct cli_mindspore_log {
    bool on;
    double loss; /* of the last step */
    int64_t steps;
} cli_mindspore_log;
bool cli_wants_mindspore_log(const cli_call *call);
void cli_mindspore_progress(cli_mindspore_log *log, const genet_progress *progress);
void cli_mindspore_epoch(const cli_mindspore_log *log, const genet_epoch_report *report);
void cli_mindspore_result(const genet_evaluation *evaluation, const char *model);

extern const cli_command cli_train, cli_eval, cli_predict, cli_info, cli_data_stats, cli_data_audit, cli_data_draw_shelf,
    cli_bench, cli_export, cli_import, cli_quantize;
/* --- export.c, shared with import.c and quantize.c ----- */
/* The model may be the one argument: sets it; -1, or the exit code of a mistake. */
int cli_take_model(cli_call *call);
void cli_show_export(const cli_call *call, const genet_export_result *result);
#endif
