#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Copies a virtual environment so that ONNX Runtime and OpenVINO in it take the CPU for one with AVX2 and no AVX-512.

    python3 bench/peers/hold.py build/peers build/held
    LD_PRELOAD=build/held/hold.so build/held/bin/python bench/compare.py infer --isa avx2 --model model.safetensors

Neither has a setting for it. In the copy's libraries every CPUID instruction becomes an illegal one of the same length, and the
preloaded hold.c answers for it. Needs objdump, readelf and cc.
"""
import argparse
import pathlib
import re
import shutil
import subprocess

CPUID, ILLEGAL = b"\x0f\xa2", b"\x0f\x0b"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def patch(path):
    """Places of the code that ask the CPU; returns their number."""
    section = re.search(r" \.text +PROGBITS +([0-9a-f]+) +([0-9a-f]+)", output("readelf", "-SW", path))
    address, offset = (int(x, 16) for x in section.groups())
    data = bytearray(path.read_bytes())
    code = output("objdump", "-d", "--no-show-raw-insn", "-j", ".text", path)
    places = [int(m[1], 16) - address + offset for m in re.finditer(r"^ *([0-9a-f]+):\tcpuid", code, re.M)]
    for at in places:
        assert data[at:at + 2] == CPUID, (path, hex(at))
        data[at:at + 2] = ILLEGAL
    path.write_bytes(data)
    return len(places)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("environment", type=pathlib.Path)
    p.add_argument("copy", type=pathlib.Path)
    a = p.parse_args()
    shutil.copytree(a.environment, a.copy, symlinks=True)
    for pattern in ("onnxruntime/capi/*.so*", "openvino/libs/libopenvino.so*", "openvino/libs/libopenvino_intel_cpu_plugin.so",
                    "openvino/libs/libopenvino_onnx_frontend.so*", "openvino/libs/libtbb.so*"):
        for path in sorted(a.copy.glob("lib/python3*/site-packages/" + pattern)):
            if not path.is_symlink():
                print(f"{path}: {patch(path)} places")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(a.copy / "hold.so"),
                    str(pathlib.Path(__file__).with_name("hold.c"))], check=True)


if __name__ == "__main__":
    main()
