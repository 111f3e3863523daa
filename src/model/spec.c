/* SPDX-License-Identifier: Apache-2.0
 * The description of a network: names, checks, map sizes. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "model/network.h"

static const char *const variant_names[] = {"plain", "se", "theta-minus", "theta", "theta-plus"};
static const char *const form_names[] = {"paper", "mindspore"};

static const struct {
    int depth, blocks[4];
} depths[] = {{26, {2, 2, 2, 2}}, {50, {3, 4, 6, 3}}, {101, {3, 4, 23, 3}}, {152, {3, 8, 36, 3}}};

const char *gn_variant_name(gn_variant v)
{
    return variant_names[v];
}

const char *gn_form_name(gn_form f)
{
    return form_names[f];
}

static bool parse(const char *text, const char *const *names, int n, int *out)
{
    for (int i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

bool gn_variant_parse(const char *text, gn_variant *v)
{
    int i;
    bool ok = parse(text, variant_names, 5, &i);
    if (ok)
        *v = (gn_variant)i;
    return ok;
}

bool gn_form_parse(const char *text, gn_form *f)
{
    int i;
    bool ok = parse(text, form_names, 2, &i);
    if (ok)
        *f = (gn_form)i;
    return ok;
}

int gn_model_width(double factor)
{
    int width = (int)lround(64 * factor / 4) * 4;
    return width < 4 ? 4 : width;
}

int gn_model_side(const gn_model_spec *spec, int stage)
{
    int side = spec->size;
    for (int i = 0; i < 2 + stage; i++) /* stem, pool, and one halving a stage from the second on */
        side = (side + 1) / 2;
    return side;
}

genet_status gn_model_check(gn_model_spec *spec, genet_error *err)
{
    if (spec->depth) {
        int known = -1;
        for (int i = 0; i < 4; i++)
            if (depths[i].depth == spec->depth)
                known = i;
        if (known < 0)
            return gn_fail(err, GENET_USAGE, "depth %d is not known: 26, 50, 101 or 152", spec->depth);
        memcpy(spec->blocks, depths[known].blocks, sizeof spec->blocks);
    }
    for (int i = 0; i < 4; i++)
        if (spec->blocks[i] < 1 || spec->blocks[i] > 100)
            return gn_fail(err, GENET_USAGE, "stage %d has %d blocks: 1 to 100 are allowed", i + 1, spec->blocks[i]);
    if (spec->stem == 0)
        spec->stem = spec->width;
    if (spec->width < 4 || spec->width > 1024 || spec->stem < 1 || spec->stem > 1024)
        return gn_fail(err, GENET_USAGE, "width %d (stem %d) is out of range: 4 to 1024 channels", spec->width, spec->stem);
    if (spec->size < 32 || spec->size > 1024)
        return gn_fail(err, GENET_USAGE, "input size %d is out of range: 32 to 1024 pixels", spec->size);
    if (spec->classes < 2 || spec->classes > 1000000)
        return gn_fail(err, GENET_USAGE, "%d classes: a classifier needs 2 to 1000000", spec->classes);
    if (spec->extent != 0 && spec->extent != 2 && spec->extent != 4 && spec->extent != 8)
        return gn_fail(err, GENET_USAGE, "gather extent %d is not known: global, 2, 4 or 8", spec->extent);
    if (spec->form == GN_FORM_MINDSPORE && spec->extent != 0)
        return gn_fail(err, GENET_USAGE, "the mindspore form gathers globally; extent %d needs --form paper", spec->extent);
    if (spec->extent && (spec->variant == GN_PLAIN || spec->variant == GN_SE))
        return gn_fail(err, GENET_USAGE, "variant %s has no gather extent; leave --extent global",
                       gn_variant_name(spec->variant));
    return GENET_OK;
}
