#!/usr/bin/env python3
"""Makes lars_*.safetensors: four steps of the reference LARS (Tests/Peer/byol_reference.py) in float64 on tensors of its own.

    PYTHONPATH=TORCHVISION_CPU_DIR python make_lars.py      # torch 2.13.0 (cpu), torchvision 0.28.0

weights.KEY at the start, gradient.STEP.KEY, final.KEY and velocity.KEY after the last step; inputs exact in float32. One
weight starts at zero and one has a gradient of zero in the first step. The rates and flags are in the metadata.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "Peer"))
import byol_reference as reference
import torch
from safetensors.torch import save_file

SHAPES = {"encoder.conv1.weight": (4, 3, 3, 3), "encoder.bn1.weight": (4,), "encoder.bn1.bias": (4,),
          "encoder.layer1.0.conv1.weight": (5, 4, 3, 3), "encoder.layer2.0.conv1.weight": (6, 5, 1, 1),
          "projector.0.weight": (7, 6), "projector.0.bias": (7,), "predictor.3.weight": (3, 7), "predictor.3.bias": (3,)}
RATES = [0.5, 2.0, 1.0, 0.25]


def save(name, trust, decay, parts, decay_on):
    torch.manual_seed(0)
    exact = lambda shape, scale: (scale * torch.randn(shape)).float().double()
    named = {k: torch.nn.Parameter(exact(s, 0.3 * 3 ** (i % 3))) for i, (k, s) in enumerate(SHAPES.items())}
    with torch.no_grad():
        named["encoder.layer2.0.conv1.weight"].zero_()
    tensors = {f"weights.{k}": p.detach().clone() for k, p in named.items()}
    optimizer = reference.LARS(named.items(), 0.9, decay, trust, parts, decay_on)
    for step, rate in enumerate(RATES):
        optimizer.param_groups[0]["lr"] = rate
        for key, p in named.items():
            p.grad = exact(p.shape, 0.1)
            if step == 0 and key == "predictor.3.weight":
                p.grad.zero_()
            tensors[f"gradient.{step}.{key}"] = p.grad.clone()
        optimizer.step()
    tensors.update({f"final.{k}": p for k, p in named.items()})
    tensors.update({f"velocity.{k}": v for (k, _), v in zip(optimizer.named, optimizer.velocity)})
    path = os.path.join(HERE, f"lars_{name}.safetensors")
    meta = {"versions": f"torch {torch.__version__}", "trust": str(trust), "decay": str(decay), "rates": str(RATES)}
    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, path, metadata=meta)
    print(path, os.path.getsize(path), meta)


if __name__ == "__main__":
    save("all", 0.001, 0.1, None, "weights")
    save("parts", 0.02, 0, ["stem", "layer2", "predictor"], "weights")
    save("decay_all", 0.001, 0.1, None, "all")
