/* SPDX-License-Identifier: Apache-2.0
 * Measuring: the training step, the loader, inference, and the limits of the machine. */
#ifndef GENET_BENCH_H
#define GENET_BENCH_H
#include "genet/config.h"
#ifdef __cplusplus
extern "C" {
#endif
/* what: "step", "loader", "infer" or "limits". A report as text or JSON; fresh memory, free with genet_free. */
GENET_API genet_status genet_bench(const genet_config *config, const char *what, int as_json, char **report,
                                   genet_error *error);
#ifdef __cplusplus
}
#endif
#endif
