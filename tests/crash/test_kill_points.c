/* SPDX-License-Identifier: Apache-2.0
 * A training that is killed (as by kill -9) at its n-th open, in the middle of its n-th write, before its n-th fsync or its
 * n-th rename: every model file that is there loads whole, and the resumed run ends with the bits and the records of the
 * run that nobody killed. Once with averages, mixing, accumulation and validation, once in bf16 without them.
 *
 * By default the first FIRST places of each kind and every STRIDE-th after them; GENET_CRASH=all takes every place.
 * The training runs in a process of its own, this program with the arguments "train ROOT KIND N BF16". */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../faults/tiny.h"
#include "base/fault.h"
#include "base/file.h"

#define FIRST 2
#define STRIDE 7
#define RICH "batch 4 accumulate 2 cutmix 1 checkpoint-every 1steps save-epochs 1"
#define BF16 "batch 8 amp bf16 mixup 0 ema 0 checkpoint-every 1steps loader-threads 2"

static const char *words(bool bf16)
{
    return bf16 ? BF16 : RICH;
}

static int train_and_die(char **argv)
{
    genet_error err;
    tiny_adopt(argv[0]);
    gn_fault_arm_kill((gn_fault_kind)atoi(argv[1]), atoll(argv[2]));
    genet_status status = tiny_train("run", words(atoi(argv[3]) != 0), NULL, &err);
    if (status != GENET_OK)
        fprintf(stderr, "%s\n", err.text);
    return status == GENET_OK ? 0 : 1;
}

/* True where the process was killed; false where it came to its end. */
static bool killed(gn_fault_kind kind, int64_t n, bool bf16)
{
    char kind_text[16], n_text[32];
    int result;
    snprintf(kind_text, sizeof kind_text, "%d", (int)kind);
    snprintf(n_text, sizeof n_text, "%lld", (long long)n);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_kill_points", "train", tiny_root(), kind_text, n_text, bf16 ? "1" : "0", (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0 && waitpid(pid, &result, 0) == pid);
    if (WIFSIGNALED(result)) {
        assert_int_equal(WTERMSIG(result), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(result), 0);
    return false;
}

/* Every model file in the run's folder loads. */
static void check_models(void)
{
    genet_error err;
    char path[TINY_PATH + 300];
    DIR *d = opendir(tiny_path("run"));
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        const char *end = strrchr(e->d_name, '.');
        if (!end || strcmp(end, ".safetensors"))
            continue;
        snprintf(path, sizeof path, "%s/%s", tiny_path("run"), e->d_name);
        if (!tiny_loads(path, &err))
            fail_msg("a killed training left %s", err.text);
    }
    if (d)
        closedir(d);
}

static void go_on(bool bf16)
{
    genet_error err;
    genet_status status = gn_file_exists(tiny_path("run/run.json")) ? tiny_resume("run", "", NULL, &err)
                                                                    : tiny_train("run", words(bf16), NULL, &err);
    if (status != GENET_OK)
        fail_msg("going on: %s", err.text);
}

static void walk(bool bf16)
{
    static const struct {
        gn_fault_kind kind;
        const char *name;
    } kinds[] = {{GN_FAULT_OPEN, "opens"}, {GN_FAULT_WRITE, "writes"}, {GN_FAULT_FSYNC, "fsyncs"}, {GN_FAULT_RENAME, "renames"}};
    genet_error err;
    const char *all = getenv("GENET_CRASH");
    int64_t stride = all && !strcmp(all, "all") ? 1 : STRIDE;
    tiny_remove("straight");
    if (tiny_train("straight", words(bf16), NULL, &err) != GENET_OK)
        fail_msg("%s", err.text);
    printf("%s: killed at", bf16 ? "bf16" : "averages, mixing, accumulation");
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        int64_t n = 1, deaths = 0;
        for (; tiny_remove("run"), killed(kinds[k].kind, n, bf16); n += n < FIRST ? 1 : stride) {
            deaths++;
            check_models();
            go_on(bf16);
            if (!tiny_same("run", "straight"))
                fail_msg("killed at %s, number %lld, and resumed: it came out otherwise", kinds[k].name, (long long)n);
            if (tiny_count("run", ".tmp"))
                fail_msg("killed at %s, number %lld, and resumed: a temporary is left", kinds[k].name, (long long)n);
        }
        assert_true(deaths >= FIRST);
        printf(" %lld of about %lld %s", (long long)deaths, (long long)n - 1, kinds[k].name);
        fflush(stdout);
    }
    printf("\n");
}

static void test_rich(void **state)
{
    (void)state;
    walk(false);
}

static void test_bf16(void **state)
{
    (void)state;
    walk(true);
}

int main(int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "train"))
        return train_and_die(argv + 2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rich), cmocka_unit_test(test_bf16)};
    return cmocka_run_group_tests_name("kill points", tests, tiny_make, tiny_done);
}
