"""Small U-Nets of PyTorch's diffusers with random weights: what the Swift U-Net must compute from the same files.

    python diffusers_golden.py              writes the two fixtures beside this script
    python diffusers_golden.py full FOLDER  writes Stable Diffusion 1.5's full shape (3.4 GB) for the long comparison

Written with torch 2.15 (CPU) and diffusers 0.42.1, seed 20240917. A fixture is a weights file as `save_pretrained` would
write it and a second file with inputs, output and, for the small ones, the gradients of mean((output - target)^2).
"""

import pathlib
import sys

import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from safetensors.torch import save_file

TIMES = [500, 37]


def pixel():
    return UNet2DModel(
        sample_size=16, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(8, 16, 24),
        attention_head_dim=4, norm_num_groups=4, down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )


def latent():
    return UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        cross_attention_dim=12, attention_head_dim=2, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def full():
    return UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(320, 640, 1280, 1280),
        cross_attention_dim=768, attention_head_dim=8,
    )


def write(folder, name, model, side, channels, times, context=None, gradients=True):
    folder = pathlib.Path(folder)
    model = model.eval()
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.dim() == 1:  # norms and biases away from one and zero
                tensor.add_(0.1 * torch.randn_like(tensor))
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / f"{name}_weights.safetensors")
    x = torch.randn(len(times), channels, side, side)
    target = torch.randn_like(x)
    t = torch.tensor(times)
    inputs = [x, t] if context is None else [x, t, torch.randn(len(times), *context)]
    if gradients:
        model, inputs = model.double(), [v.double() if v.is_floating_point() else v for v in inputs]
        y = model(*inputs, return_dict=False)[0]
        ((y - target.double()) ** 2).mean().backward()
    else:
        with torch.no_grad():
            y = model(*inputs, return_dict=False)[0]
    nhwc = lambda v: v.detach().float().permute(0, 2, 3, 1).contiguous()
    out = {"x": nhwc(x), "y": nhwc(y), "target": nhwc(target)}
    if context is not None:
        out["context"] = inputs[2].float().unsqueeze(1).contiguous()
    if gradients:
        for key, value in model.named_parameters():
            out[f"gradient.{key}"] = value.grad.float().contiguous()
    save_file(out, folder / f"{name}_golden.safetensors")


torch.manual_seed(20240917)
if len(sys.argv) > 1:
    write(sys.argv[2], "full", full(), 64, 4, [500], context=(77, 768), gradients=False)
else:
    here = pathlib.Path(__file__).parent
    write(here, "pixel", pixel(), 16, 3, TIMES)
    write(here, "latent", latent(), 16, 4, TIMES, context=(5, 12))
