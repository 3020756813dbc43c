"""How a trial ended, as far as a ranking is concerned.

A run is what its state says, unless it says otherwise itself, in its summary:

    feasible: false           it broke a limit and was not trained, or `constraint/…` above zero
    diverged: true            its loss was no number
    complete: false           it ended before its work was done, whatever its state says
    reason: "…"               why, in words

or by the tag `baseline`: shown for comparison, never ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mnist_sweep.review.records import RunRecord, number

CONSTRAINT = "constraint/"
LIVE_STATES = frozenset({"running", "pending", "preempting", "queued", "starting", "stopping"})
STOPPED_STATES = frozenset({"killed", "stopped", "preempted"})


class Status(StrEnum):
    """Only `FINISHED` runs are ranked, and of these only those that reported the metric."""

    FINISHED = "finished"
    RUNNING = "running"
    STOPPED = "stopped"
    INFEASIBLE = "infeasible"
    DIVERGED = "diverged"
    FAILED = "failed"
    BASELINE = "baseline"


def classify(record: RunRecord, metric: str = "") -> tuple[Status, str]:
    """How the run ended, and why it is not ranked by `metric`: one line, empty for a ranked or a running run."""
    kind = _status(record)
    return kind, _reason(record, kind, metric)


def broken(summary: Mapping[str, Any]) -> dict[str, float]:
    """The limits that a run broke, by name, and by how much."""
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
        return Status.RUNNING
    if state in STOPPED_STATES:
        return Status.STOPPED
    if state != "finished":
        return Status.FAILED
    return Status.STOPPED if record.stop_reason or summary.get("complete") is False else Status.FINISHED


def _reason(record: RunRecord, kind: Status, metric: str) -> str:
    if kind is Status.RUNNING:
        return ""
    if kind is Status.FINISHED:
        return f"no {metric} reported" if metric and number(record.summary.get(metric)) is None else ""
    if kind is Status.BASELINE:
        return "a baseline, for comparison"
    if said := record.summary.get("reason") or record.stop_reason:
        return str(said)
    if kind is Status.INFEASIBLE:
        over = (f"{name} over its limit by {value:g}" for name, value in broken(record.summary).items())
        return "; ".join(over) or "not feasible"
    if record.state.lower() == "preempted":
        return "preempted: another agent goes on with it"
    words = {Status.STOPPED: "stopped early", Status.DIVERGED: "diverged"}
    return words.get(kind, f"ended as {record.state}")
