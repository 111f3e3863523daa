/* SPDX-License-Identifier: Apache-2.0
 * MindSpore's .ckpt: every tensor that is accepted can be read to its last byte, and its network recognised. */
#include <stdint.h>
#include <stdlib.h>

#include "formats/mindspore_ckpt.h"
#include "formats/recognise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_file_tensors t = {0};
    genet_error err;
    gn_recognised r;
    if (gn_mindspore_ckpt_parse(&t, data, size, "fuzz.ckpt", &err) == GENET_OK) {
        for (int i = 0; i < t.count; i++) {
            const gn_file_tensor *item = &t.items[i];
            if (!gn_file_type_is_float(item->type))
                continue;
            if ((uint64_t)item->count > size)
                abort();
            float *values = malloc((size_t)item->count * sizeof *values + 1);
            if (values)
                gn_file_tensor_read(&t, item, values, &err);
            free(values);
        }
        gn_recognise(&r, &t, "fuzz.ckpt", &err);
    }
    gn_file_tensors_free(&t);
    return 0;
}
