/* SPDX-License-Identifier: Apache-2.0
 * The operations of ref with float as the storage type. */
#include <math.h>

#include "backend/ref/ref.h"

#define real float
#define FUNCTIONS gn_ref_f32_functions
#include "backend/ref/conv.inc"
#include "backend/ref/batch_norm.inc"
#include "backend/ref/gather_excite.inc"
#include "backend/ref/local.inc"
#include "backend/ref/head.inc"
#include "backend/ref/table.inc"

void gn_ref_f32_sgd(const gn_sgd *sgd)
{
    sgd_update(sgd);
}
