/* SPDX-License-Identifier: Apache-2.0
 * The table of options, expanded from options.def. Constant. */
#include "config/options.h"
#include <string.h>

#define GROUP_DATA "Data"
#define GROUP_NETWORK "Network"
#define GROUP_OPTIMISER "Optimisation"
#define GROUP_PIXELS "Pixels"
#define GROUP_RUN "The run"
#define GROUP_MODEL "Model"
#define GROUP_OUTPUT "Output"
#define GROUP_EXPORT "Export and import"
#define GROUP_QUANTIZE "8-bit quantisation"
#define EFFECT_RESULT 1
#define EFFECT_RUN 0

static const gn_option table[GN_OPTION_COUNT] = {
#define INT(name, key, start_, low, high, metavar, commands, group, effect, help)                                     \
    {{key, #start_, metavar, "", GROUP_##group, help, commands, GENET_OPTION_INT, (double)(low), (double)(high),      \
      EFFECT_##effect}, offsetof(gn_settings, name), low, high},
#define REAL(name, key, start_, low, high, metavar, commands, group, effect, help)                                    \
    {{key, #start_, metavar, "", GROUP_##group, help, commands, GENET_OPTION_REAL, low, high, EFFECT_##effect},       \
     offsetof(gn_settings, name), 0, 0},
#define FLAG(name, key, start_, commands, group, effect, help)                                                        \
    {{key, (start_) ? "true" : "false", "", "", GROUP_##group, help, commands, GENET_OPTION_FLAG, 0, 1,               \
      EFFECT_##effect}, offsetof(gn_settings, name), 0, 1},
#define TEXT(name, key, start_, metavar, commands, group, effect, help)                                               \
    {{key, start_, metavar, "", GROUP_##group, help, commands, GENET_OPTION_TEXT, 0, 0, EFFECT_##effect},             \
     offsetof(gn_settings, name), 0, 0},
#define CHOICE(name, key, start_, choices, commands, group, effect, help)                                             \
    {{key, start_, "", choices, GROUP_##group, help, commands, GENET_OPTION_CHOICE, 0, 0, EFFECT_##effect},           \
     offsetof(gn_settings, name), 0, 0},
#define LIST(name, key, metavar, commands, group, effect, help)                                                       \
    {{key, "", metavar, "", GROUP_##group, help, commands, GENET_OPTION_LIST, 0, 0, EFFECT_##effect},                 \
     offsetof(gn_settings, name), 0, 0},
#include "config/options.def"
#undef INT
#undef REAL
#undef FLAG
#undef TEXT
#undef CHOICE
#undef LIST
};

const gn_option *gn_option_at(size_t id)
{
    return &table[id];
}

const gn_option *gn_option_find(const char *key, size_t *id)
{
    for (size_t i = 0; i < GN_OPTION_COUNT; i++)
        if (strcmp(table[i].shown.key, key) == 0) {
            if (id)
                *id = i;
            return &table[i];
        }
    return NULL;
}

const char *genet_option_nearest(const char *key, char letter)
{
    const char *keys[GN_OPTION_COUNT];
    size_t n = 0;
    for (size_t i = 0; i < GN_OPTION_COUNT; i++)
        if (!letter || strchr(table[i].shown.commands, letter))
            keys[n++] = table[i].shown.key;
    return gn_nearest(key, keys, n);
}

const char *gn_choice_at(const char *choices, int index, size_t *length)
{
    for (const char *at = choices; *at; index--) {
        size_t n = strcspn(at, "|");
        if (index == 0) {
            *length = n;
            return at;
        }
        at += n + (at[n] == '|');
    }
    return NULL;
}

int gn_choice_find(const char *choices, const char *word)
{
    size_t n, length = strlen(word);
    for (int i = 0;; i++) {
        const char *at = gn_choice_at(choices, i, &n);
        if (!at)
            return -1;
        if (n == length && memcmp(at, word, n) == 0)
            return i;
    }
}

size_t genet_option_count(void)
{
    return GN_OPTION_COUNT;
}

const genet_option *genet_option_at(size_t index)
{
    return index < GN_OPTION_COUNT ? &table[index].shown : NULL;
}
