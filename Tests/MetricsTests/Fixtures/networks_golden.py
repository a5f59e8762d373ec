"""Writes networks_golden.safetensors: what PyTorch's networks say of the two pictures in metrics_golden.safetensors.

Written with torch 2.13 (CPU), torchvision 0.29, lpips 0.1.4, pytorch-fid 0.3.0, scipy 1.17, numpy 2.4 and safetensors 0.8; run
it as `CODI_TEST_DATA=... python networks_golden.py` with the measuring weights below that folder. torchvision's compiled
part may be missing: only its network definitions are used.

Random weights are not stored: `formula` below makes them from names and places, and the tests have the same function.

enl.*                    an EfficientNet-Lite0 of random narrow layers; enl.features: what it makes of both pictures
enl.full                 the first 64 features with the true weights, which are not in this file
lpips.NET.formula        LPIPS per tap with formula weights and formula heads, NET in alex, vgg, squeeze
lpips.NET.heads          the same with the true heads, which are not in this file
inception.features       pool3 of both pictures with formula weights, by pytorch-fid
frechet.x, .y, .value    two sets of features, and pytorch-fid's distance; kernel.value: the unbiased polynomial distance
"""

import os
import pathlib
import sys
import types

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

for op in ["nms", "qnms"]:
    torch.library.define(f"torchvision::{op}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
# lpips's trainer wants plotting libraries, and is not needed.
sys.modules["lpips.trainer"] = types.ModuleType("lpips.trainer")
import lpips  # noqa: E402
import pytorch_fid.fid_score  # noqa: E402
import pytorch_fid.inception  # noqa: E402

folder = pathlib.Path(__file__).parent
weights_folder = pathlib.Path(os.environ["CODI_TEST_DATA"]) / "weights"
golden = load_file(folder / "metrics_golden.safetensors")
pair = [golden["pair.a"].numpy(), golden["pair.b"].numpy()]
out = {}


def uniform(name, count):
    """FNV-1a of the name, plus the place times a constant, through SplitMix64's finaliser; 24 bits as -0.5 ..< 0.5."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(2**24) - np.float32(0.5)


def formula(name, shape):
    u = uniform(name, int(np.prod(shape)))
    if "model.1" in name:  # a head: not negative
        u = np.float32(0.5) + u
    elif len(shape) == 4:
        u = u * np.float32(np.sqrt(24 / np.prod(shape[1:])))
    elif name.endswith("running_var") or ("bn" in name and name.endswith("weight")):
        u = np.float32(1) + u * np.float32(0.4)
    else:
        u = u * np.float32(0.2)
    return torch.from_numpy(u.reshape(shape))


def fill(state):
    return {n: v if v.dtype == torch.int64 else formula(n, tuple(v.shape)) for n, v in state.items()}


# EfficientNet-Lite0

HALVING = {1, 3, 5, 11}


def enl_features(w, picture):
    def same(x, kernel, stride):
        n = x.shape[2]
        pad = max(0, (-(-n // stride) - 1) * stride + kernel - n)
        return F.pad(x, (pad // 2, pad - pad // 2, pad // 2, pad - pad // 2))

    def conv(x, name, stride=1, groups=1):
        weight = w[f"{name}.weight"].double()
        return F.conv2d(same(x, weight.shape[2], stride), weight, stride=stride, groups=groups)

    def norm(x, name):
        mean, var, gain, shift = (w[f"{name}.{p}"].double() for p in ["running_mean", "running_var", "weight", "bias"])
        return F.batch_norm(x, mean, var, gain, shift, eps=1e-3)

    small = np.array(Image.fromarray(picture).resize((128, 128), Image.BICUBIC))
    x = ((torch.from_numpy(small).double() - 127) / 128).permute(2, 0, 1)[None]
    x = F.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for i in range(16):
        h, b = x, f"_blocks.{i}"
        if i > 0:
            h = F.relu6(norm(conv(h, f"{b}._expand_conv"), f"{b}._bn0"))
        stride = 2 if i in HALVING else 1
        h = F.relu6(norm(conv(h, f"{b}._depthwise_conv", stride, h.shape[1]), f"{b}._bn1"))
        h = norm(conv(h, f"{b}._project_conv"), f"{b}._bn2")
        x = x + h if stride == 1 and x.shape == h.shape else h
    return F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean(dim=(2, 3))[0]


KERNELS = [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
WIDTHS = [4, 5, 5, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 9, 10]
narrow = {}


def layer(name, shape, norm):
    narrow[f"{name}.weight"] = formula(f"{name}.weight", shape)
    for part in ["weight", "bias", "running_mean", "running_var"]:
        narrow[f"{norm}.{part}"] = formula(f"{norm}.{part}", (shape[0],))


layer("_conv_stem", (6, 3, 3, 3), "_bn0")
width = 6
for i, (kernel, narrower) in enumerate(zip(KERNELS, WIDTHS)):
    wide = width if i == 0 else 2 * width
    if i > 0:
        layer(f"_blocks.{i}._expand_conv", (wide, width, 1, 1), f"_blocks.{i}._bn0")
    layer(f"_blocks.{i}._depthwise_conv", (wide, 1, kernel, kernel), f"_blocks.{i}._bn1")
    layer(f"_blocks.{i}._project_conv", (narrower, wide, 1, 1), f"_blocks.{i}._bn2")
    width = narrower
layer("_conv_head", (24, width, 1, 1), "_bn1")
out |= narrow
out["enl.features"] = torch.stack([enl_features(narrow, p) for p in pair]).float()
full = load_file(weights_folder / "efficientnet_lite0.safetensors")
out["enl.full"] = torch.stack([enl_features(full, p) for p in pair]).float()[:, :64]

# LPIPS


def distances(net):
    a, b = (torch.from_numpy(p).double().permute(2, 0, 1)[None] / 127.5 - 1 for p in pair)
    with torch.no_grad():
        value, each = net(a, b, retPerLayer=True)
    assert abs(value.item() - sum(e.item() for e in each)) < 1e-9
    return torch.tensor([e.item() for e in each]).float()


for name in ["alex", "vgg", "squeeze"]:
    net = lpips.LPIPS(net=name, pretrained=False, pnet_rand=True, verbose=False).eval()
    trunk = {}  # torchvision's names of the slices' layers
    for key, value in net.net.state_dict().items():
        slice_, rest = key.split(".", 1)
        trunk[key] = formula(f"features.{rest}", tuple(value.shape))
    net.net.load_state_dict(trunk)
    heads = {k: v for k, v in net.state_dict().items() if k.startswith("lin") and not k.startswith("lins")}
    for key, value in heads.items():
        getattr(net, key.split(".")[0]).model[1].weight.data = formula(key, tuple(value.shape))
    out[f"lpips.{name}.formula"] = distances(net.double())
    true = load_file(weights_folder / f"lpips_v0.1_lin_{name}.safetensors")
    for key, value in true.items():
        getattr(net, key.split(".")[0]).model[1].weight.data = value.double()
    out[f"lpips.{name}.heads"] = distances(net.double())

# FID


def load(url, progress):
    net = pytorch_fid.inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    f = pytorch_fid.inception
    net.Mixed_5b, net.Mixed_5c, net.Mixed_5d = f.FIDInceptionA(192, 32), f.FIDInceptionA(256, 64), f.FIDInceptionA(288, 64)
    for part, width in [("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)]:
        setattr(net, f"Mixed_{part}", f.FIDInceptionC(768, width))
    net.Mixed_7b, net.Mixed_7c = f.FIDInceptionE_1(1280), f.FIDInceptionE_2(2048)
    return fill(net.state_dict())


pytorch_fid.inception.load_state_dict_from_url = load
inception = pytorch_fid.inception.InceptionV3().eval()
features = []
for p in pair:
    with torch.no_grad():
        features.append(inception(torch.from_numpy(p).float().permute(2, 0, 1)[None] / 255)[0].flatten())
out["inception.features"] = torch.stack(features)

# Distances between sets, one with fewer and one with more rows than columns

x, y = uniform("frechet.x", 12 * 16).reshape(12, 16), uniform("frechet.y", 40 * 16).reshape(40, 16)
y = y * np.float32(1.5) + np.float32(0.25)
x64, y64 = x.astype(np.float64), y.astype(np.float64)


def covariance(v):
    return v.mean(axis=0), np.cov(v, rowvar=False)


out["frechet.x"], out["frechet.y"] = torch.from_numpy(x), torch.from_numpy(y)
import scipy.linalg  # noqa: E402

plain = scipy.linalg.sqrtm
# pytorch-fid passes an argument that scipy deprecates, and looks at the first of two results only.
pytorch_fid.fid_score.linalg.sqrtm = lambda m, disp=True: (plain(m), None) if not disp else plain(m)
value = pytorch_fid.fid_score.calculate_frechet_distance(*covariance(x64), *covariance(y64))
out["frechet.value"] = torch.tensor([value], dtype=torch.float32)


def mean_kernel(a, b, same):
    k = (a @ b.T / a.shape[1] + 1) ** 3
    return (k.sum() - np.trace(k)) / (len(a) * (len(a) - 1)) if same else k.mean()


value = mean_kernel(x64, x64, True) + mean_kernel(y64, y64, True) - 2 * mean_kernel(x64, y64, False)
out["kernel.value"] = torch.tensor([value], dtype=torch.float32)

path = pathlib.Path(__file__).with_suffix(".safetensors")
save_file({name: value.contiguous() for name, value in sorted(out.items())}, path)
print(path.name, path.stat().st_size, "bytes")
for name in out:
    if name.split(".")[0] in {"lpips", "frechet", "kernel", "inception", "enl"}:
        print(name, list(out[name].shape), out[name].flatten()[:4].tolist())
