/* SPDX-License-Identifier: Apache-2.0
 * The n-th allocation, open, read, write, fsync or rename fails, for every n, in everything that a user starts: a clean
 * error with a text, nothing leaked (memory: where a leak checker is linked; descriptors: everywhere), every file old or
 * new but never torn, no temporary left, and an interrupted run still goes on to the same bits.
 *
 * Scenarios with thousands of allocations visit the first FIRST of each kind and then every stride-th; which ones moves with
 * GENET_FAULTS_OFFSET. GENET_FAULTS=all visits every n (minutes). Argument: a scenario's name. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/loader.h"
#include "formats/quantized.h"
#include "tiny.h"

#define FIRST 10
#define MAX_FILE ((size_t)64 << 20)

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

typedef struct scenario {
    const char *name;
    int stride; /* after FIRST */
    void (*before)(void);
    genet_status (*run)(genet_error *err);
    /* What the call left behind must be as it was, or as it should become; NULL, or what is wrong. */
    const char *(*after)(genet_status status);
    genet_status success; /* what run returns without a fault */
} scenario;

static const char *const kind_names[] = {NULL, "allocation", "open", "read", "write", "fsync", "rename"};

/* --- scenarios ------------------------------------------------------------------------------------------------------------ */

static unsigned char *old_bytes, *new_bytes;
static size_t old_count, new_count;
static int warned;

static void nothing(void)
{
}

static const char *fine(genet_status status)
{
    (void)status;
    return NULL;
}

/* A run of three steps, from nothing to its end. */
static void before_train(void)
{
    tiny_remove("run");
}

static genet_status run_train(genet_error *err)
{
    return tiny_train("run", "epochs 1 save-epochs 1", &warned, err);
}

static const char *after_train(genet_status status)
{
    genet_error err;
    if (tiny_count("run", ".tmp"))
        return "a temporary is left";
    if (status == GENET_OK)
        return tiny_loads(tiny_path("run/last.safetensors"), &err) ? NULL : "success without a last.safetensors that loads";
    if (gn_file_exists(tiny_path("run/last.safetensors")) && !tiny_loads(tiny_path("run/last.safetensors"), &err))
        return "a last.safetensors that cannot be loaded";
    if (gn_file_exists(tiny_path("run/best.safetensors")) && !tiny_loads(tiny_path("run/best.safetensors"), &err))
        return "a best.safetensors that cannot be loaded";
    return NULL;
}

/* A stopped run goes on; whatever fails, it can go on again and ends with the bits of the run that was not stopped. */
static void before_resume(void)
{
    tiny_copy("stopped", "run");
}

static genet_status run_resume(genet_error *err)
{
    return tiny_resume("run", "", &warned, err);
}

static const char *after_resume(genet_status status)
{
    genet_error err;
    if (tiny_count("run", ".tmp"))
        return "a temporary is left";
    if (!tiny_loads(tiny_path("run/last.safetensors"), &err))
        return "last.safetensors cannot be loaded any more";
    if (status == GENET_OK && warned)
        return NULL; /* a record or the best model could not be written, or an image not be read: said, and gone */
    genet_status again = tiny_resume("run", "", NULL, &err);
    if (again != GENET_OK)
        return "it cannot be resumed again";
    return warned || tiny_same("run", "straight") ? NULL : "the resumed run came out otherwise";
}

/* Saving over an older model. */
static gn_checkpoint held;

static void before_save(void)
{
    genet_error err;
    if (gn_file_write(tiny_path("model.safetensors"), old_bytes, old_count, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

static genet_status run_save(genet_error *err)
{
    return gn_checkpoint_save(&held, tiny_path("model.safetensors"), NULL, err);
}

static const char *after_save(genet_status status)
{
    genet_error err;
    unsigned char *bytes = NULL;
    size_t n = 0;
    if (gn_file_read(tiny_path("model.safetensors"), MAX_FILE, &bytes, &n, &err) != GENET_OK)
        return "the old file is gone";
    bool is_old = n == old_count && memcmp(bytes, old_bytes, n) == 0, is_new = n == new_count && memcmp(bytes, new_bytes, n) == 0;
    gn_free(bytes);
    for (int k = 0; k < 2; k++)
        if (gn_file_exists(tiny_path(k ? "model.safetensors.tmp1" : "model.safetensors.tmp0")))
            return "a temporary is left";
    return status == GENET_OK && !is_new ? "success, but not the new file"
           : is_old || is_new            ? NULL
                                         : "neither the old file nor the new";
}

static genet_status run_load(genet_error *err)
{
    gn_checkpoint c = {0};
    genet_status status = gn_checkpoint_load(&c, tiny_path("straight/last.safetensors"), err);
    gn_checkpoint_free(&c);
    return status;
}

static genet_status run_load_mindspore(genet_error *err)
{
    gn_checkpoint c = {0};
    genet_status status = gn_checkpoint_load(&c, "tests/data/formats/tiny_crc.ckpt", err);
    gn_checkpoint_free(&c);
    return status;
}

static genet_status run_describe(genet_error *err)
{
    char *text = NULL;
    genet_config *c = NULL;
    genet_status status = tiny_config(&c, "", err);
    if (status == GENET_OK)
        status = genet_config_set(c, "model", tiny_path("straight/best.safetensors"), err);
    if (status == GENET_OK)
        status = genet_model_describe(c, 1, &text, err);
    genet_free(text);
    genet_config_free(c);
    return status;
}

/* A data set in each of its forms, and one epoch of its pictures. */
static genet_status read_set(const char *path, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_dataset *d = NULL;
    gn_loader *l = NULL;
    gn_batch *b = NULL;
    gn_loader_options o = {.batch = 4, .threads = 1, .training = true, .seed = 1,
                           .preprocess = {.size = 32, .crop_share = 0.875, .max_pixels = 1 << 24, .std = {1, 1, 1}},
                           .augment = {.area = {0.5, 1}, .aspect = {0.75, 1.33}}};
    GN_TRY(gn_dataset_open(&d, path, &(gn_dataset_options){.seed = 1}, err));
    GN_TRY(gn_loader_create(&l, d, &o, err));
    GN_TRY(gn_loader_seek(l, 0, 0, gn_loader_batches(l), err));
    do {
        GN_TRY(gn_loader_next(l, &b, NULL, err));
        if (b)
            gn_loader_release(l, b);
    } while (b);
out:
    gn_loader_free(l);
    gn_dataset_free(d);
    return status;
}

static genet_status run_folders(genet_error *err)
{
    return read_set(tiny_path("data/train"), err);
}

static genet_status run_list(genet_error *err)
{
    return read_set(tiny_path("list.txt"), err);
}

static genet_status run_tar(genet_error *err)
{
    return read_set(tiny_path("set.tar"), err);
}

static genet_status run_stats(genet_error *err)
{
    genet_data_stats *stats = NULL;
    genet_config *c = NULL;
    genet_status status = tiny_config(&c, "cap-all 5", err);
    if (status == GENET_OK)
        status = genet_config_set(c, "data", tiny_path("data/train"), err);
    if (status == GENET_OK)
        status = genet_data_stats_read(c, NULL, NULL, &stats, err);
    if (status == GENET_OK)
        status = genet_data_stats_plot(stats, tiny_path("classes.svg"), err);
    genet_data_stats_free(stats);
    genet_config_free(c);
    return status;
}

static genet_status run_audit(genet_error *err)
{
    genet_audit_report *report = NULL;
    genet_config *c = NULL;
    genet_status status = tiny_config(&c, "", err);
    if (status == GENET_OK)
        status = genet_config_set(c, "data", tiny_path("data/train"), err);
    if (status == GENET_OK)
        status = genet_config_set(c, "val", tiny_path("data/val"), err);
    if (status == GENET_OK)
        status = genet_data_audit(c, tiny_path("set.manifest"), NULL, NULL, &report, err);
    genet_audit_report_free(report);
    genet_config_free(c);
    return status;
}

static void before_audit(void)
{
    tiny_remove("set.manifest");
}

static const char *after_audit(genet_status status)
{
    bool there = gn_file_exists(tiny_path("set.manifest"));
    if (gn_file_exists(tiny_path("set.manifest.tmp0")))
        return "a temporary is left";
    return status == GENET_OK && !there ? "success without a manifest" : NULL;
}

static genet_status run_predict(genet_error *err)
{
    genet_session *session = NULL;
    genet_prediction best[2];
    int found;
    genet_config *c = NULL;
    genet_status status = tiny_config(&c, "", err);
    if (status == GENET_OK)
        status = genet_config_set(c, "model", tiny_path("straight/best.safetensors"), err);
    if (status == GENET_OK)
        status = genet_session_open(&session, c, err);
    if (status == GENET_OK)
        status = genet_session_classify_file(session, tiny_path("one.jpg"), best, 2, &found, err);
    genet_session_close(session);
    genet_config_free(c);
    return status;
}

static genet_status run_eval(genet_error *err)
{
    genet_evaluation *e = NULL;
    genet_config *c = NULL;
    genet_status status = tiny_config(&c, "batch 4 threads 1", err);
    if (status == GENET_OK)
        status = genet_config_set(c, "model", tiny_path("straight/best.safetensors"), err);
    if (status == GENET_OK)
        status = genet_config_set(c, "data", tiny_path("data/val"), err);
    if (status == GENET_OK)
        status = genet_evaluate(c, NULL, NULL, &e, err);
    genet_evaluation_free(e);
    genet_config_free(c);
    return status;
}

/* An int8 model, written and scored; whatever fails, its file is whole or not there. */
static void before_quantize(void)
{
    tiny_remove("int8.safetensors");
}

static genet_status run_quantize(genet_error *err)
{
    genet_quantization *q = NULL;
    genet_config *c = NULL;
    genet_status status = tiny_config(&c, "batch 4 threads 1 calibration-images 6", err);
    if (status == GENET_OK)
        status = genet_config_set(c, "model", tiny_path("straight/best.safetensors"), err);
    if (status == GENET_OK)
        status = genet_config_set(c, "data", tiny_path("data/train"), err);
    if (status == GENET_OK)
        status = genet_config_set(c, "val", tiny_path("data/val"), err);
    if (status == GENET_OK)
        status = genet_config_set(c, "out", tiny_path("int8.safetensors"), err);
    if (status == GENET_OK)
        status = genet_quantize(c, NULL, NULL, &q, err);
    genet_quantization_free(q);
    genet_config_free(c);
    return status;
}

static const char *after_quantize(genet_status status)
{
    genet_error err;
    gn_checkpoint c;
    gn_folded *f = NULL;
    bool there = gn_file_exists(tiny_path("int8.safetensors")), whole = false;
    if (gn_file_exists(tiny_path("int8.safetensors.tmp0")))
        return "a temporary is left";
    if (there) {
        whole = gn_quantized_load(&c, &f, tiny_path("int8.safetensors"), &err) == GENET_OK;
        gn_folded_free(f);
        gn_checkpoint_free(&c);
    }
    return there && !whole ? "an int8 model that cannot be loaded" : status == GENET_OK && !there ? "success without a file" : NULL;
}

static const char *export_format, *export_model;

static genet_status run_export(genet_error *err)
{
    genet_export_result result;
    genet_config *c = NULL;
    genet_status status = tiny_config(&c, "check 1", err);
    if (status == GENET_OK)
        status = genet_config_set(c, "model", tiny_path(export_model), err);
    if (status == GENET_OK)
        status = genet_config_set(c, "out", tiny_path("exported"), err);
    if (status == GENET_OK)
        status = genet_config_set(c, "format", export_format, err);
    if (status == GENET_OK)
        status = genet_export(c, &result, err);
    genet_config_free(c);
    return status;
}

static void before_export(void)
{
    export_model = "straight/last.safetensors";
    tiny_remove("exported");
}

static void before_onnx(void)
{
    export_format = "onnx";
    before_export();
}

static void before_int8(void)
{
    genet_error err;
    before_onnx();
    export_model = "int8.safetensors";
    if (!gn_file_exists(tiny_path(export_model)))
        run_quantize(&err); /* where it fails, so does the export that is never to fail */
}

static void before_mindir(void)
{
    export_format = "mindir";
    before_export();
}

static void before_safetensors(void)
{
    export_format = "safetensors";
    before_export();
}

static const char *after_export(genet_status status)
{
    bool there = gn_file_exists(tiny_path("exported"));
    if (gn_file_exists(tiny_path("exported.tmp0")))
        return "a temporary is left";
    return status == GENET_OK && !there ? "success without a file" : NULL;
}

static genet_status run_recipe(genet_error *err)
{
    genet_config *c = NULL;
    genet_status status = genet_config_create(&c, err);
    if (status == GENET_OK)
        status = genet_config_read_recipe(c, "recipes/demo.yaml", err);
    char *json = status == GENET_OK ? genet_config_json(c) : NULL;
    if (status == GENET_OK && !json) {
        *err = (genet_error){GENET_MEMORY, "no settings as JSON"};
        status = GENET_MEMORY;
    }
    genet_free(json);
    genet_config_free(c);
    return status;
}

static const scenario scenarios[] = {
    {"train", 90, before_train, run_train, after_train, GENET_OK},
    {"resume", 240, before_resume, run_resume, after_resume, GENET_OK},
    {"save", 1, before_save, run_save, after_save, GENET_OK},
    {"load", 9, nothing, run_load, fine, GENET_OK},
    {"load-mindspore", 1, nothing, run_load_mindspore, fine, GENET_FORMAT},
    {"describe", 9, nothing, run_describe, fine, GENET_OK},
    {"folders", 1, nothing, run_folders, fine, GENET_OK},
    {"list", 1, nothing, run_list, fine, GENET_OK},
    {"tar", 1, nothing, run_tar, fine, GENET_OK},
    {"stats", 1, nothing, run_stats, fine, GENET_OK},
    {"audit", 1, before_audit, run_audit, after_audit, GENET_OK},
    {"predict", 30, nothing, run_predict, fine, GENET_OK},
    {"eval", 30, nothing, run_eval, fine, GENET_OK},
    {"quantize", 120, before_quantize, run_quantize, after_quantize, GENET_OK},
    {"export-onnx", 60, before_onnx, run_export, after_export, GENET_OK},
    {"export-int8", 60, before_int8, run_export, after_export, GENET_OK},
    {"export-mindir", 60, before_mindir, run_export, after_export, GENET_OK},
    {"export-safetensors", 60, before_safetensors, run_export, after_export, GENET_OK},
    {"recipe", 1, nothing, run_recipe, fine, GENET_OK},
};

/* --- every n --------------------------------------------------------------------------------------------------------------- */

static int descriptors(void)
{
    int count = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return -1;
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

/* A text that tells: there, one line, with no trace of a null pointer, and its status repeated. */
static const char *unclean(gn_fault_kind kind, genet_status status, const genet_error *err)
{
    /* Running out of file handles is, for a loader, the machine's fault as is running out of memory. */
    bool right = kind == GN_FAULT_ALLOCATION ? status == GENET_MEMORY
                                             : status == GENET_IO || (kind == GN_FAULT_OPEN && status == GENET_MEMORY);
    return !right                      ? "taken for something else"
           : status != err->status               ? "another status in the error"
           : !*err->text                         ? "no text"
           : strchr(err->text, '\n')             ? "a text of several lines"
           : strstr(err->text, "(null)")         ? "a null pointer in the text"
                                                 : NULL;
}

static bool every_n(void)
{
    const char *all = getenv("GENET_FAULTS");
    return all && !strcmp(all, "all");
}

static bool leaks(void)
{
    return __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check();
}

/* One run with the fault armed; false when n lies beyond the last call. */
static bool one(const scenario *s, gn_fault_kind kind, int64_t n, bool from)
{
    genet_error err = {0};
    s->before();
    warned = 0;
    int before = descriptors();
    if (from)
        gn_fault_arm_from(kind, n);
    else
        gn_fault_arm(kind, n);
    genet_status status = s->run(&err);
    bool fired = gn_fault_fired() > 0;
    gn_fault_disarm();
    const char *wrong = NULL;
    if (!fired && status != s->success)
        wrong = "fails without a fault";
    else if (fired && status != GENET_OK)
        wrong = unclean(kind, status, &err);
    if (!wrong && descriptors() != before)
        wrong = "a descriptor is left open";
    if (!wrong)
        wrong = s->after(status);
    if (!wrong && every_n() && leaks())
        wrong = "memory is leaked";
    if (wrong)
        fail_msg("%s, %s %lld%s fails: %s (status %d: %s)", s->name, kind_names[kind], (long long)n, from ? " and all later" : "",
                 wrong, status, err.text);
    if (getenv("GENET_FAULTS_SHOW"))
        printf("%s, %s %lld: %d %s\n", s->name, kind_names[kind], (long long)n, status, err.text);
    return fired;
}

static void walk(void **state)
{
    const scenario *s = *state;
    const char *offset = getenv("GENET_FAULTS_OFFSET");
    int64_t stride = every_n() ? 1 : s->stride, shift = offset ? atoll(offset) % stride : 0;
    printf("%s:", s->name);
    for (int kind = GN_FAULT_ALLOCATION; kind <= GN_FAULT_RENAME; kind++) {
        int64_t n = 1, runs = 0;
        while (one(s, (gn_fault_kind)kind, n, false)) {
            n += n < FIRST                                              ? 1
                 : n == FIRST                                           ? 1 + shift
                 : kind == GN_FAULT_ALLOCATION || kind == GN_FAULT_READ ? stride
                                                                        : (stride + 9) / 10;
            runs++;
        }
        printf(" %lld of about %lld %ss", (long long)runs, (long long)n - 1, kind_names[kind]);
        fflush(stdout);
        if (leaks()) /* looking after every run would take most of the time */
            fail_msg("%s, some %s fails: memory is leaked (GENET_FAULTS=all tells which)", s->name, kind_names[kind]);
    }
    for (int64_t n = 1; one(s, GN_FAULT_WRITE, n, true); n += stride)
        continue;
    printf("\n");
}

/* --- what the scenarios need ------------------------------------------------------------------------------------------ */

static void must(genet_status status, const genet_error *err)
{
    if (status != GENET_OK) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static int make(void **state)
{
    genet_error err;
    char command[8 * TINY_PATH];
    if (tiny_make(state) != 0)
        return 1;
    must(tiny_train("straight", "checkpoint-every 1steps", NULL, &err), &err);
    tiny_remove("run");
    if (tiny_train("run", "checkpoint-every 1steps max-steps 3", NULL, &err) != GENET_INTERRUPTED)
        return 1;
    tiny_copy("run", "stopped");
    snprintf(command, sizeof command,
             "cd '%s' && cp \"$(ls data/val/*/*.jpg | head -n 1)\" one.jpg && (cd data/train && ls */*.jpg) | "
             "sed 's|^\\([^/]*\\)/.*|data/train/&, \\1|' > list.txt && tar -cf set.tar -C data/train .", tiny_root());
    if (system(command) != 0)
        return 1;
    must(gn_checkpoint_load(&held, tiny_path("straight/last.safetensors"), &err), &err);
    must(gn_file_read(tiny_path("straight/best.safetensors"), MAX_FILE, &old_bytes, &old_count, &err), &err);
    must(gn_checkpoint_save(&held, tiny_path("new.safetensors"), NULL, &err), &err);
    must(gn_file_read(tiny_path("new.safetensors"), MAX_FILE, &new_bytes, &new_count, &err), &err);
    return 0;
}

static int done(void **state)
{
    gn_checkpoint_free(&held);
    gn_free(old_bytes);
    gn_free(new_bytes);
    return tiny_done(state);
}

int main(int argc, char **argv)
{
    enum { COUNT = sizeof scenarios / sizeof scenarios[0] };
    struct CMUnitTest tests[COUNT];
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++)
        if (argc < 2 || !strcmp(argv[1], scenarios[i].name))
            tests[count++] = (struct CMUnitTest){scenarios[i].name, walk, NULL, NULL, (void *)&scenarios[i]};
    if (!count) {
        fprintf(stderr, "no scenario %s\n", argv[1]);
        return 2;
    }
    return _cmocka_run_group_tests("faults", tests, count, make, done);
}
