"""Writes unet_golden.safetensors: a small U-Net and two condition encoders, written independently in PyTorch.

Written with torch 2.13 (CPU), numpy 2 and safetensors, seed 20240917; run it as `python unet_golden.py`.
Everything is computed in float64 from float32 weights. Every parameter is random, also those that training starts at
zero. Names are those of the Swift parameters behind a prefix: `unet.`, `condition.`, `condition-and-noisy.`.
"""

import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

CHANNELS, BLOCKS, MIDDLE, EMBEDDING, FOLD, PICTURE = [8, 12, 16], [1, 2, 1], 1, 16, 2, 3
TIMES = [0.3, 0.9]
GRADIENTS = ["encoder.down.1.block.0.conv1.weight", "decoder.up.0.block.0.modulation.weight", "time.linear1.bias"]

generator = torch.Generator().manual_seed(20240917)


def normal(*shape, scale=1.0, mean=0.0):
    values = torch.randn(*shape, generator=generator, dtype=torch.float64) * scale + mean
    return values.float().double()  # exactly what the file will hold


def conv(p, name, i, o, k=3):
    p[f"{name}.weight"] = normal(o, i, k, k, scale=1 / math.sqrt(i * k * k))
    p[f"{name}.bias"] = normal(o, scale=0.1)


def dense(p, name, i, o):
    p[f"{name}.weight"] = normal(o, i, scale=1 / math.sqrt(i))
    p[f"{name}.bias"] = normal(o, scale=0.1)


def block(p, name, i, o):
    p[f"{name}.norm1"] = normal(i, scale=0.2, mean=1)
    conv(p, f"{name}.conv1", i, o)
    p[f"{name}.norm2"] = normal(o, scale=0.2, mean=1)
    dense(p, f"{name}.modulation", EMBEDDING, 2 * o)
    conv(p, f"{name}.conv2", o, o)
    if i != o:
        conv(p, f"{name}.shortcut", i, o, 1)


def encoder_parameters(inputs):
    p = {}
    dense(p, "time.linear1", EMBEDDING, EMBEDDING)
    dense(p, "time.linear2", EMBEDDING, EMBEDDING)
    conv(p, "encoder.input", inputs, CHANNELS[0])
    width = CHANNELS[0]
    for level, o in enumerate(CHANNELS):
        for b in range(BLOCKS[level]):
            block(p, f"encoder.down.{level}.block.{b}", width, o)
            width = o
        if level + 1 < len(CHANNELS):
            conv(p, f"encoder.down.{level}.down", o, o)
    for b in range(MIDDLE):
        block(p, f"encoder.middle.{b}", width, width)
    return p


def decoder_parameters(outputs):
    p = {}
    for level in reversed(range(len(CHANNELS))):
        o = CHANNELS[level]
        for b in range(BLOCKS[level]):
            block(p, f"decoder.up.{level}.block.{b}", 2 * o, o)
        if level > 0:
            conv(p, f"decoder.up.{level}.up", o, CHANNELS[level - 1], 1)
    p["decoder.norm"] = normal(CHANNELS[0], scale=0.2, mean=1)
    conv(p, "decoder.output", CHANNELS[0], outputs)
    return p


def apply_conv(p, name, x, stride=1):
    w = p[f"{name}.weight"]
    return F.conv2d(x, w, p[f"{name}.bias"], stride=stride, padding=w.shape[-1] // 2)


def rms(x, gain):
    return x / torch.sqrt(x.square().mean(dim=1, keepdim=True) + 1e-6) * gain[None, :, None, None]


def apply_block(p, name, x, time):
    h = apply_conv(p, f"{name}.conv1", F.silu(rms(x, p[f"{name}.norm1"])))
    modulation = F.linear(time, p[f"{name}.modulation.weight"], p[f"{name}.modulation.bias"])
    scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
    h = F.silu(rms(h, p[f"{name}.norm2"]) * (1 + scale) + shift)
    skip = apply_conv(p, f"{name}.shortcut", x) if f"{name}.shortcut.weight" in p else x
    return apply_conv(p, f"{name}.conv2", h) + skip


def embed(p, times):
    half = EMBEDDING // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float64) / half)
    angles = 1000 * torch.tensor(times, dtype=torch.float64)[:, None] * frequencies
    x = torch.cat([angles.sin(), angles.cos()], dim=1)
    for name in ["time.linear1", "time.linear2"]:
        x = F.silu(F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"]))
    return x


def fold(x):  # [B, H, W, C] -> [B, n n C, H/n, W/n], channel (dy n + dx) C + c
    b, h, w, c = x.shape
    blocks = x.reshape(b, h // FOLD, FOLD, w // FOLD, FOLD, c)
    return blocks.permute(0, 2, 4, 5, 1, 3).reshape(b, FOLD * FOLD * c, h // FOLD, w // FOLD)


def unfold(x):
    b, channels, h, w = x.shape
    blocks = x.reshape(b, FOLD, FOLD, channels // FOLD**2, h, w)
    return blocks.permute(0, 4, 1, 5, 2, 3).reshape(b, h * FOLD, w * FOLD, channels // FOLD**2)


def encode(p, x, time):
    h = apply_conv(p, "encoder.input", x)
    features = []
    for level in range(len(CHANNELS)):
        for b in range(BLOCKS[level]):
            h = apply_block(p, f"encoder.down.{level}.block.{b}", h, time)
            features.append(h)
        if level + 1 < len(CHANNELS):
            h = apply_conv(p, f"encoder.down.{level}.down", h, stride=2)
    for b in range(MIDDLE):
        h = apply_block(p, f"encoder.middle.{b}", h, time)
    return features + [h]


def decode(p, features, time):
    *skips, h = features
    for level in reversed(range(len(CHANNELS))):
        for b in range(BLOCKS[level]):
            h = apply_block(p, f"decoder.up.{level}.block.{b}", torch.cat([h, skips.pop()], dim=1), time)
        if level > 0:
            h = F.interpolate(apply_conv(p, f"decoder.up.{level}.up", h), scale_factor=2, mode="nearest")
    return unfold(apply_conv(p, "decoder.output", F.silu(rms(h, p["decoder.norm"]))))


def mean_square(v, r):
    return (v - r).square().mean()


area = PICTURE * FOLD * FOLD
core = encoder_parameters(area) | decoder_parameters(area)
widths = [c for c, n in zip(CHANNELS, BLOCKS) for _ in range(n)] + [CHANNELS[-1]]
z, condition, r = (normal(2, 32, 32, PICTURE) for _ in range(3))
out = {"z": z, "condition": condition, "r": r}

for name in GRADIENTS:
    core[name].requires_grad_()
time = embed(core, TIMES)
v = decode(core, encode(core, fold(z), time), time)
for name, gradient in zip(GRADIENTS, torch.autograd.grad(mean_square(v, r), [core[n] for n in GRADIENTS])):
    out[f"gradient.{name}"] = gradient
core = {name: value.detach() for name, value in core.items()}
out |= {f"unet.{name}": value for name, value in core.items()} | {"v": v.detach()}

for sees, inputs, channelwise in [("condition", area, False), ("condition-and-noisy", 2 * area, True)]:
    p = encoder_parameters(inputs)
    for place, width in enumerate(widths):
        p[f"mu.{place}"] = normal(width if channelwise else 1, scale=0.3, mean=0.4)
    p["mu.1"].requires_grad_()
    time = embed(core, TIMES)
    if sees == "condition":
        mine = encode(p, fold(condition), embed(p, [0.0]))
    else:
        mine = encode(p, torch.cat([fold(z), fold(condition)], dim=1), embed(p, TIMES))
    theirs = encode(core, fold(z), time)
    mus = [p[f"mu.{place}"][None, :, None, None] for place in range(len(widths))]
    v = decode(core, [(1 - mu) * h + mu * a for mu, h, a in zip(mus, theirs, mine)], time)
    (out[f"gradient.{sees}.mu.1"],) = torch.autograd.grad(mean_square(v, r), [p["mu.1"]])
    out |= {f"{sees}.{name}": value.detach() for name, value in p.items()} | {f"v.{sees}": v.detach()}

path = pathlib.Path(__file__).with_suffix(".safetensors")
save_file({name: value.detach().float().contiguous() for name, value in sorted(out.items())}, path)
print(path.name, path.stat().st_size, "bytes")
