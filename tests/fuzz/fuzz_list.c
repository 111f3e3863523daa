/* SPDX-License-Identifier: Apache-2.0
 * List files of any bytes: an error or a table of images, never more. */
#include "memory_file.h"
#include "data/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *path = memory_file(bytes, n);
    gn_dataset *d = NULL;
    genet_error err = {0};
    if (gn_dataset_open(&d, path, NULL, &err) == GENET_OK) {
        for (int64_t i = 0; i < d->count; i++)
            if (d->samples[i].label < 0 || d->samples[i].label >= d->class_count || !d->samples[i].name[0])
                abort();
        gn_dataset_free(d);
    } else if (!err.text[0] || d) {
        abort();
    }
    return 0;
}
