# SPDX-License-Identifier: Apache-2.0
"""What genet writes is read by other programs, with its logits; what they write is read by genet. Each program that is not
installed skips its tests and says so. usage: test_interop.py FOLDER GENET, where make_interop filled FOLDER."""
import json
import os
import subprocess
import sys
import unittest
from collections import Counter

import numpy as np

FOLDER, GENET = sys.argv[1:3]
NAMES = sorted(f[: -len(".expected.safetensors")] for f in os.listdir(FOLDER) if f.endswith(".expected.safetensors"))
ONNX_FORMS = (".folded.onnx", ".kept.onnx", ".pixels.onnx", ".fixed.onnx")
INT8_FORMS = (".int8.onnx", ".int8.fixed.onnx")
RELATIVE = 1e-4  # of the logits' rms, the bound of docs/formats; seen are 2e-6
# Of int8 graphs. Where a value lies at a tie, sums of another order round it to another 8-bit number, and what follows drifts
# apart as far as rounding to 8 bits moves these networks anyway: 1.7% to 4.7% of the rms, int8 against float. Where no value
# does, float rounding remains: that holds for most of them.
DRIFT, QUIET = 0.05, 1e-4


def need(module):
    try:
        return __import__(module)
    except Exception as problem:  # a broken installation skips as a missing one does
        raise unittest.SkipTest(f"{module} is not usable here: {problem!r}") from None


def path(name, end):
    return os.path.join(FOLDER, name + end)


class Interop(unittest.TestCase):
    worst = {}

    def tensors(self, file):
        need("safetensors")
        from safetensors.numpy import load_file

        return load_file(file)

    def close(self, logits, expected, what):
        logits, expected = np.asarray(logits, np.float64), np.asarray(expected, np.float64)
        self.assertEqual(logits.shape, expected.shape, what)
        miss = np.abs(logits - expected).max() / np.sqrt((expected**2).mean())
        kind = self._testMethodName
        self.worst[kind] = max(self.worst.get(kind, 0), miss)
        self.assertLess(miss, RELATIVE, what)

    def feeds(self, name, end):
        t = self.tensors(path(name, ".expected.safetensors"))
        pixels = end in (".pixels.onnx", ".fixed.onnx")
        return ("pixels", t["pixels"]) if pixels else ("input", t["input"]), t["logits"]


class Safetensors(Interop):
    def test_the_package_reads_checkpoints(self):
        need("safetensors")
        from safetensors import safe_open

        for name in NAMES:
            with safe_open(path(name, ".safetensors"), framework="numpy") as f:
                meta = f.metadata()
                model, classes = json.loads(meta["genet.model"]), json.loads(meta["genet.classes"])
                self.assertEqual(f"{model['form']}-{model['variant']}-{model['extent']}-{model['size']}", name)
                self.assertEqual(os.fsencode(classes[1]), b'odd "name" \xc3\xa9 \xff')  # surrogateescape
                names = set(f.keys())
                self.assertIn("stem.conv.weight", names)
                self.assertEqual(f.get_tensor("head.weight").shape[0], model["classes"])
                self.assertEqual(json.loads(meta["genet.preprocess"])["size"], model["size"])

    def test_genet_reads_what_the_package_writes(self):
        need("safetensors")
        from safetensors.numpy import load_file, save_file

        for name in NAMES[:4]:
            with_meta, out = path(name, ".safetensors"), path(name, ".again.safetensors")
            from safetensors import safe_open

            with safe_open(with_meta, framework="numpy") as f:
                save_file(load_file(with_meta), out, metadata=f.metadata())
            done = subprocess.run([GENET, "info", "--model", out], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)


class Onnx(Interop):
    def test_the_checker_accepts(self):
        onnx = need("onnx")
        for name in NAMES:
            for end in ONNX_FORMS:
                model = onnx.load(path(name, end))
                onnx.checker.check_model(model, full_check=True)
                self.assertEqual([(o.domain, o.version) for o in model.opset_import], [("", 17)])
                meta = {p.key: p.value for p in model.metadata_props}
                self.assertEqual(len(json.loads(meta["genet.classes"])), 10)
                self.assertIn("crop_share", json.loads(meta["genet.preprocess"]))
                norms = sum(n.op_type == "BatchNormalization" for n in model.graph.node)
                self.assertEqual(norms > 0, end in (".kept.onnx", ".fixed.onnx"), name + end)

    def test_onnx_runtime_agrees(self):
        ort = need("onnxruntime")
        ort.set_default_logger_severity(3)
        for name in NAMES:
            for end in ONNX_FORMS:
                session = ort.InferenceSession(path(name, end), providers=["CPUExecutionProvider"])
                (key, value), logits = self.feeds(name, end)
                self.close(session.run(["logits"], {key: value})[0], logits, name + end)
                if end != ".fixed.onnx":  # any batch
                    self.close(session.run(["logits"], {key: value[:1]})[0], logits[:1], name + end)

    def test_openvino_agrees(self):
        openvino = need("openvino")
        core = openvino.Core()
        for name in NAMES:
            for end in ONNX_FORMS:
                model = core.compile_model(path(name, end), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
                (_, value), logits = self.feeds(name, end)
                self.close(model([value])[0], logits, name + end)


class OnnxInt8(Interop):
    def each(self):
        for name in NAMES:
            t, logits = self.tensors(path(name, ".expected.safetensors")), self.tensors(path(name, ".int8.logits.safetensors"))
            for end in INT8_FORMS:
                yield name, end, ("pixels", t["pixels"]) if end == ".int8.fixed.onnx" else ("input", t["input"]), logits

    def trunk(self, graph):
        """Convolutions over whole weights, and how many of them are followed by a ReLU and 8-bit numbers."""
        made = {o: n for n in graph.node for o in n.output}
        readers = {}
        for n in graph.node:
            for i in n.input:
                readers.setdefault(i, []).append(n)
        whole = [n for n in graph.node if n.op_type == "Conv" and n.input[1] in made]
        rounded = 0
        for conv in whole:
            for part, kind in zip(conv.input, ("uint8", "int8", "int32")):
                self.assertEqual(made[part].op_type, "DequantizeLinear", (conv.name, kind))
            relu = readers[conv.output[0]]
            if [n.op_type for n in relu] == ["Relu"]:
                rounded += [n.op_type for n in readers[relu[0].output[0]]] == ["QuantizeLinear"]
        return len(whole), rounded

    def agree(self, run):
        misses = []
        for name, end, (key, value), logits in self.each():
            found = np.asarray(run(name, end, key, value), np.float64)
            scale = np.sqrt((logits["graph"].astype(np.float64) ** 2).mean())
            for what in ("graph", "logits"):  # what the file says; the int8 network in double
                miss = np.abs(found - logits[what]).max() / scale
                self.assertLess(miss, DRIFT, (name, end, what))
                kind = f"int8 {self._testMethodName} ({what})"
                self.worst[kind] = max(self.worst.get(kind, 0), miss)
            misses.append(np.abs(found - logits["graph"]).max() / scale)
        self.worst[f"int8 {self._testMethodName} (graph, median)"] = np.median(misses)
        self.assertLess(np.median(misses), QUIET)

    def test_the_checker_accepts(self):
        onnx = need("onnx")
        for name, end, _, _ in self.each():
            model = onnx.load(path(name, end))
            onnx.checker.check_model(model, full_check=True)
            kinds = Counter(n.op_type for n in model.graph.node)
            types = Counter(t.data_type for t in model.graph.initializer)
            blocks = 6 if name.startswith("mindspore") else 8
            convs, rounded = self.trunk(model.graph)
            self.assertEqual((convs, rounded), (3 * blocks + 4, 2 * blocks), name + end)
            self.assertEqual(kinds["QuantizeLinear"], 3 * blocks)  # conv1 and down read one map
            self.assertEqual(types[onnx.TensorProto.INT8], convs)
            self.assertEqual(types[onnx.TensorProto.INT32], convs)
            self.assertNotIn("BatchNormalization", kinds)

    def test_onnx_runtime_agrees(self):
        ort = need("onnxruntime")
        ort.set_default_logger_severity(3)

        def run(name, end, key, value):
            session = ort.InferenceSession(path(name, end), providers=["CPUExecutionProvider"])
            if end == ".int8.onnx":  # any batch
                self.assertEqual(session.run(["logits"], {key: value[:1]})[0].shape, (1, 10))
            return session.run(["logits"], {key: value})[0]

        self.agree(run)

    def test_onnx_runtime_computes_in_whole_numbers(self):
        onnx, ort = need("onnx"), need("onnxruntime")
        ort.set_default_logger_severity(4)
        for name, end, _, _ in self.each():
            options = ort.SessionOptions()
            options.optimized_model_filepath = path(name, ".optimised.onnx")
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            ort.InferenceSession(path(name, end), options, providers=["CPUExecutionProvider"])
            kinds = Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)
            _, rounded = self.trunk(onnx.load(path(name, end)).graph)
            self.assertEqual(kinds["QLinearConv"], rounded, name + end)

    def test_openvino_agrees(self):
        openvino = need("openvino")
        core = openvino.Core()

        def run(name, end, _, value):
            model = core.compile_model(path(name, end), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            return model([value])[0]

        self.agree(run)

    def test_openvino_computes_in_whole_numbers(self):
        onnx, openvino = need("onnx"), need("openvino")
        core = openvino.Core()
        for name in NAMES:
            model = core.compile_model(path(name, ".int8.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            kinds = Counter()
            for op in model.get_runtime_model().get_ops():
                if op.get_rt_info()["layerType"].value == "Convolution":
                    kinds[op.get_input_element_type(0).get_type_name()] += 1
            convs, _ = self.trunk(onnx.load(path(name, ".int8.onnx")).graph)
            self.assertEqual(kinds["u8"], convs, (name, kinds))


class Command(Interop):
    def test_genet_export_checks_itself_and_agrees(self):
        ort = need("onnxruntime")
        for name in NAMES[:4]:
            out = path(name, ".command.onnx")
            line = [GENET, "export", path(name, ".safetensors"), "--input", "uint8", "--out", out]
            done = subprocess.run(line, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("differ from the network's by at most", done.stdout)
            (_, value), logits = self.feeds(name, ".pixels.onnx")
            session = ort.InferenceSession(out, providers=["CPUExecutionProvider"])
            self.close(session.run(["logits"], {"pixels": value})[0], logits, name)


class MindSpore(Interop):
    def mindspore(self):
        ms = need("mindspore")
        if not ms.__version__.startswith("2."):
            raise unittest.SkipTest("MindSpore 2.x is needed")
        return ms

    def test_mindspore_loads_mindir(self):
        ms = self.mindspore()
        for name in NAMES:
            t = self.tensors(path(name, ".expected.safetensors"))
            net = ms.nn.GraphCell(ms.load(path(name, ".mindir")))
            self.close(net(ms.Tensor(t["input"])).asnumpy(), t["logits"], name)
            one = ms.nn.GraphCell(ms.load(path(name, ".one.mindir")))
            self.close(one(ms.Tensor(t["input"][:1])).asnumpy(), t["logits"][:1], name)

    def test_mindspore_loads_ckpt(self):
        ms = self.mindspore()
        found = 0
        for name in NAMES:
            if not os.path.exists(path(name, ".ckpt")):
                continue
            found += 1
            ours = self.tensors(path(name, ".safetensors"))
            theirs = {k: v.asnumpy() for k, v in ms.load_checkpoint(path(name, ".ckpt")).items()}
            self.assertEqual(len(ours), len(theirs))
            np.testing.assert_array_equal(ours["stem.conv.weight"], theirs["conv1.weight"])
            np.testing.assert_array_equal(ours["layer3.0.bn2.running_var"], theirs["layer3.0.conv2.batchnorm.moving_variance"])
            np.testing.assert_array_equal(ours["head.weight"], theirs["end_point.weight"])
        self.assertEqual(found, 4)

    def test_genet_reads_what_mindspore_writes(self):
        ms = self.mindspore()
        for name in NAMES:
            if not os.path.exists(path(name, ".ckpt")):
                continue
            params = ms.load_checkpoint(path(name, ".ckpt"))
            again = path(name, ".again.ckpt")
            if os.path.exists(again):
                os.chmod(again, 0o600)
                os.remove(again)
            ms.save_checkpoint([{"name": k, "data": v} for k, v in params.items()], again, crc_check=True)
            out = path(name, ".imported.safetensors")
            done = subprocess.run([GENET, "import", again, "--out", out], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            ours, imported = self.tensors(path(name, ".safetensors")), self.tensors(out)
            self.assertEqual(sorted(ours), sorted(imported))
            for key, value in ours.items():
                np.testing.assert_array_equal(value, imported[key], key)


class Torch(Interop):
    def test_torchvision_loads_its_names(self):
        torch = need("torch")
        models = need("torchvision").models
        from safetensors.torch import load_file

        net = models.ResNet(models.resnet.Bottleneck, [2, 2, 2, 2], num_classes=10)
        net.conv1 = torch.nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        net.inplanes, net.bn1 = 4, torch.nn.BatchNorm2d(4)
        for i, width in enumerate((4, 8, 16, 32)):
            setattr(net, f"layer{i + 1}", net._make_layer(models.resnet.Bottleneck, width, 2, stride=1 if i == 0 else 2))
        net.fc = torch.nn.Linear(128, 10)
        missing, strange = net.load_state_dict(load_file(path("paper-plain-0-72", ".torchvision.safetensors")), strict=False)
        self.assertEqual([m for m in missing if not m.endswith("num_batches_tracked")] + list(strange), [])
        t = self.tensors(path("paper-plain-0-72", ".expected.safetensors"))
        with torch.no_grad():
            self.close(net.eval()(torch.from_numpy(t["input"])).numpy(), t["logits"], "torchvision")


if __name__ == "__main__":
    program = unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[3:], exit=False)
    result = program.result
    for test, miss in sorted(Interop.worst.items()):
        print(f"{test}: largest difference {miss:.1e} of the logits' rms")
    for test, reason in result.skipped:
        print(f"skipped {test.id()}: {reason}")
    bad = len(result.failures) + len(result.errors)
    print(f"{100 * (result.testsRun - bad) // max(result.testsRun, 1)}% tests passed, {bad} tests failed out of {result.testsRun}")
    sys.exit(bad != 0)
