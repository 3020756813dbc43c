"""Draw digits as they are and deskewed, as in docs/configuration.md:  python -m scripts.deskew_figure"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from mnist_sweep.training import mnist
from mnist_sweep.training.deskew import deskew

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "deskew.png"
SHARES = (0.0, 0.5, 1.0)
ZOOM = 2
DIGITS = 16


def figure() -> Image.Image:
    """Return a grid of digits: one row for each share of the slant that is removed, dark on white."""
    images = mnist.selection_split().train.images[:DIGITS]
    rows = [torch.cat(list(deskew(images, share)), dim=1) for share in SHARES]
    pixels = 255 - torch.cat(rows)
    grid = Image.fromarray(pixels.numpy())
    return grid.resize((grid.width * ZOOM, grid.height * ZOOM), Image.Resampling.BICUBIC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURE, help="output file (default %(default)s)")
    figure().save(parser.parse_args().out)


if __name__ == "__main__":
    main()
