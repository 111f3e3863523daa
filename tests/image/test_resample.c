/* SPDX-License-Identifier: Apache-2.0
 * Resampling against second implementations of both rules written here from their descriptions (one pixel at a time, no
 * shared code), all instruction sets against each other, and windows, mirrors and hostile shapes. */
#include <limits.h>

#include "pictures.h"

static void fill_random(gn_image *im, int width, int height, gn_rng *rng)
{
    genet_error err;
    assert_int_equal(gn_image_resize_buffer(im, width, height, &err), GENET_OK);
    for (int i = 0; i < width * height * 3; i++)
        im->rgb[i] = (unsigned char)gn_rng_u32(rng);
}

static int side(gn_rng *rng, int most) { return 1 + (int)gn_rng_below(rng, (uint32_t)most); }

/* --- triangle, from golden/pytorch README section 6 ------------------------------------------------------------------- */

/* One output of one pass: `n` inputs `step` bytes apart, output o of `out`, for the box from..from+length. */
static unsigned char triangle_at(const unsigned char *in, int n, size_t step, double from, double length, int out, int o)
{
    double s = length / out, f = s > 1 ? s : 1, centre = from + (o + 0.5) * s, sum = 0;
    int low = (int)(centre - f + 0.5), high = (int)(centre + f + 0.5);
    low = low > 0 ? low : 0;
    high = high < n ? high : n;
    double *w = gn_calloc((size_t)(high - low), sizeof *w);
    assert_non_null(w);
    for (int x = low; x < high; x++) {
        double distance = fabs((x - centre + 0.5) * (1 / f));
        w[x - low] = distance < 1 ? 1 - distance : 0;
        sum += w[x - low];
    }
    int64_t v = 1 << 21;
    for (int x = low; x < high; x++)
        v += (int64_t)floor(0.5 + w[x - low] / sum * 4194304) * in[(size_t)x * step];
    gn_free(w);
    v >>= 22;
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void triangle_pass(const gn_image *in, const double box[4], bool vertical, int out, gn_image *to)
{
    genet_error err;
    int width = vertical ? in->width : out, height = vertical ? out : in->height;
    assert_int_equal(gn_image_resize_buffer(to, width, height, &err), GENET_OK);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                const unsigned char *from = in->rgb + (vertical ? (size_t)x : (size_t)y * (size_t)in->width) * 3 + c;
                to->rgb[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)c] =
                    vertical ? triangle_at(from, in->height, (size_t)in->width * 3, box[1], box[3], out, y)
                             : triangle_at(from, in->width, 3, box[0], box[2], out, x);
            }
}

static void triangle_reference(const gn_image *in, const double box[4], int width, int height, gn_image *out)
{
    bool across = width != in->width || box[0] != 0 || box[2] != in->width;
    bool down = height != in->height || box[1] != 0 || box[3] != in->height;
    bool down_first = across && down && in->height > height && in->height - height > 2 * (in->width - width);
    gn_image between = {0};
    genet_error err;
    if (across && down) {
        triangle_pass(in, box, down_first, down_first ? height : width, &between);
        triangle_pass(&between, box, !down_first, down_first ? width : height, out);
    } else if (across || down) {
        triangle_pass(in, box, down, down ? height : width, out);
    } else {
        assert_int_equal(gn_image_resize_buffer(out, width, height, &err), GENET_OK);
        memcpy(out->rgb, in->rgb, (size_t)width * (size_t)height * 3);
    }
    gn_image_free(&between);
}

static void check_equal(const gn_image *a, const gn_image *b, const char *what, int w, int h)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    if (memcmp(a->rgb, b->rgb, (size_t)a->width * (size_t)a->height * 3) != 0)
        fail_msg("%s: %d x %d to %d x %d differs", what, w, h, a->width, a->height);
}

static void triangle(void **state)
{
    (void)state;
    gn_rng rng = gn_rng_make(4, 0, 0, GN_RNG_MADE_DATA);
    gn_image in = {0}, got = {0}, want = {0}, scratch = {0};
    genet_error err;
    for (int i = 0; i < 60; i++) {
        int w = side(&rng, 90), h = side(&rng, 90), width = i % 7 ? side(&rng, 70) : w, height = i % 5 ? side(&rng, 70) : h;
        fill_random(&in, w, h, &rng);
        triangle_reference(&in, (double[4]){0, 0, w, h}, width, height, &want);
        assert_int_equal(gn_resize(&in, (gn_box){0, 0, w, h}, width, height, GN_FILTER_TRIANGLE, &got, &scratch, &err),
                         GENET_OK);
        check_equal(&got, &want, "triangle", w, h);
        /* A fractional box: the filter may reach past it. */
        float part[4] = {(float)gn_rng_below(&rng, (uint32_t)w * 8) / 8, (float)gn_rng_below(&rng, (uint32_t)h * 8) / 8};
        part[2] = (float)side(&rng, (int)(((float)w - part[0]) * 8)) / 8;
        part[3] = (float)side(&rng, (int)(((float)h - part[1]) * 8)) / 8;
        triangle_reference(&in, (double[4]){part[0], part[1], part[2], part[3]}, width, height, &want);
        assert_int_equal(gn_resize_part(&in, part, width, height, &got, &scratch, &err), GENET_OK);
        check_equal(&got, &want, "fractional box", w, h);
    }
    gn_image_free(&in);
    gn_image_free(&got);
    gn_image_free(&want);
    gn_image_free(&scratch);
}

/* --- plain bilinear, from golden/mindspore README section 5 and OpenCV's documented fixed point -------------------------- */

static void position(int o, int in, int out, bool clamp, int *low, int weight[2])
{
    double inverse = (double)out / in;
    float f = (float)((o + 0.5) * (1 / inverse) - 0.5);
    *low = (int)floor(f);
    f -= (float)*low;
    if (clamp && *low < 0) {
        *low = 0;
        f = 0;
    }
    if (clamp && *low >= in - 1) {
        *low = in - 1;
        f = 0;
    }
    weight[0] = (int)nearbyint((double)((1.f - f) * 2048.f));
    weight[1] = (int)nearbyint((double)(f * 2048.f));
}

static int clamp_to(int v, int n) { return v < 0 ? 0 : v >= n ? n - 1 : v; }

static unsigned char linear_at(const gn_image *in, int width, int height, int x, int y, int c)
{
    int x0, y0, wx[2], wy[2];
    position(x, in->width, width, true, &x0, wx);
    position(y, in->height, height, false, &y0, wy);
    int sum = 2;
    for (int i = 0; i < 2; i++) {
        const unsigned char *row = in->rgb + (size_t)clamp_to(y0 + i, in->height) * (size_t)in->width * 3 + c;
        int across = row[(size_t)x0 * 3] * wx[0] + row[(size_t)clamp_to(x0 + 1, in->width) * 3] * wx[1];
        sum += (across >> 4) * wy[i] >> 16;
    }
    return (unsigned char)(sum >> 2);
}

static void bilinear(void **state)
{
    (void)state;
    gn_rng rng = gn_rng_make(5, 0, 0, GN_RNG_MADE_DATA);
    gn_image in = {0}, got = {0}, scratch = {0};
    genet_error err;
    for (int i = 0; i < 80; i++) {
        int w = side(&rng, 120), h = side(&rng, 120), width = i % 7 ? side(&rng, 100) : w;
        int height = i % 5 ? side(&rng, 100) : h;
        fill_random(&in, w, h, &rng);
        assert_int_equal(gn_resize(&in, (gn_box){0, 0, w, h}, width, height, GN_FILTER_BILINEAR, &got, &scratch, &err),
                         GENET_OK);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                for (int c = 0; c < 3; c++)
                    assert_int_equal(got.rgb[(y * width + x) * 3 + c], linear_at(&in, width, height, x, y, c));
    }
    gn_image_free(&in);
    gn_image_free(&got);
    gn_image_free(&scratch);
}

/* --- instruction sets ------------------------------------------------------------------------------------------------ */

enum { ROWS = 37, WIDE = 500, OUT = 61 };

static gn_taps random_taps(gn_rng *rng, int *store, int span, int in)
{
    gn_taps t = {OUT, span, store, store + OUT, store + 2 * OUT};
    for (int i = 0; i < OUT; i++) {
        t.first[i] = i % 2 ? in - span : (int)gn_rng_below(rng, (uint32_t)(in - span) + 1);
        t.count[i] = 1 + (int)gn_rng_below(rng, (uint32_t)span);
        for (int k = 0, left = 1 << 22; k < span; k++) {
            t.weight[i * span + k] = k + 1 < t.count[i] ? (int)gn_rng_below(rng, (uint32_t)left) : left;
            left -= t.weight[i * span + k];
        }
    }
    return t;
}

static void compare_kernels(const gn_image_kernels *base, const gn_image_kernels *k)
{
    gn_rng rng = gn_rng_make(6, 0, 0, GN_RNG_MADE_DATA);
    gn_image in = {0};
    static unsigned char a[ROWS * OUT * 3], b[ROWS * OUT * 3];
    static int store[OUT * (2 + WIDE)];
    static const int spans[] = {1, 2, 3, 7, 390, WIDE}; /* the last two are wider than the kernels' tile */
    fill_random(&in, WIDE, ROWS, &rng);
    for (size_t s = 0; s < sizeof spans / sizeof *spans; s++) {
        gn_taps t = random_taps(&rng, store, spans[s], WIDE);
        for (int rows = 1; rows <= ROWS; rows += 6) {
            base->triangle_rows(in.rgb, WIDE * 3, rows, a, OUT * 3, &t);
            k->triangle_rows(in.rgb, WIDE * 3, rows, b, OUT * 3, &t);
            assert_memory_equal(a, b, (size_t)rows * OUT * 3);
        }
    }
    for (int n = 1; n <= 400; n += n < 140 ? 1 : 37) {
        gn_taps t = random_taps(&rng, store, 5, WIDE);
        base->triangle_column(in.rgb, WIDE * 3, t.count[0], t.weight, a, (size_t)n);
        k->triangle_column(in.rgb, WIDE * 3, t.count[0], t.weight, b, (size_t)n);
        assert_memory_equal(a, b, (size_t)n);
    }
    static int16_t ra[OUT * 3], rb[OUT * 3];
    gn_taps t = random_taps(&rng, store, 2, WIDE);
    for (int i = 0; i < OUT; i++) {
        t.weight[2 * i] = (int)gn_rng_below(&rng, 2049);
        t.weight[2 * i + 1] = 2048 - t.weight[2 * i];
    }
    base->linear_row(in.rgb, ra, &t);
    k->linear_row(in.rgb, rb, &t);
    assert_memory_equal(ra, rb, sizeof ra);
    base->linear_column(ra, ra + 3, 700, 1348, a, OUT * 3 - 3);
    k->linear_column(ra, ra + 3, 700, 1348, b, OUT * 3 - 3);
    assert_memory_equal(a, b, OUT * 3 - 3);
    gn_image_free(&in);
}

static void instruction_sets(void **state)
{
    (void)state;
    static const char *const names[] = {"avx2", "avx512"};
    const gn_image_kernels *base = gn_image_kernels_get("base");
    assert_non_null(base);
    assert_non_null(gn_image_kernels_get(NULL));
    assert_null(gn_image_kernels_get("none"));
    for (int i = 0; i < 2; i++) {
        const gn_image_kernels *k = gn_image_kernels_get(names[i]);
        if (k) {
            assert_string_equal(k->name, names[i]);
            compare_kernels(base, k);
        } else {
            print_message("skipped: this machine has no %s\n", names[i]);
        }
    }
}

/* --- windows and mirrors ---------------------------------------------------------------------------------------------- */

static void windows(void **state)
{
    (void)state;
    gn_rng rng = gn_rng_make(7, 0, 0, GN_RNG_MADE_DATA);
    gn_image in = {0}, whole = {0}, part = {0}, scratch = {0};
    genet_error err;
    for (int i = 0; i < 120; i++) {
        gn_filter filter = i % 2 ? GN_FILTER_BILINEAR : GN_FILTER_TRIANGLE;
        int w = side(&rng, 200), h = side(&rng, 200), width = i % 6 ? side(&rng, 150) : w;
        int height = i % 10 ? side(&rng, 150) : h;
        gn_resample job = {.in = &in, .crop = {0, 0, w, h}, .part = {0, 0, w, h}, .width = width, .height = height,
                           .mirror = i % 3 == 0, .filter = filter};
        fill_random(&in, w, h, &rng);
        job.window.width = side(&rng, width);
        job.window.height = side(&rng, height);
        job.window.left = (int)gn_rng_below(&rng, (uint32_t)(width - job.window.width) + 1);
        job.window.top = (int)gn_rng_below(&rng, (uint32_t)(height - job.window.height) + 1);
        assert_int_equal(gn_image_resize_buffer(&part, job.window.width, job.window.height, &err), GENET_OK);
        job.out = part.rgb;
        job.stride = (size_t)part.width * 3;
        assert_int_equal(gn_resample_run(&job, &scratch, &err), GENET_OK);
        assert_int_equal(gn_resize(&in, job.crop, width, height, filter, &whole, &scratch, &err), GENET_OK);
        for (int y = 0; y < part.height; y++)
            for (int x = 0; x < part.width; x++) {
                int from = job.window.left + (job.mirror ? part.width - 1 - x : x);
                assert_memory_equal(part.rgb + (y * part.width + x) * 3,
                                    whole.rgb + ((job.window.top + y) * width + from) * 3, 3);
            }
    }
    gn_image_free(&in);
    gn_image_free(&whole);
    gn_image_free(&part);
    gn_image_free(&scratch);
}

/* A line of a million pixels prepared as if for evaluation: only the window costs. */
static void hostile_shapes(void **state)
{
    (void)state;
    enum { LONG = GN_IMAGE_MAX_SIDE };
    gn_image in = {0}, scratch = {0};
    genet_error err;
    unsigned char out[64 * 64 * 3];
    for (int i = 0; i < 8; i++) {
        bool flat = i & 1, enlarge = i & 2;
        int w = flat ? LONG : 1, h = flat ? 1 : LONG, length = enlarge ? LONG * 256 : 64;
        assert_int_equal(gn_image_resize_buffer(&in, w, h, &err), GENET_OK);
        memset(in.rgb, 77, (size_t)LONG * 3);
        gn_resample job = {.in = &in, .crop = {0, 0, w, h}, .part = {0, 0, w, h}, .width = flat ? length : 256,
                           .height = flat ? 256 : length, .window = {0, 0, 64, 64}, .out = out, .stride = 64 * 3,
                           .filter = i & 4 ? GN_FILTER_BILINEAR : GN_FILTER_TRIANGLE};
        job.window.left = (job.width - 64) / 2;
        job.window.top = (job.height - 64) / 2;
        assert_int_equal(gn_resample_run(&job, &scratch, &err), GENET_OK);
        for (int k = 0; k < 64 * 64 * 3; k++)
            assert_int_equal(out[k], 77);
        assert_true(scratch.capacity < (size_t)1 << 26);
    }
    gn_image_free(&in);
    gn_image_free(&scratch);
    assert_int_equal(gn_image_resize_buffer(&in, 0, 5, &err), GENET_INTERNAL);
    assert_int_equal(gn_image_resize_buffer(&in, INT_MAX, INT_MAX, &err), GENET_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(triangle), cmocka_unit_test(bilinear),       cmocka_unit_test(instruction_sets),
        cmocka_unit_test(windows),  cmocka_unit_test(hostile_shapes),
    };
    return cmocka_run_group_tests_name("image resample", tests, NULL, NULL);
}
