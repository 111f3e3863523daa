/* SPDX-License-Identifier: Apache-2.0
 * Private to genet_export: running an ONNX file beside the network that it was written from. */
#ifndef GN_INFER_EXPORT_CHECK_H
#define GN_INFER_EXPORT_CHECK_H
#include "config/settings.h"
#include "formats/checkpoint.h"
#include "formats/onnx.h"
#include "genet/export.h"
#include "infer/device.h"

/* Adds a line to the notes. */
void gn_export_note(genet_export_result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs the file and the network (int8, or where that is NULL the settings' model) on random pictures and puts what it found
 * into result; fails where they are not the same network. */
genet_status gn_export_check(const gn_settings *s, const gn_checkpoint *c, const gn_folded *int8, const char *path,
                             genet_export_result *result, genet_error *err);

/* --- int8 (export_int8.c) ---------------------------------------------------------------------------------------------------
 * A value near a tie is rounded one way here and the other there (ONNX's biases are whole numbers; sums of floats have another
 * order), and what follows drifts apart as far as rounding to 8 bits does anyway: logits alone prove little. So the graph
 * is held against the network at every map of 8-bit numbers, and goes on from the network's numbers. */

/* How many of a map's numbers may be one step apart. An error of e steps carries a share e of them over a tie. A bias is off
 * by a quarter of its scale on average, so each map's own share follows from the scales before it (export_int8.c); allowed
 * are FACTOR of that and REST for float rounding, MOST at most, and FEW numbers more in small maps. */
#define GN_INT8_FACTOR 4
#define GN_INT8_REST 0.001
#define GN_INT8_MOST 0.02
#define GN_INT8_FEW 8
/* From the same 8-bit numbers: float rounding, and half a unit of the last biases, which no 8-bit number hides (seen: 4e-5). */
#define GN_INT8_ALLOWED 1e-3

typedef struct gn_int8_agreement {
    int maps;               /* of 8-bit numbers */
    double share;           /* of all their numbers, one step apart */
    double largest_share;   /* of one map's */
    double largest_part;    /* of what one map may have */
    double held_difference; /* largest of the logits, from the network's 8-bit numbers */
    double free_difference; /* largest of the logits, left alone */
    double rms;             /* of the network's logits */
} gn_int8_agreement;
/* Fails where a map's numbers are further apart, or the logits from the network's numbers further than GN_INT8_ALLOWED of
 * their rms. pixels: count pictures u8 (S,S,3); input: what the graph takes for them. mean, std: the preprocessing's. */
genet_status gn_int8_agree(gn_int8_agreement *a, const gn_device *d, const gn_folded *f, const float mean[3], const float std[3],
                           const unsigned char *pixels, int count, gn_onnx *graph, const void *input, genet_error *err);
#endif
