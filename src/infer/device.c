/* SPDX-License-Identifier: Apache-2.0
 * Opening a device from settings; choosing a precision. */
#include "infer/device.h"

#include <stdio.h>

#include "data/threads.h"

const char *gn_device_backend_name(const gn_settings *s)
{
    static const char *const names[] = {"auto", "cpu", "ref"}; /* options.def */
    return names[s->backend];
}

int gn_thread_count(int64_t wanted)
{
    return wanted > 0 ? (int)wanted : gn_cores();
}

genet_status gn_device_open(gn_device *d, const char *backend, const char *isa, int64_t threads, genet_error *err)
{
    *d = (gn_device){.threads = gn_thread_count(threads)};
    const gn_backend *b = gn_backend_find(backend, err);
    if (!b)
        return GENET_UNSUPPORTED;
    gn_backend_options options = {.threads = d->threads, .isa = isa && *isa ? isa : NULL};
    genet_status status = b->open(&d->handle, &options, err);
    if (status == GENET_OK)
        d->backend = b;
    return status;
}

void gn_device_close(gn_device *d)
{
    if (d->backend)
        d->backend->close(d->handle);
    *d = (gn_device){0};
}

genet_status gn_device_open_settings(gn_device *d, const gn_settings *s, genet_error *err)
{
    return gn_device_open(d, gn_device_backend_name(s), s->isa, s->threads, err);
}

gn_dtype gn_precision_choose(int amp, bool native_bf16, char *why, size_t size)
{
    if (amp == GN_CHOICE_AMP_OFF) {
        snprintf(why, size, "f32 (--amp off)");
        return GN_F32;
    }
    if (amp == GN_CHOICE_AMP_BF16) {
        snprintf(why, size, native_bf16 ? "bf16 maps, f32 weights, statistics, gate and loss (--amp bf16)"
                                        : "bf16 maps, f32 weights, statistics, gate and loss (--amp bf16; this device "
                                          "converts at every step and is slower than with f32)");
        return GN_BF16;
    }
    if (native_bf16) {
        snprintf(why, size, "bf16 maps, f32 weights, statistics, gate and loss (computed natively here; --amp off for f32)");
        return GN_BF16;
    }
    snprintf(why, size, "f32 (this device has no native bf16)");
    return GN_F32;
}

gn_dtype gn_device_precision(const gn_device *d, int amp, char *why, size_t size)
{
    return gn_precision_choose(amp, d->backend->native(d->handle, GN_BF16), why, size);
}
