#!/usr/bin/env python3
"""Times PyTorch's step (step_time.py, both memory layouts) and `byol-dist bench step` in turn, A B A B, and prints ratios.

    python compare_speed.py --binary .build/release/byol-dist [--rounds 2] [--case NAME ...]
        [--openblas-core NAME]

Run it with a Python that has torch. Cases: resnet18-96, width16-32, resnet50-96, threads, scaling, scope. A ratio above 1 says
that byol-dist is faster; the layout of PyTorch counts that is the faster over all rounds. Nothing else should run meanwhile.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RESNET18 = dict(own="--encoder resnet18 --width 64 --stem imagenet --image-size 96",
                peer="--size 96 --width 64 --stem imagenet", steps=5)
CASES = {
    "resnet18-96": dict(RESNET18, batch=64, ranks=2, threads=1),
    "width16-32": dict(own="--encoder resnet18 --width 16 --stem cifar --image-size 32",
                       peer="--size 32 --width 16 --stem cifar", batch=64, ranks=2, threads=1, steps=12),
    "resnet50-96": dict(own="--encoder resnet50 --width 64 --stem imagenet --image-size 96",
                        peer="--size 96 --width 64 --stem imagenet --bottleneck --blocks 3,4,6,3", batch=32, ranks=2,
                        threads=1, steps=3),
    "threads": dict(RESNET18, batch=64, ranks=1, threads=2),
}


OPENBLAS_CORE = None
LAYOUTS = {True: "channels last", False: "channels first"}


def environment():
    e = dict(os.environ)
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        e.pop(name, None)
    if OPENBLAS_CORE:
        e["OPENBLAS_CORETYPE"] = OPENBLAS_CORE
    return e


def own(binary, flags, batch, ranks, threads, steps):
    root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    bind = ["--bind-to", "core"] if threads == 1 else ["--bind-to", "none"]
    command = (["mpirun", "-q", *root, *bind, "-n", str(ranks), binary, "bench", "step", "--json", "--batch", str(batch),
                "--threads", str(threads), "--steps", str(steps), "--warmup", "2"] + flags.split())
    out = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True).stdout
    return json.loads(out)


def peer(flags, batch, ranks, threads, steps, channels_last):
    torchrun = os.path.join(os.path.dirname(sys.executable), "torchrun")
    command = [torchrun, "--standalone", "--nproc-per-node", str(ranks), os.path.join(HERE, "step_time.py"),
               "--batch", str(batch // ranks), "--threads", str(threads), "--steps", str(steps)] + flags.split()
    command += ["--channels-last"] if channels_last else []
    out = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True).stdout
    ms, rate, memory = re.search(r"([\d.]+) ms/step ([\d.]+) images/s ([\d.]+) MiB", out).groups()
    return dict(ms=float(ms), rate=float(rate), bytes=float(memory) * 2**20)


def against_peer(name, case, binary, rounds):
    """A round is a run of each of PyTorch's layouts and after each a run of byol-dist, whose ratio is taken. The layout that is the
    faster in the median of all rounds counts: the faster one in each round would be the one whose minute was the quieter."""
    ratios, rates, memory, work = {True: [], False: []}, {True: [], False: []}, {True: [], False: []}, []
    for _ in range(rounds):
        for channels_last in (True, False):
            theirs = peer(case["peer"], case["batch"], case["ranks"], case["threads"], case["steps"], channels_last)
            mine = own(binary, case["own"], case["batch"], case["ranks"], case["threads"], case["steps"])
            ratios[channels_last].append(mine["images_per_second"] / theirs["rate"])
            rates[channels_last].append(theirs["rate"])
            memory[channels_last].append(mine["peak_rss_bytes"] / theirs["bytes"])
            work.append(mine["convolution_gflops"] / mine["sgemm_gflops"])
            print(f"  {name}: PyTorch {LAYOUTS[channels_last]} {theirs['rate']:.1f} images/s {theirs['bytes'] / 1e6:.0f} MB, "
                  f"byol-dist {mine['images_per_second']:.1f} images/s {mine['peak_rss_bytes'] / 1e6:.0f} MB", flush=True)
    faster = max(rates, key=lambda layout: statistics.median(rates[layout]))
    print(f"{name}: {statistics.median(ratios[faster]):.2f}x images/s of PyTorch {LAYOUTS[faster]} (the other layout "
          f"{statistics.median(ratios[not faster]):.2f}x), {statistics.median(memory[faster]):.2f} of the memory, convolution work "
          f"over sgemm ({mine['sgemm_core']}) {statistics.median(work):.2f}", flush=True)


def in_turn(name, a, b, binary, rounds, figure):
    """Two layouts of byol-dist. They differ by a few hundredths, a slow moment by more: nine rounds at least, and more steps
    in each. OpenBLAS's sgemm, a process for each core at the end of the same runs, tells what the machine gives: a core may be
    slower beside another."""
    ratios, limits = [], []
    for _ in range(max(rounds, 9)):
        first, second = own(binary, **a), own(binary, **b)
        ratios.append(first[figure] / second[figure])
        limits.append(first["sgemm_gflops"] / second["sgemm_gflops"])
        print(f"  {name}: {first[figure]:.1f} against {second[figure]:.1f} {figure}, sgemm "
              f"{first['sgemm_gflops']:.1f} against {second['sgemm_gflops']:.1f} GFLOP/s", flush=True)
    print(f"{name}: {statistics.median(ratios):.3f}; sgemm: {statistics.median(limits):.3f}", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--binary", default=".build/release/byol-dist")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--case", nargs="*", default=[*CASES, "scaling", "scope"])
    p.add_argument("--openblas-core", help="kernels that OpenBLAS should take where it does not know the processor, such as "
                   "SkylakeX with AVX-512")
    a = p.parse_args()
    global OPENBLAS_CORE
    OPENBLAS_CORE = a.openblas_core
    common = dict(flags=RESNET18["own"], threads=1, steps=12)
    for name in a.case:
        if name == "scaling":
            in_turn("two ranks over one, same local batch", dict(common, batch=64, ranks=2),
                    dict(common, batch=32, ranks=1), a.binary, a.rounds, "images_per_second")
        elif name == "scope":
            local = dict(common, flags=common["flags"] + " --bn-scope local")
            in_turn("sync over local, step time", dict(common, batch=64, ranks=2), dict(local, batch=64, ranks=2),
                    a.binary, a.rounds, "median_step_ms")
        else:
            against_peer(name, CASES[name], a.binary, a.rounds)


if __name__ == "__main__":
    main()
