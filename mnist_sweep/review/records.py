"""What the review knows about a sweep: plain records, wherever they came from.

A `RunRecord` is one trial and a `SweepInfo` the sweep it belongs to. Nothing here talks to a server; `review.api`
fills them from `wandb.Api()` (W&B's cloud and the local server alike), the local server fills them from its store.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

Goal = Literal["maximize", "minimize"]
STEP = "_step"
"""W&B's count of the rows that a run has logged: the x axis of whatever has no step metric of its own."""


@dataclass(frozen=True)
class RunRecord:
    """One run: what was asked (`config`), what came out (`summary`, `history`), when and where.

    `config` and `summary` are flat: nested keys are joined with a dot (`flatten`). `history` is a list of logged rows.
    `step_metrics` says over which logged key a metric, or all that fit a pattern (`val/*`), run. `agent` names the
    lane of the timeline (an agent, else a host). `url` is the run's page.
    """

    id: str
    name: str = ""
    state: str = "finished"
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    step_metrics: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    finished_at: datetime | None = None
    read_at: datetime | None = None
    """When this record was read, for a run that was running then."""
    agent: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    stop_reason: str = ""

    @property
    def label(self) -> str:
        return self.name or self.id

    def configured(self, name: str) -> Any:
        """Return the configuration's value under `name`, a flattened mapping put together again; None if absent."""
        if name in self.config:
            return self.config[name]
        prefix = f"{name}."
        parts = {key.removeprefix(prefix): value for key, value in self.config.items() if key.startswith(prefix)}
        return parts or None

    def axis_of(self, metric: str) -> str:
        """The logged key over which the metric runs: the step metric that the run defined for it, or `_step`."""
        if metric in self.step_metrics:
            return self.step_metrics[metric]
        patterns = (axis for name, axis in self.step_metrics.items() if "*" in name and fnmatchcase(metric, name))
        return next((axis for axis in patterns if axis != metric), STEP)

    @property
    def seconds(self) -> float | None:
        """Return the wall time in seconds: by the client's own clock if it reported one, else by the timestamps.

        A running run has taken its time up to `read_at`.
        """
        for key in ("_runtime", "_wandb.runtime"):
            if (value := number(self.summary.get(key))) is not None:
                return value
        return self.span

    @property
    def span(self) -> float | None:
        """Return the seconds between the run's start and its end, or `read_at`; None without both."""
        end = self.finished_at or self.read_at
        return max((end - self.created_at).total_seconds(), 0.0) if self.created_at and end else None


@dataclass(frozen=True)
class SweepField:
    """One searched name: its range, and whether it is searched on a logarithmic scale."""

    name: str
    kind: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()
    """The values of a categorical field as `value_text` writes them."""


@dataclass(frozen=True)
class SweepInfo:
    """The sweep itself: who, what is searched, and what is better. Without a metric nothing is ranked."""

    id: str
    name: str = ""
    entity: str = ""
    project: str = ""
    state: str = ""
    method: str = ""
    metric: str = ""
    goal: Goal = "maximize"
    fields: tuple[SweepField, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""

    @property
    def title(self) -> str:
        return self.name or self.id

    @property
    def sign(self) -> float:
        """+1 where larger is better, -1 where smaller is."""
        return 1.0 if self.goal == "maximize" else -1.0


def number(value: Any) -> float | None:
    """Return `value` as a finite float, or None for anything else, integers beyond the range of floats included.

    W&B writes non-finite numbers as the strings "NaN" and "Infinity".
    """
    if type(value) is float:  # by far the most frequent case
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def value_text(value: Any) -> str:
    """Return a configuration's value as text: a string unchanged, anything else as JSON (`true`, `null`, `[1, 2]`)."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        return "a number too long to show"


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings joined with dots, as W&B's columns are. Media values (with a `_type`) stay whole."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and "_type" not in value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def step_metrics(defined: Any) -> dict[str, str]:
    """Metric, or pattern of metrics, to step metric: from what `run.define_metric` leaves in a run's `_wandb.m`.

    The entries are the client's `MetricRecord` with field numbers for keys: 1 is the name, 2 the pattern in its
    place, 5 the place of the step metric in the same list, counted from 1. Anything else is left out.
    """
    metrics = [entry for entry in defined if isinstance(entry, Mapping)] if isinstance(defined, list) else []
    names = [entry.get("1") or entry.get("2") for entry in metrics]
    found: dict[str, str] = {}
    for name, entry in zip(names, metrics, strict=True):
        place = entry.get("5")
        if isinstance(name, str) and isinstance(place, int) and 0 < place <= len(names):
            found[name] = str(names[place - 1])
    return found


def lanes(agents: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Agent to lane of the timeline, from pairs of agent and host: the host, numbered where it has several agents."""
    hosts = [host or "agent" for _, host in agents]
    return {
        agent: host if hosts.count(host) == 1 else f"{host} {i}"
        for i, ((agent, _), host) in enumerate(zip(agents, hosts, strict=True), start=1)
    }
