/* SPDX-License-Identifier: Apache-2.0
 * Recipes (YAML), and the settings as JSON that a checkpoint brings: whatever is accepted can be written and read back. */
#include <stdint.h>
#include <stdlib.h>

#include "base/text.h"
#include "config/settings.h"

static void read_back(const gn_settings *s)
{
    gn_text json = {0};
    gn_settings *again = NULL;
    gn_settings_json(s, false, &json);
    if (!json.failed && gn_settings_create(&again, NULL) == GENET_OK &&
        gn_settings_from_json(again, json.data, NULL) != GENET_OK)
        abort();
    gn_settings_free(again);
    gn_text_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_settings *s = NULL;
    genet_error err;
    if (gn_settings_create(&s, &err) != GENET_OK)
        return 0;
    if (gn_settings_parse_recipe(s, "recipe.yaml", data, size, &err) == GENET_OK) {
        gn_settings_check(s, &err);
        read_back(s);
    }
    gn_settings_free(s);
    return 0;
}
