/* SPDX-License-Identifier: Apache-2.0
 * The device that training, sessions and benchmarks run on, opened from settings, and the precision chosen for it. */
#ifndef GN_INFER_DEVICE_H
#define GN_INFER_DEVICE_H
#include "backend/backend.h"
#include "config/settings.h"

typedef struct gn_device {
    const gn_backend *backend;
    void *handle;
    int threads;
} gn_device;

/* wanted, or all cores where that is 0. */
int gn_thread_count(int64_t wanted);
/* backend "auto", "cpu" or "ref"; isa NULL or "": the best of this CPU; threads 0: as many as cores. */
genet_status gn_device_open(gn_device *d, const char *backend, const char *isa, int64_t threads, genet_error *err);
void gn_device_close(gn_device *d); /* safe on a zeroed one */
/* "auto", "cpu", "ref", as the settings say. */
const char *gn_device_backend_name(const gn_settings *s);
/* The settings' backend, isa and threads. */
genet_status gn_device_open_settings(gn_device *d, const gn_settings *s, genet_error *err);

/* amp GN_CHOICE_AMP_*: the type of maps, and why, for people ("f32: no native bf16 on this CPU"). auto takes bf16 only
 * where it is computed natively. */
gn_dtype gn_device_precision(const gn_device *d, int amp, char *why, size_t size);
/* The same decision from the one fact it depends on. */
gn_dtype gn_precision_choose(int amp, bool native_bf16, char *why, size_t size);
#endif
