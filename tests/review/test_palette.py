import re

from mnist_sweep.review.page import stylesheet
from mnist_sweep.review.palette import STATES, run_colour
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


def test_a_runs_colour_depends_on_its_id_alone_and_is_readable_on_light_and_dark() -> None:
    ids = [f"run{i}" for i in range(200)]
    colours = [run_colour(run) for run in ids]
    assert colours == [run_colour(run) for run in ids]
    assert len(set(colours)) > 150
    for colour in colours:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        luminance = sum(
            weight * channel**2.2 for weight, channel in zip((0.2126, 0.7152, 0.0722), channels, strict=True)
        )
        assert 1.05 / (luminance + 0.05) > 2.5  # on white
        assert (luminance + 0.05) / 0.06 > 2.5  # on a dark card
