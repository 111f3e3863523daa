/* SPDX-License-Identifier: Apache-2.0
 * Decoded and prepared pixels, bit for bit: genet's rules against Pillow and torchvision, the published rules against
 * MindSpore, colour and movement operations against Pillow. The subset in tests/data/images always; all of the golden
 * vectors where their folder is. */
#include <jansson.h>

#include "pictures.h"

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    if (!text)
        fail_msg("no text \"%s\"", key);
    return text;
}

static int int_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    assert_true(json_is_integer(v));
    return (int)json_integer_value(v);
}

static json_t *load(const char *folder, const char *name)
{
    size_t n;
    json_error_t error;
    unsigned char *bytes = read_picture(folder, name, &n);
    json_t *root = json_loadb((const char *)bytes, n, 0, &error);
    if (!root)
        fail_msg("%s/%s: %s", folder, name, error.text);
    gn_free(bytes);
    return root;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static gn_preprocess rules(bool mindspore)
{
    gn_preprocess p = genet_rules();
    p.mindspore = mindspore;
    return p;
}

/* Decoded and prepared pixels of one file. `exif` stays on under the published rules: they must ignore it themselves. */
static void check_file(const char *folder, const char *name, bool mindspore, const char *decoded, const char *prepared)
{
    size_t n;
    unsigned char *bytes = read_picture(folder, name, &n), *out = gn_calloc(224 * 224, 3);
    gn_decoder *d = new_decoder();
    gn_prepare_scratch *s = new_scratch();
    gn_image image = {0};
    gn_image_info info;
    genet_error err;
    char hex[65];
    gn_preprocess p = rules(mindspore);
    decode_or_fail(d, bytes, n, (gn_decode_options){.exif = true, .mindspore = mindspore}, &image, &info);
    hash_pixels(image.rgb, (size_t)image.width * (size_t)image.height, hex);
    if (strcmp(hex, decoded) != 0)
        fail_msg("%s: decoded pixels differ (%d x %d)", name, image.width, image.height);
    if (gn_prepare(s, bytes, n, &p, NULL, 1, 0, 0, out, &info, &err) != GENET_OK)
        fail_msg("%s: %s", name, err.text);
    hash_pixels(out, 224 * 224, hex);
    if (strcmp(hex, prepared) != 0)
        fail_msg("%s: prepared pixels differ", name);
    gn_image_free(&image);
    gn_prepare_scratch_free(s);
    gn_decoder_free(d);
    gn_free(out);
    gn_free(bytes);
}

/* A box of the upright picture resized to 224 x 224: through gn_resize of the whole, and through gn_decode_box. */
static void check_box(const char *folder, const char *name, gn_box box, bool mindspore, const char *want)
{
    size_t n;
    unsigned char *bytes = read_picture(folder, name, &n);
    gn_decoder *d = new_decoder();
    gn_image whole = {0}, cut = {0}, out = {0}, scratch = {0};
    gn_decode_options o = {.exif = true, .mindspore = mindspore};
    gn_filter filter = mindspore ? GN_FILTER_BILINEAR : GN_FILTER_TRIANGLE;
    genet_error err;
    float part[4];
    char hex[65];
    decode_or_fail(d, bytes, n, o, &whole, NULL);
    assert_int_equal(gn_resize(&whole, box, 224, 224, filter, &out, &scratch, &err), GENET_OK);
    hash_pixels(out.rgb, 224 * 224, hex);
    if (strcmp(hex, want) != 0)
        fail_msg("%s: box %d,%d %d x %d differs", name, box.left, box.top, box.width, box.height);
    assert_int_equal(gn_decode_box(d, bytes, n, &o, box, 224, 224, &cut, part, &err), GENET_OK);
    gn_box all = {0, 0, cut.width, cut.height};
    assert_int_equal(gn_resize(&cut, all, 224, 224, filter, &out, &scratch, &err), GENET_OK);
    hash_pixels(out.rgb, 224 * 224, hex);
    if (strcmp(hex, want) != 0)
        fail_msg("%s: the same box decoded alone differs", name);
    gn_image_free(&whole);
    gn_image_free(&cut);
    gn_image_free(&out);
    gn_image_free(&scratch);
    gn_decoder_free(d);
    gn_free(bytes);
}

/* Refused under the published rules, with GENET_DATA and one line that holds `says`. */
static void check_refused(const char *folder, const char *name, const char *says)
{
    size_t n;
    unsigned char *bytes = read_picture(folder, name, &n);
    gn_decoder *d = new_decoder();
    gn_image image = {0};
    gn_decode_options o = {.mindspore = true};
    genet_error err = {0};
    if (gn_decode(d, bytes, n, &o, &image, NULL, &err) != GENET_DATA)
        fail_msg("%s was not refused", name);
    if (!strstr(err.text, says) || strchr(err.text, '\n'))
        fail_msg("%s: the message does not hold \"%s\": %s", name, says, err.text);
    gn_image_free(&image);
    gn_decoder_free(d);
    gn_free(bytes);
}

static const char *reason(const char *name)
{
    return strstr(name, ".gif") ? "GIF" : strstr(name, ".webp") ? "WebP is refused" : strstr(name, ".bmp") ? "BMP"
                                                                                   : "truncated";
}

static void check_list(const json_t *list, bool mindspore)
{
    size_t i;
    json_t *e;
    assert_true(json_array_size(list) > 0);
    json_array_foreach(list, i, e)
        check_file(PICTURES, text_of(e, "file"), mindspore, text_of(e, "decoded_sha256"), text_of(e, "prepared_sha256"));
}

static void subset(void **state)
{
    (void)state;
    json_t *root = load(PICTURES, "answers.json");
    check_list(json_object_get(root, "genet"), false);
    check_list(json_object_get(root, "mindspore"), true);
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(root, "refused"), i, e)
        check_refused(PICTURES, json_string_value(e), reason(json_string_value(e)));
    json_decref(root);
}

static void apply(const char *name, double value, unsigned char *rgb, unsigned char *scratch)
{
    static const char *const names[GN_RANDAUG_COUNT] = {
        "identity", "shear-x", "shear-y", "translate-x", "translate-y", "rotate", "brightness", "color", "contrast",
        "sharpness", "posterize", "solarize", "autocontrast", "equalize"};
    for (int op = 0; op < GN_RANDAUG_COUNT; op++)
        if (strcmp(name, names[op]) == 0) {
            gn_randaug_apply((gn_randaug_op)op, value, rgb, 224, 224, scratch);
            return;
        }
    assert_string_equal(name, "hue");
    gn_colour_hue(rgb, 224 * 224, (unsigned char)value);
}

static void operations(void **state)
{
    (void)state;
    json_t *root = load(PICTURES, "answers.json"), *list = json_object_get(root, "operations"), *e;
    size_t n, i, bytes_out = 224 * 224 * 3;
    unsigned char *bytes = read_picture(PICTURES, "photo0.jpg", &n);
    unsigned char *photo = gn_calloc(bytes_out, 1), *rgb = gn_calloc(bytes_out, 1), *scratch = gn_calloc(bytes_out, 1);
    gn_prepare_scratch *s = new_scratch();
    gn_preprocess p = rules(false);
    genet_error err;
    char hex[65];
    assert_int_equal(gn_prepare(s, bytes, n, &p, NULL, 1, 0, 0, photo, NULL, &err), GENET_OK);
    assert_int_equal(json_array_size(list), GN_RANDAUG_COUNT); /* all but the identity, and hue */
    json_array_foreach(list, i, e) {
        memcpy(rgb, photo, bytes_out);
        apply(text_of(e, "name"), json_number_value(json_object_get(e, "value")), rgb, scratch);
        hash_pixels(rgb, 224 * 224, hex);
        if (strcmp(hex, text_of(e, "sha256")) != 0)
            fail_msg("%s differs from Pillow's", text_of(e, "name"));
    }
    gn_prepare_scratch_free(s);
    gn_free(photo);
    gn_free(rgb);
    gn_free(scratch);
    gn_free(bytes);
    json_decref(root);
}

static void pytorch(void **state)
{
    (void)state;
    const char *shared = shared_folder();
    if (!shared)
        skip();
    char *folder = gn_path_join(shared, "golden/pytorch"), *source = gn_path_join(folder, "image/source");
    json_t *root = load(folder, "images.json"), *e;
    size_t i;
    assert_int_equal(json_array_size(json_object_get(root, "images")), 19);
    json_array_foreach(json_object_get(root, "images"), i, e)
        check_file(source, base_name(text_of(e, "source")), false, text_of(e, "decoded_sha256"),
                   text_of(e, "prepared_sha256"));
    json_array_foreach(json_object_get(root, "boxes"), i, e) {
        gn_box box = {int_of(e, "left"), int_of(e, "top"), int_of(e, "width"), int_of(e, "height")};
        check_box(source, base_name(text_of(e, "source")), box, false, text_of(e, "prepared_sha256"));
    }
    json_decref(root);
    gn_free(folder);
    gn_free(source);
}

static int mindspore_pictures(const char *source, const json_t *images)
{
    const char *name;
    json_t *e;
    int exact = 0;
    json_object_foreach((json_t *)images, name, e) {
        json_t *decode = json_object_get(e, "decode");
        /* MindSpore decodes BMP; genet reads JPEG, PNG and WebP only and says so. */
        if (!decode || strstr(name, ".bmp")) {
            check_refused(source, name, reason(name));
            continue;
        }
        check_file(source, name, true, text_of(decode, "sha256"), text_of(json_object_get(e, "resize_crop"), "sha256"));
        exact++;
    }
    return exact;
}

static void mindspore(void **state)
{
    (void)state;
    const char *shared = shared_folder();
    if (!shared)
        skip();
    char *folder = gn_path_join(shared, "golden/mindspore"), *source = gn_path_join(folder, "images");
    json_t *root = load(folder, "images.json"), *e;
    size_t i;
    assert_int_equal(mindspore_pictures(source, json_object_get(root, "images")), 19);
    json_array_foreach(json_object_get(root, "boxes"), i, e) {
        gn_box box = {int_of(e, "x"), int_of(e, "y"), int_of(e, "w"), int_of(e, "h")};
        check_box(source, text_of(e, "source"), box, true, text_of(e, "sha256"));
    }
    json_decref(root);
    gn_free(folder);
    gn_free(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subset), cmocka_unit_test(operations), cmocka_unit_test(pytorch), cmocka_unit_test(mindspore),
    };
    return cmocka_run_group_tests_name("image golden", tests, NULL, NULL);
}
