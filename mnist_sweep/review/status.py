"""How a run ended, as far as a ranking is concerned.

A run's state counts, unless its summary says otherwise:

    feasible: false           it broke a limit and was not trained; so does `constraint/…` above zero
    diverged: true            its loss was not a number
    complete: false           it ended before its work was done
    reason: "…"               the reason, for people

A run with the tag `baseline` is shown for comparison and never ranked.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mnist_sweep.review.records import RunRecord, number
from mnist_sweep.search.metric import find_metric

CONSTRAINT = "constraint/"
_QUEUED_STATES = frozenset({"pending", "queued"})
LIVE_STATES = frozenset({"running", "preempting", "starting", "stopping"}) | _QUEUED_STATES
STOPPED_STATES = frozenset({"killed", "stopped", "preempted"})


class Status(StrEnum):
    """How a run ended. Only `FINISHED` runs that reported the metric are ranked."""

    FINISHED = "finished"
    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    INFEASIBLE = "infeasible"
    DIVERGED = "diverged"
    FAILED = "failed"
    BASELINE = "baseline"

    @property
    def is_live(self) -> bool:
        """Whether the run has not ended."""
        return self in (Status.QUEUED, Status.RUNNING)


def classify(record: RunRecord, metric: str = "") -> tuple[Status, str]:
    """Return how the run ended, and in one line why `metric` does not rank it (empty for ranked and running runs)."""
    kind = _status(record)
    return kind, _reason(record, kind, metric)


def broken(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the limits that a run broke, and by how much."""
    found = {key.removeprefix(CONSTRAINT): number(summary[key]) for key in summary if key.startswith(CONSTRAINT)}
    return {name: over for name, over in found.items() if over is not None and over > 0}


def _status(record: RunRecord) -> Status:
    summary = record.summary
    if "baseline" in record.tags:
        return Status.BASELINE
    if summary.get("feasible") is False or broken(summary):
        return Status.INFEASIBLE
    if summary.get("diverged") is True:
        return Status.DIVERGED
    state = record.state.lower()
    if state in LIVE_STATES:
        return Status.QUEUED if state in _QUEUED_STATES else Status.RUNNING
    if state in STOPPED_STATES:
        return Status.STOPPED
    if state != "finished":
        return Status.FAILED
    return Status.STOPPED if record.stop_reason or summary.get("complete") is False else Status.FINISHED


def _reason(record: RunRecord, kind: Status, metric: str) -> str:
    if kind.is_live:
        return ""
    if kind is Status.FINISHED:
        return f"no {metric} reported" if metric and find_metric(record.summary, metric) is None else ""
    if kind is Status.BASELINE:
        return "a baseline, for comparison"
    if given := record.summary.get("reason") or record.stop_reason:
        return str(given)
    if kind is Status.INFEASIBLE:
        over = (f"{name} over its limit by {value:g}" for name, value in broken(record.summary).items())
        return "; ".join(over) or "not feasible"
    if record.state.lower() == "preempted":
        return "preempted: another agent will resume it"
    if kind is Status.FAILED:
        ends = {"failed": "the program ended with an error", "crashed": "the program stopped reporting"}
        return ends.get(record.state.lower(), f"its state is {record.state}")
    return "diverged" if kind is Status.DIVERGED else "stopped early"
