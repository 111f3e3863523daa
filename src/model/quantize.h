/* SPDX-License-Identifier: Apache-2.0
 * The folded network in 8 bits: every conv1, conv2, conv3 and down.conv of the trunk takes u8 maps (never negative: they
 * stand behind a ReLU; zero point 0, one scale a map) and holds whole numbers -127..127 (one scale an output channel).
 * Stem, gates, head and all arithmetic of the blocks stay float.
 *
 * Its table has, beside the float ones, for each of these convolutions NAME ("layer1.0.conv2"):
 *   NAME.weight       (K,C,R,S), whole numbers -127..127
 *   NAME.scale        (K), input scale * weight scale of the row: what CONV_INT8 takes
 *   NAME.bias         (K), as in the float network
 *   NAME.input_scale  (1), of the u8 map it reads; conv1 and down.conv of a block read the same map
 * in this order. */
#ifndef GN_MODEL_QUANTIZE_H
#define GN_MODEL_QUANTIZE_H
#include "model/folded.h"

/* Scales are kept within these, so that neither a product of two nor a quotient leaves f32. */
#define GN_INPUT_SCALE_LEAST 1e-10f
#define GN_INPUT_SCALE_MOST 1e10f
#define GN_SCALE_LEAST 1e-30f
#define GN_SCALE_MOST 1e20f
#define GN_WEIGHT_MOST 1e10f /* magnitude of a weight that is to be quantised */

/* The maps that such a network quantises: 3 a block, in the order of the network. 3*b: the input of block b (read by conv1
 * and down.conv), 3*b + 1: that of its conv2, 3*b + 2: that of its conv3. */
int gn_quantized_maps(const gn_model_spec *spec);
/* Convolution that reads map i: "layer1.0.conv1", into name, returned. */
const char *gn_quantized_map_name(char name[64], const gn_model_spec *spec, int i);
/* Number of the map that a quantised convolution reads. */
int gn_quantized_map_of(const gn_model_spec *spec, const char *conv);
/* Whether this convolution of the folded network ("layer1.0.conv1") is one of those held in 8 bits. */
bool gn_quantized_conv(const char *conv);

/* What was lost in one convolution's weights. */
typedef struct gn_weight_loss {
    char name[64];  /* of the convolution */
    double error;   /* rms of (weight - its whole number * scale) / rms of the weights; 0 where all are 0 */
} gn_weight_loss;

/* Makes the int8 network of a float one (f32) and gn_quantized_maps scales, each from 0 to 1e10: values of one step of the
 * map; raised to GN_INPUT_SCALE_LEAST where they are less (a map that is always 0). Rows of weights are divided by their
 * largest magnitude / 127. loss (NULL: not wanted) has room for 4 a block; *losses is how many there are. */
genet_status gn_quantize(gn_folded **quantized, const gn_folded *from, const float *input_scales, gn_weight_loss *loss,
                         int *losses, genet_error *err);
/* The int8 network of a model without values, for one that is read from a file: spec and table; `weights` is empty until
 * gn_weights_create(&f->weights, &f->table, GN_F32, err). */
genet_status gn_quantized_empty(gn_folded **quantized, const gn_model *model, genet_error *err);
/* What the numbers of a network read from a file must be: whole -127..127, scales within the bounds above, the scales of one
 * map the same. False with the tensor's name and the reason. */
bool gn_quantized_sound(const gn_folded *f, const char **tensor, const char **why);
#endif
