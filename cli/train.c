/* SPDX-License-Identifier: Apache-2.0
 * genet train: options, the start table, progress, signals. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "cli/cli.h"

/* Set by the handlers alone. */
static volatile sig_atomic_t stops, saves;

typedef struct watcher {
    bool terminal; /* the progress is one line, rewritten */
    double every;  /* seconds between lines where it is not */
    time_t shown;
    int saves_seen;
    cli_mindspore_log published; /* --log-format mindspore */
} watcher;

static void on_stop(int number)
{
    static const char text[] = "\nstopping after this step, with a checkpoint to resume from; once more: at once\n";
    (void)number;
    if (stops++)
        _exit(130);
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
}

static void on_save(int number)
{
    (void)number;
    saves++;
}

static void handle_signals(void)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    struct sigaction save = {.sa_handler = on_save, .sa_flags = SA_RESTART};
    sigemptyset(&stop.sa_mask);
    sigemptyset(&save.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGHUP, &stop, NULL);
    sigaction(SIGUSR1, &save, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader of the log that goes away does not end a training */
}

static int stop_requested(void *user)
{
    (void)user;
    return stops > 0;
}

static int save_requested(void *user)
{
    watcher *w = user;
    int now = saves, wanted = now != w->saves_seen;
    w->saves_seen = now;
    return wanted;
}

static void show_table(void *user, const char *const *names, const char *const *values, size_t rows)
{
    char shown[1024];
    int width = 0;
    (void)user;
    for (size_t i = 0; i < rows; i++)
        width = cli_width(names[i]) > width ? cli_width(names[i]) : width;
    for (size_t i = 0; i < rows; i++) {
        cli_pad(stdout, names[i], width + 2);
        printf("%s\n", cli_name(shown, sizeof shown, values[i], stdout));
    }
    putchar('\n');
    fflush(stdout);
}

/* The parts of a progress line, in the order in which a narrow terminal loses them. */
enum { PART_BAR = 1, PART_RATE = 2, PART_WAIT = 4, PART_SPEED = 8, PART_TOP1 = 16, ALL_PARTS = 31 };

static int progress_line(char *to, size_t size, const genet_progress *p, int parts)
{
    char bar[24] = "", top1[32] = "", rate[32] = "", speed[40] = "", wait[40] = "", eta[32];
    if (parts & PART_BAR) {
        char inner[13];
        snprintf(bar, sizeof bar, "[%s] ", cli_bar(inner, 12, p->steps > 0 ? (double)p->step / (double)p->steps : 0));
    }
    if (parts & PART_TOP1 && isfinite(p->top1)) /* no accuracy on mixed pictures */
        snprintf(top1, sizeof top1, "  top-1 %.1f %%", 100 * p->top1);
    if (parts & PART_RATE)
        snprintf(rate, sizeof rate, p->rate >= 0.001 || p->rate == 0 ? "  rate %.4f" : "  rate %.2e", p->rate);
    if (parts & PART_SPEED)
        snprintf(speed, sizeof speed, "  %.*f images/s", p->images_per_second < 10 ? 1 : 0, p->images_per_second);
    if (parts & PART_WAIT)
        snprintf(wait, sizeof wait, "  wait %.0f %%%s", 100 * p->data_wait, p->data_wait > 0.1 ? " for images" : "");
    return snprintf(to, size, "epoch %d/%d %sstep %lld/%lld  loss %.4f%s%s%s%s  ETA %s", p->epoch, p->epochs, bar,
                    (long long)p->step, (long long)p->steps, p->loss, top1, rate, speed, wait,
                    cli_seconds(eta, p->eta_seconds));
}

static void show_progress(void *user, const genet_progress *p)
{
    watcher *w = user;
    char line[320];
    if (w->published.on) {
        cli_mindspore_progress(&w->published, p);
    } else if (w->terminal) {
        int parts = ALL_PARTS, columns = cli_columns(stdout);
        for (int part = PART_BAR; progress_line(line, sizeof line, p, parts) >= columns && parts; part *= 2)
            parts &= ~part;
        cli_line(stdout, line);
    } else if (p->step == p->steps || difftime(time(NULL), w->shown) >= w->every) {
        w->shown = time(NULL);
        progress_line(line, sizeof line, p, ALL_PARTS & ~PART_BAR);
        printf("%s\n", line);
        fflush(stdout);
    }
}

static void show_epoch(void *user, const genet_epoch_report *r)
{
    watcher *w = user;
    char time[32];
    if (w->published.on) {
        cli_mindspore_epoch(&w->published, r);
        return;
    }
    if (w->terminal)
        cli_line(stdout, NULL);
    printf("epoch %d/%d  train loss %.4f", r->epoch, r->epochs, r->train_loss);
    if (isfinite(r->train_top1))
        printf(" top-1 %.1f %%", 100 * r->train_top1);
    if (r->has_val)
        printf("  val loss %.4f top-1 %.2f %% top-5 %.2f %%", r->val_loss, 100 * r->val_top1, 100 * r->val_top5);
    if (r->has_val && r->has_ema)
        printf("  averaged top-1 %.2f %% top-5 %.2f %%", 100 * r->ema_top1, 100 * r->ema_top5);
    printf("  %s  %.*f images/s  wait %.0f %%", cli_seconds(time, r->seconds), r->images_per_second < 10 ? 1 : 0,
           r->images_per_second, 100 * r->data_wait);
    if (r->bad_images > 0)
        printf("  %lld broken images skipped", (long long)r->bad_images);
    printf("%s\n", r->is_best ? "  best" : "");
    fflush(stdout);
}

static void show_log(void *user, genet_log_level level, const char *text)
{
    watcher *w = user;
    char shown[2048];
    FILE *to = level == GENET_LOG_WARNING ? stderr : stdout;
    if (w->terminal)
        cli_line(stdout, NULL);
    fflush(stdout);
    fprintf(to, "%s%s\n", level == GENET_LOG_WARNING ? "warning: " : "", cli_name(shown, sizeof shown, text, to));
    fflush(to);
}

static void show_end(const genet_train_result *r)
{
    char time[32], shown[4096];
    printf("\n%d epochs, %lld steps in %s", r->epochs_done, (long long)r->steps_done, cli_seconds(time, r->seconds));
    if (isfinite(r->best_top1))
        printf("; best top-1 %.2f %%", 100 * r->best_top1);
    if (isfinite(r->final_top1))
        printf("; at the end top-1 %.2f %%, top-5 %.2f %%", 100 * r->final_top1, 100 * r->final_top5);
    printf("; memory at most %.0f MiB\n", (double)r->peak_memory / (1 << 20));
    const char *model = *r->best_model ? r->best_model : r->last_model;
    if (*model) {
        cli_name(shown, sizeof shown, model, stdout);
        printf("model: %s\n\nnext:  genet eval --model %s --data FOLDER\n       genet predict --model %s FILE ...\n",
               shown, shown, shown);
    }
}

/* What can be named before anything is read. */
static int check(cli_call *call)
{
    char *data = cli_value(call, "data"), *out = cli_value(call, "out"), *resume = cli_value(call, "resume");
    const char *lacking = *resume  ? NULL
                          : !*data ? "--data FOLDER, the training set"
                          : !*out  ? "--out FOLDER, for the run"
                                   : NULL;
    int code = lacking ? cli_mistake(call->command, "needs %s", lacking) : -1;
    free(data);
    free(out);
    free(resume);
    return code;
}

static int run(cli_call *call)
{
    genet_error error;
    watcher w = {.terminal = cli_is_terminal(stdout), .published.on = cli_wants_mindspore_log(call)};
    char *recipe = cli_value(call, "recipe");
    genet_status status = *recipe ? genet_config_read_recipe(call->config, recipe, &error) : GENET_OK;
    free(recipe);
    if (status == GENET_OK)
        status = genet_config_check(call->config, &error);
    if (status != GENET_OK)
        return cli_error(call->command, &error);
    int code = check(call);
    if (code >= 0)
        return code;
    char *every = cli_value(call, "log-every");
    w.every = atof(every) > 0 ? 0 : 10; /* a wish of the user's is the library's to keep */
    free(every);
    handle_signals();
    genet_train_callbacks callbacks = {&w,       show_table,     show_progress, show_epoch,
                                       show_log, stop_requested, save_requested};
    genet_train_result *result = calloc(1, sizeof *result);
    if (!result)
        return genet_status_exit_code(GENET_MEMORY);
    status = genet_train(call->config, &callbacks, result, &error);
    if (w.terminal)
        cli_line(stdout, NULL);
    if (status == GENET_OK)
        show_end(result);
    fflush(stdout);
    free(result);
    return status == GENET_OK ? 0 : cli_error(call->command, &error);
}

static const cli_example examples[] = {
    {"genet train --data photos/train --val photos/val --out runs/first",
     "folders of class folders; theta-plus, 90 epochs, cosine schedule"},
    {"genet train --data photos --val-split 0.1 --epochs 30 --size 160 --batch 64 --out runs/small",
     "no validation set: hold out a tenth of every class; smaller pictures, shorter"},
    {"genet train --recipe recipes/imagenet-theta-plus.yaml --data imagenet/train --val imagenet/val --out "
     "runs/imagenet",
     "settings from a file; options beside it win"},
    {"genet train --data mine/train --val mine/val --init runs/imagenet/best.safetensors --rate 0.01 --out runs/mine",
     "start from a trained model; the head is matched by class name"},
    {"genet train --resume runs/first", "go on where a run was stopped, at the very step"},
};

const cli_command cli_train = {
    .name = "train",
    .letter = 'T',
    .arguments = "",
    .summary = "train a network on folders of pictures, a list, or tar shards",
    .description =
        "Trains a Gather-Excite ResNet and writes the run into the folder --out: best.safetensors and last.safetensors "
        "(weights, "
        "class names and preprocessing in one file), metrics.jsonl, metrics.csv, curves.svg and run.json.\n\n"
        "Every random value is a function of --seed, the epoch and the picture, so a run can be stopped (Ctrl-C writes "
        "a checkpoint "
        "first) and resumed to the same result, with any number of threads preparing the pictures. A broken picture is "
        "skipped and "
        "named; nothing in the data folders is written.",
    .examples = examples,
    .example_count = sizeof examples / sizeof examples[0],
    .run = run,
};
