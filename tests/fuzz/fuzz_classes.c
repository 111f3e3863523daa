/* SPDX-License-Identifier: Apache-2.0
 * Class names of any kind against expected ones, caps and options. The first byte holds options; then lines: "=NAME" a class
 * that is expected, "!TEXT" a cap, anything else a folder (or label) with one image. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "data/found.h"

enum { MOST = 64 };

static void resolve(const char *const *lines, const size_t *lengths, int count, unsigned options)
{
    const char *expected[MOST], *caps[MOST];
    gn_dataset_options o = {.leaf_names = options & 1, .merge_classes = options & 2, .cap_all = options & 4 ? 1 : 0,
                            .expect_classes = options & 8 ? expected : NULL, .caps = caps, .seed = options};
    gn_finds f = {0};
    gn_dataset d = {.root = (char *)(uintptr_t)"set"};
    genet_error err = {0};
    genet_status status = gn_finds_create(&f, &err);
    f.labels = options & 16;
    for (int i = 0; i < count && status == GENET_OK; i++) {
        gn_found item = {.path = "p", .name = lines[i]};
        if (lines[i][0] == '=' && options & 8)
            expected[o.expect_count++] = lines[i] + 1;
        else if (lines[i][0] == '!')
            caps[o.cap_count++] = lines[i] + 1;
        else if ((status = gn_finds_group(&f, lines[i], lengths[i], &item.group, &err)) == GENET_OK)
            status = gn_finds_add(&f, &item, &err);
    }
    if (status == GENET_OK)
        status = gn_classes_resolve(&d, &f, &o, &err);
    if (status != GENET_OK && !err.text[0])
        abort();
    for (int64_t i = 0; status == GENET_OK && i < d.count; i++)
        if (d.samples[i].label < 0 || d.samples[i].label >= d.class_count ||
            (i && d.samples[i].label < d.samples[i - 1].label))
            abort();
    for (int c = 1; status == GENET_OK && c < d.class_count && !o.expect_classes && !f.labels; c++)
        if (strcmp(d.classes[c - 1], d.classes[c]) >= 0)
            abort();
    gn_free(d.samples);
    gn_free(d.classes);
    gn_free(d.class_total);
    gn_free(d.class_kept);
    gn_finds_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *lines[MOST];
    size_t lengths[MOST];
    int count = 0;
    if (n < 1 || n > 65536)
        return 0;
    char *text = gn_strndup((const char *)bytes + 1, n - 1);
    if (!text)
        return 0;
    for (char *at = text; *at && count < MOST;) {
        char *stop = strchr(at, '\n');
        lines[count] = at;
        lengths[count] = stop ? (size_t)(stop - at) : strlen(at);
        at += lengths[count] + (stop != NULL);
        if (stop)
            *stop = '\0';
        count += lengths[count] > 0;
    }
    resolve(lines, lengths, count, bytes[0]);
    gn_free(text);
    return 0;
}
