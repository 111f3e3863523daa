/* SPDX-License-Identifier: Apache-2.0
 * What the own convolutions (wgrad.c, winograd.c) share: names by instruction set, and counting. */
#ifndef GN_CPU_OWN_H
#define GN_CPU_OWN_H
#include "backend/cpu/lanes.h"

#define GN_OF_ISA2_(name, isa) name##isa
#define GN_OF_ISA_(name, isa) GN_OF_ISA2_(name, isa)
#define GN_OF_ISA(name) GN_OF_ISA_(name, GN_ISA) /* gn_wgrad_ -> gn_wgrad_avx2 */
#define GN_TEXT_(isa) #isa
#define GN_TEXT(isa) GN_TEXT_(isa)
#define GN_ISA_TEXT GN_TEXT(GN_ISA) /* "avx2" */

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t ceiling(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
#endif
