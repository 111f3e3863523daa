/* SPDX-License-Identifier: Apache-2.0
 * The own kernels: everything that is not a convolution. Each source is written once (lanes.h: vectors of the compiler,
 * channels are the lanes) and compiled for several instruction sets and for both map types; cpu.c chooses at run time.
 *
 * A kernel runs on `all` threads at once; thread `me` does its share of phase 0, everybody waits, then phase 1, and so on.
 * Shares depend on shapes and `all` alone and partial sums are added in the order of threads, so the same number of threads
 * gives the same bits. Kernels take no memory and know no thread library. */
#ifndef GN_CPU_KERNELS_H
#define GN_CPU_KERNELS_H
#include "backend/backend.h"

/* One step while it runs: operands in ops.def's order (NULL where absent) and scratch memory. */
typedef struct gn_job {
    const gn_attr *attr;
    const gn_tensor *tin[GN_MAX_IN], *tout[GN_MAX_OUT];
    const void *in[GN_MAX_IN];
    void *out[GN_MAX_OUT];
    float *shared;     /* seen by all threads */
    float *packed;     /* GATHER, GATHER_STATS with a kernel: it, packed (P,C) */
    float *own;        /* thread t's scratch starts at own + t*own_stride */
    size_t own_stride; /* floats */
} gn_job;

typedef void gn_kernel(const gn_job *j, int phase, int me, int all);

/* The kernels of one instruction set and map type. */
typedef struct gn_kernels {
    const char *isa; /* "avx2" */
    gn_kernel *run[GN_OP_COUNT]; /* NULL for dense convolutions; that of CONV_INT8 runs before and behind one in f32 */
    void (*sgd)(const gn_sgd *g, int me, int all);
} gn_kernels;

/* Phases of an operation, the same for every instruction set. */
int gn_kernel_phases(gn_op op);

/* Scratch in floats that a step needs: for all threads together, for each one, and for a packed weight, which phase 0 makes: where
 * that is kept until the weights change, a later run begins with phase 1. */
typedef struct gn_scratch {
    size_t shared, own, packed;
} gn_scratch;
gn_scratch gn_kernel_scratch(const gn_plan *plan, const gn_step *step);
/* CONV_INT8 in f32: x lies at the start of the shared scratch, its convolution's sums behind it. */
float *gn_kernel_sums(const gn_job *j);

/* Rows of a padded channel count in every thread's scratch: floats first, then doubles. */
enum { GN_FLOAT_ROWS = 18, GN_DOUBLE_ROWS = 5, GN_ROW_UNIT = 16 };
enum { GN_TAIL_TILE = 16 }; /* pixels of TAIL_DX's tile of w and dw */
/* Blocks of the dense layers' product (dense.c). */
enum { GN_DENSE_KC = 256, GN_DENSE_NC = 128, GN_DENSE_MR = 16 };

/* Kernels by instruction set ("sse4", "avx2", "avx512"; NULL: the best of this CPU) and map type; NULL with err filled where
 * this CPU or build has none. */
const gn_kernels *gn_kernels_find(const char *isa, bool bf16, genet_error *err);
/* True where this CPU multiplies bf16 itself (AVX-512 BF16). */
bool gn_cpu_has_bf16(void);
#endif
