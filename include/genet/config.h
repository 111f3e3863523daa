/* SPDX-License-Identifier: Apache-2.0
 * Settings by key and text value; keys are those of the command line and of recipe files. */
#ifndef GENET_CONFIG_H
#define GENET_CONFIG_H
#include <stddef.h>
#include "genet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct genet_config genet_config;

/* All options at their defaults. Free with genet_config_free (NULL is fine). */
GENET_API genet_status genet_config_create(genet_config **config, genet_error *error);
GENET_API void genet_config_free(genet_config *config);
/* "epochs", "90". Unknown key, wrong type, value out of range: GENET_USAGE, with the nearest valid one in the text. */
GENET_API genet_status genet_config_set(genet_config *config, const char *key, const char *value, genet_error *error);
/* Reads a recipe (YAML mapping). Options set before win over the recipe's. */
GENET_API genet_status genet_config_read_recipe(genet_config *config, const char *path, genet_error *error);
/* Whether the settings of a training fit together (crop-area-min <= crop-area-max, ...); genet_train checks it too. */
GENET_API genet_status genet_config_check(const genet_config *config, genet_error *error);
/* Copies the value's text into `value` (always terminated); GENET_USAGE for an unknown key. */
GENET_API genet_status genet_config_get(const genet_config *config, const char *key, char *value, size_t size,
                                        genet_error *error);
/* All settings as one JSON object; fresh memory, free with genet_free. NULL without memory. */
GENET_API char *genet_config_json(const genet_config *config);

typedef enum genet_option_type {
    GENET_OPTION_INT, GENET_OPTION_REAL, GENET_OPTION_FLAG, GENET_OPTION_TEXT, GENET_OPTION_CHOICE, GENET_OPTION_LIST
} genet_option_type;
/* One option of the table, in its order; static memory. minimum and maximum for numbers; choices "a|b|c". */
typedef struct genet_option {
    const char *key, *default_text, *metavar, *choices, *group, *help;
    const char *commands; /* letters: T train, E eval, P predict, D data, B bench, I info, X export, M import, Q quantize */
    genet_option_type type;
    double minimum, maximum;
    int changes_result;
} genet_option;
GENET_API size_t genet_option_count(void);
GENET_API const genet_option *genet_option_at(size_t index); /* NULL past the end */
/* The key closest to an unknown one among the options of a command (a letter of genet_option.commands; 0: of any), or NULL. */
GENET_API const char *genet_option_nearest(const char *key, char command);

/* Frees memory that the library handed out. */
GENET_API void genet_free(void *block);

#ifdef __cplusplus
}
#endif
#endif
