#!/usr/bin/env python3
"""BYOL in PyTorch as `byol-dist train --augment none --shuffle off` computes it, on one process: the yardstick for losses.

    python byol_reference.py --data CIFAR_DIR --encoder resnet18 --width 8 --batch 16 --steps 20 --lr 0.05 \\
        --write-init init.safetensors                 # draws and writes the start, runs nothing
    python byol_reference.py ... --init init.safetensors [--bn-scope sync|ghost:N] [--double] [--final FILE]

The flags are byol-dist's and mean the same. `local` on R ranks is `ghost:(batch/R)`. One JSON line a step goes to stdout:
the loss is of that step before its update, the sum of both directions' means. Both views are the image itself.
Weights are written with byol-dist's tensor names: online.encoder.<torchvision key>, online.projector.0.weight, ...

Needs torch, torchvision and safetensors; made with torch 2.13.0 (cpu) and torchvision 0.28.0. Where torchvision's compiled
operators do not load beside a CPU build of torch, a module `torchvision_cpu` that declares them is imported if it is found.
"""
import argparse
import copy
import json
import math
import os

try:
    import torchvision_cpu  # noqa: F401
except ImportError:
    pass
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

ENCODERS = {"resnet10": (BasicBlock, [1, 1, 1, 1]), "resnet18": (BasicBlock, [2, 2, 2, 2]),
            "resnet34": (BasicBlock, [3, 4, 6, 3]), "resnet50": (Bottleneck, [3, 4, 6, 3])}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class GhostBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over consecutive chunks of `ghost` samples (Hoffer et al. 2017); None: over all of them. The running
    statistics move once a pass, towards the mean of the chunks' statistics."""
    ghost = None

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        if not self.training or not self.ghost or self.ghost >= len(x):
            return super().forward(x)
        means, variances, out = [], [], []
        for chunk in x.split(self.ghost):
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            out.append(F.batch_norm(chunk, mean, variance, self.weight, self.bias, True, self.momentum, self.eps))
            means.append(mean)
            variances.append(variance)
        with torch.no_grad():
            self.running_mean.copy_(torch.stack(means).mean(0))
            self.running_var.copy_(torch.stack(variances).mean(0))
        return torch.cat(out)


def norm_layer(kind, ghost):
    if kind == "bn":
        return type("BatchNorm", (GhostBatchNorm,), {"ghost": ghost})
    return {"ln": nn.LayerNorm, "none": lambda _: nn.Identity()}[kind]


def encoder(kind, width, stem, norm):
    """torchvision's ResNet without its classifier, with any width of the first stage and byol-dist's three stems."""
    block, blocks = ENCODERS[kind]
    net = ResNet.__new__(ResNet)
    nn.Module.__init__(net)
    net._norm_layer, net.inplanes, net.dilation, net.groups, net.base_width = norm, width, 1, 1, 64
    if stem == "imagenet":
        net.conv1, net.maxpool = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, 1)
    else:
        net.conv1 = nn.Conv2d(3, width, 3, 2 if stem == "small" else 1, 1, bias=False)
        net.maxpool = nn.Identity()
    net.bn1, net.relu = norm(width), nn.ReLU(inplace=True)
    for stage in range(4):
        layer = net._make_layer(block, width << stage, blocks[stage], stride=2 if stage else 1)
        setattr(net, f"layer{stage + 1}", layer)
    net.avgpool, net.fc = nn.AdaptiveAvgPool2d(1), nn.Identity()
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return net


def mlp(inputs, hidden, outputs, norm):
    return nn.Sequential(nn.Linear(inputs, hidden), norm(hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Online(nn.Module):
    """Encoder f, projector g and predictor q."""

    def __init__(self, a):
        super().__init__()
        ghost = int(a.bn_scope.split(":")[1]) if a.bn_scope.startswith("ghost:") else None
        self.encoder = encoder(a.encoder, a.width, a.stem, norm_layer(a.encoder_norm, ghost))
        features = a.width * 8 * ENCODERS[a.encoder][0].expansion
        self.projector = mlp(features, a.hidden, a.dim, norm_layer(a.projector_norm, ghost))
        self.predictor = mlp(a.dim, a.hidden, a.dim, norm_layer(a.predictor_norm, ghost))

    def project(self, x):
        return self.projector(self.encoder(x))


def distance(prediction, projection):
    """2 - 2 cos, the mean over the batch (Grill et al. 2020, equation 2)."""
    return (2 - 2 * (F.normalize(prediction, dim=1) * F.normalize(projection, dim=1)).sum(1)).mean()


def learning_rate(a, t):
    if t < a.warmup_steps:
        return a.lr * (t + 1) / a.warmup_steps
    return a.lr / 2 * (1 + math.cos(math.pi * (t - a.warmup_steps) / (a.steps - a.warmup_steps)))


def decay_rate(a, t):
    """The target's tau."""
    if a.ema_schedule == "constant":
        return a.ema
    return 1 - (1 - a.ema) * (1 + math.cos(math.pi * t / a.steps)) / 2


class Trainer:
    def __init__(self, a, online):
        self.a, self.online, self.target, self.t = a, online, copy.deepcopy(online), 0
        del self.target.predictor
        self.optimizer = torch.optim.SGD(online.parameters(), lr=a.lr, momentum=a.momentum, weight_decay=a.weight_decay)

    def loss_and_gradients(self, view1, view2):
        self.optimizer.zero_grad()
        z1, z2 = self.online.project(view1), self.online.project(view2)
        p1, p2 = self.online.predictor(z1), self.online.predictor(z2)
        with torch.no_grad():
            t1, t2 = self.target.project(view1), self.target.project(view2)
        loss = distance(p1, t2) + distance(p2, t1)
        loss.backward()
        return loss.item()

    def step(self, view1, view2):
        """One update; the line for this step."""
        line = {"step": self.t + 1, "loss": self.loss_and_gradients(view1, view2)}
        line["lr"], line["tau"] = learning_rate(self.a, self.t), decay_rate(self.a, self.t)
        for group in self.optimizer.param_groups:
            group["lr"] = line["lr"]
        self.optimizer.step()
        with torch.no_grad():
            for xi, theta in zip(self.target.parameters(), [p for k, p in self.online.named_parameters() if "predictor" not in k]):
                xi.mul_(line["tau"]).add_(theta, alpha=1 - line["tau"])
        self.t += 1
        return line

    def tensors(self):
        """Both networks under byol-dist's names, running statistics included."""
        out = {f"online.{k}": v for k, v in self.online.state_dict().items()}
        out.update({f"target.{k}": v for k, v in self.target.state_dict().items()})
        return {k: v.detach().clone() for k, v in out.items() if "num_batches" not in k}


def cifar(directory):
    """All training images of a CIFAR-10 binary directory in file order: uint8 [n, 3, 32, 32]."""
    parts = []
    for i in range(1, 6):
        path = os.path.join(directory, f"data_batch_{i}.bin")
        if os.path.exists(path):
            parts.append(np.fromfile(path, np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32))
    return np.concatenate(parts)


def batch_images(images, a, t, dtype):
    """Batch t in file order; an epoch's last short batch is dropped."""
    start = t % (len(images) // a.batch) * a.batch
    x = torch.from_numpy(images[start:start + a.batch]).to(dtype) / 255
    mean, deviation = (torch.tensor(v, dtype=dtype).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    return (x - mean) / deviation


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", default=None)
    p.add_argument("--encoder", default="resnet18", choices=ENCODERS)
    p.add_argument("--width", type=int, default=64)
    p.add_argument("--stem", default="cifar", choices=["imagenet", "cifar", "small"])
    p.add_argument("--hidden", type=int, default=512)
    p.add_argument("--dim", type=int, default=128)
    for net, kinds in (("encoder", ["bn", "none"]), ("projector", ["bn", "ln", "none"]), ("predictor", ["bn", "ln", "none"])):
        p.add_argument(f"--{net}-norm", default="bn", choices=kinds)
    p.add_argument("--bn-scope", default="sync", help="sync or ghost:N")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--lr", type=float, default=0.05)
    p.add_argument("--momentum", type=float, default=0.9)
    p.add_argument("--weight-decay", type=float, default=1e-4)
    p.add_argument("--warmup-steps", type=int, default=5)
    p.add_argument("--ema", type=float, default=0.99)
    p.add_argument("--ema-schedule", default="cosine", choices=["cosine", "constant"])
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--init", help="weights to start from; what the file lacks keeps its start")
    p.add_argument("--write-init", help="write the starting weights and stop")
    p.add_argument("--gentle", action="store_true", help="start from weights in which rounding does not grow: see soothe()")
    p.add_argument("--final", help="write online and target after the last step")
    p.add_argument("--double", action="store_true", help="compute in float64")
    return p


def soothe(online):
    """Residual branches with gain 0.2, and norms with bias +1 before every ReLU.

    From torchvision's start the gradient's norm is above 20, and one ReLU input whose sign rounding flips changes a deep
    layer's gradient by a percent: within ten steps even PyTorch's own float32 run is 1e-2 to 1e-1 away from its float64
    run, whatever the learning rate. With fewer activations near zero and shallow branches it stays within 1e-5, so that a
    difference above 1e-4 means a mistake."""
    with torch.no_grad():
        for key, p in online.named_parameters():
            layer, kind = key.rsplit(".", 1)
            norm = layer.split(".")[-1].startswith("bn") or layer.endswith(("downsample.1", "projector.1", "predictor.1"))
            if norm and kind == "weight" and layer.endswith("bn2") and ".layer" in layer:
                p.mul_(0.2)
            if norm and kind == "bias":
                p.add_(1)


def build(a):
    torch.manual_seed(a.seed)
    online = Online(a)
    if a.gentle:
        soothe(online)
    if a.init:
        weights = load_file(a.init)
        foreign = [k for k in weights if not k.startswith("online.")]
        missing = online.load_state_dict({k[7:]: v for k, v in weights.items() if k not in foreign}, strict=False)
        if missing.unexpected_keys or foreign:
            raise SystemExit(f"{a.init}: {(missing.unexpected_keys or foreign)[0]} is not in the online network")
    return online.double() if a.double else online


def main():
    a = parser().parse_args()
    torch.set_num_threads(a.threads)
    online = build(a)
    if a.write_init:
        save_file({f"online.{k}": p.detach().float().contiguous() for k, p in online.named_parameters()}, a.write_init)
        return
    images = cifar(a.data)
    trainer = Trainer(a, online)
    for t in range(a.steps):
        x = batch_images(images, a, t, torch.float64 if a.double else torch.float32)
        print(json.dumps(trainer.step(x, x)), flush=True)
    if a.final:
        save_file({k: v.float().contiguous() for k, v in trainer.tensors().items()}, a.final)


if __name__ == "__main__":
    main()
