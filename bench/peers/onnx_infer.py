# SPDX-License-Identifier: Apache-2.0
"""Times ONNX Runtime and OpenVINO on an ONNX file that `genet export --format onnx` wrote: one JSON line an engine.

    python onnx_infer.py model.onnx --batch 1
"""
import argparse
import json
import statistics
import time

import numpy as np


def measure(call, repeat):
    for _ in range(3):
        call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def report(peer, times, a):
    median = statistics.median(times)
    print(json.dumps(dict(peer=peer, work="forward", batch=a.batch, threads=a.threads, ms_an_image=1000 * median / a.batch,
                          images_per_second=a.batch / median)), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeat", type=int, default=10)
    p.add_argument("--engine", default="both", choices=["both", "onnxruntime", "openvino"])
    a = p.parse_args()
    x = np.random.default_rng(1).standard_normal((a.batch, 3, a.size, a.size), dtype=np.float32)
    if a.engine in ("both", "onnxruntime"):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = a.threads
        session = onnxruntime.InferenceSession(a.model, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        report("ONNX Runtime " + onnxruntime.__version__, measure(lambda: session.run(None, {name: x}), a.repeat), a)
    if a.engine in ("both", "openvino"):
        import openvino
        core = openvino.Core()
        model = core.read_model(a.model)
        model.reshape([a.batch, 3, a.size, a.size])
        settings = {"INFERENCE_NUM_THREADS": a.threads, "PERFORMANCE_HINT": "LATENCY" if a.batch == 1 else "THROUGHPUT",
                    "NUM_STREAMS": 1}
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        report("OpenVINO " + openvino.__version__, measure(lambda: request.infer([x]), a.repeat), a)


if __name__ == "__main__":
    main()
