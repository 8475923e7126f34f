"""Writes types.safetensors: one small tensor of each type that SafetensorsFile reads, by the reference library.

Made with Python 3.11, safetensors 0.8.0, torch 2.13.0+cpu:  python make_safetensors.py
"""
import os

import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
values = [0.0, 1.0, -2.5, 65504.0, 0.099975586, -3.0]
tensors = {
    "online.encoder.conv1.weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2) / 7,
    "half": torch.tensor(values, dtype=torch.float16).reshape(2, 3),
    "brain": torch.tensor([0.0, 1.0, -2.5, 3.140625], dtype=torch.bfloat16),
    "double": torch.tensor([0.1, -1e300], dtype=torch.float64),
    "long": torch.tensor([2**62 + 1, -5], dtype=torch.int64),
    "int": torch.tensor([2**31 - 1, -(2**31)], dtype=torch.int32),
    "short": torch.tensor([-7, 300], dtype=torch.int16),
    "byte": torch.tensor([0, 255, 7], dtype=torch.uint8),
    "signed": torch.tensor([-128, 127], dtype=torch.int8),
    "flags": torch.tensor([True, False, True]),
    "steps": torch.tensor(12345, dtype=torch.int64),  # a scalar
    "empty": torch.zeros(0, 4),
}
save_file(tensors, os.path.join(here, "types.safetensors"), metadata={"format": "pt", "note": 'a "quoted" é'})
