/* SPDX-License-Identifier: Apache-2.0
 * The order of an epoch. */
#include "data/sampler.h"
#include "base/rng.h"

int64_t gn_sampler_batches(const gn_sampler *s)
{
    return s->training ? s->images / s->batch : (s->images + s->batch - 1) / s->batch;
}

int gn_sampler_places(const gn_sampler *s, int64_t batch)
{
    int64_t left = s->images - batch * s->batch;
    return left < s->batch ? (int)left : s->batch;
}

int64_t gn_sampler_image(const gn_sampler *s, uint32_t epoch, int64_t position)
{
    if (!s->training)
        return position;
    return (int64_t)gn_rng_permute(s->seed, epoch, (uint64_t)position, (uint64_t)s->images);
}
