/* SPDX-License-Identifier: Apache-2.0
 * Settings: the table holds together, values are refused with a text that helps, JSON comes back exactly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/options.h"
#include "config/settings.h"

static gn_settings *make(void)
{
    gn_settings *s = NULL;
    assert_int_equal(gn_settings_create(&s, NULL), GENET_OK);
    return s;
}

static void set(gn_settings *s, const char *key, const char *value)
{
    genet_error err = {0};
    if (gn_settings_set(s, key, value, NULL, &err) != GENET_OK)
        fail_msg("%s", err.text);
}

/* Every key is well formed and unique; every default and both ends of every range are allowed, one beyond is not. */
static void table(void **state)
{
    (void)state;
    gn_settings *s = make();
    assert_int_equal(genet_option_count(), GN_OPTION_COUNT);
    assert_null(genet_option_at(genet_option_count()));
    for (size_t i = 0; i < genet_option_count(); i++) {
        const gn_option *o = gn_option_at(i);
        const genet_option *shown = genet_option_at(i);
        size_t id;
        assert_true(gn_option_find(shown->key, &id) == o && id == i);
        assert_int_equal(strspn(shown->key, "abcdefghijklmnopqrstuvwxyz-"), strlen(shown->key));
        assert_true(*shown->commands && strspn(shown->commands, "TEPDBIXMQ") == strlen(shown->commands));
        assert_true(*shown->help && shown->help[strlen(shown->help) - 1] != '.');
        if (shown->type != GENET_OPTION_LIST)
            set(s, shown->key, shown->default_text);
        if (shown->type == GENET_OPTION_INT && i != GN_OPTION_depth) {
            char *low = gn_asprintf("%lld", (long long)o->least), *high = gn_asprintf("%lld", (long long)o->most);
            set(s, shown->key, low);
            set(s, shown->key, high);
            gn_free(low);
            gn_free(high);
            assert_int_equal(gn_settings_set(s, shown->key, "-1", NULL, NULL), GENET_USAGE);
            if (o->most < INT64_MAX) {
                high = gn_asprintf("%lld", (long long)o->most + 1);
                assert_int_equal(gn_settings_set(s, shown->key, high, NULL, NULL), GENET_USAGE);
                gn_free(high);
            }
        }
        if (shown->type == GENET_OPTION_REAL) {
            char buf[32];
            set(s, shown->key, gn_format_real(buf, shown->minimum));
            set(s, shown->key, gn_format_real(buf, shown->maximum));
            assert_int_equal(gn_settings_set(s, shown->key, gn_format_real(buf, shown->maximum * 1.001), NULL, NULL),
                             GENET_USAGE);
            assert_int_equal(gn_settings_set(s, shown->key, "-0.0001", NULL, NULL), GENET_USAGE);
        }
        if (shown->type == GENET_OPTION_CHOICE)
            assert_true(gn_choice_find(shown->choices, shown->default_text) >= 0);
    }
    gn_settings_free(s);
}

static void defaults(void **state)
{
    (void)state;
    gn_settings *s = make();
    assert_int_equal(s->epochs, 90);
    assert_true(s->rate == 0.1 && s->decay == 1e-4 && s->aspect_max == 4.0 / 3.0);
    assert_true(s->exif && !s->strict);
    assert_string_equal(s->data, "");
    assert_string_equal(s->checkpoint_every, "1epoch");
    assert_int_equal(s->schedule, GN_CHOICE_SCHEDULE_COSINE);
    assert_int_equal(s->amp, GN_CHOICE_AMP_AUTO);
    assert_int_equal(s->preprocess, GN_CHOICE_PREPROCESS_AUTO);
    assert_int_equal(s->init, GN_CHOICE_INIT_AUTO);
    assert_int_equal(s->class_names, GN_CHOICE_CLASS_NAMES_PATH);
    assert_int_equal(s->cap.count, 0);
    for (int i = 0; i < GN_OPTION_COUNT; i++)
        assert_false(gn_settings_given(s, (gn_option_id)i));
    gn_settings_free(s);
}

/* The enums of settings.h stand in the order of options.def. */
static void choices(void **state)
{
    (void)state;
    static const struct {
        const char *key, *word;
        int position;
    } expected[] = {{"schedule", "linear", GN_CHOICE_SCHEDULE_LINEAR},
                    {"schedule", "linear-cosine", GN_CHOICE_SCHEDULE_LINEAR_COSINE},
                    {"schedule", "step", GN_CHOICE_SCHEDULE_STEP},
                    {"schedule", "constant", GN_CHOICE_SCHEDULE_CONSTANT},
                    {"amp", "off", GN_CHOICE_AMP_OFF},
                    {"amp", "bf16", GN_CHOICE_AMP_BF16},
                    {"preprocess", "genet", GN_CHOICE_PREPROCESS_GENET},
                    {"preprocess", "mindspore", GN_CHOICE_PREPROCESS_MINDSPORE},
                    {"init-scheme", "torch", GN_CHOICE_INIT_TORCH},
                    {"init-scheme", "mindspore", GN_CHOICE_INIT_MINDSPORE},
                    {"class-names", "leaf", GN_CHOICE_CLASS_NAMES_LEAF}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(gn_choice_find(gn_option_find(expected[i].key, NULL)->shown.choices, expected[i].word),
                         expected[i].position);
}

static void setting(void **state)
{
    (void)state;
    gn_settings *s = make();
    set(s, "epochs", "12");
    set(s, "rate", "2.5e-1");
    set(s, "strict", "yes");
    set(s, "exif", "off");
    set(s, "schedule", "linear-cosine");
    set(s, "data", "a folder");
    set(s, "data", "another");
    set(s, "cap", "other=2262");
    set(s, "cap", "a=b=0");
    set(s, "seed", "9223372036854775807");
    assert_int_equal(s->epochs, 12);
    assert_true(s->rate == 0.25 && s->strict && !s->exif && s->seed == INT64_MAX);
    assert_int_equal(s->schedule, GN_CHOICE_SCHEDULE_LINEAR_COSINE);
    assert_string_equal(s->data, "another");
    assert_int_equal(s->cap.count, 2);
    assert_string_equal(s->cap.items[1], "a=b=0");
    assert_true(gn_settings_given(s, GN_OPTION_epochs) && !gn_settings_given(s, GN_OPTION_batch));
    static const char *const texts[][2] = {{"epochs", "12"},
                                           {"rate", "0.25"},
                                           {"strict", "true"},
                                           {"exif", "false"},
                                           {"schedule", "linear-cosine"},
                                           {"cap", "other=2262, a=b=0"},
                                           {"step-epochs", ""}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *text = gn_settings_get(s, texts[i][0]);
        assert_string_equal(text, texts[i][1]);
        gn_free(text);
    }
    assert_null(gn_settings_get(s, "nothing"));
    gn_settings_free(s);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"epoch", "3", "epoch: unknown key; did you mean epochs?"},
        {"label_smoothing", "3", "label_smoothing: unknown key; did you mean label-smoothing?"},
        {"frobnicate", "3", "frobnicate: unknown key"},
        {"epochs", "abc", "epochs: \"abc\" is not a whole number (digits only); allowed is 1 to 100000"},
        {"epochs", "1.5", "epochs: \"1.5\" is not a whole number; allowed is 1 to 100000"},
        {"epochs", "", "epochs: \"\" is not a whole number (digits only); allowed is 1 to 100000"},
        {"epochs", "3 ", "epochs: \"3 \" is not a whole number (digits only); allowed is 1 to 100000"},
        {"epochs", "0", "epochs: 0 is out of range: allowed is 1 to 100000 (nearest: 1)"},
        {"epochs", "99999999999999999999",
         "epochs: 99999999999999999999 is out of range: allowed is 1 to 100000 (nearest: 100000)"},
        {"seed", "9223372036854775808",
         "seed: 9223372036854775808 is out of range: allowed is 0 to 9223372036854775807 (nearest: "
         "9223372036854775807)"},
        {"rate", "fast", "rate: \"fast\" is not a number; allowed is 0 to 1000"},
        {"rate", "0,1", "rate: \"0,1\" is not a number (write a point, not a comma); allowed is 0 to 1000"},
        {"rate", "nan", "rate: \"nan\" is not a number; allowed is 0 to 1000"},
        {"rate", "inf", "rate: \"inf\" is not a number; allowed is 0 to 1000"},
        {"rate", "1e999", "rate: \"1e999\" is not a number; allowed is 0 to 1000"},
        {"momentum", "1", "momentum: 1 is out of range: allowed is 0 to 0.9999 (nearest: 0.9999)"},
        {"strict", "maybe", "strict: \"maybe\" is neither true nor false (yes/no and on/off are fine too)"},
        {"schedule", "cosin",
         "schedule: \"cosin\" is not allowed: cosine, linear, linear-cosine, step or constant (did you mean cosine?)"},
        {"form", "x", "form: \"x\" is not allowed: paper or mindspore"},
        {"form", "", "form: \"\" is not allowed: paper or mindspore"},
        {"depth", "34", "depth: a ResNet of 34 layers is not known: 26, 50, 101 or 152"},
        {"depth", "18", "depth: 18 is out of range: allowed is 26 to 152 (nearest: 26)"},
        {"cap", "other", "cap: \"other\" is not of the form CLASS=N, as in other=2262"},
        {"cap", "=5", "cap: \"=5\" is not of the form CLASS=N, as in other=2262"},
        {"cap", "other=-1", "cap: \"other=-1\" is not of the form CLASS=N, as in other=2262"},
        {"step-epochs", "0", "step-epochs: \"0\" is not an epoch: a whole number from 1 to 100000"},
        {"checkpoint-every", "5",
         "checkpoint-every: \"5\" is not an interval: write 500steps, 10min, 30s, 2h or 1epoch"},
        {"isa", "avx", "isa: \"avx\" is not allowed: sse4, avx2 or avx512 (did you mean avx2?)"},
    };
    gn_settings *s = make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        genet_error err = {0};
        assert_int_equal(gn_settings_set(s, cases[i][0], cases[i][1], NULL, &err), GENET_USAGE);
        assert_string_equal(err.text, cases[i][2]);
    }
    for (int i = 0; i < GN_OPTION_COUNT; i++)
        assert_false(gn_settings_given(s, (gn_option_id)i));
    assert_int_equal(s->epochs, 90);
    genet_error err = {0};
    assert_int_equal(gn_settings_set(s, "epochs", "0", "--epochs", &err), GENET_USAGE);
    assert_memory_equal(err.text, "--epochs: 0 is", 14);
    gn_settings_free(s);
}

static void intervals(void **state)
{
    (void)state;
    gn_interval v;
    assert_true(gn_parse_interval("500steps", &v) && v.steps == 500 && v.seconds == 0 && v.epochs == 0);
    assert_true(gn_parse_interval("1step", &v) && v.steps == 1);
    assert_true(gn_parse_interval("10min", &v) && v.seconds == 600 && v.steps == 0);
    assert_true(gn_parse_interval("2h", &v) && v.seconds == 7200);
    assert_true(gn_parse_interval("3epochs", &v) && v.epochs == 3 && v.seconds == 0);
    static const char *const bad[] = {"", "epoch", "0steps", "-1s", "1 s", "1.5h", "10minutes", "9999999999s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(gn_parse_interval(bad[i], &v));
}

static void together(void **state)
{
    (void)state;
    static const char *const bad[][8] = {
        /* up to three pairs, then what the message holds */
        {"crop-area-min", "0.5", "crop-area-max", "0.4", NULL, NULL,
         "--crop-area-min 0.5 is larger than --crop-area-max 0.4"},
        {"crop-aspect-min", "2", NULL, NULL, NULL, NULL, "--crop-aspect-min 2"},
        {"rate-end", "0.2", NULL, NULL, NULL, NULL, "--rate-end 0.2 is larger than --rate 0.1"},
        {"warmup", "6", "epochs", "5", NULL, NULL, "6 epochs of warm-up do not fit into a run of 5 epochs"},
        {"val", "x", "val-split", "0.1", NULL, NULL, "--val and --val-split"},
        {"merge-classes", "true", NULL, NULL, NULL, NULL, "--class-names leaf"},
        {"freeze-body", "true", NULL, NULL, NULL, NULL, "--init MODEL"},
        {"force-resume", "true", NULL, NULL, NULL, NULL, "--resume FOLDER"},
        {"resume", "a", "init", "b", NULL, NULL, "--resume and --init"},
        {"schedule", "step", NULL, NULL, NULL, NULL, "--step-epochs 30"},
        {"schedule", "step", "step-epochs", "90", NULL, NULL, "90 lies outside the run of 90 epochs"},
        {"schedule", "step", "step-epochs", "30", "step-epochs", "30", "30 follows 30"},
        {"batch", "65536", "accumulate", "257", NULL, NULL, "16777216"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gn_settings *s = make();
        genet_error err = {0};
        assert_int_equal(gn_settings_check(s, &err), GENET_OK);
        for (int k = 0; k < 6 && bad[i][k]; k += 2)
            set(s, bad[i][k], bad[i][k + 1]);
        assert_int_equal(gn_settings_check(s, &err), GENET_USAGE);
        if (!strstr(err.text, bad[i][6]))
            fail_msg("\"%s\" lacks \"%s\"", err.text, bad[i][6]);
        gn_settings_free(s);
    }
    gn_settings *s = make();
    assert_true(gn_settings_warmup(s) == 5);
    set(s, "epochs", "5");
    assert_true(gn_settings_warmup(s) == 1);
    assert_int_equal(gn_settings_check(s, NULL), GENET_OK);
    set(s, "warmup", "4");
    assert_true(gn_settings_warmup(s) == 4);
    gn_settings_free(s);
}

/* Settings with every kind of value away from its default, bytes that are not UTF-8 among them. */
static gn_settings *unusual(void)
{
    gn_settings *s = make();
    set(s, "epochs", "7");
    set(s, "warmup", "0.5");
    set(s, "rate", "0.30000000000000004");
    set(s, "weight-decay", "1e-17");
    set(s, "exif", "false");
    set(s, "schedule", "step");
    set(s, "data", "caf\xc3\xa9/\xff\"\\\n");
    set(s, "val", "\xe9");
    set(s, "cap", "\xfe=1");
    set(s, "cap", "plain=2");
    set(s, "step-epochs", "3");
    set(s, "seed", "9223372036854775807");
    set(s, "max-pixels", "4294967295");
    return s;
}

static void assert_same(const gn_settings *a, const gn_settings *b)
{
    for (size_t i = 0; i < GN_OPTION_COUNT; i++)
        if (!gn_value_equal(a, b, gn_option_at(i)))
            fail_msg("%s differs", gn_option_at(i)->shown.key);
}

static void copies(void **state)
{
    (void)state;
    gn_settings *s = unusual(), *t = NULL, *u = make();
    assert_int_equal(gn_settings_copy(&t, s, NULL), GENET_OK);
    assert_same(s, t);
    for (int i = 0; i < GN_OPTION_COUNT; i++)
        assert_int_equal(gn_settings_given(s, (gn_option_id)i), gn_settings_given(t, (gn_option_id)i));
    set(u, "epochs", "9");
    assert_int_equal(gn_settings_adopt(u, s, NULL), GENET_OK);
    assert_int_equal(u->epochs, 9);
    set(u, "epochs", "7");
    assert_same(s, u);
    gn_settings_free(s);
    gn_settings_free(t);
    gn_settings_free(u);
}

static void json_round_trip(void **state)
{
    (void)state;
    gn_settings *s = unusual(), *t = make();
    gn_text json = {0}, again = {0};
    genet_error err = {0};
    gn_settings_json(s, false, &json);
    assert_false(json.failed);
    if (gn_settings_from_json(t, json.data, &err) != GENET_OK)
        fail_msg("%s", err.text);
    assert_same(s, t);
    gn_settings_json(t, false, &again);
    assert_string_equal(json.data, again.data);
    assert_true(gn_settings_given(t, GN_OPTION_batch));
    /* Reading replaces lists, it does not append. */
    assert_int_equal(gn_settings_from_json(t, json.data, &err), GENET_OK);
    assert_same(s, t);
    gn_text_free(&json);
    gn_settings_json(s, true, &json);
    assert_non_null(strstr(json.data, "\"epochs\": 7"));
    assert_null(strstr(json.data, "\"data\""));
    gn_text_free(&json);
    gn_text_free(&again);
    gn_settings_free(s);
    gn_settings_free(t);
}

/* A warm-up shortened because it was not given is stored as it came out, and a resumed run keeps it. */
static void warmup_is_resumed(void **state)
{
    (void)state;
    static const char *const given[][3] = {{"epochs", "10", "2"}, {"warmup", "40", "40"}, {"batch", "8", "5"}};
    for (int i = 0; i < 3; i++) {
        gn_settings *s = make(), *stored = make(), *resumed = make();
        gn_text json = {0};
        set(s, given[i][0], given[i][1]);
        gn_settings_json(s, false, &json);
        assert_int_equal(gn_settings_from_json(stored, json.data, NULL), GENET_OK);
        assert_int_equal(gn_settings_adopt(resumed, stored, NULL), GENET_OK);
        double expected = strtod(given[i][2], NULL);
        assert_true(gn_settings_warmup(s) == expected && gn_settings_warmup(resumed) == expected);
        assert_int_equal(gn_settings_differences(stored, resumed, NULL), 0);
        gn_text_free(&json);
        gn_settings_free(s);
        gn_settings_free(stored);
        gn_settings_free(resumed);
    }
}

static void json_refusals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "not JSON"},
        {"{\"epochs\": 3", "not JSON"},
        {"[1]", "not a JSON object"},
        {"{\"epoch\": 3}", "does not know: epoch"},
        {"{\"epochs\": 3, \"epochs\": 4}", "not JSON"},
        {"{\"epochs\": \"3\"}", "stored settings: epochs: not a whole number"},
        {"{\"epochs\": 0}", "stored settings: epochs: 0 is out of range"},
        {"{\"rate\": null}", "stored settings: rate: not a number"},
        {"{\"exif\": 1}", "stored settings: exif: neither true nor false"},
        {"{\"schedule\": \"x\"}", "stored settings: schedule: \"x\" is not allowed"},
        {"{\"data\": 3}", "stored settings: data: not a text"},
        {"{\"data\": {\"hex\": \"0g\"}}", "stored settings: data: not a text"},
        {"{\"data\": {\"hex\": \"410\"}}", "stored settings: data: not a text"},
        {"{\"data\": {\"hex\": \"4100\"}}", "stored settings: data: not a text"},
        {"{\"cap\": \"a=1\"}", "stored settings: cap: not a list"},
        {"{\"cap\": [\"a\"]}", "stored settings: cap: \"a\" is not of the form"},
    };
    gn_settings *s = make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        genet_error err = {0};
        assert_int_equal(gn_settings_from_json(s, cases[i][0], &err), GENET_FORMAT);
        assert_int_equal(err.status, GENET_FORMAT);
        if (!strstr(err.text, cases[i][1]))
            fail_msg("\"%s\" lacks \"%s\"", err.text, cases[i][1]);
        assert_int_equal(gn_settings_from_json(s, cases[i][0], NULL), GENET_FORMAT);
    }
    gn_settings_free(s);
}

static void differences(void **state)
{
    (void)state;
    gn_settings *a = make(), *b = make();
    gn_text out = {0};
    assert_int_equal(gn_settings_differences(a, b, &out), 0);
    set(b, "out", "elsewhere");
    set(b, "threads", "3");
    assert_int_equal(gn_settings_differences(a, b, &out), 0);
    set(b, "epochs", "91");
    set(b, "cap", "x=1");
    assert_int_equal(gn_settings_differences(a, b, &out), 2);
    assert_string_equal(out.data, "cap:  -> x=1\nepochs: 90 -> 91\n");
    gn_text_free(&out);
    gn_settings_free(a);
    gn_settings_free(b);
}

static void public_face(void **state)
{
    (void)state;
    genet_config *c = NULL;
    genet_error err = {0};
    char value[8];
    assert_int_equal(genet_config_create(&c, &err), GENET_OK);
    assert_int_equal(genet_config_set(c, "epochs", "12", &err), GENET_OK);
    assert_int_equal(genet_config_get(c, "epochs", value, sizeof value, &err), GENET_OK);
    assert_string_equal(value, "12");
    assert_int_equal(genet_config_get(c, "schedule", value, 4, &err), GENET_OK);
    assert_string_equal(value, "cos");
    assert_int_equal(genet_config_get(c, "epoch", value, sizeof value, &err), GENET_USAGE);
    assert_non_null(strstr(err.text, "did you mean epochs?"));
    assert_int_equal(genet_config_set(c, "batch", "0", &err), GENET_USAGE);
    assert_int_equal(genet_config_check(c, &err), GENET_OK);
    assert_int_equal(gn_config_settings(c)->epochs, 12);
    char *json = genet_config_json(c);
    assert_non_null(strstr(json, "\"epochs\": 12"));
    genet_free(json);
    genet_config_free(c);
    genet_config_free(NULL);
}

/* The n-th allocation fails, for every n: GENET_MEMORY and nothing lost (the sanitizers look). */
static void every_allocation_fault(void **state)
{
    (void)state;
    gn_settings *s = unusual();
    for (int64_t n = 1;; n++) {
        gn_settings *t = NULL;
        genet_error err = {0};
        gn_fault_arm(GN_FAULT_ALLOCATION, n);
        genet_status status = gn_settings_copy(&t, s, &err);
        bool fired = gn_fault_fired() > 0;
        gn_fault_disarm();
        gn_settings_free(t);
        if (!fired) {
            assert_int_equal(status, GENET_OK);
            assert_true(n > 20);
            break;
        }
        assert_int_equal(status, GENET_MEMORY);
        assert_null(t);
    }
    gn_text json = {0};
    gn_settings_json(s, false, &json);
    for (int64_t n = 1;; n++) {
        gn_settings *t = make();
        gn_fault_arm(GN_FAULT_ALLOCATION, n);
        genet_status status = gn_settings_from_json(t, json.data, NULL);
        bool fired = gn_fault_fired() > 0;
        gn_fault_disarm();
        gn_settings_free(t);
        assert_int_equal(status, fired ? GENET_MEMORY : GENET_OK);
        if (!fired)
            break;
    }
    gn_text_free(&json);
    gn_settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(defaults),
        cmocka_unit_test(choices),
        cmocka_unit_test(setting),
        cmocka_unit_test(refusals),
        cmocka_unit_test(intervals),
        cmocka_unit_test(together),
        cmocka_unit_test(copies),
        cmocka_unit_test(json_round_trip),
        cmocka_unit_test(json_refusals),
        cmocka_unit_test(differences),
        cmocka_unit_test(public_face),
        cmocka_unit_test(warmup_is_resumed),
        cmocka_unit_test(every_allocation_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
