/* SPDX-License-Identifier: Apache-2.0
 * The one preprocessing path, from the bytes of a file to (size, size, 3) pixels. Two sets of rules: genet's own (upright,
 * antialiased, as torchvision prepares pixels) and the published MindSpore model's (as stored, plain bilinear). */
#include "image/prepare.h"
#include <limits.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "image/internal.h"

const float gn_imagenet_mean[3] = {123.675f, 116.28f, 103.53f};
const float gn_imagenet_std[3] = {58.395f, 57.12f, 57.375f};

enum {
    SIZE_MAX_SIDE = 8192,
    /* A reduced decode keeps this many times the output, so that the antialiasing filter and not the transform decides how
     * sharp the picture is: within about one level of the full decode on photographs, where once the output differs by
     * two to four and is up to 13 % duller (evaluation never reduces). */
    REDUCED_TIMES = 2
};

struct gn_prepare_scratch {
    gn_decoder *decoder;
    gn_image decoded, resampling, augmenting;
    gn_prepare_times spent;
};

genet_status gn_prepare_scratch_create(gn_prepare_scratch **out, genet_error *err)
{
    gn_prepare_scratch *s = gn_calloc(1, sizeof *s);
    if (!s)
        return gn_fail_memory(err, sizeof *s, "preprocessing");
    genet_status status = gn_decoder_create(&s->decoder, err);
    if (status != GENET_OK) {
        gn_prepare_scratch_free(s);
        return status;
    }
    *out = s;
    return GENET_OK;
}

void gn_prepare_scratch_free(gn_prepare_scratch *s)
{
    if (!s)
        return;
    gn_decoder_free(s->decoder);
    gn_image_free(&s->decoded);
    gn_image_free(&s->resampling);
    gn_image_free(&s->augmenting);
    gn_free(s);
}

gn_prepare_times gn_prepare_spent(const gn_prepare_scratch *s)
{
    return s->spent;
}

static void mean_colour(const gn_preprocess *p, unsigned char colour[3])
{
    for (int c = 0; c < 3; c++)
        colour[c] = (unsigned char)lrintf(fminf(fmaxf(p->mean[c], 0), 255));
}

static gn_decode_options decode_options(const gn_preprocess *p)
{
    return (gn_decode_options){.max_pixels = p->max_pixels, .exif = p->exif, .mindspore = p->mindspore};
}

static gn_resample whole_job(const gn_image *in, const gn_preprocess *p, int width, int height)
{
    return (gn_resample){.in = in, .crop = {0, 0, in->width, in->height}, .part = {0, 0, in->width, in->height},
                         .width = width, .height = height, .window = {0, 0, width, height},
                         .filter = p->mindspore ? GN_FILTER_BILINEAR : GN_FILTER_TRIANGLE};
}

/* The longer side where the shorter becomes `side`: both rules round down, MindSpore's in single precision. */
static int longer_side(int side, int longer, int shorter, bool mindspore)
{
    if (!mindspore)
        return (int)fmin((double)((int64_t)side * longer / shorter), INT_MAX);
    return (int)fminf(floorf((float)longer / (float)shorter * (float)side), 0x7fffff80);
}

static int crop_offset(int side, int size, bool mindspore)
{
    return mindspore ? (side - size) / 2 : (int)rint((side - size) / 2.0);
}

/* Copies nothing where the resized picture is smaller than the window: there `fill` stays. */
static genet_status place(gn_prepare_scratch *s, gn_resample *job, const gn_preprocess *p, int left, int top,
                          const unsigned char fill[3], unsigned char *out, genet_error *err)
{
    int size = p->size, x0 = left < 0 ? -left : 0, y0 = top < 0 ? -top : 0;
    job->window.left = left < 0 ? 0 : left;
    job->window.top = top < 0 ? 0 : top;
    job->window.width = job->width < size ? job->width : size;
    job->window.height = job->height < size ? job->height : size;
    job->stride = (size_t)size * 3;
    job->out = out + (size_t)y0 * job->stride + (size_t)x0 * 3;
    if (job->window.width < size || job->window.height < size)
        for (size_t i = 0; i < (size_t)size * (size_t)size; i++)
            memcpy(out + 3 * i, fill, 3);
    return gn_resample_run(job, &s->resampling, err);
}

static genet_status evaluation(gn_prepare_scratch *s, const gn_preprocess *p, unsigned char *out, genet_error *err)
{
    const gn_image *in = &s->decoded;
    bool wide = in->width > in->height;
    int longer = wide ? in->width : in->height, shorter = wide ? in->height : in->width, width, height, left, top;
    unsigned char fill[3] = {0, 0, 0};
    if (p->pad) {
        int other = (int)rint((double)p->size * shorter / longer);
        other = other < 1 ? 1 : other;
        width = wide ? p->size : other;
        height = wide ? other : p->size;
        left = -((p->size - width) / 2);
        top = -((p->size - height) / 2);
        mean_colour(p, fill);
    } else {
        int side = (int)rint(p->size / p->crop_share), other = longer_side(side, longer, shorter, p->mindspore);
        width = wide ? other : side;
        height = wide ? side : other;
        left = crop_offset(width, p->size, p->mindspore);
        top = crop_offset(height, p->size, p->mindspore);
    }
    gn_resample job = whole_job(in, p, width, height);
    return place(s, &job, p, left, top, fill, out, err);
}

/* One prepared training picture: which one, and where its random values come from. */
typedef struct draw {
    uint64_t seed, sample;
    uint32_t epoch;
} draw;

static gn_rng stream(const draw *d, gn_purpose purpose)
{
    return gn_rng_make(d->seed, d->epoch, d->sample, purpose);
}

static bool chance(const draw *d, gn_purpose purpose, double probability, gn_rng *rest)
{
    *rest = stream(d, purpose);
    return probability > 0 && gn_rng_double(rest) < probability;
}

static genet_status augment_pixels(gn_prepare_scratch *s, const gn_preprocess *p, const gn_augment *a, const draw *d,
                                   unsigned char *out, genet_error *err)
{
    unsigned char fill[3];
    gn_rng rng;
    mean_colour(p, fill);
    genet_status status = gn_image_resize_buffer(&s->augmenting, p->size, p->size, err);
    if (status != GENET_OK)
        return status;
    if (a->rotate > 0) {
        rng = stream(d, GN_RNG_ROTATE);
        double degrees = a->rotate * (2 * gn_rng_double(&rng) - 1);
        gn_augment_rotate(out, p->size, p->size, degrees, fill, s->augmenting.rgb);
    }
    if (a->randaug > 0) {
        rng = stream(d, GN_RNG_RANDAUG);
        gn_augment_randaug(&rng, out, p->size, p->size, a->randaug, a->randaug_magnitude, s->augmenting.rgb);
    }
    if (a->jitter > 0 || a->hue > 0) {
        rng = stream(d, GN_RNG_JITTER);
        gn_augment_jitter(&rng, out, p->size, p->size, a->jitter, a->hue);
    }
    if (chance(d, GN_RNG_ERASE, a->erase, &rng))
        gn_augment_erase(&rng, out, p->size, p->size, fill);
    return GENET_OK;
}

static genet_status training(gn_prepare_scratch *s, const unsigned char *bytes, size_t n, const gn_preprocess *p,
                             const gn_augment *a, const draw *d, const gn_image_info *info, unsigned char *out,
                             genet_error *err)
{
    gn_decode_options options = decode_options(p);
    bool turned = p->exif && !p->mindspore && info->orientation >= 5;
    int width = turned ? info->height : info->width, height = turned ? info->width : info->height;
    gn_rng rng = stream(d, GN_RNG_CROP);
    gn_box box = gn_augment_crop(&rng, width, height, a->area, a->aspect, p->mindspore);
    float part[4];
    gn_resample job;
    genet_status status;
    const double start = gn_now();
    if (a->fast_decode) {
        /* The published pipeline reads the box at full size; so does this under its rules. */
        int to = p->mindspore ? INT_MAX : REDUCED_TIMES * p->size;
        status = gn_decode_box(s->decoder, bytes, n, &options, box, to, to, &s->decoded, part, err);
        job = whole_job(&s->decoded, p, p->size, p->size);
        for (int i = 0; i < 2; i++) {
            job.part[i] = part[i];
            job.part[2 + i] = (double)part[i] + part[2 + i];
        }
    } else {
        status = gn_decode(s->decoder, bytes, n, &options, &s->decoded, NULL, err);
        job = whole_job(&s->decoded, p, p->size, p->size);
        job.crop = box;
        job.part[2] = box.width;
        job.part[3] = box.height;
    }
    if (status != GENET_OK)
        return status;
    const double decoded = gn_now();
    job.mirror = chance(d, GN_RNG_FLIP, a->flip, &rng);
    job.out = out;
    job.stride = (size_t)p->size * 3;
    status = gn_resample_run(&job, &s->resampling, err);
    const double resized = gn_now();
    if (status == GENET_OK)
        status = augment_pixels(s, p, a, d, out, err);
    s->spent.decode += decoded - start;
    s->spent.resize += resized - decoded;
    s->spent.augment += gn_now() - resized;
    return status;
}

genet_status gn_prepare(gn_prepare_scratch *s, const unsigned char *bytes, size_t n, const gn_preprocess *p,
                        const gn_augment *augment, uint64_t seed, uint32_t epoch, uint64_t sample, unsigned char *out,
                        gn_image_info *info, genet_error *err)
{
    bool cropped = !augment && !p->pad;
    if (p->size < 1 || p->size > SIZE_MAX_SIDE || (cropped && !(p->crop_share > 0.01 && p->crop_share <= 1)))
        return gn_fail(err, GENET_INTERNAL, "preprocessing to %d pixels at a crop share of %g", p->size, p->crop_share);
    gn_image_info own;
    if (!info)
        info = &own;
    genet_status status = gn_image_probe(bytes, n, info, err);
    if (status != GENET_OK)
        return status;
    if (augment) {
        draw d = {seed, sample, epoch};
        return training(s, bytes, n, p, augment, &d, info, out, err);
    }
    gn_decode_options options = decode_options(p);
    status = gn_decode(s->decoder, bytes, n, &options, &s->decoded, NULL, err);
    return status == GENET_OK ? evaluation(s, p, out, err) : status;
}
