/* SPDX-License-Identifier: Apache-2.0
 * Faults on demand, for tests: makes the n-th allocation, open, read, write, fsync or rename of the process fail. mem.c
 * and file.c ask here before the real call. Always compiled in; disarmed it costs one relaxed atomic load. */
#ifndef GN_BASE_FAULT_H
#define GN_BASE_FAULT_H
#include <stdbool.h>
#include <stdint.h>

typedef enum gn_fault_kind {
    GN_FAULT_ALLOCATION = 1, /* NULL */
    GN_FAULT_OPEN,           /* EMFILE */
    GN_FAULT_READ,           /* EIO */
    GN_FAULT_WRITE,          /* ENOSPC; also what a mapping or an append writes */
    GN_FAULT_FSYNC,          /* EIO; of files and of folders */
    GN_FAULT_RENAME          /* EACCES */
} gn_fault_kind;

/* From now on the n-th call of this kind (n >= 1, counted over all threads) fails, once. Replaces what was armed. */
void gn_fault_arm(gn_fault_kind kind, int64_t n);
/* As gn_fault_arm, but the n-th and all later calls fail, as on a full disk. */
void gn_fault_arm_from(gn_fault_kind kind, int64_t n);
/* At the n-th call of this kind the process is killed as by kill -9: a write when half of its block has reached the file,
 * the others before they happen. */
void gn_fault_arm_kill(gn_fault_kind kind, int64_t n);
void gn_fault_disarm(void);
/* Calls that failed because of the fault armed last. 0 in a loop over n means: n is beyond the scenario's last call. */
int64_t gn_fault_fired(void);

/* For mem.c and file.c: whether this call is to fail; then errno is set. */
bool gn_fault_due(gn_fault_kind kind);
/* For file.c: the half of a write that is to fail has been done. */
void gn_fault_half_written(void);
#endif
