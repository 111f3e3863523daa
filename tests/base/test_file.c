/* SPDX-License-Identifier: Apache-2.0
 * Files: an atomic write either happens whole or leaves the old file and no temporary, whichever call fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

static char folder[64];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/genet-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int count_files(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static int teardown(void **state)
{
    (void)state;
    gn_fault_disarm();
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        remove(path);
    }
    if (d)
        closedir(d);
    return rmdir(folder);
}

static const char *in_folder(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static void assert_content(const char *path, const void *expected, size_t n)
{
    unsigned char *data = NULL;
    size_t bytes = 0;
    genet_error err;
    assert_int_equal(gn_file_read(path, (size_t)1 << 30, &data, &bytes, &err), GENET_OK);
    assert_int_equal(bytes, n);
    assert_memory_equal(data, expected, n);
    assert_int_equal(data[n], 0);
    gn_free(data);
}

static void round_trip(void **state)
{
    (void)state;
    char path[128];
    genet_error err;
    in_folder(path, "a");
    /* Around the size of the buffer, in pieces that straddle it. */
    for (size_t n = 0; n < 3; n++) {
        size_t bytes = ((size_t)256 << 10) - 1 + n, piece = 100003;
        unsigned char *block = malloc(bytes);
        assert_non_null(block);
        for (size_t i = 0; i < bytes; i++)
            block[i] = (unsigned char)(i * 7 + n);
        gn_writer w;
        assert_int_equal(gn_writer_open(&w, path, &err), GENET_OK);
        for (size_t at = 0; at < bytes; at += piece)
            assert_int_equal(gn_writer_put(&w, block + at, bytes - at < piece ? bytes - at : piece, &err), GENET_OK);
        assert_int_equal(w.bytes, bytes);
        assert_int_equal(gn_writer_commit(&w, &err), GENET_OK);
        assert_content(path, block, bytes);
        assert_int_equal(gn_file_write(path, block, bytes, &err), GENET_OK);
        assert_content(path, block, bytes);
        gn_map m;
        assert_int_equal(gn_map_open(&m, path, &err), GENET_OK);
        assert_int_equal(m.bytes, bytes);
        assert_memory_equal(m.data, block, bytes);
        gn_map_close(&m);
        free(block);
    }
    assert_int_equal(count_files(), 1);
    struct stat st;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
}

static void printf_of_any_length(void **state)
{
    (void)state;
    char path[128], longer[2000], expected[2100];
    genet_error err;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    snprintf(expected, sizeof expected, "1.5 %s\n", longer);
    gn_writer w;
    assert_int_equal(gn_writer_open(&w, in_folder(path, "p"), &err), GENET_OK);
    assert_int_equal(gn_writer_printf(&w, &err, "%.1f ", 1.5), GENET_OK);
    assert_int_equal(gn_writer_printf(&w, &err, "%s\n", longer), GENET_OK);
    assert_int_equal(gn_writer_commit(&w, &err), GENET_OK);
    assert_content(path, expected, strlen(expected));
}

static void abort_leaves_nothing(void **state)
{
    (void)state;
    char path[128];
    genet_error err;
    gn_writer w;
    assert_int_equal(gn_file_write(in_folder(path, "f"), "old", 3, &err), GENET_OK);
    assert_int_equal(gn_writer_open(&w, path, &err), GENET_OK);
    assert_int_equal(gn_writer_put(&w, "new", 3, &err), GENET_OK);
    assert_int_equal(count_files(), 2);
    gn_writer_abort(&w);
    assert_int_equal(count_files(), 1);
    assert_content(path, "old", 3);
    gn_writer_abort(&w);
    gn_writer zero = {0};
    gn_writer_abort(&zero);
    assert_int_equal(gn_writer_put(&zero, "x", 1, &err), GENET_INTERNAL);
}

/* Every kind of call, every n: an error with a text, the old file, no temporary. */
static void every_fault(void **state)
{
    (void)state;
    char path[128], block[600000];
    memset(block, 'n', sizeof block);
    in_folder(path, "f");
    for (int kind = GN_FAULT_ALLOCATION; kind <= GN_FAULT_RENAME; kind++) {
        for (int64_t n = 1;; n++) {
            genet_error err = {0};
            assert_int_equal(gn_file_write(path, "old", 3, &err), GENET_OK);
            gn_writer w;
            gn_fault_arm((gn_fault_kind)kind, n);
            genet_status status = gn_writer_open(&w, path, &err);
            if (status == GENET_OK)
                status = gn_writer_put(&w, "head", 4, &err);
            if (status == GENET_OK)
                status = gn_writer_put(&w, block, sizeof block, &err);
            if (status == GENET_OK)
                status = gn_writer_put(&w, "tail", 4, &err);
            if (status == GENET_OK)
                status = gn_writer_commit(&w, &err);
            gn_writer_abort(&w);
            bool fired = gn_fault_fired() > 0;
            gn_fault_disarm();
            assert_int_equal(count_files(), 1);
            if (!fired) {
                assert_int_equal(status, GENET_OK);
                assert_true(n > 1 || kind == GN_FAULT_READ);
                break;
            }
            assert_int_equal(status, kind == GN_FAULT_ALLOCATION ? GENET_MEMORY : GENET_IO);
            assert_int_equal(err.status, status);
            assert_true(strlen(err.text) > 10);
            /* Behind the rename only the folder's own sync can fail; the new file is whole then. */
            unsigned char *data = NULL;
            size_t bytes = 0;
            assert_int_equal(gn_file_read(path, 1 << 20, &data, &bytes, &err), GENET_OK);
            assert_true((bytes == 3 && memcmp(data, "old", 3) == 0) || bytes == sizeof block + 8);
            if (kind == GN_FAULT_WRITE || kind == GN_FAULT_RENAME)
                assert_int_equal(bytes, 3);
            gn_free(data);
        }
    }
}

static void a_full_disk_stays_full(void **state)
{
    (void)state;
    char path[128];
    genet_error err;
    gn_fault_arm_from(GN_FAULT_WRITE, 2);
    assert_int_equal(gn_file_write(in_folder(path, "a"), "1", 1, &err), GENET_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gn_file_write(in_folder(path, "b"), "1", 1, &err), GENET_IO);
        assert_non_null(strstr(err.text, "free some space"));
    }
    assert_int_equal(gn_fault_fired(), 3);
    gn_fault_disarm();
    assert_int_equal(gn_file_write(path, "1", 1, &err), GENET_OK);
}

/* What a killed writer leaves is taken over by the next one; two living writers do not meet. */
static void temporaries(void **state)
{
    (void)state;
    char path[128];
    genet_error err;
    in_folder(path, "f");
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            gn_writer w;
            if (gn_writer_open(&w, path, &err) == GENET_OK)
                gn_writer_put(&w, "lost", 4, &err);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        assert_int_equal(count_files(), 1);
    }
    gn_writer a, b;
    assert_int_equal(gn_writer_open(&a, path, &err), GENET_OK);
    assert_int_equal(gn_writer_open(&b, path, &err), GENET_OK);
    assert_string_not_equal(a.temporary, b.temporary);
    assert_int_equal(gn_writer_put(&a, "first", 5, &err), GENET_OK);
    assert_int_equal(gn_writer_put(&b, "second", 6, &err), GENET_OK);
    assert_int_equal(gn_writer_commit(&a, &err), GENET_OK);
    assert_content(path, "first", 5);
    assert_int_equal(gn_writer_commit(&b, &err), GENET_OK);
    assert_content(path, "second", 6);
    assert_int_equal(count_files(), 1);
}

static void links_and_devices(void **state)
{
    (void)state;
    char path[128], link_path[128];
    genet_error err;
    struct stat st;
    assert_int_equal(gn_file_write(in_folder(path, "f"), "old", 3, &err), GENET_OK);
    assert_int_equal(symlink(path, in_folder(link_path, "l")), 0);
    assert_int_equal(gn_file_write(link_path, "new", 3, &err), GENET_OK);
    assert_true(lstat(link_path, &st) == 0 && S_ISLNK(st.st_mode));
    assert_content(path, "new", 3);
    assert_int_equal(gn_file_write("/dev/null", "x", 1, &err), GENET_OK);
    assert_true(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    assert_int_equal(gn_file_write(folder, "x", 1, &err), GENET_IO);
    assert_non_null(strstr(err.text, "it is a folder"));
}

static void reading_refuses(void **state)
{
    (void)state;
    char path[128];
    unsigned char *data = NULL;
    size_t bytes = 0;
    genet_error err;
    gn_map m;
    assert_int_equal(gn_file_write(in_folder(path, "f"), "12345", 5, &err), GENET_OK);
    assert_int_equal(gn_file_read(path, 4, &data, &bytes, &err), GENET_IO);
    assert_non_null(strstr(err.text, "5 bytes; at most 4"));
    assert_int_equal(gn_file_read(folder, 100, &data, &bytes, &err), GENET_IO);
    assert_non_null(strstr(err.text, "a folder, not a file"));
    assert_int_equal(mkfifo(in_folder(path, "pipe"), 0600), 0);
    assert_int_equal(gn_file_read(path, 100, &data, &bytes, &err), GENET_IO); /* and does not wait for a writer */
    assert_int_equal(gn_map_open(&m, path, &err), GENET_IO);
    assert_int_equal(gn_map_open(&m, in_folder(path, "absent"), &err), GENET_IO);
    assert_non_null(strstr(err.text, "No such file"));
    gn_map_close(&m);
    assert_int_equal(gn_file_write(in_folder(path, "empty"), "", 0, &err), GENET_OK);
    assert_int_equal(gn_map_open(&m, path, &err), GENET_OK);
    assert_int_equal(m.bytes, 0);
    assert_non_null(m.data);
    gn_map_close(&m);
    for (int kind = GN_FAULT_OPEN; kind <= GN_FAULT_READ; kind++) {
        gn_fault_arm((gn_fault_kind)kind, 1);
        assert_int_equal(gn_file_read(in_folder(path, "f"), 100, &data, &bytes, &err), GENET_IO);
        gn_fault_disarm();
    }
    assert_null(data);
}

static void appending(void **state)
{
    (void)state;
    char path[128];
    genet_error err;
    in_folder(path, "log");
    assert_int_equal(gn_file_append(path, "one\n", 4, &err), GENET_OK);
    assert_int_equal(gn_file_append(path, "two\n", 4, &err), GENET_OK);
    assert_content(path, "one\ntwo\n", 8);
    gn_fault_arm(GN_FAULT_WRITE, 1);
    assert_int_equal(gn_file_append(path, "three\n", 6, &err), GENET_IO);
    gn_fault_disarm();
    assert_int_equal(gn_file_sync(path, &err), GENET_OK);
    gn_fault_arm(GN_FAULT_FSYNC, 1);
    assert_int_equal(gn_file_sync(path, &err), GENET_IO);
    gn_fault_arm(GN_FAULT_OPEN, 1);
    assert_int_equal(gn_file_sync(path, &err), GENET_IO);
    gn_fault_disarm();
    assert_int_equal(gn_file_sync(in_folder(path, "none"), &err), GENET_OK);
}

static void locking(void **state)
{
    (void)state;
    char path[128];
    gn_lock one = {0}, two = {0};
    assert_true(gn_folder_lock(&one, folder) && one.held);
    assert_true(gn_folder_lock(&one, folder)); /* its own */
    assert_false(gn_folder_lock(&two, folder));
    assert_false(two.held);
    gn_folder_unlock(&two);
    gn_folder_unlock(&one);
    assert_true(gn_folder_lock(&two, folder) && two.held);
    gn_folder_unlock(&two);
    assert_true(gn_folder_lock(&one, in_folder(path, "none")));
    assert_false(one.held);
}

static void folders(void **state)
{
    (void)state;
    char path[160], file[128];
    genet_error err;
    snprintf(path, sizeof path, "%s//x/y/z/", folder);
    assert_int_equal(gn_folder_make(path, &err), GENET_OK);
    assert_true(gn_folder_exists(path));
    assert_int_equal(gn_folder_make(path, &err), GENET_OK);
    assert_false(gn_file_exists(path));
    assert_true(gn_disk_free(path) > 0 && gn_disk_free(path) < UINT64_MAX);
    snprintf(path, sizeof path, "%s/x/none/none", folder);
    assert_true(gn_disk_free(path) < UINT64_MAX);
    assert_int_equal(gn_file_write(in_folder(file, "f"), "", 0, &err), GENET_OK);
    assert_true(gn_file_exists(file));
    snprintf(path, sizeof path, "%s/f/g", folder);
    assert_int_equal(gn_folder_make(path, &err), GENET_IO);
    assert_non_null(strstr(err.text, "there is a file of that name"));
    assert_int_equal(gn_folder_make("", &err), GENET_IO);
    static const char *const below[] = {"x/y/z", "x/y", "x"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, below[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static void joining(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    for (int i = 0; i < 4; i++) {
        char *p = gn_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(p, cases[i][2]);
        gn_free(p);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(round_trip),  T(printf_of_any_length), T(abort_leaves_nothing), T(every_fault), T(a_full_disk_stays_full),
        T(temporaries), T(links_and_devices),    T(reading_refuses),      T(appending),   T(locking),
        T(folders),     T(joining)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
