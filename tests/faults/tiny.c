/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "formats/checkpoint.h"

#define MAX_FILE ((size_t)64 << 20)

static char root[TINY_PATH / 2];

static void give_up(const char *what, const char *text)
{
    fprintf(stderr, "%s: %s\n", what, text);
    abort();
}

const char *tiny_root(void)
{
    return root;
}

void tiny_adopt(const char *other)
{
    snprintf(root, sizeof root, "%s", other);
}

const char *tiny_path(const char *name)
{
    static char buffers[8][TINY_PATH];
    static int next;
    char *path = buffers[next++ % 8];
    snprintf(path, TINY_PATH, "%s/%s", root, name);
    return path;
}

int tiny_make(void **state)
{
    genet_error err;
    (void)state;
    snprintf(root, sizeof root, "/tmp/genet-tiny-XXXXXX");
    if (!mkdtemp(root))
        return 1;
    if (genet_data_draw_shelf(tiny_path("data"), 2, 24, 40, 5, &err) != GENET_OK)
        give_up("drawing", err.text);
    return 0;
}

void tiny_remove(const char *name)
{
    char command[TINY_PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", tiny_path(name));
    if (system(command) != 0)
        give_up("removing", name);
}

int tiny_done(void **state)
{
    (void)state;
    tiny_remove("");
    return 0;
}

/* --- training ------------------------------------------------------------------------------------------------------------ */

static genet_status set_words(genet_config *c, const char *words, genet_error *err)
{
    char key[64], value[TINY_PATH];
    genet_status status = GENET_OK;
    for (int n = 0; status == GENET_OK && sscanf(words, " %63s %511s%n", key, value, &n) == 2; words += n)
        status = genet_config_set(c, key, value, err);
    return status;
}

genet_status tiny_config(genet_config **c, const char *words, genet_error *err)
{
    genet_status status = genet_config_create(c, err);
    if (status == GENET_OK)
        status = set_words(*c, "backend ref threads 1 amp off", err);
    return status == GENET_OK ? set_words(*c, words, err) : status;
}

static void count_warnings(void *user, genet_log_level level, const char *line)
{
    (void)line;
    *(int *)user += level == GENET_LOG_WARNING;
}

static genet_status run(genet_config *c, const char *words, int *warnings, genet_error *err)
{
    int unseen = 0;
    genet_train_result result;
    genet_train_callbacks callbacks = {.user = warnings ? warnings : &unseen, .log = count_warnings};
    *(int *)callbacks.user = 0;
    genet_status status = set_words(c, words, err);
    return status == GENET_OK ? genet_train(c, &callbacks, &result, err) : status;
}

genet_status tiny_train(const char *out, const char *words, int *warnings, genet_error *err)
{
    char small[4 * TINY_PATH];
    genet_config *c = NULL;
    snprintf(small, sizeof small, "depth 26 width 0.0625 size 32 batch 8 epochs 2 rate 0.05 loader-threads 1 ema 0.9 mixup 0.2 "
             "data %s val %s out %s", tiny_path("data/train"), tiny_path("data/val"), tiny_path(out));
    genet_status status = tiny_config(&c, small, err);
    if (status == GENET_OK)
        status = run(c, words, warnings, err);
    genet_config_free(c);
    return status;
}

genet_status tiny_resume(const char *out, const char *words, int *warnings, genet_error *err)
{
    genet_config *c = NULL;
    genet_status status = genet_config_create(&c, err);
    if (status == GENET_OK)
        status = genet_config_set(c, "resume", tiny_path(out), err);
    if (status == GENET_OK)
        status = run(c, words, warnings, err);
    genet_config_free(c);
    return status;
}

/* --- looking at results --------------------------------------------------------------------------------------------------- */

void tiny_copy(const char *from, const char *to)
{
    char command[3 * TINY_PATH];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", tiny_path(to), tiny_path(from), tiny_path(to));
    if (system(command) != 0)
        give_up("copying", from);
}

static bool same_weights(const gn_weights *a, const gn_weights *b)
{
    return memcmp(a->params, b->params, (size_t)a->table->param_count * sizeof(float)) == 0 &&
           memcmp(a->state, b->state, (size_t)a->table->state_count * sizeof(float)) == 0;
}

static const char *difference(const gn_checkpoint *a, const gn_checkpoint *b)
{
    size_t momentum = (size_t)a->model->weights.param_count * sizeof(float);
    return !same_weights(&a->weights, &b->weights)                                      ? "weights"
           : a->has_ema != b->has_ema || (a->has_ema && !same_weights(&a->ema, &b->ema)) ? "averages"
           : !a->momentum != !b->momentum                                               ? "presence of momentum"
           : a->momentum && memcmp(a->momentum, b->momentum, momentum)                  ? "momentum"
           : strcmp(a->progress, b->progress)                                           ? "progress"
                                                                                        : NULL;
}

static const char *compare_models(const char *one, const char *other, const char *name)
{
    gn_checkpoint a = {0}, b = {0};
    genet_error err;
    char path[2][TINY_PATH + 64];
    snprintf(path[0], sizeof path[0], "%s/%s", tiny_path(one), name);
    snprintf(path[1], sizeof path[1], "%s/%s", tiny_path(other), name);
    const char *what = gn_checkpoint_load(&a, path[0], &err) != GENET_OK || gn_checkpoint_load(&b, path[1], &err) != GENET_OK
                           ? "no file that loads"
                           : difference(&a, &b);
    gn_checkpoint_free(&a);
    gn_checkpoint_free(&b);
    return what;
}

/* metrics.jsonl without the times, which end every line; fresh, or NULL. */
static char *metrics(const char *run_name)
{
    genet_error err;
    unsigned char *text = NULL;
    size_t bytes;
    char path[TINY_PATH + 64];
    snprintf(path, sizeof path, "%s/metrics.jsonl", tiny_path(run_name));
    if (gn_file_read(path, MAX_FILE, &text, &bytes, &err) != GENET_OK)
        return NULL;
    char *to = (char *)text;
    for (char *line = (char *)text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        char *times = strstr(line, ",\"seconds\"");
        size_t kept = (size_t)((times && times < end ? times : end) - line);
        memmove(to, line, kept);
        to += kept;
        *to++ = '\n';
    }
    *to = '\0';
    return (char *)text;
}

bool tiny_same(const char *one, const char *other)
{
    const char *last = compare_models(one, other, "last.safetensors"), *best = compare_models(one, other, "best.safetensors");
    char *a = metrics(one), *b = metrics(other);
    bool lines = a && b && strcmp(a, b) == 0;
    if (last || best || !lines)
        fprintf(stderr, "%s and %s: last.safetensors: %s; best.safetensors: %s; metrics: %s\n", one, other, last ? last : "same",
                best ? best : "same", lines ? "same" : "differ");
    if (a && b && !lines)
        fprintf(stderr, "--- %s\n%s--- %s\n%s", one, a, other, b);
    gn_free(a);
    gn_free(b);
    return !last && !best && lines;
}

bool tiny_loads(const char *path, genet_error *err)
{
    gn_checkpoint c = {0};
    genet_status status = gn_checkpoint_load(&c, path, err);
    gn_checkpoint_free(&c);
    return status == GENET_OK;
}

int tiny_count(const char *name, const char *part)
{
    int count = 0;
    DIR *d = opendir(tiny_path(name));
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += strstr(e->d_name, part) != NULL;
    closedir(d);
    return count;
}
