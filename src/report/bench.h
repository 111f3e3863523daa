/* SPDX-License-Identifier: Apache-2.0
 * Measuring: private to report/. Each measurement fills a report both as text and as JSON; bench.c hands one of them out. */
#ifndef GN_REPORT_BENCH_H
#define GN_REPORT_BENCH_H
#include "base/text.h"
#include "config/settings.h"
#include "exec/exec.h"
#include "infer/device.h"

typedef struct gn_bench_report {
    gn_text text, json; /* json: the members of one object, without braces */
} gn_bench_report;

/* A network with made pixels and labels on a device: what a step or an inference runs on. */
typedef struct gn_bench_net {
    gn_device device;
    gn_dtype map_type;
    char precision[160];
    gn_model *model;
    gn_weights weights;
    struct gn_folded *folded; /* inference */
    void *grads, *momentum;
    size_t slab_bytes;
    gn_plan *plan;
    gn_exec *exec;
    unsigned char *pixels;
    float *mix, *lambda;
    int32_t *labels;
    int batch;          /* pictures of one run of the plan */
    int images, pieces; /* a step or an inference of so many images takes so many runs (gn_session_piece) */
} gn_bench_net;
/* training: forward, loss and backward; otherwise the folded network. */
genet_status gn_bench_net_open(gn_bench_net *n, const gn_settings *s, int images, bool training, genet_error *err);
void gn_bench_net_close(gn_bench_net *n); /* safe on a zeroed one */
/* "network", "device", "precision" and "threads" into the report. */
void gn_bench_describe(gn_bench_report *r, const gn_bench_net *n);

/* Over single runs. */
typedef struct gn_bench_times {
    double best, median;
    int rounds;
} gn_bench_times;

/* bench_ops.c: where the time goes, by operation and by step of the plan; best: seconds of every step, all pieces summed. */
void gn_bench_operations(gn_bench_report *r, const gn_bench_net *n, const double *best);
/* bench_limits.c. The convolutions of a training plan, each called alone, in its fastest run: forward, data gradient, weight
 * gradient. */
typedef struct gn_bench_convolutions {
    double seconds[3], macs[3];
} gn_bench_convolutions;
genet_status gn_bench_convolve(gn_bench_convolutions *c, gn_bench_net *n, genet_error *err);
/* 0, 1, 2 for a step of these, else -1. */
int gn_bench_part(gn_op op);
/* bench_layers.c: the same, every distinct layer by each implementation, against `peak` FLOP/s. isa: the settings'. */
genet_status gn_bench_layers(gn_bench_report *r, const gn_bench_net *n, const char *isa, double peak, genet_error *err);
genet_status gn_bench_limits(gn_bench_report *r, const gn_settings *s, genet_error *err);
/* bench_loader.c */
genet_status gn_bench_loader(gn_bench_report *r, const gn_settings *s, genet_error *err);
#endif
