#!/usr/bin/env python3
"""The time of one BYOL step in PyTorch DistributedDataParallel (gloo, CPU): what `byol-dist bench step` is compared with.

The same work: symmetric BYOL, two views per image, ResNet encoder with batch norm, two-layer projector and predictor
(hidden 512, output 128, batch norm), SGD with momentum, EMA target. The input is random, so views are not timed. Prints one
line: the median step, images per second over all ranks, and the largest rank's peak memory.

    torchrun --standalone --nproc-per-node 2 step_time.py --size 96 --batch 32 --channels-last     # --batch is per rank

`compare_speed.py` runs it in turn with byol-dist. Needs torch (measured with 2.13.0, cpu).
"""
import argparse
import copy
import os
import resource
import statistics
import time

import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    expansion = 1

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, cin, channels, stride):
        super().__init__()
        cout = 4 * channels
        self.body = nn.Sequential(
            nn.Conv2d(cin, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True),
            nn.Conv2d(channels, cout, 1, bias=False), nn.BatchNorm2d(cout))
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return F.relu(self.body(x) + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Encoder(nn.Module):
    """ResNet: `blocks` per stage, `width` channels in the first."""

    def __init__(self, width, blocks, stem, block):
        super().__init__()
        if stem == "imagenet":
            self.stem = nn.Sequential(
                nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(True), nn.MaxPool2d(3, 2, 1))
        else:
            self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True))
        layers, cin = [], width
        for stage, count in enumerate(blocks):
            for i in range(count):
                layers.append(block(cin, width << stage, 2 if stage and i == 0 else 1))
                cin = (width << stage) * block.expansion
        self.body = nn.Sequential(*layers)
        self.features = cin

    def forward(self, x):
        return self.body(self.stem(x)).mean((2, 3))


def mlp(cin, hidden, cout):
    return nn.Sequential(nn.Linear(cin, hidden), nn.BatchNorm1d(hidden), nn.ReLU(True), nn.Linear(hidden, cout))


class Online(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.encoder = Encoder(a.width, [int(b) for b in a.blocks.split(",")], a.stem, Bottleneck if a.bottleneck else Block)
        self.projector = mlp(self.encoder.features, 512, 128)
        self.predictor = mlp(128, 512, 128)

    def project(self, x):
        return self.projector(self.encoder(x))

    def forward(self, x):
        return self.predictor(self.project(x))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--size", type=int, default=96)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--width", type=int, default=64)
    p.add_argument("--blocks", default="2,2,2,2")
    p.add_argument("--stem", default="imagenet", choices=["imagenet", "cifar"])
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--warmup", type=int, default=2)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--bottleneck", action="store_true", help="ResNet-50 is --bottleneck --blocks 3,4,6,3")
    p.add_argument("--channels-last", action="store_true")
    a = p.parse_args()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if a.channels_last else torch.contiguous_format
    core = Online(a).to(memory_format=layout)
    target = copy.deepcopy(core).requires_grad_(False)
    net = core
    if world > 1:
        dist.init_process_group("gloo")
        net = nn.parallel.DistributedDataParallel(core)
    optimizer = torch.optim.SGD(core.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    view1, view2 = (torch.randn(a.batch, 3, a.size, a.size).contiguous(memory_format=layout) for _ in range(2))

    def distance(prediction, projection):
        return 2 - 2 * (F.normalize(prediction, dim=1) * F.normalize(projection, dim=1)).sum(1).mean()

    def step():
        p1, p2 = net(view1), net(view2)
        with torch.no_grad():
            z1, z2 = target.project(view1), target.project(view2)
        loss = distance(p1, z2) + distance(p2, z1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(target.parameters()), list(core.parameters()), 0.004)

    times = []
    for i in range(a.warmup + a.steps):
        start = time.perf_counter()
        step()
        if i >= a.warmup:
            times.append(time.perf_counter() - start)
    median = statistics.median(times)
    if rank == 0:
        print(f"pytorch {torch.__version__} ranks {world} threads {a.threads} channels_last {int(a.channels_last)} "
              f"size {a.size} batch/rank {a.batch} width {a.width} blocks {a.blocks} stem {a.stem}: "
              f"{median * 1e3:.1f} ms/step {a.batch * world / median:.2f} images/s "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
