"""Deskewing removes the slant of digits, and nothing else."""

import pytest
import torch

from mnist_sweep.config import parse
from mnist_sweep.training import engine, mnist
from mnist_sweep.training.deskew import CHUNK, deskew


def moments(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return each image's centre of mass (N x 2: row, column), and its slant: columns per row."""
    pixels, places = images.double(), torch.arange(28, dtype=torch.float64)
    mass = pixels.sum((1, 2))
    row, column = (pixels.sum(2) @ places) / mass, (pixels.sum(1) @ places) / mass
    rows, columns = places - row.view(-1, 1), places - column.view(-1, 1)
    covariance = torch.einsum("nij,ni,nj->n", pixels, rows, columns)
    return torch.stack((row, column), 1), covariance / (pixels.sum(2) * rows**2).sum(1), mass


def test_nothing_is_changed_at_zero(split: mnist.Split) -> None:
    images = split.evaluate.images[:10]
    assert deskew(images, 0) is images


@pytest.mark.parametrize("share", [0.3, 0.7, 1])
def test_the_share_of_the_slant_is_removed(split: mnist.Split, share: float) -> None:
    images = split.evaluate.images
    changed = deskew(images, share)
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    (centre, slant, mass), (centre_after, slant_after, mass_after) = moments(images), moments(changed)
    assert slant.abs().mean() > 0.2, "the digits are slanted, so that the test means something"
    assert (slant_after - (1 - share) * slant).abs().quantile(0.99) < 0.02
    # a few long strokes reach the border of the image
    assert (centre_after - centre).abs().quantile(0.99) < 0.05
    assert (mass_after / mass - 1).abs().quantile(0.99) < 0.01


def test_a_slanted_line_becomes_vertical() -> None:
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    for row in range(8, 21):
        image[0, row, row] = 200
    upright = deskew(image, 1)
    assert upright[0, 8:21, 14].tolist() == [200] * 13
    assert upright.sum() == image.sum(dtype=torch.int64)


def test_ink_that_leaves_the_image_is_lost_rather_than_wrapped() -> None:
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    for row in range(4, 24):
        image[0, row, row] = 200  # to make this line vertical, the rows at the top move to the right
    image[0, 0, 27] = 20
    assert deskew(image, 1)[0, 0].sum() == 0


def test_images_without_a_slant_stay_as_they_are() -> None:
    images = torch.zeros(3, 28, 28, dtype=torch.uint8)
    images[1, 9, 3:7] = 255  # one row has no height
    images[2, 5:20, 11] = 90
    assert torch.equal(deskew(images, 1), images)


def test_each_image_is_changed_by_itself(split: mnist.Split) -> None:
    images = split.evaluate.images[: CHUNK + 3]
    together = deskew(images, 0.5)
    assert torch.equal(together[-1:], deskew(images[-1:], 0.5))
    assert torch.equal(together[:5], deskew(images[:5], 0.5))


def test_splits_are_deskewed_on_both_sides(split: mnist.Split) -> None:
    deskewed = mnist.selection_split((0,), 0.7)
    assert torch.equal(deskewed.evaluate_index, split.evaluate_index)
    for before, after in ((split.train, deskewed.train), (split.evaluate, deskewed.evaluate)):
        assert torch.equal(after.labels, before.labels)
        assert torch.equal(after.images[:100], deskew(before.images[:100], 0.7))
    plain, whole = mnist.confirmation_split(), mnist.confirmation_split(0.7)
    assert torch.equal(whole.train.images[:100], deskew(plain.train.images[:100], 0.7))
    assert torch.equal(whole.evaluate.images[:100], deskew(plain.evaluate.images[:100], 0.7))


def test_a_small_network_is_better_on_deskewed_digits() -> None:
    fields = "model=tiny c1=4 c2=6 squeeze=0 c3=8 c4=8 c5=8 head=0 pools=2 augment_strength=0 dropout=0 max_lr=0.2"
    losses = []
    for share in (0, 0.8):
        config = parse({"base": f"{fields} epochs=1 threads=1", "deskew": share})
        fit = engine.fit(config, mnist.selection_split(config.folds, config.deskew))
        assert fit.evaluation is not None
        losses.append(fit.evaluation.loss)
    assert losses[1] < losses[0] * 0.9
