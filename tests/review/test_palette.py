import math
import re

from mnist_sweep.review.page import stylesheet
from mnist_sweep.review.palette import STATES, run_colour, run_number
from mnist_sweep.review.status import Status
from mnist_sweep.server.store import runs
from mnist_sweep.server.sweeps.states import RunStatus, SweepStatus


def test_every_state_has_a_colour_in_light_dark_and_terminal() -> None:
    assert set(STATES) == set(Status)
    css = stylesheet()
    for kind in Status:
        assert len(re.findall(rf"--{kind.value}: #", css)) == 3  # light, dark by choice, dark by the system
        assert f".dot.{kind.value} " in css
    for state in {*runs.STATES, *RunStatus, *SweepStatus}:
        assert f".dot.{state} " in css, state


def test_every_variable_of_the_styles_has_a_value() -> None:
    css = stylesheet()
    used = set(re.findall(r"var\((--[\w-]+)\)", css))
    assert used <= set(re.findall(r"(--[\w-]+):", css))


def test_runs_of_a_sweep_have_colours_that_differ_and_are_readable_on_light_and_dark() -> None:
    first = run_number("abc", 0)
    assert len({run_colour(run_number("abc", place)) for place in range(20)}) == 20
    assert run_colour(first) == run_colour(first + 20)
    assert run_number("abd", 0) != first
    for number in range(20):
        lightness, *hue = oklab(run_colour(number))
        luminance = sum(
            weight * channel
            for weight, channel in zip((0.2126, 0.7152, 0.0722), linear(run_colour(number)), strict=True)
        )
        assert 1.05 / (luminance + 0.05) > 2.5  # on white
        assert (luminance + 0.05) / 0.06 > 2.5  # on a dark card
        for other in range(number + 1, number + 20):
            other_lightness, *other_hue = oklab(run_colour(other))
            assert math.dist([lightness, *hue], [other_lightness, *other_hue]) > 0.1, (number, other)


def linear(colour: str) -> list[float]:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def oklab(colour: str) -> list[float]:
    """Coordinates in which equal distances look about equal: https://bottosson.github.io/posts/oklab/"""
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    axes = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    channels = linear(colour)
    roots = [sum(a * b for a, b in zip(row, channels, strict=True)) ** (1 / 3) for row in cones]
    return [sum(a * b for a, b in zip(row, roots, strict=True)) for row in axes]
