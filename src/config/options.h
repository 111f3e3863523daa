/* SPDX-License-Identifier: Apache-2.0
 * The table made from options.def: what is public of an option, and where its value lies in gn_settings. */
#ifndef GN_CONFIG_OPTIONS_H
#define GN_CONFIG_OPTIONS_H
#include "config/settings.h"
#include "genet/config.h"

typedef struct gn_option {
    genet_option shown;
    size_t offset;       /* of the value in gn_settings */
    int64_t least, most; /* INT: the range, exactly */
} gn_option;

/* id < GN_OPTION_COUNT. */
const gn_option *gn_option_at(size_t id);
/* The option of this key, or NULL. */
const gn_option *gn_option_find(const char *key, size_t *id);

/* Position of `word` among "a|b|c", or -1. */
int gn_choice_find(const char *choices, const char *word);
/* Word number `index` of "a|b|c" and its length; NULL past the end. */
const char *gn_choice_at(const char *choices, int index, size_t *length);

/* Checks text against the option's type and range and stores it; GENET_USAGE with a message that starts with origin.
 * A LIST appends. */
genet_status gn_value_set(gn_settings *s, const gn_option *option, const char *value, const char *origin,
                          genet_error *err);
/* Releases what a TEXT or LIST holds and leaves it empty. */
void gn_value_clear(gn_settings *s, const gn_option *option);
/* The value's text: numbers shortest, choices by name, flags true or false, lists joined by ", ". */
void gn_value_text(const gn_settings *s, const gn_option *option, gn_text *out);
bool gn_value_equal(const gn_settings *a, const gn_settings *b, const gn_option *option);
/* Makes `to` hold what `from` holds. */
genet_status gn_value_copy(gn_settings *to, const gn_settings *from, const gn_option *option, genet_error *err);
#endif
