/* SPDX-License-Identifier: Apache-2.0
 * Gather-Excite ResNets: train, evaluate, predict. Everything public. */
#ifndef GENET_GENET_H
#define GENET_GENET_H
#include "genet/bench.h"
#include "genet/config.h"
#include "genet/data.h"
#include "genet/evaluate.h"
#include "genet/export.h"
#include "genet/infer.h"
#include "genet/model.h"
#include "genet/quantize.h"
#include "genet/status.h"
#include "genet/train.h"
#include "genet/version.h"
#endif
