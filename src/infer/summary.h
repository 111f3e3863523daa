/* SPDX-License-Identifier: Apache-2.0
 * Words for people about networks and pictures, shared by the start table of training, `genet info` and benchmarks. */
#ifndef GN_INFER_SUMMARY_H
#define GN_INFER_SUMMARY_H
#include "image/prepare.h"
#include "model/model.h"

/* "25,557,032" into buf, returned. */
const char *gn_format_count(char buf[32], int64_t n);
/* "3.87 G", "412 M" into buf, returned. */
const char *gn_format_large(char buf[32], double n);
/* "GE-ResNet-50 theta-plus, gather global" into t. */
void gn_summary_network(gn_text *t, const gn_model_spec *s);
/* "paper (the authors' network)" */
const char *gn_summary_form(gn_form f);
/* "224 x 224 RGB; shorter side 256 + centre crop, antialiased, EXIF honoured" into t. */
void gn_summary_input(gn_text *t, const gn_preprocess *p);
/* Multiply-accumulates of one image's forward pass. */
genet_status gn_summary_macs(const gn_model *model, int64_t *macs, genet_error *err);
#endif
