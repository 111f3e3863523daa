/* SPDX-License-Identifier: Apache-2.0
 * Settings: one struct made from options.def, filled by the command line, a recipe or the public API, and checked
 * against the table's ranges. */
#ifndef GN_CONFIG_SETTINGS_H
#define GN_CONFIG_SETTINGS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"

typedef struct gn_string_list {
    char **items;
    int count;
} gn_string_list;

typedef struct gn_settings {
#define INT(name, ...) int64_t name;
#define REAL(name, ...) double name;
#define FLAG(name, ...) bool name;
#define TEXT(name, ...) char *name;
#define CHOICE(name, ...) int name; /* position in the list of choices */
#define LIST(name, ...) gn_string_list name;
#include "config/options.def"
#undef INT
#undef REAL
#undef FLAG
#undef TEXT
#undef CHOICE
#undef LIST
    bool *given; /* [option]: set by a user (command line, recipe, API), not by default */
} gn_settings;

/* Number of each option: GN_OPTION_epochs, ... */
typedef enum gn_option_id {
#define INT(name, ...) GN_OPTION_##name,
#define REAL(name, ...) GN_OPTION_##name,
#define FLAG(name, ...) GN_OPTION_##name,
#define TEXT(name, ...) GN_OPTION_##name,
#define CHOICE(name, ...) GN_OPTION_##name,
#define LIST(name, ...) GN_OPTION_##name,
#include "config/options.def"
#undef INT
#undef REAL
#undef FLAG
#undef TEXT
#undef CHOICE
#undef LIST
    GN_OPTION_COUNT
} gn_option_id;

/* Positions of the choices that C code switches on, in options.def's order. */
enum { GN_CHOICE_SCHEDULE_COSINE, GN_CHOICE_SCHEDULE_LINEAR, GN_CHOICE_SCHEDULE_LINEAR_COSINE, GN_CHOICE_SCHEDULE_STEP,
       GN_CHOICE_SCHEDULE_CONSTANT };
enum { GN_CHOICE_CALIBRATION_MSE, GN_CHOICE_CALIBRATION_MAX };
enum { GN_CHOICE_AMP_AUTO, GN_CHOICE_AMP_OFF, GN_CHOICE_AMP_BF16 };
enum { GN_CHOICE_PREPROCESS_AUTO, GN_CHOICE_PREPROCESS_GENET, GN_CHOICE_PREPROCESS_MINDSPORE };
enum { GN_CHOICE_CLASS_NAMES_PATH, GN_CHOICE_CLASS_NAMES_LEAF };
enum { GN_CHOICE_FORMAT_ONNX, GN_CHOICE_FORMAT_MINDIR, GN_CHOICE_FORMAT_MINDSPORE, GN_CHOICE_FORMAT_SAFETENSORS,
       GN_CHOICE_FORMAT_TORCHVISION, GN_CHOICE_FORMAT_TIMM, GN_CHOICE_FORMAT_AIR };
enum { GN_CHOICE_INIT_AUTO, GN_CHOICE_INIT_TORCH, GN_CHOICE_INIT_MINDSPORE };

genet_status gn_settings_create(gn_settings **s, genet_error *err); /* every option at its default */
genet_status gn_settings_copy(gn_settings **to, const gn_settings *from, genet_error *err);
void gn_settings_free(gn_settings *s);
/* Sets one option from text. Unknown key, wrong type and value out of range name the key, the value and the nearest
 * valid one. A LIST appends. origin ("--epochs", "recipe.yaml line 3") goes into the message. */
genet_status gn_settings_set(gn_settings *s, const char *key, const char *value, const char *origin, genet_error *err);
/* A flat YAML mapping of keys to scalars (or sequences for LIST options). Settings already given are not overwritten,
 * but the recipe's value is checked all the same. Errors are GENET_USAGE and name file, line, key and value. */
genet_status gn_settings_read_recipe(gn_settings *s, const char *path, genet_error *err);
/* The same for text in memory; name stands for the file in messages. */
genet_status gn_settings_parse_recipe(gn_settings *s, const char *name, const unsigned char *text, size_t bytes,
                                      genet_error *err);
/* What one option's range cannot say: crop-area-min <= crop-area-max, val against val-split, ... A training calls it
 * once, when all its settings are in. */
genet_status gn_settings_check(const gn_settings *s, genet_error *err);
/* Takes over from `from` every option that s was not given. For --resume: the stored settings, then what the user
 * changed. */
genet_status gn_settings_adopt(gn_settings *s, const gn_settings *from, genet_error *err);
/* Epochs of warm-up: "warmup" where given, otherwise its default but at most a fifth of the run. */
double gn_settings_warmup(const gn_settings *s);

/* An interval as checkpoint-every has it: one member is positive, the others 0. */
typedef struct gn_interval {
    int64_t steps;
    double seconds;
    int64_t epochs;
} gn_interval;
/* "500steps", "30s", "10min", "2h", "1epoch"; false for anything else. */
bool gn_parse_interval(const char *text, gn_interval *out);
/* All settings as a JSON object {"epochs": 90, ...}; only_result: those with effect RESULT. Warm-up as
 * gn_settings_warmup gives it. */
void gn_settings_json(const gn_settings *s, bool only_result, gn_text *out);
/* Reads back what gn_settings_json wrote; keys read become "given". GENET_FORMAT for anything else. */
genet_status gn_settings_from_json(gn_settings *s, const char *json, genet_error *err);
/* The options with effect RESULT in which a and b differ, one line each; returns their number. */
int gn_settings_differences(const gn_settings *a, const gn_settings *b, gn_text *out);
/* Value of one option as text (fresh memory, or NULL). */
char *gn_settings_get(const gn_settings *s, const char *key);
bool gn_settings_given(const gn_settings *s, gn_option_id id);
#endif
