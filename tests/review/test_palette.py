from __future__ import annotations

import re

from mnist_sweep.review.page import stylesheet
from mnist_sweep.review.palette import STATES
from mnist_sweep.review.status import Status
from mnist_sweep.server.store import runs


def test_every_state_has_a_colour_in_light_dark_and_terminal() -> None:
    assert set(STATES) == set(Status)
    css = stylesheet()
    for kind in Status:
        assert len(re.findall(rf"--{kind.value}: #", css)) == 3  # light, dark by choice, dark by the system
        assert f".dot.{kind.value} " in css
    for state in runs.STATES - {"preempting"}:
        assert f".dot.{state} " in css, state


def test_every_variable_of_the_styles_has_a_value() -> None:
    css = stylesheet()
    used = set(re.findall(r"var\((--[\w-]+)\)", css))
    assert used <= set(re.findall(r"(--[\w-]+):", css))
