"""What the runs say, in sentences: every number in them is read from the runs. Used by the page, the report and the
terminal alike."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from mnist_sweep.review.figures.progress import expected_best
from mnist_sweep.review.figures.tradeoff import parameter_limit, pareto_front
from mnist_sweep.review.importance import Importance
from mnist_sweep.review.records import (
    RunRecord,
    Status,
    SweepInfo,
    best_of,
    by_age,
    number,
    ranked,
    status,
    value_of,
)


def findings(
    records: Sequence[RunRecord],
    info: SweepInfo,
    importance: Importance,
    *,
    baseline: Sequence[RunRecord] = (),
    evaluated_on: int | None = None,
) -> list[str]:
    """Sentences in the order a reader wants them.

    `evaluated_on` is the number of images behind the metric; without it, a confusion matrix among the runs tells.
    """
    runs = ranked(records, info)
    if not runs:
        return [f"No run has reported {info.metric} yet. {_counts(records, info)}"]
    said = [
        _best(runs[0], info),
        _noise(runs, info, evaluated_on or _images(runs)),
        _counts(records, info),
        _what_mattered(importance),
        _front(records, info),
        _against_random(runs, baseline, info),
        _saved(records, info),
    ]
    return [sentence for sentence in said if sentence]


def _best(best: RunRecord, info: SweepInfo) -> str:
    text = f"The best run is {best.label}: {info.show(value_of(best, info.metric))} {info.metric}"
    if (count := number(best.summary.get("parameters"))) is not None:
        text += f" with {count:,.0f} parameters"
    value, epoch = best_of(best, info)
    if value is not None and epoch is not None and value != value_of(best, info.metric):
        text += f" after its last epoch; its best epoch was {epoch:g} with {info.show(value)}"
    return text + "."


def _images(runs: Sequence[RunRecord]) -> int | None:
    counted = (sum(map(sum, run.confusion.counts)) for run in runs if run.confusion)
    return next(counted, None)


def standard_error(value: float, images: int) -> float:
    """Binomial standard error of an accuracy measured on so many images."""
    return math.sqrt(value * (1 - value) / images)


def _noise(runs: Sequence[RunRecord], info: SweepInfo, images: int | None) -> str:
    best = value_of(runs[0], info.metric)
    if not info.is_fraction or images is None or best is None or not 0 < best < 1:
        return ""
    error = standard_error(best, images)
    near = sum(1 for run in runs[1:] if best - (value_of(run, info.metric) or 0.0) <= 2 * error)
    if len(runs) == 1:
        return f"One run on {images:,} images is known to ±{100 * error:.2f} points (one standard error)."
    known = f"One accuracy on {images:,} images has a standard error of {100 * error:.2f} points; from the best,"
    if not near:
        return f"{known} no other ranked run lies within two of them."
    return f"{known} {near} of {len(runs) - 1} others lie within two of them: one seed does not rank them."


def _counts(records: Sequence[RunRecord], info: SweepInfo) -> str:
    count = Counter(status(record, info.metric) for record in records)
    words = {
        Status.OK: "ranked",
        Status.RUNNING: "running",
        Status.STOPPED: "stopped early",
        Status.INFEASIBLE: "refused as infeasible without training",
        Status.DIVERGED: "diverged",
        Status.FAILED: "failed",
        Status.BASELINE: "baseline",
    }
    parts = [f"{count[kind]} {word}" for kind, word in words.items() if count[kind]]
    return f"{len(records)} trials: {', '.join(parts) or 'none'}."


def _what_mattered(importance: Importance) -> str:
    if not importance.shares:
        return ""
    sure = [name for name in importance.shares if importance.says_something(name)]
    if not sure:
        return f"No field stands out from chance over {importance.trials} ranked trials."
    named = ", ".join(f"{name} ({importance.shares[name]:.0%})" for name in sure[:3])
    verb = "mattered most" if len(importance.shares) > len(sure) or len(sure) > 3 else "mattered"
    return f"What {verb} over {importance.trials} ranked trials: {named}."


def _front(records: Sequence[RunRecord], info: SweepInfo) -> str:
    front = pareto_front(records, info)
    if len(front) < 2:
        return ""
    first, last = front[0], front[-1]
    small, large = (number(run.summary.get("parameters")) or 0.0 for run in (first, last))
    text = (
        f"The front of accuracy against size has {len(front)} runs, "
        f"from {info.show(value_of(first, info.metric))} with {small:,.0f} parameters "
        f"to {info.show(value_of(last, info.metric))} with {large:,.0f}"
    )
    limit = parameter_limit(records)
    return text + (f"; the limit is {limit:,}." if limit else ".")


def _against_random(runs: Sequence[RunRecord], baseline: Sequence[RunRecord], info: SweepInfo) -> str:
    values = [value for run in ranked(baseline, info) if (value := value_of(run, info.metric)) is not None]
    if not values:
        return ""
    n = min(len(values), len(runs))
    reached = expected_best(values, 0.5, info.sign)[n - 1]
    own = value_of(ranked(by_age(runs)[:n], info)[0], info.metric)
    return (
        f"With {n} ranked trials random search reaches {info.show(reached)} (median over the orders of its "
        f"{len(values)}) and this sweep {info.show(own)}."
    )


def _saved(records: Sequence[RunRecord], info: SweepInfo) -> str:
    kinds = (Status.OK, Status.STOPPED)
    pairs = [
        (done, asked)
        for record in records
        if status(record, info.metric) in kinds
        and (done := number(record.summary.get("epoch"))) is not None
        and (asked := number(record.config.get("epochs"))) is not None
    ]
    done, asked = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    if not asked or done >= asked:
        return ""
    return (
        f"Stopping early saved {1 - done / asked:.0%} of the epochs asked for ({done:.0f} of {asked:.0f} were trained)."
    )
