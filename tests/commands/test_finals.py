from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mnist_sweep.commands.finals import legend, table, verdict
from mnist_sweep.search.racing import Noise, Paired
from mnist_sweep.selection.finals import Outcome, Row


@pytest.fixture
def contest() -> Any:
    return SimpleNamespace(sweep=SimpleNamespace(path="local/p/s", config={}), metric="objective", sign=1.0)


@pytest.fixture
def outcome() -> Outcome:
    def against(difference: float) -> Paired:
        return Paired(2, difference, Noise(0.0074, 7))

    first = Row("c1=1", 9_999, 10, 0.02113, 0.9941, against(-0.0085), against(-0.0365), finalist=True)
    return Outcome(
        (first, Row("preset=step8", 6_720, 10, 0.0251, 0.9918, None, None, finalist=True)), "preset=step8", None
    )


def test_a_row_of_the_table_is_one_line_of_80_columns(contest: Any, outcome: Outcome) -> None:
    shown = io.StringIO()
    Console(file=shown, width=80).print(table(contest, outcome))
    rows = [" ".join(line.split()) for line in shown.getvalue().splitlines() if line.startswith(("1", "ref"))]
    assert rows == [
        "1 9,999 10 99.41 % 21.13 -8.50 ± 17.50 tie -36.50 ± 17.50",
        "ref 6,720 10 99.18 % 25.10",
    ]


def test_the_legend_gives_whole_configurations_by_their_number(outcome: Outcome) -> None:
    assert legend(outcome) == "1: c1=1\nref: preset=step8"


def test_the_verdict_says_what_is_decided_and_what_is_not_known(contest: Any, outcome: Outcome) -> None:
    said = verdict(contest, outcome, 60.0).splitlines()
    assert said[0] == "Best:  c1=1"
    assert said[1] == "       better than the reference (preset=step8)"
    assert said[2].startswith("What the next training would buy is not known")
