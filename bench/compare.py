#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Genet and its peers on the same work, in turns, so that a machine's moods strike all of them alike.

    python3 -m venv build/peers
    build/peers/bin/pip install torch torchvision onnxruntime openvino --extra-index-url https://download.pytorch.org/whl/cpu
    build/peers/bin/python bench/compare.py step --variant theta-plus --type bf16
    build/peers/bin/python bench/compare.py infer --model model.safetensors --batch 1
    build/peers/bin/python bench/compare.py infer --model model-int8.safetensors --type int8
    build/peers/bin/python bench/compare.py loader --data photos/train

Every contender is started once and warmed up; then each in turn works for a round, as often as --rounds says. Printed are the medians
over rounds and their ratios to genet; bench/results/ receives them, every single round, the CPU and all versions.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


class Peer:
    """One of bench/peers/ that waits for its turn."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([sys.executable, str(HERE / "peers" / program), "--serve", *arguments], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.name = self.answer()["peer"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare: {' '.join(self.process.args)} ended with code {self.process.wait()}")
        return json.loads(line)

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()["images_per_second"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Genet:
    """genet bench, whose answer is `pick`ed from its JSON."""

    def __init__(self, name, pick, program, *arguments):
        self.name, self.pick = name, pick
        self.command = [program, "bench", *arguments, "--json"]

    def round(self):
        return self.pick(json.loads(subprocess.run(self.command, check=True, stdout=subprocess.PIPE, text=True).stdout))

    def close(self):
        pass


def contenders(a):
    """genet first: the others are measured against it."""
    threads = ["--threads", str(a.threads)]
    held = ["--isa", a.isa] if a.isa else []
    amp = {"f32": "off", "bf16": "bf16", "int8": "auto"}[a.type]
    common = ["--variant", a.variant, "--batch", str(a.batch), "--size", str(a.size)]
    if a.work == "step":
        limits = {}

        def pick(answer):
            limits.setdefault("alone", []).append(a.batch / answer["convolutions_median_seconds"])
            return answer["median_images_per_second"]

        yield Genet("genet", pick, a.genet, "step", *common, "--amp", amp, *threads, *held), limits
        yield Peer("torch_step.py", *common, "--type", a.type, *threads), {}
        if not a.no_compile:
            yield Peer("torch_step.py", *common, "--type", a.type, "--compile", *threads), {}
    elif a.work == "infer":
        own = ["--model", a.model] if a.type == "int8" else []
        yield Genet("genet", lambda j: j["runs"][-1]["median_images_per_second"], a.genet, "infer", *common, *own, "--amp", amp,
                    *threads, *held), {}
        onnx = os.path.join(tempfile.mkdtemp(), "model.onnx")
        subprocess.run([a.genet, "export", "--model", a.model, "--check", "0", "--out", onnx], check=True,
                       stdout=subprocess.DEVNULL)
        shape = [onnx, "--batch", str(a.batch), "--size", str(a.size), *threads]
        if a.type != "bf16":
            yield Peer("onnx_infer.py", *shape, "--engine", "onnxruntime"), {}
        yield Peer("onnx_infer.py", *shape, "--engine", "openvino", "--type", "f32" if a.type == "f32" else "bf16"), {}
    else:
        yield Genet("genet", lambda j: j["images"] / j["seconds"], a.genet, "loader", "--data", a.data, "--size", str(a.size),
                    "--loader-threads", "1"), {}
        yield Peer("torch_loader.py", a.data, "--size", str(a.size)), {}


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def isa():
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "").split()
    return [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in flags]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("work", choices=["step", "infer", "loader"])
    p.add_argument("--variant", default="plain", choices=["plain", "se", "theta-minus", "theta", "theta-plus"])
    p.add_argument("--type", default="f32", choices=["f32", "bf16", "int8"],
                   help="int8: infer alone, of a model that genet quantize wrote")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--isa", choices=["avx2"], help="hold genet, oneDNN and PyTorch to AVX2 (ONNX Runtime and OpenVINO: "
                   "peers/hold.py)")
    p.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    p.add_argument("--model", help="infer: a checkpoint of the same variant, exported for the peers")
    p.add_argument("--data", help="loader: class folders")
    p.add_argument("--genet", default=str(HERE.parent / "build/release/cli/genet"))
    a = p.parse_args()
    if a.work == "infer" and not a.model or a.work == "loader" and not a.data:
        p.error("infer needs --model, loader needs --data")
    if a.type == "int8" and a.work != "infer":
        p.error("int8 is for infer")
    if a.isa:
        os.environ.update(ONEDNN_MAX_CPU_ISA="AVX2", ATEN_CPU_CAPABILITY="avx2")
        # torch.compile's cache hands out what it made for AVX-512 under the same key
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()
    runners = list(contenders(a))
    rates = [[] for _ in runners]
    for turn in range(a.rounds):
        for i, (runner, _) in enumerate(runners):
            rates[i].append(runner.round())
            print(f"round {turn + 1}/{a.rounds}  {runner.name}: {rates[i][-1]:.2f} images/s", file=sys.stderr, flush=True)
    for runner, _ in runners:
        runner.close()
    medians = [statistics.median(r) for r in rates]
    rows = [dict(name=runner.name, median=m, rounds=r, genet_is=medians[0] / m) for (runner, _), m, r in zip(runners, medians, rates)]
    alone = runners[0][1].get("alone")
    if alone:
        rows.append(dict(name="genet's convolutions alone", median=statistics.median(alone), rounds=alone,
                         genet_is=medians[0] / statistics.median(alone)))
    version = subprocess.run([a.genet, "--version"], stdout=subprocess.PIPE, text=True).stdout.strip()
    result = dict(work=a.work, variant=a.variant, type=a.type, batch=a.batch, size=a.size, threads=a.threads, cpu=cpu_name(), isa=isa(),
                  limits={k: os.path.basename(os.environ[k]) for k in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "LD_PRELOAD")
                          if k in os.environ},
                  genet=version,
                  date=datetime.date.today().isoformat(), images_per_second=rows)
    name = "-".join(str(x) for x in ([a.work, a.size] if a.work == "loader" else [a.work, a.variant, a.type, a.batch]) +
                    [a.isa or (result["isa"][-1].replace("_", "") if result["isa"] else platform.machine())])
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / (name + ".json")).write_text(json.dumps(result, indent=1) + "\n")
    print(f"{a.work} {a.variant} {a.type}, batch {a.batch}, {a.size} x {a.size}, {a.threads} threads, {result['cpu']} {result['isa']}")
    for row in rows:
        print(f"  {row['name']:32} {row['median']:9.2f} images/s   genet is {row['genet_is']:.2f} times as fast")


if __name__ == "__main__":
    main()
