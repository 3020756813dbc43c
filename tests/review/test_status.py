import pytest

from mnist_sweep.review.records import RunRecord
from mnist_sweep.review.status import Status, broken, classify

METRIC = "val/accuracy"


def run(state: str = "finished", tags: tuple[str, ...] = (), stop_reason: str = "", **summary: object) -> RunRecord:
    keys = {key.replace("__", "/"): value for key, value in summary.items()}
    return RunRecord(id="r", state=state, summary=keys, config={"epochs": 15}, tags=tags, stop_reason=stop_reason)


@pytest.mark.parametrize(
    ("record", "expected", "words"),
    [
        (run(val__accuracy=0.99, complete=True), Status.FINISHED, ""),
        (run(val__accuracy=0.99, epoch=14), Status.FINISHED, ""),  # epochs counted from 0 are as good as any
        (run(val__accuracy=0.9, complete=False), Status.STOPPED, "stopped early"),
        (run(val__accuracy=0.9, stop_reason="worse than half"), Status.STOPPED, "worse than half"),
        (run("running", val__accuracy=0.9, complete=False), Status.RUNNING, ""),
        (run("killed", val__accuracy=0.9), Status.STOPPED, "stopped early"),
        (run(feasible=False, reason="12,000 parameters"), Status.INFEASIBLE, "12,000 parameters"),
        (run(constraint__memory=5, val__accuracy=0.999), Status.INFEASIBLE, "memory over its limit by 5"),
        (run(diverged=True, complete=False, val__accuracy=0.1), Status.DIVERGED, "diverged"),
        (run("crashed", val__accuracy=0.9), Status.FAILED, "the program stopped reporting"),
        (run("failed"), Status.FAILED, "the program ended with an error"),
        (run(), Status.FINISHED, "no val/accuracy reported"),
        (run(val__accuracy="NaN"), Status.FINISHED, "no val/accuracy reported"),
        (run(val__accuracy=0.999, tags=("baseline",)), Status.BASELINE, "a baseline, for comparison"),
    ],
)
def test_how_a_run_ended(record: RunRecord, expected: Status, words: str) -> None:
    assert classify(record, METRIC) == (expected, words)


def test_without_a_metric_a_finished_run_is_finished() -> None:
    assert classify(run()) == (Status.FINISHED, "")


def test_a_limit_is_broken_above_zero() -> None:
    assert broken({"constraint/a": 0, "constraint/b": 0.5, "constraint/c": "NaN", "d": 3}) == {"b": 0.5}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("pending", Status.QUEUED),
        ("queued", Status.QUEUED),
        ("starting", Status.RUNNING),
        ("preempting", Status.RUNNING),
        ("stopping", Status.RUNNING),
    ],
)
def test_a_run_that_waits_for_an_agent_is_queued_and_not_running(state: str, status: Status) -> None:
    found, reason = classify(RunRecord(id="a", state=state))
    assert (found, reason, found.is_live) == (status, "", True)
