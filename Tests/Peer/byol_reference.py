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


class Chunks:
    """Which samples of a pass share statistics: consecutive ones in `ghost`s (None: all of them). Where `joint`, the pass is
    both views, one after the other, and a ghost is that many images with both."""
    ghost, joint = None, False

    def chunks(self, x):
        views = x.chunk(2) if self.joint else [x]
        return [torch.cat(parts) for parts in zip(*(v.split(self.ghost or len(v)) for v in views))]

    def whole(self, chunks):
        if not self.joint:
            return torch.cat(chunks)
        return torch.cat([torch.cat([c.chunk(2)[view] for c in chunks]) for view in range(2)])


class GhostBatchNorm(Chunks, nn.modules.batchnorm._BatchNorm):
    """Batch norm over chunks (Hoffer et al. 2017). The running statistics move once a pass, towards the mean of the
    chunks' statistics."""

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        means, variances, out = [], [], []
        for chunk in self.chunks(x):
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            out.append(F.batch_norm(chunk, mean, variance, self.weight, self.bias, True, self.momentum, self.eps))
            means.append(mean)
            variances.append(variance)
        with torch.no_grad():
            self.running_mean.copy_(torch.stack(means).mean(0))
            self.running_var.copy_(torch.stack(variances).mean(0))
        return self.whole(out)


class GhostBatchRenorm(Chunks, nn.Module):
    """Batch renormalisation (Ioffe 2017, algorithm 1): r and d are constants to the gradient, sigma is the moving average of
    sqrt(variance + eps). All chunks of a pass are corrected by the statistics before it."""
    limits = (3.0, 5.0)

    def __init__(self, channels, momentum=0.01, eps=1e-5):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_std", torch.ones(channels))
        self.momentum, self.eps = momentum, eps

    def forward(self, x):
        r_max, d_max = GhostBatchRenorm.limits
        dims = [d for d in range(x.dim()) if d != 1]
        wide = lambda v: v.view(1, -1, *[1] * (x.dim() - 2))
        means, deviations, out = [], [], []
        for chunk in self.chunks(x):
            mean = chunk.mean(dims)
            deviation = torch.sqrt(((chunk - wide(mean)) ** 2).mean(dims) + self.eps)
            with torch.no_grad():
                r = (deviation / self.running_std).clamp(1 / r_max, r_max)
                d = ((mean - self.running_mean) / self.running_std).clamp(-d_max, d_max)
            hat = (chunk - wide(mean)) / wide(deviation) * wide(r) + wide(d)
            out.append(wide(self.weight) * hat + wide(self.bias))
            means.append(mean.detach())
            deviations.append(deviation.detach())
        self.running_mean += self.momentum * (torch.stack(means).mean(0) - self.running_mean)
        self.running_std += self.momentum * (torch.stack(deviations).mean(0) - self.running_std)
        return self.whole(out)


def renorm_limits(a, t):
    """r_max and d_max of step t."""
    share = t / a.brn_warmup_steps if t < a.brn_warmup_steps else 1.0
    return 1 + (a.brn_r_max - 1) * share, a.brn_d_max * share


def group_norm(channels):
    """The largest number of groups up to 32 that leaves each two channels."""
    return nn.GroupNorm(max(g for g in range(1, max(1, min(32, channels // 2)) + 1) if channels % g == 0), channels)


def norm_layer(kind, scope, joint):
    chunks = {"ghost": int(scope.split(":")[1]) if scope.startswith("ghost:") else None, "joint": joint}
    if kind == "bn":
        return type("BatchNorm", (GhostBatchNorm,), chunks)
    if kind == "brn":
        return type("BatchRenorm", (GhostBatchRenorm,), chunks)
    return {"ln": nn.LayerNorm, "gn": group_norm, "none": lambda _: nn.Identity()}[kind]


def standardized(w):
    """Weight standardisation (Qiao et al. 2019, equation 5) over all that enters an output."""
    variance, mean = torch.var_mean(w, dim=list(range(1, w.dim())), keepdim=True, unbiased=False)
    return (w - mean) / torch.sqrt(variance + 1e-5)


class StandardizedConv2d(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, standardized(self.weight), self.bias)


class StandardizedLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, standardized(self.weight), self.bias)


class LARS:
    """LARS as BYOL uses it (Grill et al. 2020, appendix J; You et al. 2017): the gradient with its decay is scaled by
    trust |w| / |g + decay w| before it joins the momentum; where one of the norms is 0 it is left. Biases and norm
    parameters are not adapted, and not decayed unless decay_on is all. `parts` None: every part is adapted."""

    def __init__(self, named, momentum, decay, trust, parts, decay_on):
        self.named, self.momentum, self.decay, self.trust = list(named), momentum, decay, trust
        self.parts, self.decay_on = parts, decay_on
        self.velocity = [torch.zeros_like(p) for _, p in self.named]
        self.param_groups = [{"lr": 0.0}]

    def zero_grad(self):
        for _, p in self.named:
            p.grad = None

    def adapts(self, key):
        heads = {"stem": ["encoder.conv1.", "encoder.bn1."]}
        heads.update({f"layer{i}": [f"encoder.layer{i}."] for i in range(1, 5)})
        return self.parts is None or any(key.startswith(h) for part in self.parts for h in heads.get(part, [part + "."]))

    @torch.no_grad()
    def step(self):
        for (key, p), v in zip(self.named, self.velocity):
            g = p.grad
            if p.dim() > 1 or self.decay_on == "all":
                g = g + self.decay * p
            if p.dim() > 1 and self.adapts(key) and p.norm() > 0 and g.norm() > 0:
                g = g * (self.trust * p.norm() / g.norm())
            v.mul_(self.momentum).add_(g)
            p.sub_(self.param_groups[0]["lr"] * v)


def optimizer(a, online):
    decay_on = a.decay_on or ("all" if a.optimizer == "sgd" else "weights")
    if a.optimizer == "sgd" and decay_on == "all":
        return torch.optim.SGD(online.parameters(), lr=a.lr, momentum=a.momentum, weight_decay=a.weight_decay)
    parts = [] if a.optimizer == "sgd" else a.lars_on.split(",") if a.lars_on else None
    return LARS(online.named_parameters(), a.momentum, a.weight_decay, a.lars_trust, parts, decay_on)


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
        joint = a.bn_views == "joint"
        def head_norm(kind):
            return norm_layer(kind, a.head_bn_scope or a.bn_scope, joint)
        self.encoder = encoder(a.encoder, a.width, a.stem, norm_layer(a.encoder_norm, a.encoder_bn_scope or a.bn_scope, joint))
        features = a.width * 8 * ENCODERS[a.encoder][0].expansion
        self.projector = mlp(features, a.hidden, a.dim, head_norm(a.projector_norm))
        self.predictor = mlp(a.dim, a.hidden, a.dim, head_norm(a.predictor_norm))
        if a.weight_standardization == "on":
            for module in self.modules():
                if type(module) in (nn.Conv2d, nn.Linear):
                    module.__class__ = StandardizedConv2d if type(module) is nn.Conv2d else StandardizedLinear

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
        self.optimizer = optimizer(a, online)

    def loss_and_gradients(self, view1, view2):
        self.optimizer.zero_grad()
        GhostBatchRenorm.limits = renorm_limits(self.a, self.t)
        if self.a.bn_views == "joint":
            both = torch.cat([view1, view2])
            p1, p2 = self.online.predictor(self.online.project(both)).chunk(2)
            with torch.no_grad():
                t1, t2 = self.target.project(both).chunk(2)
        else:
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
    for net, kinds in (("encoder", ["bn", "gn", "none"]), ("projector", ["bn", "ln", "gn", "brn", "none"]),
                       ("predictor", ["bn", "ln", "gn", "brn", "none"])):
        p.add_argument(f"--{net}-norm", default="bn", choices=kinds)
    p.add_argument("--bn-scope", default="sync", help="sync or ghost:N")
    p.add_argument("--encoder-bn-scope", help="of the encoder; unset: --bn-scope")
    p.add_argument("--head-bn-scope", help="of the heads; unset: --bn-scope")
    p.add_argument("--bn-views", default="apart", choices=["apart", "joint"])
    p.add_argument("--brn-r-max", type=float, default=3)
    p.add_argument("--brn-d-max", type=float, default=5)
    p.add_argument("--brn-warmup-steps", type=int, default=0)
    p.add_argument("--weight-standardization", default="off", choices=["on", "off"])
    p.add_argument("--optimizer", default="sgd", choices=["sgd", "lars"])
    p.add_argument("--lars-trust", type=float, default=0.001)
    p.add_argument("--lars-on", help="parts, as layer1,layer2; unset: all")
    p.add_argument("--decay-on", choices=["all", "weights"], help="unset: all for sgd, weights for lars")
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
