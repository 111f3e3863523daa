/* SPDX-License-Identifier: Apache-2.0
 * genet predict: names and probabilities for files, folders, and lists on standard input. Pictures wait until there is a
 * batch of them; those of a list, only as long as more names are there to read. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"

enum { MAX_DEPTH = 32 };

typedef struct job {
    cli_call *call;
    genet_session *session;
    genet_picture *waiting; /* (batch); their paths are owned */
    genet_prediction *best; /* (batch,top) */
    int batch, count, top;
    FILE *json; /* NULL: a table */
    long long done, failed, ignored;
} job;

static void write_json(job *j, const genet_picture *p)
{
    fputs("{\"file\": ", j->json);
    cli_json_text(j->json, p->path);
    if (p->status != GENET_OK) {
        fputs(", \"error\": ", j->json);
        cli_json_text(j->json, p->error.text);
    } else {
        fputs(", \"classes\": [", j->json);
        for (int i = 0; i < p->found; i++) {
            fprintf(j->json, "%s{\"class\": ", i ? ", " : "");
            cli_json_text(j->json, p->best[i].class_name);
            fprintf(j->json, ", \"index\": %d, \"probability\": ", p->best[i].class_index);
            cli_json_real(j->json, (double)p->best[i].probability);
            fputs("}", j->json);
        }
        fputs("]", j->json);
    }
    fputs("}\n", j->json);
}

static void show(const job *j, const genet_picture *p)
{
    char file[4096], name[512];
    cli_name(file, sizeof file, p->path, stdout);
    if (j->top == 1 && p->found == 1) {
        printf("%5.1f %%  %s  %s\n", 100 * (double)p->best[0].probability,
               cli_name(name, sizeof name, p->best[0].class_name, stdout), file);
    } else {
        printf("%s\n", file);
        for (int i = 0; i < p->found; i++)
            printf("  %5.1f %%  %s\n", 100 * (double)p->best[i].probability,
                   cli_name(name, sizeof name, p->best[i].class_name, stdout));
    }
}

static void tell(job *j, const genet_picture *p)
{
    if (j->json)
        write_json(j, p);
    else if (p->status == GENET_OK)
        show(j, p);
    if (p->status == GENET_OK) {
        j->done++;
        return;
    }
    j->failed++;
    fflush(stdout);
    fprintf(stderr, "genet predict: %s\n", p->error.text);
}

/* Classifies what waits. False where the whole command is to end. */
static bool flush_waiting(job *j)
{
    genet_error error;
    genet_status status = genet_session_classify_many(j->session, j->waiting, j->count, j->top, &error);
    if (status == GENET_OK) {
        for (int i = 0; i < j->count; i++)
            tell(j, &j->waiting[i]);
    } else {
        fprintf(stderr, "genet predict: %s\n", error.text);
        j->failed += j->count;
    }
    fflush(j->json ? j->json : stdout);
    for (int i = 0; i < j->count; i++)
        free((char *)j->waiting[i].path);
    j->count = 0;
    return status == GENET_OK;
}

static bool no_memory(job *j)
{
    fprintf(stderr, "genet predict: not enough memory for a name\n");
    j->failed++;
    return false;
}

static bool classify(job *j, const char *path)
{
    genet_picture *p = &j->waiting[j->count];
    char *name = strdup(path);
    if (!name)
        return no_memory(j);
    *p = (genet_picture){.path = name, .best = j->best + (size_t)j->count * (size_t)j->top};
    return ++j->count < j->batch || flush_waiting(j);
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

static bool more_to_read(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

/* Takes the whole lines out of `text`, of which *length bytes are filled; a rest stays in front. */
static bool take_lines(job *j, char *text, size_t *length)
{
    char *line = text, *end = text + *length, *stop;
    bool go_on = true;
    while (go_on && (stop = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        *stop = 0;
        if (stop > line)
            go_on = classify(j, line);
        line = stop + 1;
    }
    *length = (size_t)(end - line);
    memmove(text, line, *length);
    return go_on;
}

/* A name a line. Read by read(2): whether more is waiting can then be asked. */
static bool predict_list(job *j)
{
    enum { ROOM = 1 << 16 };
    char *text = malloc(ROOM + 1);
    size_t length = 0;
    ssize_t n = 1;
    bool go_on = text || no_memory(j);
    while (go_on && n > 0) {
        if (j->count && !more_to_read() && !flush_waiting(j)) {
            go_on = false;
            break;
        }
        n = read(STDIN_FILENO, text + length, ROOM - length);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n > 0)
            length += (size_t)n;
        if (n <= 0 && length) /* the last line need not end */
            text[length++] = '\n';
        go_on = take_lines(j, text, &length);
        if (length == ROOM) {
            fprintf(stderr, "genet predict: a line of standard input is longer than %d bytes: no file is called that\n", ROOM - 1);
            j->failed++;
            go_on = false;
        }
    }
    free(text);
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
    if (j->count)
        flush_waiting(j);
    if (j->ignored)
        fprintf(stderr, "note: files in the folders that are no pictures, left out: %lld\n", j->ignored);
    if (j->failed && j->done)
        fprintf(stderr, "note: %lld of %lld pictures could not be classified\n", j->failed, j->done + j->failed);
    if (!j->failed && !j->done)
        fprintf(stderr, "genet predict: no picture found\n");
}

static int number(cli_call *call, const char *key)
{
    char *text = cli_value(call, key);
    int n = text ? atoi(text) : 0;
    free(text);
    return n;
}

static int predict(cli_call *call, const char *json)
{
    job j = {.call = call, .top = number(call, "top"), .batch = number(call, "batch")};
    genet_error error;
    char *memory = NULL;
    size_t bytes = 0;
    int code = 0;
    if (genet_session_open(&j.session, call->config, &error) != GENET_OK)
        return cli_error(call->command, &error);
    if (j.top > genet_session_class_count(j.session))
        j.top = genet_session_class_count(j.session);
    j.waiting = calloc((size_t)j.batch, sizeof *j.waiting);
    j.best = calloc((size_t)j.batch * (size_t)j.top, sizeof *j.best);
    bool to_file = *json && strcmp(json, "-") != 0;
    j.json = to_file ? open_memstream(&memory, &bytes) : *json ? stdout : NULL;
    if (j.waiting && j.best && (j.json || !*json)) {
        cli_notes(genet_session_notes(j.session));
        predict_all(&j);
        code = j.failed || !j.done ? genet_status_exit_code(GENET_DATA) : 0;
    } else {
        code = genet_status_exit_code(GENET_MEMORY);
    }
    if (to_file && j.json && (fclose(j.json) != 0 || !cli_write(call->command, json, memory, bytes)))
        code = genet_status_exit_code(GENET_IO);
    free(memory);
    free(j.waiting);
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
    .description =
        "Classifies JPEG, PNG and WebP files, whatever their names end in, prepared exactly as the model was evaluated. They go "
        "through the network --batch at a time; a name on standard input is answered at once when no other is waiting behind "
        "it.\n\n"
        "A picture that cannot be read gives a line on standard error (with --json an object with \"error\" too); the others go "
        "on, and the exit code is 3. --json writes one JSON object a line: {\"file\": ..., \"classes\": [{\"class\": ..., "
        "\"index\": ..., \"probability\": ...}, ...]}.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
