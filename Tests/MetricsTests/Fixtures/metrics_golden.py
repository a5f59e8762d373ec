"""Writes metrics_golden.safetensors: pictures resized by Pillow, and metrics written independently in numpy and PyTorch.

Written with Pillow 13.0, torch 2.13 (CPU), numpy 2.4 and safetensors 0.8, seed 7; run it as
`CODI_TEST_DATA=... python metrics_golden.py` with weights/squeezenet11_caffe_trunk.safetensors below that folder.

resize.N.in, .out        uint8 [H, W, 3], Pillow's BICUBIC from one to the other
pair.a, pair.b           uint8 [48, 64, 3]; psnr, ssim: their metrics
conv1.*, fire2.* ...     a SqueezeNet of random narrow layers; taps.narrow: what each tap adds with it
taps.full                the same with the true weights, which are not in this file
"""

import os
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

random = np.random.default_rng(7)
out = {}

SIZES = [  # width, height before and after
    (24, 20, 6, 5), (6, 5, 24, 20), (23, 17, 13, 29), (17, 23, 17, 7), (9, 31, 40, 31), (5, 7, 1, 1), (1, 1, 3, 2),
    (40, 6, 11, 3), (31, 33, 30, 32),
]  # fmt: skip
for i, (w, h, new_w, new_h) in enumerate(SIZES):
    picture = random.integers(0, 256, (h, w, 3))
    if i % 2 == 0:  # black and white only, so that overshoots are clamped
        picture = np.where(picture < 128, 0, 255)
    picture = picture.astype(np.uint8)
    resized = Image.fromarray(picture).resize((new_w, new_h), Image.BICUBIC)
    out[f"resize.{i}.in"] = torch.from_numpy(picture.copy())
    out[f"resize.{i}.out"] = torch.from_numpy(np.array(resized))

y, x = np.mgrid[0:48, 0:64]
a = np.stack([x * 3 + 20, y * 4 + 10, 255 - x - y * 2], axis=-1).astype(float)
for _ in range(12):
    top, left, height, width = random.integers(0, 40), random.integers(0, 50), *random.integers(4, 20, 2)
    a[top : top + height, left : left + width] = random.integers(0, 256, 3)
a = np.clip(a + random.normal(0, 6, a.shape), 0, 255).astype(np.uint8)
small = Image.fromarray(a).resize((16, 12), Image.BICUBIC)
b = np.array(small.resize((64, 48), Image.BICUBIC))
out["pair.a"], out["pair.b"] = torch.from_numpy(a), torch.from_numpy(b)

error = np.mean((a.astype(float) - b.astype(float)) ** 2)
out["psnr"] = torch.tensor([10 * np.log10(255**2 / error)], dtype=torch.float32)


def ssim(a, b):
    luma = [torch.from_numpy(p.astype(float) @ [0.299, 0.587, 0.114])[None, None] for p in (a, b)]
    g = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(g, g)[None, None] / torch.outer(g, g).sum()
    p, q = luma
    mp, mq = F.conv2d(p, window), F.conv2d(q, window)
    pp, qq = F.conv2d((p * p), window) - mp**2, F.conv2d((q * q), window) - mq**2
    pq = F.conv2d((p * q), window) - mp * mq
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (((2 * mp * mq + c1) * (2 * pq + c2)) / ((mp**2 + mq**2 + c1) * (pp + qq + c2))).mean()


out["ssim"] = ssim(a, b).float()[None]


def taps(weights, picture):
    def conv(x, name, **options):
        return F.relu(F.conv2d(x, weights[f"{name}.weight"].double(), weights[f"{name}.bias"].double(), **options))

    def fire(x, n):
        s = conv(x, f"fire{n}.squeeze1x1")
        return torch.cat([conv(s, f"fire{n}.expand1x1"), conv(s, f"fire{n}.expand3x3", padding=1)], dim=1)

    def pool(x):
        return F.max_pool2d(x, kernel_size=3, stride=2, ceil_mode=True)

    x = torch.from_numpy(picture.copy()).double().permute(2, 0, 1)[None] / 127.5 - 1
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]).double(), torch.tensor([0.458, 0.448, 0.450]).double()
    h = conv((x - shift[:, None, None]) / scale[:, None, None], "conv1", stride=2)
    found = [h]
    h = fire(fire(pool(h), 2), 3)
    found.append(h)
    h = fire(fire(pool(h), 4), 5)
    found.append(h)
    h = pool(h)
    for n in [6, 7, 8, 9]:
        h = fire(h, n)
        found.append(h)
    return found


def distances(weights):
    each = []
    for p, q in zip(taps(weights, a), taps(weights, b)):
        p, q = (f / (f.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for f in (p, q))
        each.append((p - q).square().sum(dim=1).mean())
    return torch.stack(each).float()


def layer(name, o, i, k):
    values = random.normal(0, (2 / (i * k * k)) ** 0.5, (o, i, k, k)), random.normal(0, 0.01, o)
    narrow[f"{name}.weight"], narrow[f"{name}.bias"] = (torch.from_numpy(v).float() for v in values)


narrow = {}
layer("conv1", 6, 3, 3)
width = 6
for n, (squeeze, expand) in enumerate([(2, 4), (2, 4), (3, 5), (3, 5), (4, 6), (4, 6), (5, 7), (5, 7)], start=2):
    layer(f"fire{n}.squeeze1x1", squeeze, width, 1)
    layer(f"fire{n}.expand1x1", expand, squeeze, 1)
    layer(f"fire{n}.expand3x3", expand, squeeze, 3)
    width = 2 * expand
out |= narrow | {"taps.narrow": distances(narrow)}
trunk = pathlib.Path(os.environ["CODI_TEST_DATA"]) / "weights" / "squeezenet11_caffe_trunk.safetensors"
out["taps.full"] = distances(load_file(trunk))

path = pathlib.Path(__file__).with_suffix(".safetensors")
save_file({name: value.contiguous() for name, value in sorted(out.items())}, path)
print(path.name, path.stat().st_size, "bytes;", *(f"{k} {out[k].tolist()}" for k in ["psnr", "ssim", "taps.narrow", "taps.full"]))
