"""Augment a batch of images on their device: the study's policy A with a strength, and additional affine ranges.

At strength 1, each image gets a rotation within 6 degrees; then rotation within 7 degrees, shear within 10 degrees,
translation up to a tenth of the side and scale 0.8 … 1.2; then brightness and contrast within 40 %. A strength s
multiplies all of these ranges by s. `Affine` adds ranges of its own, which also work alone at strength 0. The two
geometric steps are composed and resampled once, bilinearly.
"""

from __future__ import annotations

import functools
import io
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image

from mnist_sweep.training.fast import kernels

MEAN, STD = 0.1307, 0.3081


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 N x 28 x 28 to float32 N x 1 x 28 x 28. The training images then have mean 0 and deviation 1."""
    return (images.unsqueeze(1).float() / 255 - MEAN) / STD


RANGES = (math.radians(6), math.radians(7), math.radians(10), 0.2, 0.2, 0.2, 0.4, 0.4)
"""Ranges at strength 1: turn, rotation, shear (radians), shifts (half sides), scale, brightness, contrast."""


class Affine(NamedTuple):
    """Ranges that are added to policy A's second geometric step. Each applies in both directions."""

    rotate: float = 0.0
    """Degrees."""
    shear: float = 0.0
    """Degrees."""
    shift: float = 0.0
    """Fraction of the side, in x and y."""
    zoom: float = 0.0
    """Scale 1 - zoom … 1 + zoom."""


NO_AFFINE = Affine()


def augment(
    images: torch.Tensor,
    strength: float,
    generator: torch.Generator,
    affine: Affine = NO_AFFINE,
) -> torch.Tensor:
    """Apply policy A at `strength` (0 … 1.5) and `affine`, then normalise.

    Args:
        images: uint8, N x 28 x 28.
        strength: 0 without `affine` only normalises.
        generator: a generator on the images' device. Each image gets its own parameters.

    Returns:
        float32, N x 1 x 28 x 28.
    """
    if strength == 0 and not any(affine):
        return normalise(images)
    parameters = torch.rand(8, len(images), generator=generator, device=images.device).mul_(2).sub_(1)
    parameters *= _ranges(strength, affine, images.device)
    if images.device.type != "cpu":
        return _augment(images, parameters)
    out = torch.empty(len(images), 1, *images.shape[1:])
    kernels.augment(images.contiguous().numpy(), parameters.numpy(), MEAN, STD, out.flatten(1).numpy())
    return out


@functools.lru_cache(maxsize=8)
def _ranges(strength: float, affine: Affine, device: torch.device) -> torch.Tensor:
    """Return the ranges as 8 x 1. They are cached because a copy to a GPU waits for the device."""
    rotate, shear = math.radians(affine.rotate), math.radians(affine.shear)
    beside = (0.0, rotate, shear, 2 * affine.shift, 2 * affine.shift, affine.zoom, 0.0, 0.0)
    return (torch.tensor(RANGES) * strength + torch.tensor(beside)).unsqueeze(1).to(device)


def _augment(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Augment on any device with PyTorch's operations; `parameters` as in `kernels.augment`."""
    turn, angle, shear, shift_x, shift_y, scale, brightness, contrast = parameters
    matrices = _inverse_affine(turn, angle, shear, shift_x, shift_y, 1 + scale)
    grid = F.affine_grid(matrices, [len(images), 1, *images.shape[1:]], align_corners=False)
    pixels: torch.Tensor = F.grid_sample(images.unsqueeze(1).float() / 255, grid, align_corners=False)
    gain, blend = (1 + brightness).view(-1, 1, 1, 1), (1 + contrast).view(-1, 1, 1, 1)
    mean = pixels.mean((2, 3), keepdim=True)
    pixels = (gain * (mean + blend * (pixels - mean))).clamp(0, 1)
    return (pixels - MEAN) / STD


def strip(images: torch.Tensor, strength: float, seed: int = 0) -> list[bytes]:
    """Return what the network sees at `strength`: one PNG for each of `images` (uint8, N x 28 x 28)."""
    shown = augment(images, strength, torch.Generator().manual_seed(seed)).squeeze(1) * STD + MEAN
    pixels = (shown * 255).round().clamp(0, 255).byte().numpy()
    pngs = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        pngs.append(file.getvalue())
    return pngs


def _inverse_affine(
    turn: torch.Tensor,
    angle: torch.Tensor,
    shear: torch.Tensor,
    shift_x: torch.Tensor,
    shift_y: torch.Tensor,
    scale: torch.Tensor,
) -> torch.Tensor:
    """Return N x 2 x 3 matrices from output to input coordinates (-1 … 1): turn, then shear, scale, rotate, translate.

    Angles in radians, shifts in units of half the side.
    """
    inverse = _rotation(-turn) @ _shear(-shear) @ _rotation(-angle) / scale.view(-1, 1, 1)
    shift = torch.stack((shift_x, shift_y), -1).unsqueeze(-1)
    return torch.cat((inverse, -inverse @ shift), -1)


def _rotation(angle: torch.Tensor) -> torch.Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)


def _shear(angle: torch.Tensor) -> torch.Tensor:
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    return torch.stack((torch.stack((one, -angle.tan()), -1), torch.stack((zero, one), -1)), -2)
