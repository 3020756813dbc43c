"""What the words of somebody's project mean, as far as its runs say.

Nothing here is about one project: the x axis is the step metric that the runs defined for the sweep's metric, what
counts as size is what they report a `constraint/…` of, and so on. What the runs do not say is absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mnist_sweep.review.records import STEP, RunRecord, SweepInfo, number
from mnist_sweep.review.status import CONSTRAINT

SHARES = frozenset(
    {"acc", "accuracy", "precision", "recall", "sensitivity", "specificity", "f1", "auc", "auroc", "iou"}
)
"""Words in the name of a metric that is a share of 1 wherever all of its values lie between 0 and 1."""

HELD_OUT = frozenset({"val", "valid", "validation", "eval", "test", "dev"})
"""Words in the name of a metric of data that a run does not learn from."""

LOSSES = frozenset({"loss", "error", "nll", "mse", "mae", "rmse", "perplexity"})
"""Words in the name of a metric that is better where it is smaller."""

RATE = re.compile(r"(.*[/_.-])?(lr|learning[_ -]?rate)([/_.-].*)?", re.IGNORECASE)
"""Names under which training loops log their learning rate."""


@dataclass(frozen=True)
class Presentation:
    """How to read one sweep's runs."""

    axis: str = STEP
    """The logged key that curves run over."""
    size: str = ""
    """The summary key that is to stay below a limit, or empty."""
    limit: float | None = None
    """The largest size allowed."""
    rate: str = ""
    """The logged key of the learning rate, or empty."""
    fraction: bool = False
    """Whether the metric is a share of 1, which people read as per cent."""
    proxy_metric: str = ""
    """The logged key that tells how a run is doing where the sweep's metric does not, or empty."""

    @property
    def step(self) -> str:
        """One step of the x axis, in a word."""
        return axis_name(self.axis)

    @property
    def plural(self) -> str:
        return self.step if self.step.endswith("s") else f"{self.step}s"

    def show(self, value: float | None, *, digits: int = 2) -> str:
        """The metric's value for people: `99.53 %` for a share, four significant digits otherwise."""
        if value is None or not math.isfinite(value):
            return "–"
        return f"{value * 100:.{digits}f} %" if self.fraction else f"{value:.4g}"

    @property
    def hover_format(self) -> str:
        """The same as Plotly's hover format of y."""
        return "%{y:.2%}" if self.fraction else "%{y:.4g}"


def read(info: SweepInfo, records: Sequence[RunRecord]) -> Presentation:
    """The vocabulary of a sweep's runs."""
    size, limit = _constrained(records)
    logged = dict.fromkeys(key for record in records for row in record.history[:1] for key in row)
    instead = _proxy_metric(info, records)
    drawn = instead or info.metric
    return Presentation(
        axis=next((axis for record in records if (axis := record.axis_of(drawn)) != STEP), STEP),
        size=size,
        limit=limit,
        rate=next((key for key in logged if RATE.fullmatch(key) and key != info.metric), ""),
        fraction=is_fraction(info.metric, (number(record.summary.get(info.metric)) for record in records)),
        proxy_metric=instead,
    )


def _proxy_metric(info: SweepInfo, records: Sequence[RunRecord]) -> str:
    """What to draw where runs log the sweep's metric once, at their end: of held-out data, better the same way.

    Known from its first row on, so that a page that is open draws the same as one that is opened later.
    """
    if not info.metric or any(_times(info.metric, record) > 1 for record in records):
        return ""
    wanted = SHARES if info.goal == "maximize" else LOSSES
    keys = dict.fromkeys(key for record in records for row in record.history[:1] for key in row)
    named = (key for key in keys if metric_words(key) & HELD_OUT and metric_words(key) & wanted)
    return next((key for key in named if any(_times(key, r) > _times(info.metric, r) for r in records)), "")


def _times(key: str, record: RunRecord) -> int:
    """How often the run logged a number under this key."""
    return sum(number(row.get(key)) is not None for row in record.history)


def metric_words(name: str) -> set[str]:
    """The words that a metric's name is made of."""
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def is_fraction(name: str, values: Iterable[float | None]) -> bool:
    """Whether a metric is a share of 1: its name says so, and no value contradicts."""
    return bool(SHARES & metric_words(name)) and all(value is None or 0 <= value <= 1 for value in values)


def axis_name(axis: str) -> str:
    """A logged key as the name of an axis."""
    return {STEP: "step", "_runtime": "seconds"}.get(axis, axis)


def _constrained(records: Sequence[RunRecord]) -> tuple[str, float | None]:
    """What the runs report both a value and a `constraint/…` of, the distance of that value from its limit."""
    for record in records:
        for key in record.summary:
            name = key.removeprefix(CONSTRAINT)
            if name == key:
                continue
            value, over = number(record.summary.get(name)), number(record.summary[key])
            if value is not None and over is not None:
                return name, value - over
    return "", None
