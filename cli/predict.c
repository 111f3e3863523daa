/* SPDX-License-Identifier: Apache-2.0
 * genet predict: names and probabilities for files, folders, and lists on standard input. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "cli/cli.h"

enum { MAX_DEPTH = 32 };

typedef struct job {
    cli_call *call;
    genet_session *session;
    genet_prediction *best;
    int top;
    FILE *json; /* NULL: a table */
    long long done, failed, ignored;
} job;

static void write_json(job *j, const char *path, int found, const char *fault)
{
    fputs("{\"file\": ", j->json);
    cli_json_text(j->json, path);
    if (fault) {
        fputs(", \"error\": ", j->json);
        cli_json_text(j->json, fault);
    } else {
        fputs(", \"classes\": [", j->json);
        for (int i = 0; i < found; i++) {
            fprintf(j->json, "%s{\"class\": ", i ? ", " : "");
            cli_json_text(j->json, j->best[i].class_name);
            fprintf(j->json, ", \"index\": %d, \"probability\": ", j->best[i].class_index);
            cli_json_real(j->json, (double)j->best[i].probability);
            fputs("}", j->json);
        }
        fputs("]", j->json);
    }
    fputs("}\n", j->json);
    fflush(j->json);
}

static void show(job *j, const char *path, int found)
{
    char file[4096], name[512];
    cli_name(file, sizeof file, path, stdout);
    if (j->top == 1 && found == 1) {
        printf("%5.1f %%  %s  %s\n", 100 * (double)j->best[0].probability,
               cli_name(name, sizeof name, j->best[0].class_name, stdout), file);
    } else {
        printf("%s\n", file);
        for (int i = 0; i < found; i++)
            printf("  %5.1f %%  %s\n", 100 * (double)j->best[i].probability,
                   cli_name(name, sizeof name, j->best[i].class_name, stdout));
    }
    fflush(stdout);
}

/* False where the whole command is to end. */
static bool classify(job *j, const char *path)
{
    genet_error error;
    int found = 0;
    genet_status status = genet_session_classify_file(j->session, path, j->best, j->top, &found, &error);
    if (status == GENET_OK) {
        j->done++;
        if (j->json)
            write_json(j, path, found, NULL);
        else
            show(j, path, found);
        return true;
    }
    j->failed++;
    if (j->json)
        write_json(j, path, 0, error.text);
    fprintf(stderr, "genet predict: %s\n", error.text);
    return status != GENET_MEMORY && status != GENET_INTERNAL;
}

/* In a folder what is, or calls itself, a picture is taken; the rest is counted. */
static bool looks_like_picture(const char *path)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".png", ".webp"};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t m = strlen(endings[i]);
        if (n > m && strcasecmp(path + n - m, endings[i]) == 0)
            return true;
    }
    unsigned char head[12] = {0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t bytes = fread(head, 1, sizeof head, f);
    fclose(f);
    return (bytes >= 3 && memcmp(head, "\xff\xd8\xff", 3) == 0) ||
           (bytes >= 8 && memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0) ||
           (bytes >= 12 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0);
}

static int compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool predict_folder(job *j, const char *path, int depth)
{
    struct dirent **entries = NULL;
    char shown[1024];
    int count = depth < MAX_DEPTH ? scandir(path, &entries, NULL, compare) : -1;
    bool go_on = true;
    if (count < 0) {
        fprintf(stderr, "genet predict: cannot read the folder %s: %s\n", cli_name(shown, sizeof shown, path, stderr),
                depth < MAX_DEPTH ? strerror(errno) : "nested too deeply");
        j->failed++;
        return true;
    }
    for (int i = 0; i < count; i++) {
        struct stat st;
        size_t size = strlen(path) + strlen(entries[i]->d_name) + 2;
        char *child = calloc(size, 1);
        if (child && go_on && entries[i]->d_name[0] != '.') {
            snprintf(child, size, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", entries[i]->d_name);
            if (stat(child, &st) == 0 && S_ISDIR(st.st_mode))
                go_on = predict_folder(j, child, depth + 1);
            else if (stat(child, &st) == 0 && S_ISREG(st.st_mode) && looks_like_picture(child))
                go_on = classify(j, child);
            else
                j->ignored++;
        }
        go_on = go_on && child;
        free(child);
        free(entries[i]);
    }
    free(entries);
    return go_on;
}

/* A name a line. */
static bool predict_list(job *j)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    bool go_on = true;
    while (go_on && (n = getline(&line, &capacity, stdin)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            line[--n] = 0;
        if (n > 0)
            go_on = classify(j, line);
    }
    free(line);
    return go_on;
}

static void predict_all(job *j)
{
    bool go_on = true;
    for (int i = 0; i < j->call->count && go_on; i++) {
        const char *path = j->call->arguments[i];
        struct stat st;
        if (strcmp(path, "-") == 0)
            go_on = predict_list(j);
        else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            go_on = predict_folder(j, path, 0);
        else
            go_on = classify(j, path);
    }
    if (j->ignored)
        fprintf(stderr, "note: files in the folders that are no pictures, left out: %lld\n", j->ignored);
    if (j->failed && j->done)
        fprintf(stderr, "note: %lld of %lld pictures could not be classified\n", j->failed, j->done + j->failed);
    if (!j->failed && !j->done)
        fprintf(stderr, "genet predict: no picture found\n");
}

static int predict(cli_call *call, const char *json)
{
    job j = {.call = call};
    genet_error error;
    char *memory = NULL, *top = cli_value(call, "top");
    size_t bytes = 0;
    int code = 0;
    j.top = atoi(top);
    free(top);
    if (genet_session_open(&j.session, call->config, &error) != GENET_OK)
        return cli_error(call->command, &error);
    if (j.top > genet_session_class_count(j.session))
        j.top = genet_session_class_count(j.session);
    j.best = calloc((size_t)j.top + 1, sizeof *j.best);
    bool to_file = *json && strcmp(json, "-") != 0;
    j.json = to_file ? open_memstream(&memory, &bytes) : *json ? stdout : NULL;
    if (j.best && (j.json || !*json)) {
        cli_notes(genet_session_notes(j.session));
        predict_all(&j);
        code = j.failed || !j.done ? genet_status_exit_code(GENET_DATA) : 0;
    } else {
        code = genet_status_exit_code(GENET_MEMORY);
    }
    if (to_file && j.json && (fclose(j.json) != 0 || !cli_write(call->command, json, memory, bytes)))
        code = genet_status_exit_code(GENET_IO);
    free(memory);
    free(j.best);
    genet_session_close(j.session);
    return code;
}

static int run(cli_call *call)
{
    char *model = cli_value(call, "model"), *json = cli_value(call, "json");
    int code;
    if (!*model)
        code = cli_mistake(call->command, "needs --model FILE");
    else if (call->count == 0)
        code = cli_mistake(call->command, "needs pictures: files, folders, or - for a list on standard input");
    else
        code = predict(call, json);
    free(model);
    free(json);
    return code;
}

static const cli_example examples[] = {
    {"genet predict --model runs/first/best.safetensors shelf1.jpg shelf2.png", "the five likeliest classes of each"},
    {"genet predict --model runs/first/best.safetensors --top 1 photos/new",
     "a folder, with all below it; one line a picture"},
    {"find photos -newer stamp -name '*.jpg' | genet predict --model runs/first/best.safetensors -",
     "a list of names on standard input"},
    {"genet predict --model runs/first/best.safetensors --json shelf1.jpg | jq -r '.classes[0].class'",
     "JSON, an object a line"},
};

const cli_command cli_predict = {
    .name = "predict",
    .letter = 'P',
    .arguments = "FILE|FOLDER|- ...",
    .max_arguments = -1,
    .summary = "name what pictures show",
    .description = "Classifies JPEG, PNG and WebP files, whatever their names end in, prepared exactly as the model "
                   "was evaluated.\n\n"
                   "A picture that cannot be read gives a line on standard error (with --json an object with \"error\" "
                   "too); the others "
                   "go on, and the exit code is 3. --json writes one JSON object a line: {\"file\": ..., \"classes\": "
                   "[{\"class\": ..., "
                   "\"index\": ..., \"probability\": ...}, ...]}.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
