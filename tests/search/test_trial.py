"""What the search reads of a run."""

from typing import Any

import pytest

from mnist_sweep.search import Goal, Trial, relevant
from mnist_sweep.search.trial import constraint_values, metric_history, metric_values

REPORTED: list[tuple[str, dict[str, Any], dict[str, Any], list[float]]] = [
    ("loss", {"loss": 2.0}, {"loss": {"min": 1.0}}, [2.0, 1.0]),
    ("loss.min", {"loss": 2.0}, {"loss": {"min": 1.0}}, [1.0]),
    ("val.loss", {"val": {"loss": 1.0}}, {"val": {"loss": 1.0}}, [1.0, 1.0]),
    ("val.loss", {"val.loss": 1.0}, {}, [1.0]),
]


@pytest.mark.parametrize(("metric", "row", "summary", "expected"), REPORTED)
def test_a_metric_is_read_from_history_and_summary(
    metric: str, row: dict[str, Any], summary: dict[str, Any], expected: list[float]
) -> None:
    whole = Trial("a", {}, "finished", [row], summary)
    assert metric_values(whole, metric, Goal.MINIMIZE) == expected
    reduced = Trial("a", {}, "finished", [relevant(row, metric)], relevant(summary, metric))
    assert metric_values(reduced, metric, Goal.MINIMIZE) == expected


def test_only_what_the_search_reads_is_relevant() -> None:
    row = {"val": {"loss": 1}, "val.loss": 2, "value": 3, "constraint/size": 4, "_step": 5}
    assert relevant(row, "val.loss") == {"val": {"loss": 1}, "val.loss": 2, "constraint/size": 4}
    assert relevant(row, None) == {"constraint/size": 4}


def test_rows_without_a_number_are_left_out() -> None:
    trial = Trial("a", {}, "running", [{"loss": 1}, {}, {"loss": "NaN"}, {"loss": 2}])
    assert metric_history(trial, "loss") == [1.0, 2.0]


def test_the_last_value_of_a_constraint_counts() -> None:
    rows = [{"constraint/size": 1}, {"constraint/size": 2}]
    assert constraint_values(Trial("a", {}, "finished", rows)) == {"constraint/size": 2.0}
    assert constraint_values(Trial("a", {}, "finished", rows, {"constraint/size": -1})) == {"constraint/size": -1.0}
