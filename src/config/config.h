/* SPDX-License-Identifier: Apache-2.0
 * The public genet_config from inside: a wrapping of gn_settings. */
#ifndef GN_CONFIG_CONFIG_H
#define GN_CONFIG_CONFIG_H
#include "config/settings.h"
#include "genet/config.h"

/* The settings behind a config, owned by it. Library functions that take a genet_config start with this. */
const gn_settings *gn_config_settings(const genet_config *config);
#endif
