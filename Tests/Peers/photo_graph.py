"""The photo core and its adapter, Sources/Networks, in PyTorch: NCHW, every convolution through torch's own, so that it picks
its fastest kernels. Used by convert_speed.py and photo_speed.py."""
import math

import torch
import torch.nn.functional as F

class Graph:
    """Core and adapter with the tensors of their weights files."""

    def __init__(self, core, adapter, core_manifest, adapter_manifest, dtype):
        self.network, self.encoder = core_manifest["network"], adapter_manifest["encoder"]
        self.fold, self.dtype = self.network["fold"], dtype
        def ready(tensors):
            return {name: (t.to(dtype).contiguous(memory_format=torch.channels_last) if t.dim() == 4
                           else t.to(dtype) if ".norm" in name or name.endswith(".bias") and "time" not in name
                           and "modulation" not in name else t.float()) for name, t in tensors.items()}
        self.core, self.adapter = ready(core), ready(adapter)
        self.blocks = self.network["blocks"]
        self.sees_noisy = self.encoder["sees"] == "condition-and-noisy"
        weight = self.adapter["encoder.input.weight"]
        area = self.network["picture-channels"] * self.fold**2
        self.condition_only = dict(self.adapter)
        if self.sees_noisy:
            self.condition_only["encoder.input.weight"] = weight[:, area:].contiguous(
                memory_format=torch.channels_last)

    def conv(self, p, name, x, stride=1):
        weight = p[f"{name}.weight"]
        return F.conv2d(x, weight, p[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)

    def rms(self, x, gain):
        scale = torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + 1e-6).to(x.dtype)
        return x * scale * gain[None, :, None, None]

    def block(self, p, name, x, time_):
        h = self.conv(p, f"{name}.conv1", F.silu(self.rms(x, p[f"{name}.norm1"])))
        modulation = F.linear(time_, p[f"{name}.modulation.weight"], p[f"{name}.modulation.bias"]).to(self.dtype)
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.rms(h, p[f"{name}.norm2"]) * (1 + scale) + shift)
        skip = self.conv(p, f"{name}.shortcut", x) if f"{name}.shortcut.weight" in p else x
        return self.conv(p, f"{name}.conv2", h) + skip

    def embed(self, p, t):
        half = self.network["embedding"] // 2
        angles = 1000 * t * torch.exp(-math.log(10_000) * torch.arange(half) / half)
        x = torch.cat([angles.sin(), angles.cos()])[None].float()
        for name in ["time.linear1", "time.linear2"]:
            x = F.silu(F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"]))
        return x

    def folded(self, x):  # channel (dy n + dx) C + c
        b, c, h, w = x.shape
        n = self.fold
        x = x.reshape(b, c, h // n, n, w // n, n).permute(0, 3, 5, 1, 2, 4)
        return x.reshape(b, n * n * c, h // n, w // n).contiguous(memory_format=torch.channels_last)

    def unfolded(self, x):
        b, c, h, w = x.shape
        n = self.fold
        return x.reshape(b, n, n, c // n**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(b, c // n**2, h * n, w * n)

    def encode(self, p, x, time_):
        h, features = self.conv(p, "encoder.input", x), []
        for level, count in enumerate(self.blocks):
            for b in range(count):
                h = self.block(p, f"encoder.down.{level}.block.{b}", h, time_)
                features.append(h)
            if level + 1 < len(self.blocks):
                h = self.conv(p, f"encoder.down.{level}.down", h, stride=2)
        for b in range(self.network["middle"]):
            h = self.block(p, f"encoder.middle.{b}", h, time_)
        return features + [h]

    def decode(self, features, time_):
        p, (*skips, h) = self.core, features
        for level in reversed(range(len(self.blocks))):
            for b in range(self.blocks[level]):
                h = self.block(p, f"decoder.up.{level}.block.{b}", torch.cat([h, skips.pop()], dim=1), time_)
            if level > 0:
                h = F.interpolate(self.conv(p, f"decoder.up.{level}.up", h), scale_factor=2, mode="nearest")
        return self.unfolded(self.conv(p, "decoder.output", F.silu(self.rms(h, p["decoder.norm"]))))

    def sample(self, condition, noise, steps, start, once):
        """DDIM on v-predictions; `once`: the condition is encoded a single time."""
        levels = [start * (steps - i) / steps for i in range(steps + 1)]
        alpha, sigma = [math.cos(t * math.pi / 2) for t in levels], [math.sin(t * math.pi / 2) for t in levels]
        sigma[-1] = 0.0
        z = alpha[0] * condition + sigma[0] * noise if start < 1 else noise
        c = self.folded(condition.to(self.dtype))
        kept = self.encode(self.condition_only, c, self.embed(self.adapter, 0.0)) if once else None
        for i in range(steps):
            time_, x = self.embed(self.core, levels[i]), self.folded(z.to(self.dtype))
            theirs = self.encode(self.core, x, time_)
            mine = kept
            if mine is None:
                inputs = torch.cat([x, c], dim=1) if self.sees_noisy else c
                own = self.embed(self.adapter, levels[i] if self.sees_noisy else 0.0)
                mine = self.encode(self.adapter, inputs, own)
            blended = []
            for place, (h, a) in enumerate(zip(theirs, mine)):
                mu = self.adapter[f"mu.{place}"].to(h.dtype).reshape(1, -1, 1, 1)
                blended.append(torch.lerp(h, a, mu.expand_as(h)))
            v = self.decode(blended, time_).float()
            signal, eps = alpha[i] * z - sigma[i] * v, sigma[i] * z + alpha[i] * v
            z = signal if sigma[i + 1] == 0 else alpha[i + 1] * signal + sigma[i + 1] * eps
        return z


def random_weights(network, encoder=None):
    """Weights of a core's, or of an adapter's, names and shapes, with values that keep activations at their size."""
    fold, embedding = network["fold"] ** 2, network["embedding"]
    picture, channels, blocks = network["picture-channels"] * fold, network["channels"], network["blocks"]
    made = {}

    def dense(name, i, o, kernel=None):
        shape = (o, i) if kernel is None else (o, i, kernel, kernel)
        made[f"{name}.weight"] = torch.randn(shape) / math.sqrt(math.prod(shape[1:]))
        made[f"{name}.bias"] = torch.zeros(o)

    def block(name, i, o):
        made[f"{name}.norm1"], made[f"{name}.norm2"] = torch.ones(i), torch.ones(o)
        dense(f"{name}.conv1", i, o, 3)
        dense(f"{name}.modulation", embedding, 2 * o)
        dense(f"{name}.conv2", o, o, 3)
        if i != o:
            dense(f"{name}.shortcut", i, o, 1)

    dense("time.linear1", embedding, embedding)
    dense("time.linear2", embedding, embedding)
    seen = 0 if encoder is None else encoder["condition-channels"] * fold
    if encoder is None or encoder["sees"] == "condition-and-noisy":
        seen += picture
    dense("encoder.input", seen, channels[0], 3)
    width, skips = channels[0], []
    for level, count in enumerate(blocks):
        for b in range(count):
            block(f"encoder.down.{level}.block.{b}", width, channels[level])
            width = channels[level]
            skips.append(width)
        if level + 1 < len(blocks):
            dense(f"encoder.down.{level}.down", width, width, 3)
    for b in range(network["middle"]):
        block(f"encoder.middle.{b}", width, width)
    if encoder is not None:
        for place, size in enumerate(skips + [width]):
            made[f"mu.{place}"] = torch.full((1 if encoder["blend"] == "scalar" else size,), 0.3)
        return made
    for level in reversed(range(len(blocks))):
        for b in range(blocks[level]):
            block(f"decoder.up.{level}.block.{b}", width + skips.pop(), channels[level])
            width = channels[level]
        if level > 0:
            width = channels[level - 1]
            dense(f"decoder.up.{level}.up", channels[level], width, 1)
    made["decoder.norm"] = torch.ones(width)
    dense("decoder.output", width, picture, 3)
    return made
