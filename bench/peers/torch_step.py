# SPDX-License-Identifier: Apache-2.0
"""Times PyTorch's training step and forward pass (channels last, autocast for bf16).

    python torch_step.py --variant theta-plus --batch 32 --type bf16 --compile
"""
import argparse

import timing
import torch
from network import resnet


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--variant", default="plain", choices=["plain", "se", "theta-minus", "theta", "theta-plus"])
    p.add_argument("--work", default="step", choices=["step", "forward"])
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--type", default="f32", choices=["f32", "bf16"])
    p.add_argument("--compile", action="store_true")
    timing.add_arguments(p, 5)
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

    facts = dict(peer=f"PyTorch {torch.__version__}{' compiled' if a.compile else ''}", work=a.work, variant=a.variant,
                 batch=a.batch, size=a.size, type=a.type)
    timing.report(step if a.work == "step" else forward, a.batch, facts, a)


if __name__ == "__main__":
    main()
