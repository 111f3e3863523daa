/* SPDX-License-Identifier: Apache-2.0
 * Operation -> kernel, for one instruction set and map type. */
#include "backend/cpu/pass.h"

#define GN_TEXT_(a) #a
#define GN_TEXT(a) GN_TEXT_(a)

extern const gn_kernels KERNEL(table);
const gn_kernels KERNEL(table) = {
    GN_TEXT(GN_ISA),
    {
        [GN_OP_INPUT] = KERNEL(INPUT),
        [GN_OP_QUANTIZE] = KERNEL(QUANTIZE),
        [GN_OP_CONV_INT8] = KERNEL(CONV_INT8),
        [GN_OP_DWCONV] = KERNEL(DWCONV),
        [GN_OP_DWCONV_DX] = KERNEL(DWCONV_DX),
        [GN_OP_DWCONV_DW] = KERNEL(DWCONV_DW),
        [GN_OP_BN_STATS] = KERNEL(BN_STATS),
        [GN_OP_BN_RUNNING] = KERNEL(BN_RUNNING),
        [GN_OP_BN_ACT] = KERNEL(BN_ACT),
        [GN_OP_BN_SUMS] = KERNEL(BN_SUMS),
        [GN_OP_BN_DX] = KERNEL(BN_DX),
        [GN_OP_BN_POOL] = KERNEL(BN_POOL),
        [GN_OP_BN_POOL_SUMS] = KERNEL(BN_POOL_SUMS),
        [GN_OP_BN_POOL_DX] = KERNEL(BN_POOL_DX),
        [GN_OP_GATHER_STATS] = KERNEL(GATHER_STATS),
        [GN_OP_GATHER] = KERNEL(GATHER),
        [GN_OP_GATHER_AFFINE] = KERNEL(GATHER_AFFINE),
        [GN_OP_TAIL] = KERNEL(TAIL),
        [GN_OP_TAIL_SUMS] = KERNEL(TAIL_SUMS),
        [GN_OP_TAIL_GATE] = KERNEL(TAIL_GATE),
        [GN_OP_TAIL_BN] = KERNEL(TAIL_BN),
        [GN_OP_TAIL_DX] = KERNEL(TAIL_DX),
        [GN_OP_LOCAL_POOL] = KERNEL(LOCAL_POOL),
        [GN_OP_LOCAL_POOL_DX] = KERNEL(LOCAL_POOL_DX),
        [GN_OP_EXCITE] = KERNEL(EXCITE),
        [GN_OP_EXCITE_DX] = KERNEL(EXCITE_DX),
        [GN_OP_ADD] = KERNEL(ADD),
        [GN_OP_GLOBAL_POOL] = KERNEL(GLOBAL_POOL),
        [GN_OP_GLOBAL_POOL_DX] = KERNEL(GLOBAL_POOL_DX),
        [GN_OP_DENSE] = KERNEL(DENSE),
        [GN_OP_DENSE_DX] = KERNEL(DENSE_DX),
        [GN_OP_DENSE_DW] = KERNEL(DENSE_DW),
        [GN_OP_SOFTMAX_LOSS] = KERNEL(SOFTMAX_LOSS),
    },
    KERNEL(SGD),
};
