#!/usr/bin/env python3
"""Makes step_measures.safetensors: projections of a global batch and what they are measured by, in float64.

    python3 make_step_measures.py      (numpy, torch, safetensors)

Tensors NAME.z and NAME.targets: [2, B, d], view by view. Alignment and uniformity are the functions of Wang & Isola's
repository, RankMe is Garrido et al.'s equation 1 without its epsilon.
"""
import os

import torch
from safetensors.torch import save_file

torch.manual_seed(12)
B = 24
tensors = {}


def align_loss(x, y, alpha=2):
    return (x - y).norm(p=2, dim=1).pow(alpha).mean()


def uniform_loss(x, t=2):
    return torch.pdist(x, p=2).pow(2).mul(-t).exp().mean().log()


def add(name, z, targets):
    z, targets = z.float(), targets.float()
    u, v = (torch.nn.functional.normalize(t.double(), dim=-1) for t in (z, targets))
    positive = torch.stack([(u[i] * v[1 - i]).sum(-1) for i in range(2)]).mean()
    off = ~torch.eye(B, dtype=torch.bool)
    negative = torch.stack([(u[i] @ v[1 - i].T)[off] for i in range(2)]).mean()
    both = u.reshape(2 * B, -1)
    singular = torch.linalg.svdvals(both)
    p = singular / singular.sum()
    p = p[p > 0]
    figures = [positive, negative, both.std(0, correction=0).mean(), (-(p * p.log()).sum()).exp(),
               align_loss(u[0], u[1]), (uniform_loss(u[0]) + uniform_loss(u[1])) / 2]
    print(name, *(f"{float(x):.6g}" for x in figures))
    tensors[f"{name}.z"], tensors[f"{name}.targets"] = z, targets
    tensors[f"{name}.figures"] = torch.stack(figures)


def views(dimensions, spread, noise, shift=1.0):
    """Images around one direction, each view of an image with noise of its own; lengths of all kinds."""
    images = shift * torch.randn(dimensions) + spread * torch.randn(B, dimensions)
    return (images + noise * torch.randn(2, B, dimensions)) * torch.rand(2, B, 1).add(0.1)


def pair(dimensions, **of):
    z = views(dimensions, **of)
    return z, z + 0.3 * of["spread"] * torch.randn(2, B, dimensions)


add("healthy", *pair(10, spread=1.0, noise=0.4))
# More dimensions than projections, and few of them used.
wide = views(6, spread=1.0, noise=0.2) @ torch.randn(6, 64)
add("wide", wide, wide + 0.1 * torch.randn(2, B, 64))
add("collapsed", *pair(10, spread=1e-3, noise=1e-4))
# Online and target each say one thing, but not the same.
z, targets = pair(10, spread=1e-3, noise=1e-4)
add("apart", z, targets.flip(-1))
save_file(tensors, os.path.join(os.path.dirname(os.path.abspath(__file__)), "step_measures.safetensors"))
