/* SPDX-License-Identifier: Apache-2.0
 * safetensors: every tensor that is accepted can be read to its last byte. */
#include <stdint.h>
#include <stdlib.h>

#include "formats/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_safetensors f = {0};
    genet_error err;
    if (gn_safetensors_parse(&f, data, size, "fuzz.safetensors", &err) == GENET_OK) {
        for (int i = 0; i < f.count; i++) {
            const gn_st_tensor *t = &f.tensors[i];
            if (t->bytes > size || t->count < 0)
                abort();
            float *values = malloc((size_t)t->count * sizeof *values + 1);
            if (values)
                gn_st_to_f32(t, values, &err);
            free(values);
            gn_safetensors_find(&f, t->name);
        }
        gn_safetensors_meta(&f, "genet.model");
    }
    gn_safetensors_close(&f);
    return 0;
}
