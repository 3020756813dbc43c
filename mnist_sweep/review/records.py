"""What the review knows about a sweep: plain records, wherever they came from.

A `RunRecord` is one trial and a `SweepInfo` the sweep it belongs to. Nothing here talks to a server; `review.api`
fills them from `wandb.Api()` (W&B's cloud and the local server alike), the local server fills them from its store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from mnist_sweep.review.media import Confusion, Mistake

Goal = Literal["maximize", "minimize"]
LIVE_STATES = frozenset({"running", "pending", "preempting", "queued"})
STOPPED_STATES = frozenset({"killed", "stopped", "preempted"})


class Status(StrEnum):
    """How a trial ended, as far as a ranking is concerned. Only `OK` is ranked."""

    OK = "ok"
    RUNNING = "running"
    STOPPED = "stopped"
    INFEASIBLE = "infeasible"
    DIVERGED = "diverged"
    FAILED = "failed"
    BASELINE = "baseline"


@dataclass(frozen=True)
class RunRecord:
    """One run: what was asked (`config`), what came out (`summary`, `history`), when and where.

    `config` and `summary` are flat: nested keys are joined with a dot (`flatten`). `history` is a list of logged rows.
    `agent` names the lane of the timeline (an agent, else a host). `url` is the run's page.
    """

    id: str
    name: str = ""
    state: str = "finished"
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    created_at: datetime | None = None
    finished_at: datetime | None = None
    agent: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    stop_reason: str = ""
    confusion: Confusion | None = None
    mistakes: tuple[Mistake, ...] = ()

    @property
    def label(self) -> str:
        return self.name or self.id

    @property
    def seconds(self) -> float | None:
        """Wall time in seconds: the client's own clock where it reported one, else from the two timestamps."""
        for key in ("_runtime", "_wandb.runtime"):
            if (value := number(self.summary.get(key))) is not None:
                return value
        if self.created_at and self.finished_at:
            return max((self.finished_at - self.created_at).total_seconds(), 0.0)
        return None


@dataclass(frozen=True)
class SweepField:
    """One searched name: its range, and whether it is searched on a logarithmic scale."""

    name: str
    kind: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class SweepInfo:
    """The sweep itself: who, what is searched, and what is better."""

    id: str
    name: str = ""
    entity: str = ""
    project: str = ""
    state: str = ""
    method: str = ""
    metric: str = "val/accuracy"
    goal: Goal = "maximize"
    fields: tuple[SweepField, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""

    @property
    def title(self) -> str:
        return self.name or self.id

    @property
    def is_fraction(self) -> bool:
        """Accuracies are fractions in metrics and per cent for people."""
        return "acc" in self.metric.lower()

    @property
    def sign(self) -> float:
        """+1 where larger is better, -1 where smaller is."""
        return 1.0 if self.goal == "maximize" else -1.0

    def show(self, value: float | None, *, digits: int = 2) -> str:
        """The metric's value for people: `99.53 %` for accuracies, four significant digits otherwise."""
        if value is None or not math.isfinite(value):
            return "–"
        return f"{value * 100:.{digits}f} %" if self.is_fraction else f"{value:.4g}"


def number(value: Any) -> float | None:
    """`value` as a finite float, or None. W&B writes non-finite numbers as the strings "NaN" and "Infinity"."""
    if type(value) is float:  # by far the most frequent case
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings joined with dots, as W&B's columns are. Media values (with a `_type`) stay whole."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and "_type" not in value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def status(record: RunRecord, metric: str) -> Status:
    """How the run ended; see `reason` for the words.

    A run that broke a constraint (`feasible` false, or any `constraint/…` above zero) is infeasible even when it
    reported a metric. A run with fewer epochs than its config asked for was stopped, whatever its state says.
    """
    known: tuple[str, Status] | None = record.__dict__.get("_status")
    if known is None or known[0] != metric:  # every figure asks; with 1,000 runs it is half the time of a page
        known = (metric, _status(record, metric))
        object.__setattr__(record, "_status", known)
    return known[1]


def _status(record: RunRecord, metric: str) -> Status:
    summary = record.summary
    if "baseline" in record.tags:
        return Status.BASELINE
    if summary.get("feasible") is False or _broken_constraints(record):
        return Status.INFEASIBLE
    if summary.get("diverged") is True:
        return Status.DIVERGED
    state = record.state.lower()
    if state in LIVE_STATES:
        return Status.RUNNING
    if state in STOPPED_STATES or (state == "finished" and record.stop_reason):
        return Status.STOPPED
    if state != "finished" or number(summary.get(metric)) is None:
        return Status.FAILED
    return Status.STOPPED if _is_short(record) else Status.OK


def reason(record: RunRecord, metric: str) -> str:
    """Why a run is not ranked, in one line; empty for a ranked or a running one."""
    kind = status(record, metric)
    if kind in (Status.OK, Status.RUNNING):
        return ""
    if kind is Status.BASELINE:
        return "a baseline, over the limit on purpose"
    if said := record.summary.get("reason") or record.stop_reason:
        return str(said)
    if kind is Status.INFEASIBLE:
        broken = _broken_constraints(record)
        return "; ".join(f"{name} over its limit by {value:g}" for name, value in broken) or "not feasible"
    if kind is Status.STOPPED:
        done, asked = record.summary.get("epoch"), record.config.get("epochs")
        return f"stopped after epoch {done} of {asked}" if done and asked else "stopped early"
    if kind is Status.DIVERGED:
        return "diverged"
    return f"no {metric} reported" if record.state.lower() == "finished" else f"ended as {record.state}"


def value_of(record: RunRecord, metric: str) -> float | None:
    """The metric at the end of the run (not its best epoch: a maximum over epochs is a maximum over noise)."""
    return number(record.summary.get(metric))


def best_of(record: RunRecord, info: SweepInfo) -> tuple[float | None, float | None]:
    """The metric's best value and its epoch, from `best/…` in the summary or else from the history."""
    best = number(record.summary.get(f"best/{info.metric}"))
    if best is not None:
        return best, number(record.summary.get("best/epoch"))
    rows = [(number(row.get(info.metric)), row) for row in record.history]
    seen = [(value, row) for value, row in rows if value is not None]
    if not seen:
        return None, None
    value, row = max(seen, key=lambda pair: info.sign * pair[0])
    return value, number(row.get("epoch", row.get("_step")))


def ranked(records: Sequence[RunRecord], info: SweepInfo) -> list[RunRecord]:
    """The runs that may be ranked, best first; ties go to the smaller network, then to the older run."""

    def key(record: RunRecord) -> tuple[float, float, str]:
        value = value_of(record, info.metric)
        assert value is not None  # Status.OK has one
        return -info.sign * value, number(record.summary.get("parameters")) or 0.0, str(record.created_at)

    return sorted((r for r in records if status(r, info.metric) is Status.OK), key=key)


def by_age(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Oldest first: the order in which the search proposed them."""
    return sorted(records, key=lambda r: (r.created_at is None, str(r.created_at), r.id))


def _broken_constraints(record: RunRecord) -> list[tuple[str, float]]:
    names = (key for key in record.summary if key.startswith("constraint/"))
    values = ((name.removeprefix("constraint/"), number(record.summary[name])) for name in names)
    return [(name, value) for name, value in values if value is not None and value > 0]


def _is_short(record: RunRecord) -> bool:
    done, asked = number(record.summary.get("epoch")), number(record.config.get("epochs"))
    return done is not None and asked is not None and done < asked
