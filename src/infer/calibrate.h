/* SPDX-License-Identifier: Apache-2.0
 * The ranges of the maps that are to be quantised, from pictures. Two passes: the largest value of each map, then a histogram
 * of its values up to that. The same pictures and number of threads give the same ranges, whatever the batch. */
#ifndef GN_INFER_CALIBRATE_H
#define GN_INFER_CALIBRATE_H
#include "data/dataset.h"
#include "infer/session.h"
#include "model/quantize.h"

enum { GN_HISTOGRAM_BINS = 2048, GN_CLIP_STEPS = 256 };

/* One map (gn_quantized_maps). */
typedef struct gn_map_range {
    float largest;  /* value seen */
    float clip;     /* value of 255 steps: what is larger becomes that */
    double error;   /* rms error of rounding and clipping / rms of the values; 0 where all values are 0 */
} gn_map_range;

/* Squared error that quantising with this clip makes, summed over the values of a histogram whose bins lie evenly over
 * 0..largest; values of a bin count as spread evenly over it. Zeros are exact and in no bin. */
double gn_clip_error(const int64_t bins[GN_HISTOGRAM_BINS], double largest, double clip);
/* The clip with the least error among GN_CLIP_STEPS even shares of `largest`. */
double gn_best_clip(const int64_t bins[GN_HISTOGRAM_BINS], double largest);

typedef struct gn_calibration {
    gn_session *session;       /* of a float network */
    gn_dataset *set;           /* the pictures, all of them; their labels are not looked at */
    int loader_threads;
    bool strict, largest_only; /* largest_only: clip = largest */
    void (*progress)(void *user, int64_t done, int64_t all); /* may be NULL; over both passes */
    void *user;
} gn_calibration;
/* ranges has room for gn_quantized_maps; *images is the number of pictures that could be read. */
genet_status gn_calibrate(const gn_calibration *c, gn_map_range *ranges, int64_t *images, genet_error *err);
#endif
