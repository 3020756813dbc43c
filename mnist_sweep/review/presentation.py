"""How to present a sweep's runs, worked out from what the runs report.

Nothing here is specific to one project. For example, the x axis is the step metric that the runs defined for the
sweep's metric, and the size is the number of which they report a `constraint/…`.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mnist_sweep.review.records import STEP, RunRecord, SweepInfo, number
from mnist_sweep.review.status import CONSTRAINT
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.metric import find_metric

FRACTIONS = frozenset(
    {"acc", "accuracy", "precision", "recall", "sensitivity", "specificity", "f1", "auc", "auroc", "iou"}
)
"""Words in the names of metrics that are fractions if all of their values lie between 0 and 1."""

HELD_OUT = frozenset({"val", "valid", "validation", "eval", "test", "dev"})
"""Words in the names of metrics that are measured on data from which a run does not learn."""

LOSSES = frozenset({"loss", "error", "nll", "mse", "mae", "rmse", "perplexity"})
"""Words in the names of metrics that are better if they are smaller."""

COUNTERS = frozenset({"epoch", "epochs", "step", "steps", "iteration", "iterations", "iter", "batch", "global"})
"""Words in the names of keys that only count how far a run is."""

RATE = re.compile(r"(.*[/_.-])?(lr|learning[_ -]?rate)([/_.-].*)?", re.IGNORECASE)
"""Names under which training loops log their learning rate."""


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """How to read one sweep's runs."""

    axis: str = STEP
    """The logged key over which curves run."""
    size: str = ""
    """What the metric is traded against: a constrained number or the second objective; empty if there is none."""
    limit: float | None = None
    """The largest size allowed."""
    rate: str = ""
    """The logged key of the learning rate, or empty."""
    fraction: bool = False
    """Whether the metric is a fraction, which people read as per cent."""
    size_fraction: bool = False
    """Whether the size is a fraction."""
    proxy_metric: str = ""
    """The key that tells how a run is doing before it reports the sweep's metric, or empty."""
    fraction_metric: str = ""
    """A fraction such as `val/accuracy` to show beside the sweep's metric, or empty."""

    @property
    def step(self) -> str:
        """One step of the x axis, in a word."""
        return axis_name(self.axis)

    @property
    def plural(self) -> str:
        return self.step if self.step.endswith("s") else f"{self.step}s"

    def show(self, value: float | None) -> str:
        """Return the metric's value for people."""
        return show(value, fraction=self.fraction)

    def show_size(self, value: float | None) -> str:
        """Return the size for people: `9,443`, or per cent."""
        if value is None or self.size_fraction:
            return show(value, fraction=True)
        return f"{value:,.0f}" if value.is_integer() else show(value, fraction=False)

    @property
    def hover_format(self) -> str:
        """The same as Plotly's hover format of y."""
        return "%{y:.2%}" if self.fraction else "%{y:.4g}"


def show(value: float | None, *, fraction: bool) -> str:
    """Return a number for people: `99.53 %` for a fraction, else four significant digits (`0.1910`)."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:.2f} %" if fraction else f"{value:#.4g}".rstrip(".")


def read(info: SweepInfo, records: Sequence[RunRecord]) -> Presentation:
    """Work out how to present a sweep's runs."""
    size, limit = _constrained(records)
    if info.second is not None:
        size, limit = info.second.name, limit if size == info.second.name else None
    logged = dict.fromkeys(key for record in records for row in record.history[:1] for key in row)
    proxy = _proxy_metric(info, records)
    return Presentation(
        axis=next((axis for record in records if (axis := record.axis_of(proxy or info.metric)) != STEP), STEP),
        size=size,
        limit=limit,
        rate=next((key for key in logged if RATE.fullmatch(key) and key != info.metric), ""),
        fraction=is_fraction(info.metric, (find_metric(record.summary, info.metric) for record in records)),
        size_fraction=is_fraction(size, (number(record.summary.get(size)) for record in records)),
        proxy_metric=proxy,
        fraction_metric=_fraction_metric({info.metric, size}, records),
    )


def _proxy_metric(info: SweepInfo, records: Sequence[RunRecord]) -> str:
    """Return what tells how a run is doing if the runs log the sweep's metric only once, at their end.

    It is measured on held-out data and better in the same direction. The first logged row decides, so that an open
    page shows the same as one that is opened later.
    """
    if not info.metric or any(_times(info.metric, record) > 1 for record in records):
        return ""
    wanted = FRACTIONS if info.goal is Goal.MAXIMIZE else LOSSES
    keys = dict.fromkeys(
        key for record in records for row in (*record.history[:1], *_unfinished(record, info.metric)) for key in row
    )
    named = (key for key in keys if metric_words(key) & HELD_OUT and metric_words(key) & wanted)
    return next((key for key in named if any(_reported_more(key, info.metric, record) for record in records)), "")


def _unfinished(record: RunRecord, metric: str) -> tuple[dict[str, object], ...]:
    """Return the summary, as rows, of a run that works and has not reported the metric."""
    return (dict(record.summary),) if record.running and find_metric(record.summary, metric) is None else ()


def _reported_more(key: str, metric: str, record: RunRecord) -> bool:
    if any(number(row.get(key)) is not None for row in _unfinished(record, metric)):
        return True
    return _times(key, record) > _times(metric, record)


def _times(key: str, record: RunRecord) -> int:
    """Return how often the run logged a number under this key."""
    return sum(number(row.get(key)) is not None for row in record.history)


def _fraction_metric(shown_metrics: set[str], records: Sequence[RunRecord]) -> str:
    """Return a fraction that the runs report beside `shown_metrics`, preferably of held-out data."""
    if any(metric_words(name) & FRACTIONS for name in shown_metrics):
        return ""
    keys = dict.fromkeys(key for record in records for key in record.summary if not key.startswith("best/"))
    named = [key for key in keys if metric_words(key) & FRACTIONS]
    found = [key for key in named if is_fraction(key, _values(key, records) or [math.nan])]
    found.sort(key=lambda key: not metric_words(key) & HELD_OUT)
    return found[0] if found else ""


def _values(key: str, records: Iterable[RunRecord]) -> list[float]:
    return [value for record in records if (value := number(record.summary.get(key))) is not None]


def metric_words(name: str) -> set[str]:
    """Return the words in a metric's name."""
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def is_fraction(name: str, values: Iterable[float | None]) -> bool:
    """Return whether a metric is a fraction: its name says so, and no value contradicts it."""
    return bool(FRACTIONS & metric_words(name)) and all(value is None or 0 <= value <= 1 for value in values)


def is_counter(name: str) -> bool:
    """Return whether a key such as `epoch` or `trainer/global_step` only counts how far a run is."""
    return metric_words(name.rsplit("/", 1)[-1]) <= COUNTERS


def axis_name(axis: str) -> str:
    """Return a logged key as the name of an axis."""
    return {STEP: "step", "_runtime": "seconds"}.get(axis, axis)


def _constrained(records: Sequence[RunRecord]) -> tuple[str, float | None]:
    """Return the name of the number that the runs constrain, and its limit.

    A run reports both the number and its `constraint/…`, which is the distance from the limit.
    """
    for record in records:
        for key in record.summary:
            name = key.removeprefix(CONSTRAINT)
            if name == key:
                continue
            value, over = number(record.summary.get(name)), number(record.summary[key])
            if value is not None and over is not None:
                return name, value - over
    return "", None
