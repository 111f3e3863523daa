/* SPDX-License-Identifier: Apache-2.0
 * Augmentation: what is drawn has the stated distribution, depends on (seed, epoch, sample) alone, and does what it says.
 * Statistical bounds are five standard errors, or Kolmogorov-Smirnov's 0.001 level, at a fixed seed. */
#include "pictures.h"

enum { DRAWS = 20000, SIDE = 224, BYTES = SIDE * SIDE * 3 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov against uniform on [low, high]; `grain` is what rounding to whole pixels may shift. */
static void check_uniform(double *v, int n, double low, double high, double grain, const char *what)
{
    double worst = 0;
    qsort(v, (size_t)n, sizeof *v, ascending);
    for (int i = 0; i < n; i++) {
        double p = (v[i] - low) / (high - low), a = fabs(p - (double)i / n), b = fabs(p - (double)(i + 1) / n);
        worst = fmax(worst, fmax(a, b));
    }
    if (worst > 1.95 / sqrt(n) + grain)
        fail_msg("%s: Kolmogorov-Smirnov distance %.4f over %d draws", what, worst, n);
}

static void check_mean(double sum, int n, double mean, double deviation, const char *what)
{
    if (fabs(sum / n - mean) > 5 * deviation / sqrt(n))
        fail_msg("%s: mean %.5f of %d draws, expected %.5f", what, sum / n, n, mean);
}

/* Area uniform, aspect uniform in its logarithm, place uniform. On 4000 x 4000 every first try fits these ranges. */
static void crop_distribution(bool mindspore)
{
    const double area[2] = {0.1, 0.3}, aspect[2] = {0.75, 4.0 / 3};
    static double share[DRAWS], ratio[DRAWS], left[DRAWS], top[DRAWS];
    for (int i = 0; i < DRAWS; i++) {
        gn_rng rng = gn_rng_make(11, 0, (uint64_t)i, GN_RNG_CROP);
        gn_box b = gn_augment_crop(&rng, 4000, 4000, area, aspect, mindspore);
        assert_true(b.left >= 0 && b.top >= 0 && b.left + b.width <= 4000 && b.top + b.height <= 4000);
        share[i] = (double)b.width * b.height / (4000.0 * 4000);
        ratio[i] = log((double)b.width / b.height);
        left[i] = b.left / (4000.0 - b.width);
        top[i] = b.top / (4000.0 - b.height);
    }
    check_uniform(share, DRAWS, area[0], area[1], 0.002, "share of the area");
    check_uniform(ratio, DRAWS, log(aspect[0]), log(aspect[1]), 0.002, "aspect");
    check_uniform(left, DRAWS, 0, 1, 0.001, "left");
    check_uniform(top, DRAWS, 0, 1, 0.001, "top");
}

static void crops(void **state)
{
    (void)state;
    crop_distribution(false);
    crop_distribution(true);
}

/* The usual range on a real size: boxes inside, shares and aspects within the range but for rounding. */
static void crop_bounds(void **state)
{
    (void)state;
    const double area[2] = {0.08, 1}, aspect[2] = {0.75, 4.0 / 3};
    for (int i = 0; i < DRAWS; i++) {
        gn_rng rng = gn_rng_make(12, 3, (uint64_t)i, GN_RNG_CROP);
        int width = 1 + i % 501, height = 1 + i * 7 % 377;
        gn_box b = gn_augment_crop(&rng, width, height, area, aspect, i & 1);
        assert_true(b.width >= 1 && b.height >= 1 && b.left >= 0 && b.top >= 0 && b.left + b.width <= width
                    && b.top + b.height <= height);
        if (width == 348 && height > 200) {
            double ratio = (double)b.width / b.height, share = (double)b.width * b.height / (width * height);
            assert_true(ratio > 0.72 && ratio < 1.39 && share > 0.077 && share <= 1);
        }
    }
}

/* Ten tries that cannot fit end in the central box; half pixels go down (torchvision) or up (MindSpore). */
static void crop_fallback(void **state)
{
    (void)state;
    const double area[2] = {1, 1}, aspect[2] = {1, 1}, wide[2] = {0.75, 1.333};
    gn_rng rng = gn_rng_make(1, 0, 0, GN_RNG_CROP);
    gn_box b = gn_augment_crop(&rng, 401, 300, area, aspect, false);
    assert_true(b.left == 50 && b.top == 0 && b.width == 300 && b.height == 300);
    b = gn_augment_crop(&rng, 401, 300, area, aspect, true);
    assert_true(b.left == 51 && b.top == 0 && b.width == 300 && b.height == 300);
    b = gn_augment_crop(&rng, 30, 1001, area, wide, true); /* round(30 / 0.75) = 40 rows */
    assert_true(b.left == 0 && b.top == 481 && b.width == 30 && b.height == 40);
    b = gn_augment_crop(&rng, 900, 30, area, wide, false); /* 30 * 1.333 = 39.99 columns */
    assert_true(b.left == 430 && b.top == 0 && b.width == 40 && b.height == 30);
    b = gn_augment_crop(&rng, 1, 100000, area, wide, false);
    assert_true(b.width == 1 && b.height == 1);
}

typedef struct photo {
    unsigned char *bytes;
    size_t n;
    gn_prepare_scratch *s;
    gn_preprocess p;
    gn_augment a;
    unsigned char out[2][BYTES];
} photo;

static photo *open_photo(const char *name)
{
    photo *f = gn_calloc(1, sizeof *f);
    assert_non_null(f);
    f->bytes = read_picture(PICTURES, name, &f->n);
    f->s = new_scratch();
    f->p = genet_rules();
    f->a = (gn_augment){.area = {0.08, 1}, .aspect = {0.75, 4.0 / 3}, .fast_decode = true, .flip = 0.5};
    return f;
}

static void close_photo(photo *f)
{
    gn_prepare_scratch_free(f->s);
    gn_free(f->bytes);
    gn_free(f);
}

static void draw(photo *f, gn_prepare_scratch *s, uint64_t seed, uint32_t epoch, uint64_t sample, int slot)
{
    genet_error err;
    if (gn_prepare(s, f->bytes, f->n, &f->p, &f->a, seed, epoch, sample, f->out[slot], NULL, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

static bool same(const photo *f) { return memcmp(f->out[0], f->out[1], BYTES) == 0; }

/* Every switch on: the same triple gives the same bytes, whatever was prepared before and by which scratch; any other
 * triple gives others. */
static void function_of_the_triple(void **state)
{
    (void)state;
    photo *f = open_photo("exif6.jpg"), *other = open_photo("tiny.jpg");
    f->a = (gn_augment){.area = {0.08, 1}, .aspect = {0.75, 4.0 / 3}, .fast_decode = true, .flip = 0.5, .rotate = 20,
                        .jitter = 0.4, .hue = 0.1, .erase = 0.5, .randaug = 2, .randaug_magnitude = 9};
    for (uint64_t i = 0; i < 12; i++) {
        draw(f, f->s, 5, 2, i, 0);
        draw(other, f->s, 5, 2, i, 0); /* leaves its traces in the scratch */
        draw(f, i % 2 ? f->s : other->s, 5, 2, i, 1);
        assert_true(same(f));
        draw(f, f->s, 6, 2, i, 1);
        assert_false(same(f));
        draw(f, f->s, 5, 3, i, 1);
        assert_false(same(f));
        draw(f, f->s, 5, 2, i + 1, 1);
        assert_false(same(f));
    }
    close_photo(f);
    close_photo(other);
}

/* Where the box is smaller than four times the output nothing is reduced: decoding only the box changes no bit. */
static void fast_equals_whole(void **state)
{
    (void)state;
    static const char *const names[] = {"photo0.jpg", "exif6.jpg", "progressive.jpg", "gray.jpg", "drawn-exif7.webp",
                                        "palette.png", "drawn-cmyk.jpg"};
    for (int i = 0; i < 7; i++) {
        photo *f = open_photo(names[i]);
        for (uint64_t k = 0; k < 10; k++) {
            f->p.mindspore = k % 2 && !strstr(names[i], "webp");
            f->a.fast_decode = true;
            draw(f, f->s, 1, 0, k, 0);
            f->a.fast_decode = false;
            draw(f, f->s, 1, 0, k, 1);
            if (!same(f))
                fail_msg("%s, sample %d: the box decoded alone differs", names[i], (int)k);
        }
        close_photo(f);
    }
}

/* Large boxes are decoded reduced: 2 levels of the full decode on average, and really reduced (some bit differs). */
static void fast_stays_near(void **state)
{
    (void)state;
    photo *f = open_photo("grocery4.jpg");
    f->p.size = 40;
    f->a.area[0] = 0.5;
    for (uint64_t k = 0; k < 10; k++) {
        double sum = 0;
        f->a.fast_decode = true;
        draw(f, f->s, 1, 0, k, 0);
        f->a.fast_decode = false;
        draw(f, f->s, 1, 0, k, 1);
        for (int i = 0; i < 40 * 40 * 3; i++)
            sum += abs(f->out[0][i] - f->out[1][i]);
        assert_true(sum > 0 && sum / (40 * 40 * 3) <= 2);
    }
    close_photo(f);
}

static void flips(void **state)
{
    (void)state;
    photo *f = open_photo("drawn-rgba.png");
    f->a.area[0] = 1;
    f->a.aspect[0] = f->a.aspect[1] = 52.0 / 40;
    f->p.size = 16;
    int flipped = 0, n = 2000;
    f->a.flip = 0;
    draw(f, f->s, 1, 0, 0, 0);
    f->a.flip = 0.3;
    for (int i = 0; i < n; i++) {
        draw(f, f->s, 1, 0, (uint64_t)i, 1);
        bool mirror = memcmp(f->out[0], f->out[1], 16 * 16 * 3) != 0;
        flipped += mirror;
        for (int y = 0; mirror && y < 16; y++)
            for (int x = 0; x < 16; x++)
                assert_memory_equal(f->out[1] + (y * 16 + x) * 3, f->out[0] + (y * 16 + 15 - x) * 3, 3);
    }
    check_mean(flipped, n, 0.3, sqrt(0.3 * 0.7), "flips");
    close_photo(f);
}

static void erasing(void **state)
{
    (void)state;
    static unsigned char rgb[BYTES];
    const unsigned char fill[3] = {1, 2, 3};
    static double share[DRAWS / 10];
    for (int i = 0; i < DRAWS / 10; i++) {
        gn_rng rng = gn_rng_make(2, 0, (uint64_t)i, GN_RNG_ERASE);
        int left = SIDE, right = -1, top = SIDE, bottom = -1, count = 0;
        memset(rgb, 0, BYTES);
        assert_true(gn_augment_erase(&rng, rgb, SIDE, SIDE, fill));
        for (int p = 0; p < SIDE * SIDE; p++) {
            if (rgb[3 * p] == 0)
                continue;
            assert_memory_equal(rgb + 3 * p, fill, 3);
            int x = p % SIDE, y = p / SIDE;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y > bottom ? y : bottom;
            count++;
        }
        int w = right - left + 1, h = bottom - top + 1;
        assert_int_equal(count, w * h);
        assert_true((double)w / h > 0.27 && (double)w / h < 3.6);
        share[i] = (double)count / (SIDE * SIDE);
    }
    /* At 33 % and aspect 3.3 a box is longer than the picture and is drawn again: less than 1 % of the draws. */
    check_uniform(share, DRAWS / 10, 0.02, 0.33, 0.02, "erased share");
}

static void rotation(void **state)
{
    (void)state;
    static unsigned char a[BYTES], b[BYTES], scratch[BYTES];
    const unsigned char fill[3] = {9, 9, 9};
    gn_rng rng = gn_rng_make(1, 0, 0, GN_RNG_ROTATE);
    for (int i = 0; i < BYTES; i++)
        a[i] = (unsigned char)gn_rng_u32(&rng);
    memcpy(b, a, BYTES);
    gn_augment_rotate(b, SIDE, SIDE, 0, fill, scratch);
    assert_memory_equal(a, b, BYTES);
    gn_augment_rotate(b, SIDE, SIDE, 90, fill, scratch);
    for (int y = 0; y < SIDE; y++) /* a quarter turn counter-clockwise: the right column becomes the top row */
        for (int x = 0; x < SIDE; x++)
            assert_memory_equal(b + (y * SIDE + x) * 3, a + (x * SIDE + SIDE - 1 - y) * 3, 3);
    memset(a, 200, BYTES);
    gn_augment_rotate(a, SIDE, SIDE, 45, fill, scratch);
    assert_memory_equal(a, fill, 3);
    int filled = 0;
    for (int p = 0; p < SIDE * SIDE; p++)
        filled += a[3 * p] == 9;
    /* An octagon of 2(sqrt 2 - 1) = 82.8 % of the square stays. */
    assert_in_range(filled, SIDE * SIDE * 16 / 100, SIDE * SIDE * 18 / 100);
    assert_int_equal(a[(SIDE / 2 * SIDE + SIDE / 2) * 3], 200);
}

static double mean_level(const unsigned char *rgb)
{
    double sum = 0;
    for (int i = 0; i < BYTES; i++)
        sum += rgb[i];
    return sum / BYTES;
}

static void jitter(void **state)
{
    (void)state;
    static unsigned char rgb[BYTES];
    double sum = 0, low = 255, high = 0;
    int n = 400;
    for (int i = 0; i < n; i++) {
        gn_rng rng = gn_rng_make(1, 0, (uint64_t)i, GN_RNG_JITTER);
        memset(rgb, 100, BYTES);
        /* On one grey only the brightness shows: 100 * U(0.6, 1.4). */
        gn_augment_jitter(&rng, rgb, SIDE, SIDE, 0.4, 0);
        double m = mean_level(rgb);
        sum += m;
        low = fmin(low, m);
        high = fmax(high, m);
    }
    check_mean(sum, n, 99.5, 80 / sqrt(12), "brightness"); /* truncation takes half a level */
    assert_true(low >= 59 && low < 62 && high > 138 && high <= 140);
    for (int i = 0; i < BYTES; i++)
        rgb[i] = (unsigned char)(i * 7);
    unsigned char before = rgb[77];
    gn_rng rng = gn_rng_make(1, 0, 0, GN_RNG_JITTER);
    gn_augment_jitter(&rng, rgb, SIDE, SIDE, 0, 0);
    assert_int_equal(rgb[77], before);
}

/* golden/pytorch README section 7, bin 9 at 224 pixels; and the ends. */
static void randaug_values(void **state)
{
    (void)state;
    static const struct {
        gn_randaug_op op;
        double at9, at0, at30;
    } want[] = {
        {GN_RANDAUG_SHEAR_X, 0.09, 0, 0.3},       {GN_RANDAUG_SHEAR_Y, 0.09, 0, 0.3},
        {GN_RANDAUG_TRANSLATE_X, 30, 0, 101},     {GN_RANDAUG_TRANSLATE_Y, 30, 0, 101},
        {GN_RANDAUG_ROTATE, 9, 0, 30},            {GN_RANDAUG_BRIGHTNESS, 0.27, 0, 0.9},
        {GN_RANDAUG_COLOR, 0.27, 0, 0.9},         {GN_RANDAUG_CONTRAST, 0.27, 0, 0.9},
        {GN_RANDAUG_SHARPNESS, 0.27, 0, 0.9},     {GN_RANDAUG_POSTERIZE, 7, 8, 4},
        {GN_RANDAUG_SOLARIZE, 178.5, 255, 0},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_true(fabs(gn_randaug_value(want[i].op, 9, SIDE, SIDE) - want[i].at9) < 1e-12);
        assert_true(fabs(gn_randaug_value(want[i].op, 0, SIDE, SIDE) - want[i].at0) < 1e-12);
        assert_true(fabs(gn_randaug_value(want[i].op, 30, SIDE, SIDE) - want[i].at30) < 1e-12);
    }
    /* Half to even: 15 / 7.5 = 2, 11.25 would be a half at no bin; 3.75 steps at bin 28 round to 4. */
    assert_true(gn_randaug_value(GN_RANDAUG_POSTERIZE, 28, SIDE, SIDE) == 4);
}

/* One operation a picture: each of the 14 comes about as often, told apart by their results on one picture. */
static void randaug_draws(void **state)
{
    (void)state;
    enum { SMALL = 24, N = 2800 };
    static unsigned char start[SMALL * SMALL * 3], rgb[SMALL * SMALL * 3], scratch[SMALL * SMALL * 3];
    gn_rng noise = gn_rng_make(3, 0, 0, GN_RNG_MADE_DATA);
    for (size_t i = 0; i < sizeof start; i++)
        start[i] = (unsigned char)(40 + gn_rng_below(&noise, 150));
    char known[64][65], hex[65];
    int count[64] = {0}, kinds = 0;
    for (int i = 0; i < N; i++) {
        gn_rng rng = gn_rng_make(9, 0, (uint64_t)i, GN_RNG_RANDAUG);
        memcpy(rgb, start, sizeof rgb);
        gn_augment_randaug(&rng, rgb, SMALL, SMALL, 1, 9, scratch);
        hash_pixels(rgb, SMALL * SMALL, hex);
        int k = 0;
        while (k < kinds && strcmp(known[k], hex) != 0)
            k++;
        assert_true(k < 63);
        if (k == kinds)
            strcpy(known[kinds++], hex);
        count[k]++;
    }
    /* Nine operations come with two signs, five without: 23 results, of 1/28 and 1/14 of the draws. */
    assert_int_equal(kinds, 23);
    int once = 0, twice = 0;
    for (int k = 0; k < kinds; k++) {
        double p = count[k] < N * 3 / 56 ? 1 / 28.0 : 1 / 14.0;
        check_mean(count[k], N, p, sqrt(p * (1 - p)), "operation");
        once += p < 0.05;
        twice += p > 0.05;
    }
    assert_int_equal(once, 18);
    assert_int_equal(twice, 5);
}

/* Letterbox: the long side fills, the picture stands in the middle, the rest is the mean colour. */
static void padding(void **state)
{
    (void)state;
    photo *f = open_photo("exif6.jpg"); /* upright 250 x 340 */
    genet_error err;
    f->p.pad = true;
    assert_int_equal(gn_prepare(f->s, f->bytes, f->n, &f->p, NULL, 1, 0, 0, f->out[0], NULL, &err), GENET_OK);
    const unsigned char mean[3] = {124, 116, 104};
    int width = 165, left = (SIDE - width) / 2; /* round(224 * 250 / 340) */
    gn_decoder *d = new_decoder();
    gn_image whole = {0}, small = {0}, scratch = {0};
    decode_or_fail(d, f->bytes, f->n, (gn_decode_options){.exif = true}, &whole, NULL);
    assert_int_equal(gn_resize(&whole, (gn_box){0, 0, 250, 340}, width, SIDE, GN_FILTER_TRIANGLE, &small, &scratch, &err),
                     GENET_OK);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            bool inside = x >= left && x < left + width;
            assert_memory_equal(f->out[0] + (y * SIDE + x) * 3, inside ? small.rgb + (y * width + x - left) * 3 : mean, 3);
        }
    gn_image_free(&whole);
    gn_image_free(&small);
    gn_image_free(&scratch);
    gn_decoder_free(d);
    close_photo(f);
}

/* After one round over some files, preparing them again takes no memory. */
static void warm_allocates_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"photo0.jpg", "exif6.jpg", "progressive.jpg", "gray.jpg"};
    photo *f[4];
    uint64_t before = 0;
    for (int i = 0; i < 4; i++) {
        f[i] = open_photo(names[i]);
        f[i]->a.randaug = 2;
    }
    for (int round = 0; round < 2; round++) {
        before = gn_alloc_count();
        for (int i = 0; i < 4; i++)
            for (uint64_t k = 0; k < 5; k++)
                draw(f[i], f[0]->s, 1, 0, k, 0);
    }
    assert_int_equal(gn_alloc_count(), before);
    for (int i = 0; i < 4; i++)
        close_photo(f[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops),          cmocka_unit_test(crop_bounds),   cmocka_unit_test(crop_fallback),
        cmocka_unit_test(function_of_the_triple), cmocka_unit_test(fast_equals_whole),
        cmocka_unit_test(fast_stays_near), cmocka_unit_test(flips),
        cmocka_unit_test(erasing),        cmocka_unit_test(rotation),      cmocka_unit_test(jitter),
        cmocka_unit_test(randaug_values), cmocka_unit_test(randaug_draws), cmocka_unit_test(padding),
        cmocka_unit_test(warm_allocates_nothing),
    };
    return cmocka_run_group_tests_name("image augment", tests, NULL, NULL);
}
