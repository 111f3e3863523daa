/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GENET_VERSION_H
#define GENET_VERSION_H
#include "genet/status.h"
#define GENET_VERSION "0.1.0"
#define GENET_API_VERSION 1
#ifdef __cplusplus
extern "C" {
#endif
/* Of the library that runs; the macros are of the headers that were compiled. */
GENET_API const char *genet_version(void);
GENET_API int genet_api_version(void);
#ifdef __cplusplus
}
#endif
#endif
