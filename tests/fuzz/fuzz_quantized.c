/* SPDX-License-Identifier: Apache-2.0
 * Files of int8 networks: what is taken must be sound, and make a plan. */
#include <stdlib.h>

#include "formats/quantized.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_checkpoint c;
    gn_folded *f;
    gn_plan *p = NULL;
    genet_error err;
    const char *tensor, *why;
    gn_plan_options o = {.batch = 1, .map_type = GN_F32, .std = {1, 1, 1}};
    if (gn_quantized_parse(&c, &f, data, size, "file", &err) == GENET_OK &&
        (!gn_quantized_sound(f, &tensor, &why) || gn_folded_plan(f, &o, &p, &err) != GENET_OK))
        abort();
    gn_plan_free(p);
    gn_folded_free(f);
    gn_checkpoint_free(&c);
    return 0;
}
