/* SPDX-License-Identifier: Apache-2.0
 * Chains of steps as the network uses them, small and over edge shapes: forward, loss, backward. One list serves the
 * finite differences, the comparison of the storage types and that of in-place with separate memory. */
#ifndef TESTS_BACKEND_SCENARIOS_H
#define TESTS_BACKEND_SCENARIOS_H
#include "backend/rig.h"

typedef struct scenario {
    const char *name;
    int variants;
    void (*build)(rig *r, int variant); /* between rig_open and rig_finish; fills the leaves */
} scenario;
extern const scenario scenarios[];
extern const int scenario_count;

/* The batch that build expects in rig_open does not matter to ref; 1 is passed. */
#endif
