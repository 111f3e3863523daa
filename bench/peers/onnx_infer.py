# SPDX-License-Identifier: Apache-2.0
"""Times ONNX Runtime or OpenVINO on an ONNX file that `genet export --format onnx` wrote.

    python onnx_infer.py model.onnx --engine openvino --batch 1
"""
import argparse

import numpy as np
import timing


def onnxruntime_call(a, x):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.threads
    session = onnxruntime.InferenceSession(a.model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return "ONNX Runtime " + onnxruntime.__version__, lambda: session.run(None, {name: x})


def openvino_call(a, x):
    import openvino
    core = openvino.Core()
    model = core.read_model(a.model)
    model.reshape([a.batch, 3, a.size, a.size])
    settings = {"INFERENCE_NUM_THREADS": a.threads, "PERFORMANCE_HINT": "LATENCY" if a.batch == 1 else "THROUGHPUT",
                "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": a.type}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return "OpenVINO " + openvino.__version__.split("-")[0], lambda: request.infer([x])


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--engine", default="openvino", choices=["onnxruntime", "openvino"])
    p.add_argument("--type", default="f32", choices=["f32", "bf16"], help="OpenVINO alone; the file holds f32")
    timing.add_arguments(p, 10)
    a = p.parse_args()
    x = np.random.default_rng(1).standard_normal((a.batch, 3, a.size, a.size), dtype=np.float32)
    peer, call = (onnxruntime_call if a.engine == "onnxruntime" else openvino_call)(a, x)
    timing.report(call, a.batch, dict(peer=peer, work="forward", batch=a.batch, size=a.size, type=a.type), a)


if __name__ == "__main__":
    main()
