/* SPDX-License-Identifier: Apache-2.0
 * Images that are there more than once. Equal bytes come from sorting hashes. Equal pictures differ in at most
 * GENET_AUDIT_SAME_BITS bits, so of one block more than that (into which the 64 bits are cut) at least one is equal in both:
 * only images that share a block are compared. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "data/audit.h"
#include "data/threads.h"
#include "genet/data.h"

enum { BLOCKS = GENET_AUDIT_SAME_BITS + 1, BLOCK_BITS = (64 + BLOCKS - 1) / BLOCKS, BUCKETS = 1 << BLOCK_BITS };

typedef struct sha_key {
    const char *sha;
    int64_t image;
} sha_key;

typedef struct search {
    const gn_audit_image *images;
    int64_t *starts[BLOCKS]; /* [bucket]: where its images begin in members */
    int64_t *members[BLOCKS];
    gn_audit_twins *twins;
} search;

static int by_sha(const void *a, const void *b)
{
    const sha_key *x = a, *y = b;
    int order = memcmp(x->sha, y->sha, 64);
    return order ? order : (x->image > y->image) - (x->image < y->image);
}

static genet_status find_same_bytes(const gn_audit_image *images, int64_t count, gn_audit_twins *twins, genet_error *err)
{
    sha_key *keys = gn_calloc((size_t)count + 1, sizeof *keys);
    int64_t n = 0;
    if (!keys)
        return gn_fail_memory(err, (size_t)count * sizeof *keys, "hashes of images");
    for (int64_t i = 0; i < count; i++)
        if (images[i].sha[0] != '-')
            keys[n++] = (sha_key){images[i].sha, i};
    qsort(keys, (size_t)n, sizeof *keys, by_sha);
    for (int64_t start = 0, end; start < n; start = end) {
        int64_t first = keys[start].image, other = -1; /* the first of another class than the first */
        for (end = start; end < n && memcmp(keys[end].sha, keys[start].sha, 64) == 0; end++) {
            int64_t i = keys[end].image;
            bool differs = images[i].label != images[first].label;
            if (i != first)
                twins[i].same_bytes = first;
            twins[i].same_bytes_other_class = differs ? first : other;
            if (differs && other < 0)
                other = i;
        }
    }
    gn_free(keys);
    return GENET_OK;
}

static unsigned block_of(uint64_t bits, int block)
{
    return (unsigned)(bits >> (block * BLOCK_BITS)) & (BUCKETS - 1);
}

static bool comparable(const gn_audit_image *im)
{
    return im->decoded && !im->picture.flat;
}

static genet_status fill_buckets(search *s, int64_t count, genet_error *err)
{
    for (int b = 0; b < BLOCKS; b++) {
        s->starts[b] = gn_calloc(BUCKETS + 1, sizeof **s->starts);
        s->members[b] = gn_calloc((size_t)count + 1, sizeof **s->members);
        if (!s->starts[b] || !s->members[b])
            return gn_fail_memory(err, (size_t)count * sizeof **s->members, "hashes of pictures");
        for (int64_t i = 0; i < count; i++)
            if (comparable(&s->images[i]))
                s->starts[b][block_of(s->images[i].picture.bits, b) + 1]++;
        for (int k = 0; k < BUCKETS; k++)
            s->starts[b][k + 1] += s->starts[b][k];
        for (int64_t i = 0; i < count; i++) /* starts run ahead, and are set back below */
            if (comparable(&s->images[i]))
                s->members[b][s->starts[b][block_of(s->images[i].picture.bits, b)]++] = i;
        for (int k = BUCKETS; k > 0; k--)
            s->starts[b][k] = s->starts[b][k - 1];
        s->starts[b][0] = 0;
    }
    return GENET_OK;
}

static genet_status find_same_picture(void *user, int thread, int64_t i, genet_error *err)
{
    search *s = user;
    const gn_audit_image *im = &s->images[i];
    int64_t any = i, other = i;
    (void)thread;
    (void)err;
    for (int b = 0; comparable(im) && b < BLOCKS; b++) {
        unsigned bucket = block_of(im->picture.bits, b);
        for (int64_t m = s->starts[b][bucket]; m < s->starts[b][bucket + 1]; m++) {
            int64_t j = s->members[b][m];
            bool differs = s->images[j].label != im->label;
            if (j >= any && j >= other) /* members rise: nothing earlier comes */
                break;
            if ((j < any || (differs && j < other)) && gn_picture_hash_same(&im->picture, &s->images[j].picture)) {
                any = j < any ? j : any;
                other = differs && j < other ? j : other;
            }
        }
    }
    s->twins[i].same_picture = any < i ? any : -1;
    s->twins[i].same_picture_other_class = other < i ? other : -1;
    return GENET_OK;
}

genet_status gn_audit_find_twins(const gn_audit_image *images, int64_t count, int threads, gn_audit_twins *twins,
                                 genet_error *err)
{
    genet_status status = GENET_OK;
    search s = {.images = images, .twins = twins};
    for (int64_t i = 0; i < count; i++)
        twins[i] = (gn_audit_twins){-1, -1, -1, -1};
    GN_TRY(find_same_bytes(images, count, twins, err));
    GN_TRY(fill_buckets(&s, count, err));
    GN_TRY(gn_parallel(count, threads, find_same_picture, &s, NULL, NULL, err));
out:
    for (int b = 0; b < BLOCKS; b++) {
        gn_free(s.starts[b]);
        gn_free(s.members[b]);
    }
    return status;
}
