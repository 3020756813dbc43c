"""The plain records that a review starts from: a `RunRecord` per run and the `SweepInfo` of their sweep.

Nothing here talks to a server. `review.api` fills the records from `wandb.Api()`, for W&B's cloud and the local server
alike. The local server also fills them from its own store.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from mnist_sweep.search.goal import Goal
from mnist_sweep.search.metric import finite

STEP = "_step"
"""W&B's count of the rows that a run has logged: the x axis of metrics without a step metric of their own."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: its configuration, its results, and when and where it ran.

    `config` and `summary` are flat: `flatten` joins nested keys with a dot.
    """

    id: str
    name: str = ""
    state: str = "finished"
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    """The logged rows."""
    step_metrics: Mapping[str, str] = field(default_factory=dict)
    """By metric, or pattern such as `val/*`, the logged key over which it runs."""
    created_at: datetime | None = None
    finished_at: datetime | None = None
    read_at: datetime | None = None
    """When this record was read, for a run that was running then."""
    host: str = ""
    """The machine; empty if it is unknown."""
    group: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    """The address of the run's page."""
    stop_reason: str = ""
    number: int = 0
    """The number of its colour (`palette.run_colour`)."""

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
        """Return the logged key over which a metric runs: the step metric that the run defined for it, or `_step`."""
        if metric in self.step_metrics:
            return self.step_metrics[metric]
        patterns = (axis for name, axis in self.step_metrics.items() if "*" in name and fnmatchcase(metric, name))
        return next((axis for axis in patterns if axis != metric), STEP)

    @property
    def running(self) -> bool:
        return self.state.lower() == "running"

    @property
    def seconds(self) -> float | None:
        """Return the wall time in seconds: by the client's own clock if it reported one, else by the timestamps.

        A running run has taken its time up to `read_at`. The client may count whole seconds: a zero tells nothing.
        """
        for key in ("_runtime", "_wandb.runtime"):
            if value := number(self.summary.get(key)):
                return value
        return self.span

    @property
    def span(self) -> float | None:
        """Return the seconds between the run's start and its end, or `read_at`; None without both."""
        end = self.finished_at or self.read_at
        return max((end - self.created_at).total_seconds(), 0.0) if self.created_at and end else None


@dataclass(frozen=True, kw_only=True)
class SweepField:
    """A searched parameter: its name, range and scale."""

    name: str
    kind: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    """Whether it is searched on a logarithmic scale."""
    choices: tuple[str, ...] = ()
    """The values of a categorical field as `value_text` writes them."""


@dataclass(frozen=True)
class Objective:
    """A metric and the direction in which it is optimised."""

    name: str
    goal: Goal = Goal.MINIMIZE


@dataclass(frozen=True, kw_only=True)
class SweepInfo:
    """A sweep: its name, what it searches and what it optimises. Without a metric, nothing is ranked."""

    id: str
    name: str = ""
    entity: str = ""
    project: str = ""
    state: str = ""
    method: str = ""
    metric: str = ""
    goal: Goal = Goal.MAXIMIZE
    second: Objective | None = None
    """The other metric of a sweep with two objectives."""
    fields: tuple[SweepField, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""

    @property
    def title(self) -> str:
        return self.name or self.id


def number(value: Any) -> float | None:
    """Return `value` as a finite float, or None for anything else, integers beyond the range of floats included.

    W&B writes non-finite numbers as the strings "NaN" and "Infinity".
    """
    if type(value) is float:  # by far the most frequent case
        return value if math.isfinite(value) else None
    return float(value) if finite(value) else None


def value_text(value: Any) -> str:
    """Return a configuration's value as text: a string unchanged, anything else as JSON (`true`, `null`, `[1, 2]`)."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        return "a number too long to show"


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings with their keys joined by dots, as in W&B's columns. Media values stay whole."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and "_type" not in value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def flat_rows(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return history rows with their nested keys joined by dots. Rows without nested keys are returned as they are."""
    return [flatten(row) if any(isinstance(value, dict) for value in row.values()) else row for row in rows]


def step_metrics(defined: Any) -> dict[str, str]:
    """Return the step metric of each metric, or pattern of metrics, that `run.define_metric` was given.

    Args:
        defined: the list that the client leaves under `_wandb.m` of a run's configuration. Its entries are
            `MetricRecord` messages with field numbers for keys: 1 is the name, 2 the pattern instead of a name, and
            5 the position of the step metric in the same list, counted from 1. Anything else is ignored.
    """
    metrics = [entry for entry in defined if isinstance(entry, Mapping)] if isinstance(defined, list) else []
    names = [entry.get("1") or entry.get("2") for entry in metrics]
    found: dict[str, str] = {}
    for name, entry in zip(names, metrics, strict=True):
        position = entry.get("5")
        if isinstance(name, str) and isinstance(position, int) and 0 < position <= len(names):
            found[name] = str(names[position - 1])
    return found
