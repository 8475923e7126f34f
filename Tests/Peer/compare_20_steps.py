#!/usr/bin/env python3
"""20 steps of BYOL by byol-dist beside PyTorch's, from the same weights on the same batches: every loss within 1e-4 relative.

    python compare_20_steps.py --fixture                      # the committed losses; needs no PyTorch
    python compare_20_steps.py --data CIFAR_10_BINARY_DIR [--width 64 --batch 32 --lr 0.001 ...]

Cases: `sync` on 1, 2 and 4 ranks against batch norm over the batch, and `local` on 4 ranks, and `ghost:(batch/4)` on one,
against PyTorch with batch norm over quarters. PyTorch runs in float64; the `float32` line says how far its own float32 run
strays. Exit status 1 where a case fails. The start is byol_reference.py's --gentle one: from torchvision's, rounding alone
drives two PyTorch runs apart by 1e-2 in ten steps (measured at rates from 1e-4 up), so that losses could not be compared.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(HERE, "..", "TrainingTests", "Fixtures", "twenty_steps")
DEFAULTS = {"encoder": "resnet18", "width": 64, "stem": "cifar", "hidden": 512, "dim": 128, "batch": 32, "steps": 20,
            "lr": 0.001, "momentum": 0.9, "weight-decay": 0.01, "warmup-steps": 5, "ema": 0.9, "ema-schedule": "cosine"}


def words(flags):
    return [word for key, value in flags.items() for word in (f"--{key}", str(value))]


def reference(flags, data, *more):
    command = [sys.executable, os.path.join(HERE, "byol_reference.py"), "--data", data, *words(flags), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line)["loss"] for line in done.stdout.splitlines()]


def product(a, flags, data, init, scope, ranks):
    """The losses in metrics.jsonl of a fresh run."""
    directory = tempfile.mkdtemp(prefix="twenty-steps-")
    run = os.path.join(directory, "run")
    command = a.mpirun.split() + ["-n", str(ranks), a.binary, "train", "--config", "study", "--data", data, *words(flags),
                                  "--augment", "none", "--shuffle", "off", "--bn-scope", scope, "--init", init,
                                  "--threads", str(a.threads), "--checkpoint-every", "0", "--out", run]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\nended with status {done.returncode}:\n{done.stdout[-3000:]}")
        with open(os.path.join(run, "metrics.jsonl")) as f:
            return [line["loss"] for line in map(json.loads, f) if "loss" in line]
    finally:
        shutil.rmtree(directory)


def distance(losses, exact):
    if len(losses) != len(exact):
        raise SystemExit(f"{len(losses)} losses where {len(exact)} are due")
    return max(abs(a - b) / abs(b) for a, b in zip(losses, exact))


def yardsticks(a, flags, ghost, scratch):
    """The data, the start and {scope: (float64's losses, float32's distance)}."""
    if a.fixture:
        with open(os.path.join(FIXTURE, "losses.json")) as f:
            made = json.load(f)
        flags.clear()
        flags.update(made["flags"])
        scopes = {s: (made[s], made["float32_distance"][s]) for s in ("sync", "ghost:4")}
        return FIXTURE, os.path.join(FIXTURE, "init.safetensors"), scopes
    init = os.path.join(scratch, "init.safetensors")
    reference(flags, a.data, "--gentle", "--write-init", init)
    scopes = {}
    for scope in ("sync", ghost):
        exact, rough = (reference(flags, a.data, "--init", init, "--bn-scope", scope, "--threads", str(a.threads), *more)
                        for more in (["--double"], []))
        scopes[scope] = (exact, distance(rough, exact))
    return a.data, init, scopes


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--fixture", action="store_true")
    p.add_argument("--data", help="a CIFAR-10 binary directory")
    p.add_argument("--binary", default=os.path.join(HERE, "..", "..", ".build", "release", "byol-dist"))
    p.add_argument("--mpirun", default="mpirun --oversubscribe --bind-to none")
    p.add_argument("--threads", type=int, default=1, help="of PyTorch and of each rank")
    p.add_argument("--within", type=float, default=1e-4, help="the largest relative difference of a step's loss")
    for key, value in DEFAULTS.items():
        p.add_argument(f"--{key}", type=type(value), default=value)
    a = p.parse_args()
    if not a.fixture and not a.data:
        p.error("--fixture or --data DIR")
    flags = {key: getattr(a, key.replace("-", "_")) for key in DEFAULTS}
    ghost = f"ghost:{a.batch // 4}"
    with tempfile.TemporaryDirectory() as scratch:
        data, init, scopes = yardsticks(a, flags, ghost, scratch)
        quarters = f"ghost:{flags['batch'] // 4}"
        print(f"{flags}\nsync: first loss {scopes['sync'][0][0]:.6f}, last {scopes['sync'][0][-1]:.6f}", flush=True)
        for scope, (_, stray) in scopes.items():
            print(f"{scope:10} float32 PyTorch   {stray:.1e}", flush=True)
        failed = False
        for scope, ranks, against in (("sync", 1, "sync"), ("sync", 2, "sync"), ("sync", 4, "sync"), ("local", 4, quarters),
                                      (quarters, 1, quarters)):
            apart = distance(product(a, flags, data, init, scope, ranks), scopes[against][0])
            good = apart <= a.within
            failed |= not good
            print(f"{scope:10} on {ranks} rank{'s' if ranks > 1 else ' '}         {apart:.1e} {'PASS' if good else 'FAIL'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
