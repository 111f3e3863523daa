/* SPDX-License-Identifier: Apache-2.0
 * The fault layer. Beside the allocation counter in mem.c this is the only state the library keeps; it never changes
 * unless a test arms a fault. */
#include "base/fault.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

static _Atomic int armed; /* gn_fault_kind, 0: none */
static _Atomic bool persistent, lethal;
static _Atomic int64_t countdown, fired;

static void arm(gn_fault_kind kind, int64_t n, bool from, bool kill)
{
    atomic_store(&armed, 0);
    atomic_store(&persistent, from);
    atomic_store(&lethal, kill);
    atomic_store(&countdown, n);
    atomic_store(&fired, 0);
    atomic_store(&armed, (int)kind);
}

void gn_fault_arm(gn_fault_kind kind, int64_t n)
{
    arm(kind, n, false, false);
}

void gn_fault_arm_from(gn_fault_kind kind, int64_t n)
{
    arm(kind, n, true, false);
}

void gn_fault_arm_kill(gn_fault_kind kind, int64_t n)
{
    arm(kind, n, false, true);
}

void gn_fault_disarm(void)
{
    atomic_store(&armed, 0);
}

int64_t gn_fault_fired(void)
{
    return atomic_load(&fired);
}

bool gn_fault_due(gn_fault_kind kind)
{
    static const int error_of[] = {
        [GN_FAULT_ALLOCATION] = ENOMEM, [GN_FAULT_OPEN] = EMFILE, [GN_FAULT_READ] = EIO,
        [GN_FAULT_WRITE] = ENOSPC,      [GN_FAULT_FSYNC] = EIO,   [GN_FAULT_RENAME] = EACCES};
    if (atomic_load_explicit(&armed, memory_order_relaxed) != (int)kind)
        return false;
    int64_t left = atomic_fetch_sub(&countdown, 1);
    if (left != 1 && !(left < 1 && atomic_load(&persistent)))
        return false;
    atomic_fetch_add(&fired, 1);
    if (atomic_load(&lethal) && kind != GN_FAULT_WRITE)
        raise(SIGKILL);
    errno = error_of[kind];
    return true;
}

void gn_fault_half_written(void)
{
    if (atomic_load(&lethal))
        raise(SIGKILL);
}
