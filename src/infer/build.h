/* SPDX-License-Identifier: Apache-2.0
 * Facts about this build and machine, for run.json and `genet info`. */
#ifndef GN_INFER_BUILD_H
#define GN_INFER_BUILD_H
#include "base/text.h"

/* "Intel(R) Xeon(R) ..."; "unknown" where the system does not say. */
void gn_cpu_name(char *name, size_t size);
/* "sse4.2 avx avx2 fma"; "" on other architectures. */
void gn_cpu_features(char *text, size_t size);
/* {"version":...,"cpu":...,"libraries":{...}} */
void gn_build_json(gn_text *t);
#endif
