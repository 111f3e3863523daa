/* SPDX-License-Identifier: Apache-2.0
 * List files ("path, label" a line), and the classes that follow from them. */
#include "memory_file.h"

#include "data/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_dataset *d = NULL;
    genet_error err;
    gn_dataset_options options = {.cap_all = 3, .seed = 1};
    if (gn_dataset_open(&d, memory_file(data, size), &options, &err) == GENET_OK)
        for (int64_t i = 0; i < d->count; i++)
            if (d->samples[i].label < 0 || d->samples[i].label >= d->class_count)
                abort();
    gn_dataset_free(d);
    return 0;
}
