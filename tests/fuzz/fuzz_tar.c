/* SPDX-License-Identifier: Apache-2.0
 * Tar files of any bytes: an error, or members that lie inside the file. */
#include "memory_file.h"
#include <string.h>
#include "base/mem.h"
#include "data/found.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *path = memory_file(bytes, n);
    const char *const paths[] = {path, path};
    const char *const inside[] = {"", "a", ""};
    for (int way = 0; way < 3; way++) {
        gn_finds finds = {0};
        genet_error err = {0};
        if (gn_finds_create(&finds, &err) != GENET_OK)
            abort();
        if (gn_scan_tars(&finds, paths, way == 2 ? 2 : 1, inside[way], &err) == GENET_OK) {
            unsigned char *read = NULL;
            size_t capacity = 0, got;
            for (int64_t i = 0; i < finds.count; i++) {
                const gn_found *item = &finds.items[i];
                gn_sample s = {.path = item->path, .offset = item->offset, .bytes = item->bytes};
                if (item->offset > n || item->bytes > n - item->offset || item->offset < 512)
                    abort();
                if (item->bytes && (gn_sample_read(&s, &read, &capacity, &got, NULL) != GENET_OK || got != item->bytes ||
                                    memcmp(read, bytes + item->offset, got) != 0))
                    abort();
            }
            gn_free(read);
        } else if (!err.text[0]) {
            abort();
        }
        gn_finds_free(&finds);
    }
    return 0;
}
