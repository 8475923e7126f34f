#!/usr/bin/env python3
"""Makes operations.json: what torchvision and PIL make of a few small images with given parameters.

    python3 -m venv venv && venv/bin/pip install numpy pillow 'torch==2.13.0+cpu' && venv/bin/pip install --no-deps torchvision==0.28.0
    venv/bin/python make_operations.py [DIR with torchvision_cpu.py, where torchvision does not import beside CPU torch]

Images are base64 of height x width x 3 bytes.
"""
import base64
import json
import os
import sys

import numpy as np
import torch

if len(sys.argv) > 1:
    sys.path.insert(0, sys.argv[1])
    import torchvision_cpu  # noqa: F401
import PIL
import torchvision
from PIL import Image, ImageFilter
from torchvision.transforms import functional as F

rng = np.random.default_rng(5)


def smooth(height, width):
    """Waves, edges, flat areas and noise: something of each kind that an operation could get wrong."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.zeros((height, width, 3))
    for channel in range(3):
        a, b, c = rng.uniform(-0.5, 0.5, 3)
        image[..., channel] = 128 + 110 * np.sin(a * x + b * y + 6 * c)
    image[height // 3:height // 2, width // 4:width // 2] = rng.integers(0, 256, 3)
    image[:2, :3] = 0
    image[-2:, -3:] = 255
    image[height // 2:height // 2 + 3] = image[height // 2:height // 2 + 3].mean(-1, keepdims=True)
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


def noise(height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(image):
    return base64.b64encode(np.asarray(image, dtype=np.uint8).tobytes()).decode()


sources = {"smooth": smooth(24, 24), "noise": noise(13, 17), "wide": smooth(27, 35)}
cases = []


def add(operation, source, parameters, result):
    array = np.asarray(result)
    cases.append({"operation": operation, "source": source, "parameters": [float(p) for p in parameters],
                  "height": array.shape[0], "width": array.shape[1], "pixels": encode(array)})


for name, array in sources.items():
    image = Image.fromarray(array)
    height, width = array.shape[:2]
    for top, left, h, w, size in [(0, 0, height, width, 32), (3, 5, 9, 11, 32), (1, 2, 12, 11, 24),
                                  (2, 0, 11, 16, 7), (0, 1, height, 9, 17)]:
        add("crop", name, [top, left, h, w, size], F.resized_crop(image, top, left, h, w, [size, size]))
    for factor in [0.6, 0.8123, 1.0, 1.27, 1.4]:
        add("brightness", name, [factor], F.adjust_brightness(image, factor))
        add("contrast", name, [factor], F.adjust_contrast(image, factor))
        add("saturation", name, [factor], F.adjust_saturation(image, factor))
    for factor in [-0.1, -0.037, 0.0, 0.0039, 0.0731, 0.1]:
        add("hue", name, [factor], F.adjust_hue(image, factor))
    add("grey", name, [], F.rgb_to_grayscale(image, 3))
    add("flip", name, [], F.hflip(image))
    for radius in [0.1, 0.35, 0.81, 1.0, 1.37, 1.7, 2.0, 3.3]:
        add("blur", name, [radius], image.filter(ImageFilter.GaussianBlur(radius=radius)))

# All of it in the order of the views: a crop, jitter (contrast, hue, brightness, saturation), flip, blur, normalised.
image = F.resized_crop(Image.fromarray(sources["wide"]), 4, 9, 20, 23, [64, 64])
image = F.adjust_contrast(image, 1.31)
image = F.adjust_hue(image, -0.0612)
image = F.adjust_brightness(image, 0.77)
image = F.adjust_saturation(image, 1.22)
image = F.hflip(image).filter(ImageFilter.GaussianBlur(radius=1.12))
add("view", "wide", [4, 9, 20, 23, 64, 1.31, -0.0612, 0.77, 1.22, 1.12], image)
normalised = F.normalize(F.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])

# Central crops when no random one fits: (height, width) to (top, left, height, width).
central = []
for height, width in [(10, 40), (40, 10), (30, 31), (7, 90)]:
    from torchvision.transforms import RandomResizedCrop

    found = RandomResizedCrop.get_params(torch.zeros(3, height, width), [50, 60], [3 / 4, 4 / 3])
    central.append([height, width, *found])

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "operations.json"), "w") as f:
    json.dump({
        "made_with": {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__,
                      "numpy": np.__version__},
        "sources": {k: {"height": v.shape[0], "width": v.shape[1], "pixels": encode(v)} for k, v in sources.items()},
        "cases": cases, "central": central,
        "normalised": [float(v) for v in normalised.permute(1, 2, 0).reshape(-1)[:300]],
    }, f, indent=0)
