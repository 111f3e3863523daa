/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of resampling for x86-64 with AVX2; the build sets the compiler's flags. */
#define KERNELS gn_image_kernels_avx2
#define KERNELS_NAME "avx2"
#define LANES 8
#include "image/kernels.inc.h"
