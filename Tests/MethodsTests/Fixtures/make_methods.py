#!/usr/bin/env python3
"""Makes the fixtures for the losses and for whole BYOL steps, in float64 from inputs exact in float32, stored as float32.

    PYTHONPATH=../../Peer python make_methods.py         # torch 2.13.0 (cpu), torchvision 0.28.0

byol_loss: `prediction`, `projection` [8 x 6], `loss` [1] = mean(2 - 2 cos), `prediction_gradient`.
byol_steps: a ResNet-10 of width 2 (cifar stem, 12x12 images, hidden 24, dim 8, batch 8) through three steps.
  view1, view2 [3 x 8 x 3 x 12 x 12]: each step's views; loss, lr, tau [3]; weights.KEY at the start (the target is a copy),
  gradient.KEY of the first step, final.online.KEY and final.target.KEY (running statistics included) after the third.
  The networks see view 1 and then view 2, so running statistics move twice a step. lr 0.1, warm-up 1 step of 3, momentum 0.9,
  weight decay 1e-4 on everything, tau 0.9 to 1 by cosine.
byol_steps_ghost: the same with batch norm over ghosts of 4.
byol_steps_layer_norm, _no_norm: the same with layer norm or nothing in both MLPs.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "Peer"))
import byol_reference as reference
import torch
from safetensors.torch import save_file


def exact(*shape):
    return torch.randn(*shape).float().double()


def save(name, tensors, **metadata):
    meta = {"versions": f"torch {torch.__version__}", **{k: str(v) for k, v in metadata.items()}}
    path = os.path.join(HERE, name + ".safetensors")
    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, path, metadata=meta)
    print(f"{name}: {os.path.getsize(path)} bytes, {len(tensors)} tensors {meta}")


def byol_loss():
    torch.manual_seed(0)
    p, z = exact(8, 6).requires_grad_(True), exact(8, 6)
    loss = reference.distance(p, z)
    loss.backward()
    save("byol_loss", {"prediction": p, "projection": z, "loss": loss.reshape(1), "prediction_gradient": p.grad})


def run(a, seed, dtype):
    """Three steps; the tensors of the file and every loss."""
    a.seed = seed
    online = reference.build(a).double()
    with torch.no_grad():
        for p in online.parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
            p.copy_(p.float().double())
    views = [exact(3, 8, 3, 12, 12) for _ in range(2)]
    trainer = reference.Trainer(a, online.to(dtype))
    tensors = {"view1": views[0], "view2": views[1]}
    tensors.update({f"weights.{k[7:]}": v for k, v in trainer.tensors().items() if k.startswith("online.")})
    lines = []
    for step in range(3):
        lines.append(trainer.step(views[0][step].to(dtype), views[1][step].to(dtype)))
        if step == 0:
            tensors.update({f"gradient.{k}": p.grad.clone() for k, p in online.named_parameters()})
    for key in ("loss", "lr", "tau"):
        tensors[key] = torch.tensor([line[key] for line in lines], dtype=torch.float64)
    tensors.update({f"final.{k}": v for k, v in trainer.tensors().items()})
    return tensors


def steps(name, *flags):
    a = reference.parser().parse_args(
        "--encoder resnet10 --width 2 --hidden 24 --dim 8 --batch 8 --steps 3 --lr 0.1 --warmup-steps 1 --ema 0.9".split()
        + list(flags))
    for seed in range(100):
        # A net whose own float32 run strays is no yardstick. Biases before a norm have no gradient: measured by the largest.
        tensors, rough = run(a, seed, torch.float64), run(a, seed, torch.float32)
        largest = max(float(v.abs().max()) for k, v in tensors.items() if k.startswith("gradient."))
        distance = max(
            float((rough[k].double() - v).abs().max() / max(float(v.abs().max()), 0.05 * largest)) for k, v in tensors.items())
        if distance < 1e-5:
            return save(name, tensors, seed=seed, float32_distance=f"{distance:.1e}", flags=" ".join(flags))
    raise SystemExit(f"{name}: no seed gives a stable run")


if __name__ == "__main__":
    torch.set_num_threads(1)
    byol_loss()
    steps("byol_steps")
    steps("byol_steps_ghost", "--bn-scope", "ghost:4")
    steps("byol_steps_layer_norm", "--projector-norm", "ln", "--predictor-norm", "ln")
    steps("byol_steps_no_norm", "--projector-norm", "none", "--predictor-norm", "none")
