/* SPDX-License-Identifier: Apache-2.0
 * The reader of ONNX graphs that an export checks itself with; a small graph is run, too. */
#include <stdint.h>
#include <stdlib.h>

#include "formats/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gn_onnx *m = NULL;
    genet_error err;
    int64_t dim[3];
    if (gn_onnx_open(&m, data, size, "fuzz.onnx", &err) != GENET_OK)
        return 0;
    gn_onnx_input(m, dim);
    int64_t classes = gn_onnx_classes(m);
    if (dim[0] * dim[1] * dim[2] <= 3 * 32 * 32 && dim[0] <= 32 && dim[1] <= 32 && dim[2] <= 32 && classes <= 1000) {
        float *input = calloc(3 * 32 * 32, sizeof *input), *logits = calloc((size_t)classes + 1, sizeof *logits);
        if (input && logits)
            gn_onnx_run(m, input, 1, logits, &err);
        free(input);
        free(logits);
    }
    gn_onnx_close(m);
    return 0;
}
