"""A sweep's runs, judged and ordered: what the live table, the pages, the report and the terminal all start from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mnist_sweep.review.presentation import Presentation, read
from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.status import Status, classify

_PARTS = re.compile(r"-(?=[a-z]|\d+p$)")
"""Where a name like `wd3.2e-06-na3-1384p` falls apart."""


@dataclass(frozen=True)
class Trial:
    """A run, and what it came to.

    `value` is the metric at the end of the run, not its best: a maximum over epochs is a maximum over noise. `best` and
    `best_at` say when it was best, as the run reports in `best/…` or else by its history. `rank` counts from 1 and is
    None for what is not ranked; `reason` then says why.
    """

    record: RunRecord
    status: Status
    reason: str = ""
    value: float | None = None
    best: float | None = None
    best_at: float | None = None
    size: float | None = None
    rank: int | None = None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def label(self) -> str:
        return self.record.label


@dataclass(frozen=True)
class RankedTrial(Trial):
    """A ranked trial: it has a value and a rank."""

    value: float = 0.0
    rank: int = 0


@dataclass(frozen=True)
class Progress:
    """A ranked trial as the search came to it: which proposal it was, counted from 1, and the best value up to it."""

    proposal: int
    trial: RankedTrial
    best: float


@dataclass(frozen=True)
class Ranking:
    """A sweep's trials, judged and ordered.

    `trials` are all of them, oldest first; `ended` those that cost the search a proposal, all but baselines and what
    still runs; `ranked` the best first; `front`, smallest first, what no other ranked trial beats in both size and
    metric.
    """

    info: SweepInfo
    presentation: Presentation
    trials: tuple[Trial, ...]
    ended: tuple[Trial, ...]
    ranked: tuple[RankedTrial, ...]
    front: tuple[RankedTrial, ...]
    progress: tuple[Progress, ...]

    @property
    def best(self) -> RankedTrial | None:
        return self.ranked[0] if self.ranked else None

    @property
    def values(self) -> list[float]:
        """Of the ranked trials, best first."""
        return [trial.value for trial in self.ranked]

    def count(self, *kinds: Status) -> int:
        return sum(trial.status in kinds for trial in self.trials)


def rank(info: SweepInfo, records: Iterable[RunRecord]) -> Ranking:
    """Judge the runs and order them. Ties go to the smaller size, then to the older run."""
    runs = sorted(records, key=lambda r: (r.created_at is None, str(r.created_at), r.id))
    words = read(info, runs)
    judged = [_trial(record, info, words) for record in runs]
    order = sorted(
        (trial for trial in judged if isinstance(trial, RankedTrial)),
        key=lambda trial: (-info.sign * trial.value, trial.size or 0.0),
    )
    ranked = tuple(replace(trial, rank=place) for place, trial in enumerate(order, start=1))
    placed = {trial.id: trial for trial in ranked}
    trials = tuple(placed.get(trial.id, trial) for trial in judged)
    ended = tuple(trial for trial in trials if trial.status not in (Status.RUNNING, Status.BASELINE))
    front, progress = tuple(_front(ranked, info.sign)), tuple(_progress(ended, info.sign))
    return Ranking(info, words, trials, ended, ranked, front, progress)


def short_names(trials: Sequence[Trial]) -> dict[str, str]:
    """Run id to name, without the parts that the names of all trials share: `lr0.12-d0-e4-1384p` is `lr0.12-1384p`.

    Trials that were not trained have other names, and do not count.
    """
    parts = {trial.id: _PARTS.split(trial.label) for trial in trials}
    trained = [parts[trial.id] for trial in trials if trial.status is not Status.INFEASIBLE]
    named = [set(found) for found in trained if re.fullmatch(r"\d+p", found[-1])]
    common = set.intersection(*named) if len(named) > 1 else set()
    return {
        run: "-".join(part for part in found if part not in common) or "-".join(found) for run, found in parts.items()
    }


def _trial(record: RunRecord, info: SweepInfo, words: Presentation) -> Trial:
    status, reason = classify(record, info.metric)
    value = number(record.summary.get(info.metric)) if info.metric else None
    best, best_at = _best(record, info, words)
    size = number(record.summary.get(words.size)) if words.size else None
    if status is Status.FINISHED and value is not None:
        return RankedTrial(record, status, reason, value, best, best_at, size)
    return Trial(record, status, reason, value, best, best_at, size)


def _best(record: RunRecord, info: SweepInfo, words: Presentation) -> tuple[float | None, float | None]:
    """The metric's best value, and where on the x axis it was."""
    best = number(record.summary.get(f"best/{info.metric}"))
    if best is not None:
        return best, number(record.summary.get(f"best/{words.axis}"))
    seen = [(value, row) for row in record.history if (value := number(row.get(info.metric))) is not None]
    if not seen:
        return None, None
    value, row = max(seen, key=lambda pair: info.sign * pair[0])
    return value, number(row.get(words.axis))


def _front(ranked: Sequence[RankedTrial], sign: float) -> Iterable[RankedTrial]:
    top: RankedTrial | None = None
    sized = [(trial.size, trial) for trial in ranked if trial.size is not None]
    for _, trial in sorted(sized, key=lambda pair: (pair[0], -sign * pair[1].value)):
        if top is None or sign * trial.value > sign * top.value:
            top = trial
            yield trial


def _progress(ended: Iterable[Trial], sign: float) -> Iterable[Progress]:
    best: float | None = None
    for proposal, trial in enumerate(ended, start=1):
        if isinstance(trial, RankedTrial):
            best = trial.value if best is None else max(best, trial.value, key=lambda value: sign * value)
            yield Progress(proposal, trial, best)
