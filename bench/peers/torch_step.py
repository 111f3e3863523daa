# SPDX-License-Identifier: Apache-2.0
"""Times PyTorch's training step and forward pass: prints one JSON line a measurement.

    python torch_step.py --variant theta-plus --batch 32 --type bf16 --compile --repeat 5
"""
import argparse
import json
import statistics
import time

import torch
from network import resnet


def measure(call, repeat, warm=2):
    times = []
    for i in range(warm + repeat):
        start = time.perf_counter()
        call()
        if i >= warm:
            times.append(time.perf_counter() - start)
    return times


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--variant", default="plain", choices=["plain", "se", "theta-minus", "theta", "theta-plus"])
    p.add_argument("--work", default="step", choices=["step", "forward"])
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--type", default="f32", choices=["f32", "bf16"])
    p.add_argument("--compile", action="store_true")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeat", type=int, default=5)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    net = resnet(a.variant, a.size).to(memory_format=torch.channels_last)
    x = torch.randn(a.batch, 3, a.size, a.size).to(memory_format=torch.channels_last)
    y = torch.randint(0, 1000, (a.batch,))
    net.train(a.work == "step")
    run = torch.compile(net) if a.compile else net
    heavy = [w for w in net.parameters() if w.dim() > 1]
    light = [w for w in net.parameters() if w.dim() <= 1]
    sgd = torch.optim.SGD([dict(params=heavy, weight_decay=1e-4), dict(params=light, weight_decay=0)], 0.01, 0.9)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

    def step():
        sgd.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=a.type == "bf16"):
            loss = loss_of(run(x), y)
        loss.backward()
        sgd.step()

    def forward():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=a.type == "bf16"):
            run(x)

    times = measure(step if a.work == "step" else forward, a.repeat)
    median = statistics.median(times)
    print(json.dumps(dict(peer="PyTorch " + torch.__version__, work=a.work, variant=a.variant, batch=a.batch, size=a.size,
                          type=a.type, compiled=a.compile, threads=a.threads, seconds=times,
                          images_per_second=a.batch / median, ms_an_image=1000 * median / a.batch)))


if __name__ == "__main__":
    main()
