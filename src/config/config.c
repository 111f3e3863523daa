/* SPDX-License-Identifier: Apache-2.0
 * The public face of the settings, and the library's version. */
#include "config/config.h"
#include <string.h>
#include "base/mem.h"
#include "config/options.h"
#include "genet/version.h"

struct genet_config {
    gn_settings *settings;
};

genet_status genet_config_create(genet_config **config, genet_error *error)
{
    genet_config *c = gn_calloc(1, sizeof *c);
    if (!c)
        return gn_fail_memory(error, sizeof *c, "a configuration");
    genet_status status = gn_settings_create(&c->settings, error);
    if (status == GENET_OK)
        *config = c;
    else
        gn_free(c);
    return status;
}

void genet_config_free(genet_config *config)
{
    if (config)
        gn_settings_free(config->settings);
    gn_free(config);
}

const gn_settings *gn_config_settings(const genet_config *config)
{
    return config->settings;
}

genet_status genet_config_set(genet_config *config, const char *key, const char *value, genet_error *error)
{
    return gn_settings_set(config->settings, key, value, NULL, error);
}

genet_status genet_config_read_recipe(genet_config *config, const char *path, genet_error *error)
{
    return gn_settings_read_recipe(config->settings, path, error);
}

genet_status genet_config_check(const genet_config *config, genet_error *error)
{
    return gn_settings_check(config->settings, error);
}

genet_status genet_config_get(const genet_config *config, const char *key, char *value, size_t size, genet_error *error)
{
    if (!gn_option_find(key, NULL)) {
        const char *nearest = genet_option_nearest(key, 0);
        return gn_fail(error, GENET_USAGE, "%s: unknown key%s%s%s", key, nearest ? "; did you mean " : "",
                       nearest ? nearest : "", nearest ? "?" : "");
    }
    char *text = gn_settings_get(config->settings, key);
    if (!text)
        return gn_fail_memory(error, 0, key);
    if (size > 0) {
        size_t n = strlen(text) < size ? strlen(text) : size - 1;
        memcpy(value, text, n);
        value[n] = 0;
    }
    gn_free(text);
    return GENET_OK;
}

char *genet_config_json(const genet_config *config)
{
    gn_text text = {0};
    gn_settings_json(config->settings, false, &text);
    if (text.failed)
        gn_text_free(&text);
    return text.data;
}

void genet_free(void *block)
{
    gn_free(block);
}

const char *genet_version(void)
{
    return GENET_VERSION;
}

int genet_api_version(void)
{
    return GENET_API_VERSION;
}
