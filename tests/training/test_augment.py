import math

import pytest
import torch

from mnist_sweep.training.augment import MEAN, NO_AFFINE, STD, Affine, _augment, _ranges, augment, normalise
from mnist_sweep.training.mnist import Split

SIDE, SIGMA, ARM = 28, 1.5, 5.0
CENTRE = (SIDE - 1) / 2
LIGHT = Affine(rotate=10, shear=5, shift=0.07, zoom=0.1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Back to 0 … 1."""
    return images * STD + MEAN


def test_normalise_is_the_known_mean_and_deviation(split: Split) -> None:
    images = normalise(split.train.images)
    assert images.shape == (55_000, 1, 28, 28)
    assert images.dtype == torch.float32
    assert images.mean().item() == pytest.approx(0, abs=0.005)
    assert images.std().item() == pytest.approx(1, abs=0.005)
    assert torch.allclose(pixels(images[:10]), split.train.images[:10].unsqueeze(1) / 255, atol=1e-6)


def test_strength_zero_is_normalise(small: Split) -> None:
    images = small.train.images
    assert torch.equal(augment(images, 0, seeded()), normalise(images))


def test_the_generator_decides(small: Split) -> None:
    images = small.train.images[:50]
    assert torch.equal(augment(images, 1, seeded(1)), augment(images, 1, seeded(1)))
    assert not torch.equal(augment(images, 1, seeded(1)), augment(images, 1, seeded(2)))
    generator = seeded(1)
    assert not torch.equal(augment(images, 1, generator), augment(images, 1, generator))


def test_global_random_numbers_are_left_alone(small: Split) -> None:
    before = torch.get_rng_state()
    augment(small.train.images[:50], 1, seeded())
    assert torch.equal(before, torch.get_rng_state())


def test_every_image_has_its_own_parameters(small: Split) -> None:
    copies = small.train.images[:1].expand(100, -1, -1)
    assert len(augment(copies, 1, seeded()).flatten(1).unique(dim=0)) == 100


def test_what_comes_out(small: Split) -> None:
    before = small.train.images.clone()
    images = augment(small.train.images, 1.5, seeded())
    assert images.shape == (2_000, 1, 28, 28)
    assert images.dtype == torch.float32
    assert torch.equal(small.train.images, before)
    assert pixels(images).min() >= -1e-6
    assert pixels(images).max() <= 1 + 1e-6


def test_digits_stay_digits(small: Split) -> None:
    """Statistics of the real digits move little at strength 1: they are moved about, neither lost nor inverted."""
    plain, changed = normalise(small.train.images), augment(small.train.images, 1, seeded())
    assert changed.mean().item() == pytest.approx(plain.mean().item(), abs=0.1)
    assert changed.std().item() == pytest.approx(plain.std().item(), rel=0.15)
    alike = torch.nn.functional.cosine_similarity(pixels(plain).flatten(1), pixels(changed).flatten(1))
    assert 0.5 < alike.mean().item() < 0.95


def test_strength_scales_the_change(small: Split) -> None:
    plain = normalise(small.train.images)
    change = [(augment(small.train.images, s, seeded()) - plain).abs().mean().item() for s in (0.01, 0.5, 1, 1.5)]
    assert change == sorted(change)
    assert change[0] < 0.02 < 0.1 < change[1]


# --- geometry, measured on blobs --------------------------------------------------------------------------------------
# Three blobs (in the middle, right of it, below it) go through the same transforms, because they are drawn from the
# same generator. Where their centres of mass end up is the affine map of each image.


def blobs(x: float, y: float, count: int) -> torch.Tensor:
    axis = torch.arange(SIDE) - CENTRE
    image = torch.exp(-((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * SIGMA**2))
    return (image * 128).round().to(torch.uint8).expand(count, -1, -1)


def centres(images: torch.Tensor) -> torch.Tensor:
    """N x 2 centres of mass (x, y) relative to the middle, in pixels, of what is brighter than the background."""
    mass = pixels(images).squeeze(1).double()
    mass = (mass - mass.flatten(1).median(1).values.view(-1, 1, 1)).clamp(min=0)
    mass = mass * (mass > 0.05 * mass.amax((1, 2), keepdim=True))
    axis = torch.arange(SIDE, dtype=torch.float64) - CENTRE
    total = mass.sum((1, 2))
    return torch.stack(((mass.sum(1) @ axis) / total, (mass.sum(2) @ axis) / total), 1)


def affine_maps(strength: float, count: int = 2_000, affine: Affine = NO_AFFINE) -> tuple[torch.Tensor, torch.Tensor]:
    """N x 2 x 2 matrices and N x 2 shifts (pixels) that `augment` applied."""
    middle, right, below = (
        centres(augment(blobs(x, y, count), strength, seeded(7), affine=affine))
        for x, y in ((0, 0), (ARM, 0), (0, ARM))
    )
    return torch.stack(((right - middle) / ARM, (below - middle) / ARM), 2), middle


def uniform_deviation(limit: float) -> float:
    return limit / math.sqrt(3)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_translation_is_within_a_tenth_of_the_side(strength: float) -> None:
    _, shift = affine_maps(strength)
    limit = 0.1 * SIDE * strength
    assert shift.abs().max() < limit + 0.1
    assert shift.mean(0).abs().max() < 0.15
    assert shift.std(0).tolist() == pytest.approx([uniform_deviation(limit)] * 2, rel=0.05)
    assert torch.corrcoef(shift.T)[0, 1].abs() < 0.1


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_scale_is_within_a_fifth(strength: float) -> None:
    matrix, _ = affine_maps(strength)
    scale = torch.linalg.det(matrix).sqrt()
    assert (scale - 1).abs().max() < 0.2 * strength + 0.02
    assert scale.mean().item() == pytest.approx(1, abs=0.01)
    assert scale.std().item() == pytest.approx(uniform_deviation(0.2 * strength), rel=0.08)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_rotation_is_the_sum_of_both_and_half_the_shear(strength: float) -> None:
    """A shear by a small angle s is a rotation by s/2 and a stretch: the whole rotation varies as their sum."""
    matrix, _ = affine_maps(strength)
    angle = torch.atan2(matrix[:, 1, 0] - matrix[:, 0, 1], matrix[:, 0, 0] + matrix[:, 1, 1]).rad2deg()
    assert angle.abs().max() < (6 + 7 + 5) * strength + 0.5
    assert angle.mean().abs() < 0.4
    assert angle.std().item() == pytest.approx(
        math.hypot(*map(uniform_deviation, (6 * strength, 7 * strength, 5 * strength))), rel=0.06
    )


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_shear_is_within_ten_degrees(strength: float) -> None:
    """The singular values k and 1/k of a shear by the angle s (scale taken out) satisfy k - 1/k = tan s."""
    matrix, _ = affine_maps(strength)
    largest, smallest = torch.linalg.svdvals(matrix).T
    ratio = (largest / smallest).sqrt()
    shear = torch.atan(ratio - 1 / ratio).rad2deg()
    assert shear.max() < 10 * strength + 1.5
    assert shear.mean().item() == pytest.approx(5 * strength, rel=0.08)  # |uniform| has half its limit for a mean


def test_brightness_and_contrast_are_within_two_fifths() -> None:
    """Inside a grey square of value v and share c of the image, the level is gain * (cv + blend * (v - cv))."""
    square = torch.zeros(2_000, SIDE, SIDE, dtype=torch.uint8)
    square[:, 6:22, 6:22] = 100
    level = pixels(augment(square, 1, seeded()))[:, 0, 12:16, 12:16].mean((1, 2))
    value, share = 100 / 255, 16**2 / SIDE**2
    assert level.max() < value * 1.4 * (1 + 0.4 * (1 - share * 0.8**2))
    assert level.min() > value * 0.6 * (1 - 0.4 * (1 - share * 0.8**2))
    assert level.mean().item() == pytest.approx(value, rel=0.03)
    gain, blend = uniform_deviation(0.4), uniform_deviation(0.4) * (1 - share)
    assert level.std().item() == pytest.approx(value * math.hypot(gain, blend), rel=0.1)


@pytest.mark.parametrize(("strength", "affine"), [(0.5, NO_AFFINE), (1.5, NO_AFFINE), (0, LIGHT), (0.5, LIGHT)])
def test_the_compiled_loops_are_the_operations_other_devices_use(small: Split, strength: float, affine: Affine) -> None:
    images = small.train.images[:500]
    parameters = torch.rand(8, 500, generator=seeded(3)).mul(2).sub(1)
    parameters *= _ranges(strength, affine, images.device)
    compiled = augment(images, strength, seeded(3), affine=affine)
    torch.testing.assert_close(compiled, _augment(images, parameters), atol=1e-3, rtol=0)


def test_an_affine_alone_has_its_own_ranges() -> None:
    matrix, shift = affine_maps(0, affine=LIGHT)
    assert shift.abs().max() < LIGHT.shift * SIDE + 0.1
    assert shift.std(0).tolist() == pytest.approx([uniform_deviation(LIGHT.shift * SIDE)] * 2, rel=0.05)
    scale = torch.linalg.det(matrix).sqrt()
    assert scale.std().item() == pytest.approx(uniform_deviation(LIGHT.zoom), rel=0.08)
    angle = torch.atan2(matrix[:, 1, 0] - matrix[:, 0, 1], matrix[:, 0, 0] + matrix[:, 1, 1]).rad2deg()
    deviation = math.hypot(uniform_deviation(LIGHT.rotate), uniform_deviation(LIGHT.shear / 2))
    assert angle.std().item() == pytest.approx(deviation, rel=0.06)


def test_an_affine_alone_leaves_grey_levels() -> None:
    square = torch.zeros(500, SIDE, SIDE, dtype=torch.uint8)
    square[:, 6:22, 6:22] = 100
    middle = pixels(augment(square, 0, seeded(), affine=LIGHT))[:, 0, 12:16, 12:16]
    torch.testing.assert_close(middle, torch.full_like(middle, 100 / 255), atol=1e-4, rtol=0)


@pytest.mark.parametrize("part", Affine._fields)
def test_every_part_of_an_affine_changes_something(small: Split, part: str) -> None:
    images = small.train.images[:50]
    changed = augment(images, 0, seeded(), affine=NO_AFFINE._replace(**{part: 0.1}))
    assert not torch.equal(changed, normalise(images))
