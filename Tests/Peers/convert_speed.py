#!/usr/bin/env python3
"""Pictures per second and peak memory of codi convert against the same graph in PyTorch, at 1, 2 and 4 steps.

  CODI_HOME=demo/store python Tests/Peers/convert_speed.py [--codi .build/release/codi] [--adapter super-resolution]
      [--side 48] [--pictures 128] [--steps 1 2 4] [--batches 1 2 4 8 16] [--threads N] [--seconds 4] [--rounds 3]

Both work on the same random crops of SIDE x SIDE, enlarged four times, with the installed weights. What is timed:
codi convert, from decoding the first file to the last result on disk (the event `finished`), the median of ROUNDS runs
spread over the measuring; PyTorch, the network alone, in bf16 and channels_last under inference_mode, after a run to warm
up, with the best of the batch sizes. Two rows for PyTorch:
  every step  the condition's encoder runs at each step, as the adapter's graph has it where it also sees the noisy picture
  once        it runs once for a picture; for an adapter that sees the noisy picture this is another graph of the same
              shape, whose first convolution sees the condition alone, and shows what caching could win
PyTorch's output is compared with float32 of itself; weights come from the store. Needs torch, safetensors and PyYAML, and
about six minutes of an idle machine with two cores: other work is measured too, and is warned of. Without PyTorch's rows,
--batches with nothing behind it times codi alone.
"""
import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import torch
import yaml
from safetensors.torch import load_file

from photo_graph import Graph


# --- Weights of the store -------------------------------------------------------------------------------------------

def installed(home, name):
    index = json.load(open(f"{home}/index.json"))
    found = [b for b in index["bundles"] if b["kind"] == "adapter" and b["name"].split("/")[-1] == name.split("/")[-1]]
    if not found:
        sys.exit(f"{home}: {name} is not installed; codi install {name}")
    adapter = found[-1]
    core = next(b for b in index["bundles"] if b["kind"] == "core" and b["coreDigest"] == adapter["coreDigest"])
    folders = [f"{home}/bundles/{b['digest'].replace(':', '-')}" for b in (adapter, core)]
    return [(load_file(f"{f}/weights.safetensors"), yaml.safe_load(open(f"{f}/manifest.yaml"))) for f in folders]


# --- Sources --------------------------------------------------------------------------------------------------------

def write_png(path, side, seed):
    random.seed(seed)
    rows = b"".join(b"\0" + bytes(min(255, 40 + (x + y * 2) % 160 + random.randrange(40)) for x in range(3 * side))
                    for y in range(side))
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


# --- Measuring ------------------------------------------------------------------------------------------------------

def codi(options, steps, work):
    command = [options.codi, "convert", f"{work}/in", "--adapter", options.adapter, "--steps", str(steps), "--out",
               f"{work}/out-{steps}", "--json", "--quiet"]
    environment = dict(os.environ)
    if options.threads:
        environment["OMP_NUM_THREADS"] = str(options.threads)
    shutil.rmtree(f"{work}/out-{steps}", ignore_errors=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    events = [json.loads(line) for line in process.stdout]
    process.wait()
    finished = next(e for e in events if e["event"] == "finished")
    return finished["converted"] / finished["seconds"], finished["bytes"] / 2**20


def peer(options, once, batch):
    """All numbers of steps, in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, __file__, "--peer", json.dumps([once, batch]), "--adapter", options.adapter,
               "--side", str(options.side), "--seconds", str(options.seconds), "--threads", str(options.threads),
               "--steps", *map(str, options.steps)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        sys.exit(made.stderr)
    return json.loads(made.stdout.splitlines()[-1])


@torch.inference_mode()
def run_peer(options):
    once, batch = json.loads(options.peer)
    if options.threads:
        torch.set_num_threads(options.threads)
    (adapter, adapter_manifest), (core, core_manifest) = installed(os.environ["CODI_HOME"], options.adapter)
    start = adapter_manifest["sampling"].get("start", 1)
    scale, cell = adapter_manifest["geometry"]["scale"], core_manifest["network"]["fold"] << 2
    side = -(-options.side * scale // cell) * cell
    torch.manual_seed(1)
    condition, noise = torch.rand(batch, 3, side, side) * 2 - 1, torch.randn(batch, 3, side, side)
    graph = Graph(core, adapter, core_manifest, adapter_manifest, torch.bfloat16)
    speeds = {}
    for steps in options.steps:
        graph.sample(condition, noise, steps, start, once)
        runs, begin = 0, time.perf_counter()
        while runs < 2 or time.perf_counter() - begin < options.seconds:
            graph.sample(condition, noise, steps, start, once)
            runs += 1
        speeds[steps] = runs * batch / (time.perf_counter() - begin)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before float32 takes more
    exact = Graph(core, adapter, core_manifest, adapter_manifest, torch.float32)
    error = (graph.sample(condition[:1], noise[:1], 1, start, once)
             - exact.sample(condition[:1], noise[:1], 1, start, once)).abs().mean().item()
    if not error < 0.05:
        sys.exit(f"bf16 differs from float32 by {error} in the mean")
    print(json.dumps({"speeds": speeds, "memory": memory}))


def rival_rows(options):
    """For each number of steps the best batch of both ways: (name, batch, pictures a second, MiB)."""
    rows = {steps: [] for steps in options.steps}
    for once in [False, True]:
        tried = [(batch, peer(options, once, batch)) for batch in options.batches]
        for steps in options.steps if tried else []:
            batch, best = max(tried, key=lambda row: row[1]["speeds"][str(steps)])
            rows[steps].append((f"PyTorch, {'once' if once else 'every step'}", batch, best["speeds"][str(steps)],
                                best["memory"]))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--codi", default=".build/release/codi")
    parser.add_argument("--adapter", default="super-resolution")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if "CODI_HOME" not in os.environ:
        sys.exit("Set CODI_HOME to a store with the adapter, such as demo/store.")
    if options.peer:
        return run_peer(options)
    if os.getloadavg()[0] > 0.3 * (os.cpu_count() or 1):
        print(f"This machine is not idle (load {os.getloadavg()[0]:.1f}): these figures say little.", file=sys.stderr)
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(f"{work}/in")
        for i in range(options.pictures):
            write_png(f"{work}/in/{i:04}.png", options.side, i)
        own = {steps: [] for steps in options.steps}
        def measure():
            for steps in options.steps:
                own[steps].append(codi(options, steps, work))
        for _ in range((options.rounds + 1) // 2):
            measure()
        rows = rival_rows(options)
        for _ in range(options.rounds // 2):
            measure()
    print("steps  program               batch  pictures/s  peak MiB   codi is faster by")
    for steps in options.steps:
        speed = statistics.median(speed for speed, _ in own[steps])
        memory = max(memory for _, memory in own[steps])
        print(f"{steps:5}  {'codi convert':20}  {'-':>5}  {speed:10.2f}  {memory:8.0f}")
        for name, batch, other, used in rows[steps]:
            print(f"{steps:5}  {name:20}  {batch:5}  {other:10.2f}  {used:8.0f}   {speed / other:.2f} times, "
                  f"{memory / used:.2f} of the memory", flush=True)


main()
