# SPDX-License-Identifier: Apache-2.0
"""Times torchvision + PIL on the training pipeline (random resized crop, flip, normalise), one core.

    python torch_loader.py FOLDER_OF_CLASSES --count 1000
"""
import argparse
import os

import PIL
import timing
import torch
import torchvision
from PIL import Image
from torchvision import transforms as T


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder")
    p.add_argument("--count", type=int, default=1000)
    p.add_argument("--size", type=int, default=224)
    timing.add_arguments(p, 1)
    a = p.parse_args()
    torch.set_num_threads(1)
    files = sorted(os.path.join(d, f) for d, _, names in os.walk(a.folder) for f in names)[:a.count]
    pipeline = T.Compose([T.RandomResizedCrop(a.size), T.RandomHorizontalFlip(), T.PILToTensor(),
                          T.ConvertImageDtype(torch.float32),
                          T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])

    def load():
        for f in files:
            pipeline(Image.open(f).convert("RGB"))

    facts = dict(peer=f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}", work="loader", size=a.size)
    timing.report(load, len(files), facts, a, warm=1)


if __name__ == "__main__":
    main()
