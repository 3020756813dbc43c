"""What `review` reads of a run by convention is what this project's runs report."""

from dataclasses import replace

import pytest

from mnist_sweep import metrics
from mnist_sweep.review.records import RunRecord
from mnist_sweep.review.status import Status, classify


@pytest.mark.parametrize(
    ("summary", "status"),
    [
        ({metrics.FEASIBLE: False}, Status.INFEASIBLE),
        ({metrics.PARAMETERS_OVER_LIMIT: 1}, Status.INFEASIBLE),
        ({metrics.DIVERGED: True}, Status.DIVERGED),
        ({metrics.COMPLETE: False}, Status.STOPPED),
        ({metrics.COMPLETE: True, metrics.OBJECTIVE: 0.02}, Status.FINISHED),
    ],
)
def test_a_review_classifies_runs_by_the_keys_that_they_report(summary: dict[str, object], status: Status) -> None:
    record = RunRecord(id="r", state="finished", summary={metrics.REASON: "why", **summary})
    assert classify(record, metrics.OBJECTIVE)[0] is status
    assert classify(replace(record, tags=(metrics.BASELINE,)))[0] is Status.BASELINE
