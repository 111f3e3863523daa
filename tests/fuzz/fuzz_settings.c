/* SPDX-License-Identifier: Apache-2.0
 * Settings as a JSON object, as they come with a checkpoint. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_settings *s = NULL;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (gn_settings_create(&s, NULL) == GENET_OK)
        gn_settings_from_json(s, text, NULL);
    gn_settings_free(s);
    free(text);
    return 0;
}
