#!/usr/bin/env python3
"""Makes twenty_steps/: what `byol-dist train --augment none --shuffle off` must compute in 20 steps (two epochs of 10 batches).

    python make_twenty_steps.py CIFAR_10_BINARY_DIR      # torch 2.13.0 (cpu), torchvision 0.28.0; PYTHONPATH for torchvision_cpu

data_batch_1.bin, test_batch.bin: the first 160 and 40 records of CIFAR-10's own files. init.safetensors: the start, by
byol-dist's names (torchvision's, made gentle: byol_reference.soothe). losses.json: the flags, and the losses of PyTorch in
float64 with batch norm over the batch (`sync`) and over quarters (`local` on 4 ranks = `ghost:4`); `float32_distance` is how
far PyTorch's own float32 run strays, relative. `variants` has the same for other norms and optimizers, each with its flags.

What the losses of `sync` notice (largest relative difference over the 20 steps, measured): no weight decay 4e-4, tau 0.91 for
0.9 9e-4, tau constant 2e-2, momentum 0.89 for 0.9 2e-2, batch norm over halves 2e-2; float32's rounding 2e-6.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "twenty_steps")
REFERENCE = os.path.join(HERE, "..", "..", "Peer", "byol_reference.py")
FLAGS = {"encoder": "resnet18", "width": 8, "stem": "cifar", "hidden": 64, "dim": 32, "batch": 16, "steps": 20, "lr": 0.001,
         "momentum": 0.9, "weight-decay": 0.01, "warmup-steps": 5, "ema": 0.9, "ema-schedule": "cosine"}


# Norms and optimizers, each by its own flags beside FLAGS.
VARIANTS = {
    "apart": {"encoder-bn-scope": "sync", "head-bn-scope": "ghost:4"},
    "joint-ghosts": {"bn-views": "joint", "encoder-bn-scope": "ghost:4", "head-bn-scope": "sync"},
    "renorm": {"projector-norm": "brn", "predictor-norm": "brn", "brn-warmup-steps": 10, "brn-d-max": 0.5, "brn-r-max": 1.5},
    # Groups of two channels magnify rounding, and standardised filters the gradient: gentle rates, as for LARS.
    "standardized": {"weight-standardization": "on", "lr": 1e-5},
    "group-norm-standardized": {"encoder-norm": "gn", "projector-norm": "gn", "predictor-norm": "gn",
                                "weight-standardization": "on", "lr": 2e-7},
    "lars": {"optimizer": "lars", "lr": 0.05, "lars-trust": 0.001},
    "lars-on": {"optimizer": "lars", "lr": 0.001, "lars-trust": 0.1, "lars-on": "layer1,layer2,predictor"},
    "weights-decay": {"decay-on": "weights", "weight-decay": 0.2},
}


def reference(*more):
    flags = [word for key, value in FLAGS.items() for word in (f"--{key}", str(value))]
    result = subprocess.run([sys.executable, REFERENCE, "--data", OUT, *flags, *more], check=True, capture_output=True, text=True)
    return [json.loads(line)["loss"] for line in result.stdout.splitlines()]


def main():
    import torch
    import safetensors
    os.makedirs(OUT, exist_ok=True)
    for name, records in (("data_batch_1.bin", 160), ("test_batch.bin", 40)):
        with open(os.path.join(sys.argv[1], name), "rb") as source, open(os.path.join(OUT, name), "wb") as copy:
            copy.write(source.read(records * 3073))
    init = os.path.join(OUT, "init.safetensors")
    reference("--gentle", "--write-init", init)
    os.chmod(init, 0o644)
    losses = {"versions": f"torch {torch.__version__} safetensors {safetensors.__version__}", "flags": FLAGS, "float32_distance": {}}
    for scope in ("sync", "ghost:4"):
        exact, rough = (reference("--init", init, "--bn-scope", scope, *more) for more in (["--double"], []))
        losses[scope] = exact
        losses["float32_distance"][scope] = float(f"{max(abs(a - b) / b for a, b in zip(rough, exact)):.1e}")
    losses["variants"] = {}
    for name, extra in VARIANTS.items():
        words = [word for key, value in extra.items() for word in (f"--{key}", str(value))]
        exact, rough = (reference("--init", init, *words, *more) for more in (["--double"], []))
        distance = float(f"{max(abs(a - b) / b for a, b in zip(rough, exact)):.1e}")
        losses["variants"][name] = {"flags": extra, "losses": exact, "float32_distance": distance}
        print(name, distance, exact[0], exact[-1])
    with open(os.path.join(OUT, "losses.json"), "w") as f:
        json.dump(losses, f, indent=1)
    print(losses)


if __name__ == "__main__":
    main()
