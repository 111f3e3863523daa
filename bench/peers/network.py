# SPDX-License-Identifier: Apache-2.0
"""GE-ResNet-50 in PyTorch as a user of it would write it, for timing beside genet (paper form, global extent)."""
import torch
from torch import nn


class Gate(nn.Module):
    """Sigmoid gate over a gathered vector (arXiv:1810.12348, sections 3.1 to 3.3)."""

    def __init__(self, channels, side, variant):
        super().__init__()
        learned = variant in ("theta", "theta-plus")
        mlp = variant in ("se", "theta-plus")
        self.gather = nn.Sequential(nn.Conv2d(channels, channels, side, groups=channels, bias=False),
                                    nn.BatchNorm2d(channels)) if learned else nn.AdaptiveAvgPool2d(1)
        self.mlp = nn.Sequential(nn.Conv2d(channels, channels // 16, 1), nn.ReLU(inplace=True),
                                 nn.Conv2d(channels // 16, channels, 1)) if mlp else nn.Identity()

    def forward(self, u):
        return u * torch.sigmoid(self.mlp(self.gather(u)))


class Block(nn.Module):
    def __init__(self, cin, mid, stride, side, variant):
        super().__init__()
        cout = 4 * mid
        self.branch = nn.Sequential(
            nn.Conv2d(cin, mid, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(inplace=True),
            nn.Conv2d(mid, mid, 3, stride, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(inplace=True),
            nn.Conv2d(mid, cout, 1, bias=False), nn.BatchNorm2d(cout),
            nn.Identity() if variant == "plain" else Gate(cout, side, variant))
        self.identity = nn.Identity() if stride == 1 and cin == cout else nn.Sequential(
            nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return torch.relu(self.branch(x) + self.identity(x))


def resnet(variant, size=224, classes=1000, blocks=(3, 4, 6, 3), width=64):
    parts = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
             nn.MaxPool2d(3, 2, 1)]
    cin, side = width, (size + 3) // 4
    for stage, count in enumerate(blocks):
        for i in range(count):
            stride = 2 if stage and i == 0 else 1
            side = (side + stride - 1) // stride
            parts.append(Block(cin, width << stage, stride, side, variant))
            cin = 4 * width << stage
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, classes))
