/* SPDX-License-Identifier: Apache-2.0
 * The command line, parsed by the library's table of options. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

bool cli_takes(const cli_command *command, const genet_option *option)
{
    char key[64];
    if (!command->letter || !strchr(option->commands, command->letter))
        return false;
    snprintf(key, sizeof key, " %s ", option->key);
    return !command->hidden || !strstr(command->hidden, key);
}

int cli_mistake(const cli_command *command, const char *format, ...)
{
    va_list args;
    char text[GENET_ERROR_SIZE], shown[2 * GENET_ERROR_SIZE];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "genet %s: %s\n", command->name, cli_name(shown, sizeof shown, text, stderr));
    fprintf(stderr, "see genet %s --help\n", command->name);
    return CLI_USAGE;
}

int cli_error(const cli_command *command, const genet_error *error)
{
    fprintf(stderr, "genet %s: %s\n", command->name, error->text);
    if (error->status == GENET_USAGE)
        fprintf(stderr, "see genet %s --help\n", command->name);
    return genet_status_exit_code(error->status);
}

char *cli_value(const cli_call *call, const char *key)
{
    enum { SIZE = 65536 + 1 };
    genet_error error;
    char *value = calloc(SIZE, 1);
    if (!value || genet_config_get(call->config, key, value, SIZE, &error) != GENET_OK) {
        fprintf(stderr, "genet %s: cannot read --%s\n", call->command->name, key);
        exit(genet_status_exit_code(GENET_INTERNAL));
    }
    return value;
}

static const genet_option *find(const cli_command *command, const char *key, size_t length)
{
    for (size_t i = 0; i < genet_option_count(); i++) {
        const genet_option *o = genet_option_at(i);
        if (strlen(o->key) == length && memcmp(o->key, key, length) == 0 && (!command || cli_takes(command, o)))
            return o;
    }
    return NULL;
}

static const cli_extra *find_extra(const cli_command *command, const char *key, size_t length, size_t *index)
{
    for (size_t i = 0; i < command->extra_count; i++)
        if (strlen(command->extras[i].key) == length && memcmp(command->extras[i].key, key, length) == 0) {
            *index = i;
            return &command->extras[i];
        }
    return NULL;
}

static int unknown(const cli_command *command, const char *word)
{
    const char *key = word + 2;
    char name[64];
    size_t length = strcspn(key, "="), index;
    if (strncmp(key, "no-", 3) == 0 &&
        (find(command, key + 3, length - 3) || find_extra(command, key + 3, length - 3, &index)))
        return cli_mistake(command, "%.*s: only a switch can be switched off", (int)length + 2, word);
    snprintf(name, sizeof name, "%.*s", (int)length, key);
    const char *nearest = genet_option_nearest(name, command->letter);
    if (nearest && command->letter && !find(NULL, key, length))
        return cli_mistake(command, "unknown option %.*s; did you mean --%s?", (int)length + 2, word, nearest);
    if (find(NULL, key, length))
        return cli_mistake(command, "%.*s is an option of other commands, not of genet %s", (int)length + 2, word,
                           command->name);
    return cli_mistake(command, "unknown option %.*s", (int)length + 2, word);
}

static int set_extra(cli_call *call, const cli_extra *extra, size_t index, const char *value)
{
    char *end = NULL;
    long long n = *value >= '0' && *value <= '9' ? strtoll(value, &end, 10) : -1;
    if (!end || *end || n < extra->minimum || n > extra->maximum)
        return cli_mistake(call->command, "--%s: \"%s\" is not a whole number from %lld to %lld", extra->key, value,
                           (long long)extra->minimum, (long long)extra->maximum);
    call->extra[index] = n;
    return -1;
}

static int set(cli_call *call, const genet_option *o, const char *value)
{
    genet_error error;
    if (genet_config_set(call->config, o->key, value, &error) == GENET_OK)
        return -1;
    if (error.status != GENET_USAGE)
        return cli_error(call->command, &error);
    return cli_mistake(call->command, "--%s", error.text); /* the text starts with the key */
}

/* One word that starts with --; *next is the word behind it, NULL at the end, and becomes NULL when it was taken. */
static int option(cli_call *call, const char *word, const char **next)
{
    const char *key = word + 2, *equals = strchr(key, '='), *value = equals ? equals + 1 : NULL;
    size_t length = equals ? (size_t)(equals - key) : strlen(key), index = 0;
    bool off = strncmp(key, "no-", 3) == 0;
    const genet_option *o = find(call->command, key, length);
    const cli_extra *extra = o ? NULL : find_extra(call->command, key, length, &index);
    if (!o && !extra && off) {
        o = find(call->command, key + 3, length - 3);
        if (!o || o->type != GENET_OPTION_FLAG)
            return unknown(call->command, word);
        return value ? cli_mistake(call->command, "--no-%s takes no value", o->key) : set(call, o, "false");
    }
    if (!o && !extra)
        return unknown(call->command, word);
    if (o && !value && o->type == GENET_OPTION_FLAG)
        return set(call, o, "true");
    if (o && !value && strncmp(o->metavar, "[=", 2) == 0)
        return set(call, o, "-");
    if (!value && (!*next || strncmp(*next, "--", 2) == 0))
        return cli_mistake(call->command, "--%.*s needs a value", (int)length, key);
    if (!value) {
        value = *next;
        *next = NULL;
    }
    return o ? set(call, o, value) : set_extra(call, extra, index, value);
}

int cli_parse(cli_call *call, int argc, char **argv)
{
    const cli_command *command = call->command;
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) /* help wins over mistakes */
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_help(command, stdout);
            return 0;
        } else if (strcmp(argv[i], "--") == 0) {
            break;
        }
    for (size_t i = 0; i < command->extra_count; i++)
        call->extra[i] = command->extras[i].start;
    call->arguments = argv; /* kept in place: never more than have been read */
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && strncmp(word, "--", 2) == 0) {
            const char *next = i + 1 < argc ? argv[i + 1] : NULL, *before = next;
            int code = option(call, word, &next);
            if (code >= 0)
                return code;
            i += next != before;
        } else if (!only_arguments && word[0] == '-' && word[1]) {
            return cli_mistake(command, "%s: options start with two dashes", word);
        } else {
            if (command->max_arguments >= 0 && call->count >= command->max_arguments)
                return cli_mistake(command,
                                   command->max_arguments == 0
                                       ? "\"%s\" is no option, and this command takes options only"
                                       : "\"%s\": one argument too many",
                                   word);
            call->arguments[call->count++] = word;
        }
    }
    return -1;
}
