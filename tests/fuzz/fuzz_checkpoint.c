/* SPDX-License-Identifier: Apache-2.0
 * Model files of every kind as a user names one: genet's own, MindSpore's, torchvision's and timm's. */
#include "memory_file.h"

#include "formats/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_checkpoint c = {0};
    genet_error err;
    if (gn_checkpoint_load(&c, memory_file(data, size), &err) == GENET_OK && c.class_count != c.model->spec.classes)
        abort();
    gn_checkpoint_free(&c);
    return 0;
}
