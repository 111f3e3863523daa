/* SPDX-License-Identifier: Apache-2.0
 * Tar shards: members found, named and grouped. */
#include "memory_file.h"

#include "data/found.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_finds f;
    genet_error err;
    if (gn_finds_create(&f, &err) != GENET_OK)
        return 0;
    const char *path = memory_file(data, size);
    if (gn_scan_tars(&f, &path, 1, "", &err) == GENET_OK)
        for (int64_t i = 0; i < f.count; i++)
            if (f.items[i].offset + f.items[i].bytes > size)
                abort();
    gn_finds_free(&f);
    return 0;
}
