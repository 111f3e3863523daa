/* SPDX-License-Identifier: Apache-2.0
 * The contract of a backend: how to prepare and run one step of a plan. `ref` (plain loops, float and double, no
 * dependency) is the specification; `cpu` (oneDNN + own kernels) must agree with it. Nothing falls back silently: an
 * operation, shape or type that a backend cannot do is refused in prepare, with the reason. */
#ifndef GN_BACKEND_BACKEND_H
#define GN_BACKEND_BACKEND_H
#include "plan/plan.h"

/* Where cpu's own passes of dense f32 convolutions run (weight gradient; 3x3 with stride 1): by their rules, never, or wherever
 * they can (tests, trials). */
typedef enum gn_own_choice { GN_OWN_WHERE_FASTER, GN_OWN_NEVER, GN_OWN_ALWAYS } gn_own_choice;

typedef struct gn_backend_options {
    int threads;            /* >= 1 */
    const char *isa;        /* NULL: the best of this CPU; else "sse4", "avx2", "avx512" (own kernels; tests, trials) */
    gn_own_choice own;      /* GN_OWN_ALWAYS is refused where the instruction set has none; ref has only its own loops */
} gn_backend_options;

typedef struct gn_segment {
    int64_t begin, end; /* elements */
    bool decay, frozen;
} gn_segment;
typedef struct gn_sgd {
    void *w, *v, *ema;
    const void *grad;
    bool f64;
    const gn_segment *segments;
    int segment_count;
    double rate, momentum, decay, grad_factor, ema_keep;
    bool nesterov;
} gn_sgd;

typedef struct gn_backend gn_backend;
struct gn_backend {
    const char *name;        /* "ref", "cpu" */
    /* Opens a device; *device is the backend's own. */
    genet_status (*open)(void **device, const gn_backend_options *options, genet_error *err);
    void (*close)(void *device);
    /* "oneDNN 3.2, avx512_bf16 kernels, 2 threads" */
    void (*describe)(void *device, char *text, size_t size);
    /* True where maps of this type are computed natively (bf16: AVX-512 BF16 or AMX). */
    bool (*native)(void *device, gn_dtype map_type);
    /* Prepares every step of a finished plan: creates primitives, takes scratch memory. *prepared belongs to the
     * backend and is released with `release`. After this, run allocates nothing. */
    genet_status (*prepare)(void *device, const gn_plan *plan, void **prepared, genet_error *err);
    void (*release)(void *prepared);
    /* Scratch memory that `prepared` holds, bytes. */
    size_t (*scratch_bytes)(const void *prepared);
    /* Runs step number `step`. data[t] is the memory of tensor t (NULL for tensors the step does not use). */
    genet_status (*run)(void *prepared, int step, void *const *data, genet_error *err);
    /* Tells that the parameters changed since the last run (packed copies of weights are then stale). */
    void (*weights_changed)(void *prepared);
    /* "brgconv:avx512_core_bf16" or "own:avx2", the implementation chosen for a step; never NULL. */
    const char *(*implementation)(const void *prepared, int step);
    /* One momentum-SGD pass over [begin, end) of the slabs (f32; f64 on ref with map type f64):
     *   g = grad*grad_factor + decay*w;  v = momentum*v + g;  w -= rate*v  (rate*(g + momentum*v) with nesterov);
     * decay applies to elements whose segment says so. ema (NULL or a slab): ema = ema_keep*ema + (1-ema_keep)*w. */
    void (*sgd)(void *device, const gn_sgd *sgd);
};

extern const gn_backend gn_backend_ref;
#ifdef GN_HAVE_CPU
extern const gn_backend gn_backend_cpu;
#endif
/* "auto", "ref", "cpu"; NULL with err filled for a name that this build does not have. auto is cpu where built in. */
const gn_backend *gn_backend_find(const char *name, genet_error *err);
#endif
