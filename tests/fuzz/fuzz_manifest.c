/* SPDX-License-Identifier: Apache-2.0
 * Manifests of any bytes, held against a set of two small images (four bytes of this program each). */
#include "memory_file.h"

#include "data/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static gn_sample samples[2] = {{.path = "/proc/self/exe", .name = "a/1.jpg", .bytes = 4, .size = 4, .label = 0},
                                   {.path = "/proc/self/exe", .name = "b%/2.jpg", .bytes = 4, .size = 4, .label = 1}};
    static char a[] = "a", b[] = "b%", root[] = "set", *classes[2] = {a, b};
    gn_dataset d = {.root = root, .samples = samples, .count = 2, .classes = classes, .class_count = 2};
    const char *path = memory_file(bytes, n);
    for (int whole = 0; whole < 2; whole++) {
        genet_error err = {0};
        if (gn_manifest_check(path, GN_MANIFEST_DATA, &d, whole, 1, NULL, NULL, &err) != GENET_OK && !err.text[0])
            abort();
    }
    return 0;
}
