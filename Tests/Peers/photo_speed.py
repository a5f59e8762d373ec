#!/usr/bin/env python3
"""The photo core with an adapter against the same network in PyTorch: 4 sampling steps of 64 x 64 regions, alone and 16 at
once, and the adapter's training step (frozen core, self-consistency, AdamW, running averages) on 48 crops of 64 x 64.

  python Tests/Peers/photo_speed.py [--codi .build/release/codi] [--runs 9] [--rounds 3]

Random weights of the default shape: speed does not depend on them. PyTorch's figure is the best median of its variants
(bf16 or float32 weights, with and without autocast, channels_last or not). Both sides take turns in one run, `rounds` times;
the table has each side's median over the rounds. Needs torch alone; run it on an idle machine.
"""
import argparse
import json
import math
import statistics
import subprocess
import time

import torch

from photo_graph import Graph, random_weights

NETWORK = {"picture-channels": 3, "fold": 2, "channels": [64, 128, 176], "blocks": [1, 2, 2], "middle": 1, "embedding": 128}
ENCODER = {"condition-channels": 3, "sees": "condition-and-noisy", "blend": "channel"}


def timed(run, runs):
    for _ in range(2):
        run()
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def strided(graph, channels_last):
    """The graph's tensors as channels_last, or plain."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for weights in (graph.core, graph.adapter, graph.condition_only):
        for name, tensor in weights.items():
            if tensor.dim() == 4:
                weights[name] = tensor.contiguous(memory_format=layout)
    return graph


def sampling(batch, runs):
    """Median seconds of the best variant, and its name."""
    core, adapter = random_weights(NETWORK), random_weights(NETWORK, ENCODER)
    manifests = ({"network": NETWORK}, {"encoder": ENCODER})
    condition, noise = torch.rand(batch, 3, 64, 64) * 2 - 1, torch.randn(batch, 3, 64, 64)
    best = (math.inf, "")
    for dtype in (torch.bfloat16, torch.float32):
        for channels_last in (True, False):
            for autocast in (False, True) if dtype == torch.float32 else (False,):
                graph = strided(Graph(core, adapter, *manifests, dtype), channels_last)
                with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    seconds = timed(lambda: graph.sample(condition, noise, 4, 0.6, False), runs)
                name = f"{'bf16' if dtype == torch.bfloat16 else 'autocast' if autocast else 'float32'}"
                best = min(best, (seconds, name + (" channels_last" if channels_last else "")))
    return best


def training(batch, runs):
    """One step as Sources/Distillation/Run/TrainingBenchmark.swift has it."""
    best = (math.inf, "")
    for channels_last in (True, False):
        core = random_weights(NETWORK)
        student, target, averaged = (random_weights(NETWORK, ENCODER) for _ in range(3))
        manifests = ({"network": NETWORK}, {"encoder": ENCODER})
        mine, theirs = (strided(Graph(core, w, *manifests, torch.float32), channels_last) for w in (student, target))
        parameters = list(mine.adapter.values())
        for p in parameters:
            p.requires_grad_(True)
        optimiser = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        x, noise = torch.rand(batch, 3, 64, 64) * 2 - 1, torch.randn(batch, 3, 64, 64)
        t = torch.linspace(0.1, 1, batch)

        def levels(t):
            angle = (t * math.pi / 2)[:, None, None, None]
            return angle.cos(), angle.sin()

        def embed(graph, weights, t):
            half = NETWORK["embedding"] // 2
            angles = 1000 * t[:, None] * torch.exp(-math.log(10_000) * torch.arange(half) / half)
            h = torch.cat([angles.sin(), angles.cos()], dim=1)
            for name in ("time.linear1", "time.linear2"):
                h = torch.nn.functional.silu(
                    torch.nn.functional.linear(h, weights[f"{name}.weight"], weights[f"{name}.bias"]))
            return h

        def network(graph, z, t):
            zs, cs = graph.folded(z), graph.folded(x)
            time_ = embed(graph, graph.core, t)
            features = graph.encode(graph.core, zs, time_)
            own = graph.encode(graph.adapter, torch.cat([zs, cs], dim=1), embed(graph, graph.adapter, t))
            blended = [torch.lerp(h, a, graph.adapter[f"mu.{i}"].to(h.dtype).reshape(1, -1, 1, 1).expand_as(h))
                       for i, (h, a) in enumerate(zip(features, own))]
            return graph.decode(blended, time_).float()

        def step():
            alpha, sigma = levels(t)
            z = alpha * x + sigma * noise
            with torch.autocast("cpu", torch.bfloat16):
                v = network(mine, z, t)
                signal, eps = alpha * z - sigma * v, sigma * z + alpha * v
                with torch.no_grad():
                    s = (t - 0.1).clamp(min=0)
                    alpha_s, sigma_s = levels(s)
                    zs = alpha_s * signal + sigma_s * noise
                    wanted = sigma_s * zs + alpha_s * network(theirs, zs, s)
                loss = (signal - x).square().mean() + (eps - wanted).square().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(theirs.adapter.values()), parameters, 0.001)
                torch._foreach_lerp_(list(averaged.values()), parameters, 0.001)

        best = min(best, (timed(step, runs), "autocast" + (" channels_last" if channels_last else "")))
    return best


def codi(options, *arguments):
    made = subprocess.run([options.codi, "bench", "--json", *arguments], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in made.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--codi", default=".build/release/codi")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(1)
    works = [
        ("4 steps, 1 region", lambda: sampling(1, options.runs), ("--sampling", "--batch", "1")),
        ("4 steps, 16 regions", lambda: sampling(16, options.runs), ("--sampling", "--batch", "16")),
        ("adapter training step, 48", lambda: training(48, max(3, options.runs // 2)), ("--training-only",)),
    ]
    print(f"{'work':28}{'codi s':>10}{'PyTorch s':>11}  {'ratio':>6}  PyTorch's best variant", flush=True)
    for name, peer, arguments in works:
        ours, others = [], []
        for _ in range(options.rounds):
            rows = codi(options, *arguments, "--runs", str(options.runs))
            ours.append(next(r["median"] for r in rows
                             if r["work"] == "sampling" or (r["work"] == "train-adapter" and r["size"] == 64)))
            others.append(peer())
        mine, (theirs, variant) = statistics.median(ours), sorted(others)[len(others) // 2]
        print(f"{name:28}{mine:10.4f}{theirs:11.4f}  {mine / theirs:6.2f}  {variant}", flush=True)


main()
