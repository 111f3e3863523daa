/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of resampling for any machine. */
#define KERNELS gn_image_kernels_base
#define KERNELS_NAME "base"
#define LANES 4
#include "image/kernels.inc.h"
