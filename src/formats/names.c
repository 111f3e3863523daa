/* SPDX-License-Identifier: Apache-2.0
 * The table of names. '#' stands for a number (the same one on both sides, in order), '@' for a batch norm's tensor, whose
 * four names are in `leaves`. NULL: that world has no such tensor. */
#include "formats/names.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const rows[][GN_NAMES_COUNT] = {
    /* genet                              MindSpore                        torchvision             timm SE             timm GE */
    {"stem.conv.weight", "conv1.weight", "conv1.weight", "conv1.weight", "conv1.weight"},
    {"stem.bn.@", "bn1.@", "bn1.@", "bn1.@", "bn1.@"},
    {"layer#.#.conv1.weight", "layer#.#.conv1.conv.weight", "layer#.#.conv1.weight", "layer#.#.conv1.weight",
     "layer#.#.conv1.weight"},
    {"layer#.#.bn1.@", "layer#.#.conv1.batchnorm.@", "layer#.#.bn1.@", "layer#.#.bn1.@", "layer#.#.bn1.@"},
    {"layer#.#.conv2.weight", "layer#.#.conv2.conv.weight", "layer#.#.conv2.weight", "layer#.#.conv2.weight",
     "layer#.#.conv2.weight"},
    {"layer#.#.bn2.@", "layer#.#.conv2.batchnorm.@", "layer#.#.bn2.@", "layer#.#.bn2.@", "layer#.#.bn2.@"},
    {"layer#.#.conv3.weight", "layer#.#.conv3.conv.weight", "layer#.#.conv3.weight", "layer#.#.conv3.weight",
     "layer#.#.conv3.weight"},
    {"layer#.#.bn3.@", "layer#.#.conv3.batchnorm.@", "layer#.#.bn3.@", "layer#.#.bn3.@", "layer#.#.bn3.@"},
    {"layer#.#.down.conv.weight", "layer#.#.down_layer.conv.weight", "layer#.#.downsample.0.weight",
     "layer#.#.downsample.0.weight", "layer#.#.downsample.0.weight"},
    {"layer#.#.down.bn.@", "layer#.#.down_layer.batchnorm.@", "layer#.#.downsample.1.@", "layer#.#.downsample.1.@",
     "layer#.#.downsample.1.@"},
    {"layer#.#.gate.gather.conv1.weight", "layer#.#.downop.0.weight", NULL, NULL, "layer#.#.se.gather.conv1.weight"},
    {"layer#.#.gate.gather.bn1.@", "layer#.#.downop.1.@", NULL, NULL, "layer#.#.se.gather.norm1.@"},
    {"layer#.#.gate.gather.conv2.weight", "layer#.#.downop.2.weight", NULL, NULL, "layer#.#.se.gather.conv2.weight"},
    {"layer#.#.gate.gather.bn2.@", "layer#.#.downop.3.@", NULL, NULL, "layer#.#.se.gather.norm2.@"},
    {"layer#.#.gate.gather.conv3.weight", NULL, NULL, NULL, "layer#.#.se.gather.conv3.weight"},
    {"layer#.#.gate.gather.bn3.@", NULL, NULL, NULL, "layer#.#.se.gather.norm3.@"},
    {"layer#.#.gate.mlp.fc1.weight", "layer#.#.mlpLayer.0.weight", NULL, "layer#.#.se.fc1.weight",
     "layer#.#.se.mlp.fc1.weight"},
    {"layer#.#.gate.mlp.fc1.bias", NULL, NULL, "layer#.#.se.fc1.bias", "layer#.#.se.mlp.fc1.bias"},
    {"layer#.#.gate.mlp.fc2.weight", "layer#.#.mlpLayer.2.weight", NULL, "layer#.#.se.fc2.weight",
     "layer#.#.se.mlp.fc2.weight"},
    {"layer#.#.gate.mlp.fc2.bias", NULL, NULL, "layer#.#.se.fc2.bias", "layer#.#.se.mlp.fc2.bias"},
    {"head.weight", "end_point.weight", "fc.weight", "fc.weight", "fc.weight"},
    {"head.bias", "end_point.bias", "fc.bias", "fc.bias", "fc.bias"},
};

/* The tensors of a batch norm: everywhere but in MindSpore, and there. */
static const char *const leaves[][2] = {
    {"weight", "gamma"}, {"bias", "beta"}, {"running_mean", "moving_mean"}, {"running_var", "moving_variance"}};

static const char *const texts[GN_NAMES_COUNT] = {"genet", "MindSpore's GENet_Res50", "torchvision's ResNet",
                                                  "timm's SE-ResNet", "timm's Gather-Excite ResNet"};

/* What the wildcards of a pattern stood for. */
typedef struct match {
    const char *number[2];
    int digits[2], numbers, leaf;
} match;

const char *gn_naming_text(gn_naming n)
{
    return texts[n];
}

static const char *leaf_name(int leaf, gn_naming n)
{
    return leaves[leaf][n == GN_NAMES_MINDSPORE];
}

static bool fits(const char *pattern, gn_naming n, const char *name, match *m)
{
    *m = (match){.leaf = -1};
    for (; *pattern; pattern++) {
        if (*pattern == '#') {
            int digits = 0;
            while (name[digits] >= '0' && name[digits] <= '9')
                digits++;
            if (digits < 1 || digits > 3 || m->numbers == 2)
                return false;
            m->number[m->numbers] = name;
            m->digits[m->numbers++] = digits;
            name += digits;
        } else if (*pattern == '@') {
            for (int i = 0; i < 4; i++)
                if (!strcmp(name, leaf_name(i, n)))
                    m->leaf = i;
            return m->leaf >= 0;
        } else if (*pattern != *name++) {
            return false;
        }
    }
    return *name == 0;
}

static void fill(char out[GN_NAME_SIZE], const char *pattern, gn_naming n, const match *m)
{
    size_t used = 0;
    int number = 0;
    for (; *pattern && used + 32 < GN_NAME_SIZE; pattern++) {
        if (*pattern == '#') {
            memcpy(out + used, m->number[number], (size_t)m->digits[number]);
            used += (size_t)m->digits[number++];
        } else if (*pattern == '@') {
            used += (size_t)snprintf(out + used, GN_NAME_SIZE - used, "%s", leaf_name(m->leaf, n));
        } else {
            out[used++] = *pattern;
        }
    }
    out[used] = 0;
}

static bool translate(char out[GN_NAME_SIZE], gn_naming from, gn_naming to, const char *name)
{
    match m;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i][from] || !rows[i][to] || !fits(rows[i][from], from, name, &m))
            continue;
        fill(out, rows[i][to], to, &m);
        return true;
    }
    return false;
}

bool gn_name_to(char out[GN_NAME_SIZE], gn_naming n, const char *canonical)
{
    return translate(out, GN_NAMES_GENET, n, canonical);
}

bool gn_name_from(char out[GN_NAME_SIZE], gn_naming n, const char *foreign)
{
    return translate(out, n, GN_NAMES_GENET, foreign);
}
