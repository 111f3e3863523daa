/* SPDX-License-Identifier: Apache-2.0
 * Failing allocations, writes, syncs and renames in every writer and reader of graphs and weights: each is reported, nothing is
 * left behind, nothing leaks (under a sanitizer). */
#include "base/fault.h"
#include "formats/foreign.h"
#include "formats/formats_common.h"
#include "formats/mindir.h"
#include "formats/mindspore_ckpt.h"
#include "formats/onnx.h"

typedef genet_status (*action)(const gn_checkpoint *c, const char *path, genet_error *e);

static genet_status write_folded(const gn_checkpoint *c, const char *path, genet_error *e)
{
    const gn_onnx_options o = {.pixels = true};
    return gn_onnx_write(c, &c->weights, &o, path, NULL, e);
}

static genet_status write_kept(const gn_checkpoint *c, const char *path, genet_error *e)
{
    const gn_onnx_options o = {.keep_norms = true};
    return gn_onnx_write(c, &c->weights, &o, path, NULL, e);
}

static genet_status write_mindir(const gn_checkpoint *c, const char *path, genet_error *e)
{
    return gn_mindir_write(c, &c->weights, 0, path, NULL, e);
}

static genet_status write_timm(const gn_checkpoint *c, const char *path, genet_error *e)
{
    return gn_foreign_write(c, &c->weights, true, path, NULL, e);
}

static genet_status write_ckpt(const gn_checkpoint *c, const char *path, genet_error *e)
{
    return gn_mindspore_ckpt_write(c, &c->weights, NULL, path, e);
}

static genet_status load(const gn_checkpoint *c, const char *path, genet_error *e)
{
    gn_checkpoint back;
    (void)c;
    genet_status status = gn_checkpoint_load(&back, path, e);
    if (status == GENET_OK)
        gn_checkpoint_free(&back);
    return status;
}

static genet_status run_onnx(const gn_checkpoint *c, const char *path, genet_error *e)
{
    static unsigned char pixels[64 * 64 * 3];
    float logits[10];
    gn_map map;
    gn_onnx *m = NULL;
    (void)c;
    genet_status status = gn_map_open(&map, path, e);
    if (status != GENET_OK)
        return status;
    status = gn_onnx_open(&m, map.data, map.bytes, path, e);
    if (status == GENET_OK)
        status = gn_onnx_run(m, pixels, 1, logits, e);
    gn_onnx_close(m);
    gn_map_close(&map);
    return status;
}

/* Each call of each kind fails once, the first ones all, later ones every 61st. A write that fails behind its rename leaves the
 * whole file, else none. */
static void survive(action a, const gn_checkpoint *c, const char *path, bool writes, int last_kind)
{
    genet_error e;
    for (int kind = GN_FAULT_ALLOCATION; kind <= last_kind; kind++)
        for (int64_t n = 1;; n += n > 40 ? 61 : 1) {
            if (writes)
                unlink(path);
            gn_fault_arm((gn_fault_kind)kind, n);
            genet_status status = a(c, path, &e);
            gn_fault_disarm();
            if (gn_fault_fired() == 0) {
                assert_int_equal(status, GENET_OK);
                break;
            }
            assert_int_equal(status, kind == GN_FAULT_ALLOCATION ? GENET_MEMORY : GENET_IO);
            if (kind == GN_FAULT_WRITE || kind == GN_FAULT_RENAME)
                assert_false(gn_file_exists(path));
        }
}

static void graphs(void **state)
{
    (void)state;
    static const action writers[] = {write_kept, write_mindir, write_timm, write_folded};
    char path[4096];
    gn_checkpoint c;
    make_checkpoint(&c, small_spec(GN_THETA_PLUS, 2), GN_NAMES_GENET, 1);
    scratch(path, "graph");
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        survive(writers[i], &c, path, true, GN_FAULT_RENAME);
    survive(run_onnx, &c, path, false, GN_FAULT_OPEN); /* what write_folded left */
    gn_checkpoint_free(&c);
    make_checkpoint(&c, small_spec(GN_THETA_MINUS, 4), GN_NAMES_GENET, 1); /* shares and ones of MINDIR's average pooling */
    survive(write_mindir, &c, path, true, GN_FAULT_ALLOCATION);
    gn_checkpoint_free(&c);
}

static void weights(void **state)
{
    (void)state;
    char path[4096];
    genet_error e;
    gn_checkpoint c;
    make_checkpoint(&c, narrow_spec(GN_SE), GN_NAMES_MINDSPORE, 1.2);
    scratch(path, "weights.ckpt");
    survive(write_ckpt, &c, path, true, GN_FAULT_RENAME);
    MUST(write_ckpt(&c, path, &e));
    survive(load, &c, path, false, GN_FAULT_OPEN);
    gn_checkpoint_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(graphs), cmocka_unit_test(weights)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_scratch();
    return failed;
}
