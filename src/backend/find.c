/* SPDX-License-Identifier: Apache-2.0
 * The backends of this build, by name. */
#include <string.h>

#include "backend/backend.h"

const gn_backend *gn_backend_find(const char *name, genet_error *err)
{
    static const gn_backend *const built_in[] = {
#ifdef GN_HAVE_CPU
        &gn_backend_cpu,
#endif
        &gn_backend_ref,
    };
    const char *known = sizeof built_in / sizeof *built_in > 1 ? "auto, cpu, ref" : "auto, ref";
    if (strcmp(name, "auto") == 0)
        return built_in[0];
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (strcmp(name, built_in[i]->name) == 0)
            return built_in[i];
    if (strcmp(name, "cpu") == 0)
        gn_fail(err, GENET_UNSUPPORTED, "this build has no backend cpu; there are: %s (build with GENET_CPU for cpu)",
                known);
    else
        gn_fail(err, GENET_USAGE, "unknown backend \"%s\"; there are: %s", name, known);
    return NULL;
}
