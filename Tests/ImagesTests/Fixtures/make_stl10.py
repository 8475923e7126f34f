#!/usr/bin/env python3
"""Makes stl10/, a data set in STL-10's binary format of three images, and stl10.safetensors: what torchvision's reader
and its evaluation transforms make of it.

    python3 make_stl10.py [DIR]      (numpy, pillow, torch, torchvision, safetensors)

DIR has torchvision_cpu.py, where torchvision does not import beside CPU torch.
"""
import os
import sys

import numpy as np
import torch
from safetensors.torch import save_file

if len(sys.argv) > 1:
    sys.path.insert(0, sys.argv[1])
    import torchvision_cpu  # noqa: F401
from torchvision import transforms
from torchvision.datasets import STL10

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "stl10")
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(10)


def image():
    """96 x 96 x 3: waves of other lengths down and across, an edge and noise, so that no transposition looks the same."""
    y, x = np.mgrid[0:96, 0:96]
    a, b, c = rng.uniform(0.05, 0.6, 3)
    channels = [128 + 100 * np.sin(a * x + 0.5 * b * y + 2 * channel) * np.cos(c * y) for channel in range(3)]
    pixels = np.stack(channels, -1)
    pixels[20:31, 50:90] = rng.integers(0, 256, 3)
    return np.clip(pixels + rng.normal(0, 10, pixels.shape), 0, 255).astype(np.uint8)


def write(name, images):
    # Planes of columns: channel, then x, then y.
    np.stack(images).transpose(0, 3, 2, 1).tofile(os.path.join(folder, name))


images = [image() for _ in range(3)]
write("train_X.bin", images[:1])
write("unlabeled_X.bin", images[1:2])
write("test_X.bin", images[2:])
np.array([7], dtype=np.uint8).tofile(os.path.join(folder, "train_y.bin"))
np.array([10], dtype=np.uint8).tofile(os.path.join(folder, "test_y.bin"))


class Tiny(STL10):
    base_folder = "stl10"

    def _check_integrity(self):
        return True

    def _load_folds(self, folds):
        pass


# The class names' file is looked for by torchvision alone, and is absent here.
train, test = Tiny(here, "train+unlabeled"), Tiny(here, "test")
assert [train[i][1] for i in range(2)] == [6, -1] and test[0][1] == 9
evaluation = transforms.Compose([transforms.Resize(128), transforms.CenterCrop(96)])
odd = transforms.Compose([transforms.Resize(85), transforms.CenterCrop(64)])
bytes_of = lambda picture: torch.from_numpy(np.array(picture))
save_file(
    {"train.0": bytes_of(train[0][0]), "train.1": bytes_of(train[1][0]),
     "evaluation.96": bytes_of(evaluation(test[0][0])), "evaluation.64": bytes_of(odd(test[0][0]))},
    os.path.join(here, "stl10.safetensors"))
