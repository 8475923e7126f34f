#!/usr/bin/env python3
"""Makes the fixtures that the layers are compared with: PyTorch's results, computed in float64 from inputs that are exact
in float32, stored as float32 in PyTorch's layouts (NCHW maps, OIHW filters, [out, in] linear weights).

Made with Python 3.11, torch 2.13.0 (cpu), torchvision 0.28.0, safetensors; see the `versions` metadata of each file.

    python make_layers.py [CASE ...]        # no case: all of them

torchvision must import beside a CPU build of torch: put a module that registers its operators first where it does not.

Every simple layer's file has `input`, `output`, `output_gradient`, `input_gradient`, its parameters by name
(`weight`, `bias`) and their gradients (`weight_gradient`, ...). Networks have `weights.KEY`, `gradient.KEY` and, for
running statistics after the training pass, `after.KEY`, where KEY is torchvision's state_dict key.
Networks are redrawn until PyTorch in float32 agrees with these figures within 5e-5 of each tensor's largest magnitude
(`float32_distance` in the metadata), and no activation that a ReLU sees is nearer to zero than MARGIN, so that rounding cannot flip one.
"""
import copy
import os
import sys

sys.path.insert(0, os.environ.get("BYOL_PEERS", "."))
try:
    import torchvision_cpu  # noqa: F401
except ImportError:
    pass
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

HERE = os.path.dirname(os.path.abspath(__file__))
MARGIN = 2e-5
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def exact(*shape, scale=1.0, shift=0.0):
    """Normal numbers that are exact in float32, as float64."""
    return (torch.randn(*shape) * scale + shift).float().double()


def save(name, tensors, **metadata):
    meta = {"versions": f"torch {torch.__version__} torchvision {torchvision.__version__}"}
    meta.update({k: str(v) for k, v in metadata.items()})
    path = os.path.join(HERE, name + ".safetensors")
    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, path, metadata=meta)
    print(f"{name}: {os.path.getsize(path)} bytes, {len(tensors)} tensors {meta}")


def perturb(module):
    """Weights that tell apart what PyTorch's starting ones and zeros would not; all exact in float32."""
    module.double()
    with torch.no_grad():
        for key, p in module.named_parameters():
            if p.dim() == 1 and key.endswith("weight"):
                p.copy_(1 + 0.3 * torch.randn_like(p))
            elif p.dim() == 1:
                p.copy_(0.3 * torch.randn_like(p))
            p.copy_(p.float().double())
    return module


class Margin:
    """The smallest magnitude that any ReLU of a module saw."""

    def __init__(self, module):
        self.smallest = float("inf")
        for m in module.modules():
            if isinstance(m, nn.ReLU):
                m.register_forward_pre_hook(self.look)

    def look(self, _, inputs):
        x = inputs[0].detach().abs()
        self.smallest = min(self.smallest, float(x[x > 0].min()))


def safe(make):
    """Calls make(seed) -> (tensors, module margin, metadata) until no ReLU input is within MARGIN of zero."""
    for seed in range(100):
        torch.manual_seed(seed)
        tensors, margin, metadata = make()
        if margin > MARGIN:
            return tensors, dict(metadata, seed=seed, margin=f"{margin:.1e}")
    raise SystemExit("no seed keeps the ReLU inputs away from zero")


def run(module, x, dy=None, forward=None):
    """One forward and backward pass: the tensors of a simple layer's file."""
    x = x.clone().requires_grad_(True)
    module.zero_grad(set_to_none=True)
    y = (forward or module)(x)
    dy = exact(*y.shape) if dy is None else dy
    y.backward(dy)
    out = {"input": x, "output": y, "output_gradient": dy, "input_gradient": x.grad}
    for key, p in module.named_parameters():
        out[key] = p
        out[key + "_gradient"] = p.grad
    return out


class BatchRenorm(nn.Module):
    """Ioffe (2017), algorithm 1: r and d are constants to the gradient, sigma the moving average of sqrt(variance + eps)."""

    def __init__(self, channels, r_max=3.0, d_max=5.0, momentum=0.01, eps=1e-5):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_std", torch.ones(channels))
        self.r_max, self.d_max, self.momentum, self.eps = r_max, d_max, momentum, eps

    def forward(self, x):
        dims = [d for d in range(x.dim()) if d != 1]
        wide = lambda v: v.view(1, -1, *[1] * (x.dim() - 2))
        if not self.training:
            return wide(self.weight) * (x - wide(self.running_mean)) / wide(self.running_std) + wide(self.bias)
        mean = x.mean(dims)
        deviation = torch.sqrt(((x - wide(mean)) ** 2).mean(dims) + self.eps)
        with torch.no_grad():
            self.r = (deviation / self.running_std).clamp(1 / self.r_max, self.r_max)
            self.d = ((mean - self.running_mean) / self.running_std).clamp(-self.d_max, self.d_max)
        hat = (x - wide(mean)) / wide(deviation) * wide(self.r) + wide(self.d)
        with torch.no_grad():
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_std += self.momentum * (deviation - self.running_std)
        return wide(self.weight) * hat + wide(self.bias)


def two_steps(module, shape, relu):
    """Two training passes and one in eval mode, so that running statistics are tested beyond their first update."""
    tensors = {}
    for key, p in module.named_parameters():
        tensors[key] = p
    forward = (lambda x: F.relu(module(x))) if relu else module
    tensors.update({"start." + key: b.clone() for key, b in module.named_buffers() if "num" not in key})
    smallest = float("inf")
    for step in range(2):
        x = exact(*shape, scale=1.5, shift=0.7)
        if relu:
            clone = copy.deepcopy(module)
            smallest = min(smallest, float(clone(x).detach().abs().min()))
        for key, value in run(module, x, forward=forward).items():
            if key not in tensors:
                tensors[f"step{step}.{key}"] = value
        for key, value in module.named_buffers():
            if "num" not in key:
                tensors[f"step{step}.{key}"] = value.clone()
    module.eval()
    x = exact(*shape)
    tensors["eval.input"], tensors["eval.output"] = x, module(x)
    return tensors, smallest


@case
def batch_norm_2d():
    """`weight`, `bias`; step0.*, step1.* (with running_mean, running_var after the step); eval.input, eval.output after both."""
    for relu in (False, True):
        def make():
            module = perturb(nn.BatchNorm2d(5))
            tensors, smallest = two_steps(module, (4, 5, 3, 4), relu)
            return tensors, smallest, {}
        tensors, meta = safe(make)
        save("batch_norm_2d" + ("_relu" if relu else ""), tensors, **meta)


@case
def batch_norm_1d():
    for relu in (False, True):
        def make():
            module = perturb(nn.BatchNorm1d(10))
            tensors, smallest = two_steps(module, (8, 10), relu)
            return tensors, smallest, {}
        tensors, meta = safe(make)
        save("batch_norm_1d" + ("_relu" if relu else ""), tensors, **meta)


@case
def batch_renorm():
    """As batch_norm_*, with r_max 1.2, d_max 0.3, momentum 0.25; `start.running_mean`, `start.running_std`. The first pass
    clips some channels' r and d from above, some from below, and leaves others."""
    for name, shape, relu in (("batch_renorm_1d", (8, 10), False), ("batch_renorm_2d_relu", (4, 5, 3, 4), True)):
        def make():
            module = perturb(BatchRenorm(shape[1], 1.2, 0.3, 0.25))
            with torch.no_grad():
                module.running_mean.copy_((0.7 + 0.4 * torch.randn(shape[1])).float())
                module.running_std.copy_((1.5 * torch.exp(0.3 * torch.randn(shape[1]))).float())
                probe = copy.deepcopy(module)
                probe(exact(*shape, scale=1.5, shift=0.7))
            clipped = [(v == bound).any() for v, bounds in ((probe.r, (1.2, 1 / 1.2)), (probe.d, (0.3, -0.3))) for bound in bounds]
            free = ((probe.r != 1.2) & (probe.r != 1 / 1.2)).any() and (probe.d.abs() != 0.3).any()
            tensors, smallest = two_steps(module, shape, relu)
            return tensors, smallest if all(clipped) and free else 0, {}
        tensors, meta = safe(make)
        save(name, tensors, **meta)


@case
def batch_norm_ghost():
    """Three ghosts of four samples, each normalised by itself. Running statistics: `running_mean`, `running_var` move once,
    towards the mean of the ghosts' statistics (which equals the average of copies that each saw one ghost)."""
    torch.manual_seed(1)
    module = perturb(nn.BatchNorm2d(5))
    x = torch.cat([exact(4, 5, 2, 3, scale=1 + g, shift=g) for g in range(3)])
    copies = []

    def forward(x):
        out = []
        for chunk in x.split(4):
            stats = [torch.zeros(5).double(), torch.ones(5).double()]
            out.append(F.batch_norm(chunk, *stats, module.weight, module.bias, True, 0.1, 1e-5))
            copies.append(stats)
        return torch.cat(out)

    tensors = run(module, x, forward=forward)
    tensors["running_mean"] = torch.stack([c[0] for c in copies]).mean(0)
    tensors["running_var"] = torch.stack([c[1] for c in copies]).mean(0)
    save("batch_norm_ghost", tensors, ghost=4)


@case
def layer_norm():
    torch.manual_seed(2)
    save("layer_norm", run(perturb(nn.LayerNorm(13)), exact(7, 13, scale=2, shift=1)))


@case
def group_norm():
    for channels, groups in ((8, 4), (6, 3), (8, 1)):
        torch.manual_seed(3)
        save(f"group_norm_{channels}_{groups}", run(perturb(nn.GroupNorm(groups, channels)), exact(3, channels, 3, 5, scale=2, shift=1)),
             groups=groups)


@case
def linear():
    torch.manual_seed(4)
    save("linear", run(perturb(nn.Linear(11, 7)), exact(9, 11)))


@case
def convolution():
    """convolution_KxK_sS_NAME: inputs, weight, gradients; odd and even map sizes."""
    for name, cin, cout, k, stride, padding, h, w in (
        ("3x3_s1", 5, 8, 3, 1, 1, 6, 7), ("3x3_s1_wide", 16, 12, 3, 1, 1, 8, 8), ("3x3_s1_one", 8, 8, 3, 1, 1, 1, 1),
        ("3x3_s2", 6, 8, 3, 2, 1, 8, 6), ("3x3_s2_odd", 6, 8, 3, 2, 1, 7, 5),
        ("7x7_s2", 3, 8, 7, 2, 3, 12, 12), ("7x7_s2_odd", 3, 6, 7, 2, 3, 11, 9),
        ("1x1_s1", 10, 7, 1, 1, 0, 5, 4), ("1x1_s2", 8, 16, 1, 2, 0, 6, 6), ("1x1_s2_odd", 8, 16, 1, 2, 0, 5, 7),
    ):
        torch.manual_seed(5)
        conv = perturb(nn.Conv2d(cin, cout, k, stride, padding, bias=False))
        save("convolution_" + name, run(conv, exact(2, cin, h, w)), stride=stride, padding=padding, kernel=k)


@case
def max_pool():
    """3x3 stride 2 padding 1. `max_pool` and `_odd`: distinct values; `_ties`: ReLU-like zeros, where the first of equals in
    row order takes the gradient."""
    for name, h, w, ties in (("max_pool", 6, 8, False), ("max_pool_odd", 7, 5, False), ("max_pool_ties", 7, 8, True)):
        torch.manual_seed(6)
        x = exact(2, 3, h, w)
        save(name, run(nn.MaxPool2d(3, 2, 1), F.relu(x) if ties else x))


@case
def global_average_pool():
    torch.manual_seed(7)
    save("global_average_pool", run(nn.AdaptiveAvgPool2d(1), exact(3, 6, 3, 4), forward=lambda x: x.mean((2, 3))))


def network(module, x, name_of_output="output"):
    """Forward and backward of a network in training mode, then forward in eval mode with the statistics it left."""
    margin = Margin(module)
    tensors = {f"weights.{k}": v.clone() for k, v in module.state_dict().items() if "num_batches" not in k}
    x = x.clone().requires_grad_(True)
    y = module(x)
    dy = exact(*y.shape)
    y.backward(dy)
    smallest = margin.smallest
    tensors.update({"input": x, name_of_output: y, name_of_output + "_gradient": dy, "input_gradient": x.grad})
    tensors.update({f"gradient.{k}": p.grad for k, p in module.named_parameters()})
    tensors.update({f"after.{k}": b.clone() for k, b in module.named_buffers() if "num_batches" not in k})
    module.eval()
    tensors["eval_" + name_of_output] = module(x.detach())
    module.train()
    return tensors, smallest


def float32_distance(module, weights, x, dy, tensors, output="output"):
    """How far PyTorch in float32 is from these figures, relative to each tensor's largest magnitude: what one may ask for."""
    module.load_state_dict({k[8:]: v for k, v in weights.items()}, strict=False)
    module.float().train()
    module.zero_grad(set_to_none=True)
    x = x.detach().float().requires_grad_(True)
    y = module(x)
    y.backward(dy.float())
    pairs = [(y, tensors[output]), (x.grad, tensors["input_gradient"])]
    pairs += [(p.grad, tensors[f"gradient.{k}"]) for k, p in module.named_parameters()]
    largest = max(float(b.detach().abs().max()) for _, b in pairs[2:])  # a bias before a norm has a gradient of zero
    return max(float((a.double() - b).detach().abs().max() / max(float(b.detach().abs().max()), 1e-3 * largest)) for a, b in pairs)


def save_network(name, build, shape, output="output", stray=5e-5, change=lambda module: None, **more):
    def make():
        module = perturb(build())
        change(module)
        x = exact(*shape)
        tensors, smallest = network(module, x, output)
        weights = {k: v for k, v in tensors.items() if k.startswith("weights.")}
        distance = float32_distance(build(), weights, x, tensors[output + "_gradient"], tensors, output)
        # A net whose own float32 run strays is no yardstick: another seed.
        return tensors, smallest if distance < stray else 0, {"float32_distance": f"{distance:.1e}"}
    tensors, meta = safe(make)
    save(name, tensors, **meta, **more)


@case
def basic_block():
    save_network("basic_block", lambda: BasicBlock(6, 6), (3, 6, 5, 4))
    save_network("basic_block_down", lambda: BasicBlock(
        4, 8, 2, nn.Sequential(nn.Conv2d(4, 8, 1, 2, bias=False), nn.BatchNorm2d(8))), (4, 4, 7, 6), stride=2)


@case
def bottleneck():
    """torchvision's: expansion 4, the stride on the 3x3."""
    save_network("bottleneck", lambda: Bottleneck(16, 4), (3, 16, 4, 3))
    save_network("bottleneck_down", lambda: Bottleneck(
        8, 4, 2, nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))), (4, 8, 5, 6), stride=2)


@case
def mlp():
    """Sequential(Linear, norm, ReLU, Linear), the indices of the product's tensor names."""
    for norm in ("bn", "ln", "none", "gn", "brn"):
        layer = {"bn": nn.BatchNorm1d, "ln": nn.LayerNorm, "none": lambda _: nn.Identity(),
                 "gn": lambda c: nn.GroupNorm(8, c), "brn": BatchRenorm}[norm]
        save_network(f"mlp_{norm}", lambda: nn.Sequential(nn.Linear(8, 16), layer(16), nn.ReLU(), nn.Linear(16, 8)), (6, 8),
                     # Two channels a group: where they are nearly equal, rounding is what float32 normalises.
                     stray=5e-6 if norm == "gn" else 5e-5)


def standardized(w):
    """Weight standardisation (Qiao et al. 2019, equation 5)."""
    variance, mean = torch.var_mean(w, dim=list(range(1, w.dim())), keepdim=True, unbiased=False)
    return (w - mean) / torch.sqrt(variance + 1e-5)


class StandardizedConv2d(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, standardized(self.weight), self.bias)


class StandardizedLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, standardized(self.weight), self.bias)


def standardize(module):
    for m in module.modules():
        if type(m) in (nn.Conv2d, nn.Linear):
            m.__class__ = StandardizedConv2d if type(m) is nn.Conv2d else StandardizedLinear
    return module


@case
def standardized_weights():
    """A linear layer, a head and a block whose layers compute with standardised weights. Weights are small, so that epsilon counts."""
    torch.manual_seed(8)
    linear = perturb(nn.Linear(11, 7))
    with torch.no_grad():
        linear.weight.mul_(torch.logspace(-3, 0, 7).view(7, 1)).copy_(linear.weight.float().double())
    save("linear_standardized", run(standardize(linear), exact(9, 11)))
    save_network("mlp_standardized", lambda: standardize(
        nn.Sequential(nn.Linear(8, 16), nn.GroupNorm(1, 16), nn.ReLU(), nn.Linear(16, 8))), (6, 8), stray=3e-6)
    save_network("basic_block_standardized", lambda: standardize(BasicBlock(
        4, 8, 2, nn.Sequential(nn.Conv2d(4, 8, 1, 2, bias=False), nn.BatchNorm2d(8)))), (4, 4, 7, 6), stray=3e-6, stride=2)


def encoder(block, blocks, width, stem, norm=nn.BatchNorm2d):
    """torchvision's ResNet without its classifier, with any width of the first stage and the product's three stems."""
    net = ResNet(block, blocks, norm_layer=norm)
    net = net.__class__.__new__(net.__class__)
    nn.Module.__init__(net)
    net._norm_layer, net.inplanes, net.dilation, net.groups, net.base_width = norm, width, 1, 1, 64
    if stem == "imagenet":
        net.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        net.maxpool = nn.MaxPool2d(3, 2, 1)
    else:
        net.conv1 = nn.Conv2d(3, width, 3, 2 if stem == "small" else 1, 1, bias=False)
        net.maxpool = nn.Identity()
    net.bn1, net.relu = norm(width), nn.ReLU(inplace=True)
    for stage in range(4):
        setattr(net, f"layer{stage + 1}", net._make_layer(block, width << stage, blocks[stage], stride=2 if stage else 1))
    net.avgpool, net.fc = nn.AdaptiveAvgPool2d(1), nn.Identity()
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return net


@case
def resnet():
    for stem, size in (("cifar", 12), ("small", 20), ("imagenet", 32)):
        save_network(f"resnet10_{stem}", lambda: encoder(BasicBlock, [1, 1, 1, 1], 2, stem), (5, 3, size, size), "features",
                     width=2, stem=stem, blocks="1,1,1,1")
    save_network("resnet10_cifar_width4", lambda: encoder(BasicBlock, [1, 1, 1, 1], 4, "cifar"), (4, 3, 8, 8), "features",
                 width=4, stem="cifar", blocks="1,1,1,1")
    save_network("resnet18_cifar", lambda: encoder(BasicBlock, [2, 2, 2, 2], 2, "cifar"), (6, 3, 9, 9), "features",
                 width=2, stem="cifar", blocks="2,2,2,2")
    save_network("resnet50_cifar", lambda: encoder(Bottleneck, [3, 4, 6, 3], 2, "cifar"), (8, 3, 8, 8), "features",
                 width=2, stem="cifar", blocks="3,4,6,3")


@case
def resnet_falling_stem():
    """Before the max-pooling: channels that rise with the convolution's output, fall with it and do neither."""
    def change(net):
        with torch.no_grad():
            net.bn1.weight.copy_(torch.tensor([1.25, -0.75, 0.0, -1.5]))
            net.bn1.bias[2] = 0.5
    save_network("resnet10_falling_stem", lambda: encoder(BasicBlock, [1, 1, 1, 1], 4, "imagenet"), (4, 3, 24, 24),
                 "features", change=change, width=4, stem="imagenet", blocks="1,1,1,1")


@case
def resnet_group_norm():
    """An encoder without batch norm: group norm with two groups."""
    save_network("resnet10_group_norm", lambda: encoder(BasicBlock, [1, 1, 1, 1], 2, "cifar", lambda c: nn.GroupNorm(2, c)),
                 (3, 3, 12, 12), "features", width=2, stem="cifar", groups=2)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or CASES:
        CASES[name]()
