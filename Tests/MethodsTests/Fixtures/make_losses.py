#!/usr/bin/env python3
"""Makes the fixtures for every loss and for steps of every method but BYOL, in float64 from inputs exact in float32, stored
as float32.

    PYTHONPATH=../../Peer python make_losses.py          # torch 2.13.0 (cpu), torchvision 0.28.0

losses: `query`, `key` [2 x 8 x 6], each view's rows, and `queue` [16 x 6] of unit rows. For each case CASE.loss [1], the sum
  of both directions' means, CASE.query_gradient and CASE.key_gradient, as if both were leaves. ntxent, barlow_twins and
  vicreg compare `query` with itself and have no key gradient.
method_steps: a ResNet-10 of width 2 (cifar stem, 12x12 images, hidden 24, dim 8, batch 8, BN) through three steps.
  view1, view2 [3 x 8 x 3 x 12 x 12], lr, tau [3], weights.KEY (the target is a copy), linear.predictor.0.weight|bias for
  depth 1, queue [16 x 8]; for each case CASE.loss [3] and CASE.gradient.KEY of the first step; moco.queue_after.
"""
import copy
import os

from make_methods import exact, reference, save
import torch
import torch.nn as nn
import torch.nn.functional as F


def cosines(q, k):
    return F.normalize(q, dim=1) @ F.normalize(k, dim=1).T


def directions(loss):
    """The sum over both directions of a loss of one view's queries and the other's keys."""
    return lambda q, k, queue: loss(q[0], k[1], queue) + loss(q[1], k[0], queue)


def l2(q, k, queue):
    return reference.distance(q, k)


def batch_logits(q, k, queue):
    return cosines(q, k), torch.arange(len(q))


def queue_logits(q, k, queue):
    own = (F.normalize(q, dim=1) * F.normalize(k, dim=1)).sum(1, keepdim=True)
    return torch.cat([own, F.normalize(q, dim=1) @ queue.T], 1), torch.zeros(len(q), dtype=torch.long)


def cross_entropy(logits, temperature, alpha=None):
    def loss(q, k, queue):
        cos, own = logits(q, k, queue)
        powers = (cos / temperature).exp()
        positive = powers[torch.arange(len(q)), own]
        share = 1 if alpha is None else alpha / (cos.shape[1] - 1)
        ours = -(positive / (positive + share * (powers.sum(1) - positive))).log().mean()
        if alpha is None:
            assert torch.allclose(ours, F.cross_entropy(cos / temperature, own))
        return ours
    return loss


def binary(logits, temperature):
    def loss(q, k, queue):
        cos, own = logits(q, k, queue)
        return F.binary_cross_entropy_with_logits(cos / temperature, F.one_hot(own, cos.shape[1]).to(cos.dtype))
    return loss


def ntxent(temperature):
    """SimCLR's, by the usual 2 B x 2 B matrix; twice its mean over both views."""
    def loss(q, k, queue):
        z, n = torch.cat([q[0], q[1]]), len(q[0])
        cos = cosines(z, z).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
        return 2 * F.cross_entropy(cos / temperature, torch.cat([torch.arange(n) + n, torch.arange(n)]))
    return loss


def barlow_twins(lambd):
    """The authors' code."""
    def loss(q, k, queue):
        a, b = (F.batch_norm(x, None, None, training=True) for x in q)
        c = a.T @ b / len(a)
        on, off = c.diagonal().add(-1).pow(2).sum(), c.pow(2).sum() - c.diagonal().pow(2).sum()
        return on + lambd * off
    return loss


def vicreg(q, k, queue):
    """Algorithm 1 of the paper."""
    loss = 25 * F.mse_loss(q[0], q[1])
    for z in q:
        n, d = z.shape
        z = z - z.mean(0)
        c = z.T @ z / (n - 1)
        loss = loss + 25 * F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()
        loss = loss + (c.pow(2).sum() - c.diagonal().pow(2).sum()) / d
    return loss


CASES = {
    "l2": directions(l2),
    "batch": directions(cross_entropy(batch_logits, 0.2)),
    "batch_eqco": directions(cross_entropy(batch_logits, 0.2, alpha=64)),
    "batch_bce": directions(binary(batch_logits, 0.2)),
    "queue": directions(cross_entropy(queue_logits, 0.2)),
    "queue_eqco": directions(cross_entropy(queue_logits, 0.3, alpha=64)),
    "queue_bce": directions(binary(queue_logits, 0.2)),
    "ntxent": ntxent(0.5),
    "barlow_twins": barlow_twins(0.05),
    "vicreg": vicreg,
}
OF_ONE = ("ntxent", "barlow_twins", "vicreg")


def losses():
    torch.manual_seed(0)
    q, k = exact(2, 8, 6), exact(2, 8, 6)
    queue = F.normalize(exact(16, 6), dim=1).float().double()
    tensors = {"query": q, "key": k, "queue": queue}
    for name, loss in CASES.items():
        a, b = q.clone().requires_grad_(True), k.clone().requires_grad_(True)
        value = loss(a, b, queue)
        value.backward()
        tensors[f"{name}.loss"] = value.reshape(1)
        tensors[f"{name}.query_gradient"] = a.grad
        if name not in OF_ONE:
            tensors[f"{name}.key_gradient"] = b.grad
    save("losses", tensors)


class Trainer(reference.Trainer):
    """BYOL's networks and updates under another loss; `keys` is target, stopped or flowing."""

    def __init__(self, a, online, loss, keys, queue):
        super().__init__(a, online)
        self.loss, self.keys, self.queue, self.place = loss, keys, queue.clone(), 0

    def loss_and_gradients(self, view1, view2):
        self.optimizer.zero_grad()
        z = [self.online.project(v) for v in (view1, view2)]
        p = [self.online.predictor(x) for x in z]
        keys = z
        if self.keys == "target":
            with torch.no_grad():
                keys = [self.target.project(v) for v in (view1, view2)]
        elif self.keys == "stopped":
            keys = [x.detach() for x in z]
        loss = self.loss(p, keys, self.queue)
        loss.backward()
        for k in keys:
            rows = F.normalize(k.detach(), dim=1)
            self.queue[self.place:self.place + len(rows)] = rows
            self.place = (self.place + len(rows)) % len(self.queue)
        return loss.item()


# name: predictor depth, keys, loss
STEPS = {
    "contrastive": (2, "target", CASES["batch"]),
    "moco": (0, "target", CASES["queue"]),
    "simclr": (0, "flowing", CASES["ntxent"]),
    "simsiam": (2, "stopped", CASES["l2"]),
    "simsiam_flowing": (1, "flowing", CASES["l2"]),
    "byol_no_predictor": (0, "target", CASES["l2"]),
    "simsiam_bce": (1, "flowing", CASES["batch_bce"]),
    "barlow_twins": (0, "flowing", CASES["barlow_twins"]),
    "vicreg": (0, "flowing", CASES["vicreg"]),
}


def run(a, seed, dtype):
    a.seed = seed
    online = reference.build(a).double()
    linear = nn.Sequential(nn.Linear(a.dim, a.dim)).double()
    with torch.no_grad():
        for p in [*online.parameters(), *linear.parameters()]:
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
            p.copy_(p.float().double())
    views = [exact(3, 8, 3, 12, 12) for _ in range(2)]
    queue = F.normalize(exact(16, a.dim), dim=1).float().double()
    tensors = {"view1": views[0], "view2": views[1], "queue": queue}
    tensors.update({f"weights.{k}": p.detach().clone() for k, p in online.named_parameters()})
    tensors.update({f"linear.predictor.{k}": p.detach().clone() for k, p in linear.named_parameters()})
    for name, (depth, keys, loss) in STEPS.items():
        net = copy.deepcopy(online)
        net.predictor = [nn.Identity(), copy.deepcopy(linear), net.predictor][depth]
        trainer = Trainer(a, net.to(dtype), loss, keys, queue.to(dtype))
        lines = []
        for step in range(3):
            lines.append(trainer.step(views[0][step].to(dtype), views[1][step].to(dtype)))
            if step == 0:
                tensors.update({f"{name}.gradient.{k}": p.grad.clone() for k, p in net.named_parameters()})
        for key, place in (("loss", f"{name}.loss"), ("lr", "lr"), ("tau", "tau")):
            tensors[place] = torch.tensor([line[key] for line in lines], dtype=torch.float64)
        if name == "moco":
            tensors["moco.queue_after"] = trainer.queue
    return tensors


def steps():
    a = reference.parser().parse_args(
        "--encoder resnet10 --width 2 --hidden 24 --dim 8 --batch 8 --steps 3 --lr 0.01 --warmup-steps 1 --ema 0.9".split())
    for seed in range(400):
        # As in make_methods.py: a net whose own float32 run strays is no yardstick.
        tensors, rough = run(a, seed, torch.float64), run(a, seed, torch.float32)
        largest = {n: max(float(v.abs().max()) for k, v in tensors.items() if k.startswith(f"{n}.gradient.")) for n in STEPS}
        distance = max(
            float((rough[k].double() - v).abs().max() / max(float(v.abs().max()), 0.05 * largest.get(k.split(".")[0], 0), 1e-12))
            for k, v in tensors.items())
        if distance < 1e-5:
            return save("method_steps", tensors, seed=seed, float32_distance=f"{distance:.1e}")
    raise SystemExit("no seed gives a stable run")


if __name__ == "__main__":
    torch.set_num_threads(1)
    losses()
    steps()
