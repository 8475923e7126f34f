#!/usr/bin/env python3
"""Makes neighbours.safetensors: features, and what a weighted kNN (Wu et al. 2018) in float64 says of their second half.

    python3 make_neighbours.py      (numpy, torch, safetensors)
"""
import os

import torch
from safetensors.torch import save_file

torch.manual_seed(4)
CLASSES, ROWS, DIMENSIONS = 7, 700, 12
labels = torch.randint(0, CLASSES, (ROWS,))
centres = torch.randn(CLASSES, DIMENSIONS)
# Lengths of all kinds: cosines do not see them, distances would.
features = ((centres[labels] + 1.2 * torch.randn(ROWS, DIMENSIONS)) * torch.rand(ROWS, 1).mul(20).add(0.1)).float()
half = ROWS // 2
units = torch.nn.functional.normalize(features.double(), dim=1)
cosines = units[half:] @ units[:half].T
tensors = {"features": features, "labels": labels}
for k, temperature in [(1, 0.1), (5, 0.1), (25, 0.1), (200, 0.1), (200, 0.02), (200, 100.0)]:
    near, index = cosines.topk(k, dim=1)
    votes = torch.zeros(ROWS - half, CLASSES, dtype=torch.float64)
    votes.scatter_add_(1, labels[:half][index], (near / temperature).exp())
    tensors[f"accuracy.{k}.{temperature}"] = 100 * (votes.argmax(1) == labels[half:]).double().mean()
    print(k, temperature, float(tensors[f"accuracy.{k}.{temperature}"]))
save_file(tensors, os.path.join(os.path.dirname(os.path.abspath(__file__)), "neighbours.safetensors"))
