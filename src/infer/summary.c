/* SPDX-License-Identifier: Apache-2.0
 * Words about networks and pictures. */
#include "infer/summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *gn_format_count(char buf[32], int64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)(n < 0 ? 0 : n)), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = digits[i];
    }
    buf[at] = '\0';
    return buf;
}

const char *gn_format_large(char buf[32], double n)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    int u = 0;
    for (; u < 5 && n >= 999.5; u++)
        n /= 1000;
    snprintf(buf, 32, n >= 99.95 ? "%.0f%s" : n >= 9.995 ? "%.1f%s" : "%.2f%s", n, units[u]);
    return buf;
}

void gn_summary_network(gn_text *t, const gn_model_spec *s)
{
    if (s->depth)
        gn_text_add(t, "ResNet-%d", s->depth);
    else
        gn_text_add(t, "ResNet %d-%d-%d-%d", s->blocks[0], s->blocks[1], s->blocks[2], s->blocks[3]);
    if (s->variant == GN_PLAIN || s->variant == GN_SE)
        gn_text_add(t, ", variant %s", gn_variant_name(s->variant));
    else if (s->extent)
        gn_text_add(t, ", Gather-Excite %s, extent %d", gn_variant_name(s->variant), s->extent);
    else
        gn_text_add(t, ", Gather-Excite %s, global extent", gn_variant_name(s->variant));
    if (s->width != 64)
        gn_text_add(t, ", width x %g", s->width / 64.0);
}

const char *gn_summary_form(gn_form f)
{
    return f == GN_FORM_MINDSPORE ? "mindspore (the published MindSpore model)" : "paper (the authors' network)";
}

void gn_summary_input(gn_text *t, const gn_preprocess *p)
{
    gn_text_add(t, "%d x %d RGB; ", p->size, p->size);
    if (p->pad)
        gn_text_add(t, "padded to a square");
    else
        gn_text_add(t, "shorter side %ld + centre crop", lround(p->size / p->crop_share));
    gn_text_add(t, "; %s; EXIF turn %s", p->mindspore ? "published plain bilinear" : "antialiased",
                p->exif && !p->mindspore ? "honoured" : "ignored");
}

genet_status gn_summary_macs(const gn_model *model, int64_t *macs, genet_error *err)
{
    gn_plan *plan = NULL;
    gn_plan_options o = {.batch = 1, .map_type = GN_F32, .float_input = true};
    genet_status status = gn_model_plan(model, &o, &plan, err);
    *macs = status == GENET_OK ? gn_plan_macs(plan) : 0;
    gn_plan_free(plan);
    return status;
}
