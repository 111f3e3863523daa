/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of resampling for x86-64 with AVX512; the build sets the compiler's flags. */
#define KERNELS gn_image_kernels_avx512
#define KERNELS_NAME "avx512"
#define LANES 16
#include "image/kernels.inc.h"
