/* SPDX-License-Identifier: Apache-2.0
 * genet: finds the command and runs it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"

/* In the order of the help. A new command is a file and a line here. */
const cli_command *const cli_commands[] = {
    &cli_train,      &cli_eval,       &cli_predict,         &cli_info,  &cli_export, &cli_import, &cli_quantize,
    &cli_data_stats, &cli_data_audit, &cli_data_draw_shelf, &cli_bench, NULL,
};

static void show_commands(FILE *to, const char *group)
{
    for (const cli_command *const *c = cli_commands; *c; c++)
        if (strncmp((*c)->name, group, strlen(group)) == 0)
            fprintf(to, "  genet %-18s %s\n", (*c)->name, (*c)->summary);
}

static void show_overview(FILE *to)
{
    fprintf(to, "genet %s - train, evaluate and use Gather-Excite ResNets\n\nCommands\n", genet_version());
    show_commands(to, "");
    fprintf(to, "\n  genet COMMAND --help    what a command does, with examples and all its options\n"
                "  genet help --man        the whole as a man page\n"
                "  genet --version\n"
                "\nStart\n"
                "  genet data stats photos/train                                   # a folder a class\n"
                "  genet train --data photos/train --val photos/val --out runs/first\n"
                "  genet predict --model runs/first/best.safetensors picture.jpg\n");
}

/* The command that argv starts with; *words of it are the name. */
static const cli_command *find(int argc, char **argv, int *words)
{
    for (const cli_command *const *c = cli_commands; *c; c++) {
        const char *name = (*c)->name, *blank = strchr(name, ' ');
        size_t n = blank ? (size_t)(blank - name) : strlen(name);
        *words = blank ? 2 : 1;
        if (argc < *words || strlen(argv[0]) != n || memcmp(argv[0], name, n) != 0)
            continue;
        if (!blank || strcmp(argv[1], blank + 1) == 0)
            return *c;
    }
    return NULL;
}

/* Whether `word` is a group ("data"), then as "data ". */
static bool find_group(const char *word, char *group, size_t size)
{
    snprintf(group, size, "%s ", word);
    for (const cli_command *const *c = cli_commands; *c; c++)
        if (strncmp((*c)->name, group, strlen(group)) == 0)
            return true;
    return false;
}

static int no_command(int argc, char **argv, bool asked)
{
    char group[64], shown[256];
    if (argc > 0 && strlen(argv[0]) < 32 && find_group(argv[0], group, sizeof group)) {
        bool help = asked || (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0));
        FILE *to = help ? stdout : stderr;
        if (!help && argc > 1)
            fprintf(to, "genet %s: unknown command \"%s\"\n", argv[0], cli_name(shown, sizeof shown, argv[1], to));
        fprintf(to, "Commands\n");
        show_commands(to, group);
        fprintf(to, "\n  genet %sCOMMAND --help    tells more\n", group);
        return help ? 0 : CLI_USAGE;
    }
    if (argc > 0)
        fprintf(stderr, "genet: unknown command \"%s\"\nsee genet --help\n",
                cli_name(shown, sizeof shown, argv[0], stderr));
    else
        show_overview(stderr);
    return CLI_USAGE;
}

static int help(int argc, char **argv)
{
    int words;
    const cli_command *command = argc > 0 ? find(argc, argv, &words) : NULL;
    if (argc == 0) {
        show_overview(stdout);
        return 0;
    }
    if (strcmp(argv[0], "--man") == 0) {
        cli_man(stdout);
        return 0;
    }
    if (!command)
        return no_command(argc, argv, true);
    cli_help(command, stdout);
    return 0;
}

static int run(int argc, char **argv)
{
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        show_overview(stdout);
        return 0;
    }
    if (argc > 0 && strcmp(argv[0], "--version") == 0) {
        printf("genet %s\n", genet_version());
        return 0;
    }
    if (argc > 0 && strcmp(argv[0], "help") == 0)
        return help(argc - 1, argv + 1);
    int words = 0;
    cli_call call = {.command = argc > 0 ? find(argc, argv, &words) : NULL};
    if (!call.command)
        return no_command(argc, argv, false);
    genet_error error;
    if (genet_config_create(&call.config, &error) != GENET_OK)
        return cli_error(call.command, &error);
    int code = cli_parse(&call, argc - words, argv + words);
    if (code < 0)
        code = call.command->run(&call);
    genet_config_free(call.config);
    return code;
}

/* OpenMP's threads spin for milliseconds while they wait, and take the cores from the threads that prepare pictures and from
 * everybody else: on two busy cores a step took nine times as long; threads that sleep at once cost a forward pass a sixth
 * (docs/performance.md). So they spin for some ten microseconds (GNU's run time; others sleep at once). The run time reads this
 * before main: the program starts itself once more with it, unless the user has set it. Where that fails, it goes on as it is. */
static void shorten_waiting(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || setenv("OMP_WAIT_POLICY", "passive", 1) != 0 ||
        setenv("GOMP_SPINCOUNT", "1000", 1) != 0)
        return;
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    shorten_waiting(argv);
    int code = run(argc - 1, argv + (argc > 0));
    /* A full disk or a closed pipe behind standard output must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
        fprintf(stderr, "genet: cannot write to standard output: %s\n", strerror(errno));
        code = genet_status_exit_code(GENET_IO);
    }
    return code;
}
