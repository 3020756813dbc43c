"""A sweep's runs, classified and ordered: what the pages, the report, the terminal and the live table start from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mnist_sweep.review.presentation import Presentation, read, show
from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.status import Status, classify
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.metric import find_metric


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A run and its result."""

    record: RunRecord
    status: Status
    reason: str = ""
    """Why the run is not ranked."""
    value: float | None = None
    """The metric at the end of the run, not its best: a maximum over epochs is a maximum over noise."""
    best: float | None = None
    """The metric's best value: what the run reports as `best/…`, else the best of its history."""
    best_at: float | None = None
    """Where on the x axis the best value was."""
    size: float | None = None
    proxy: float | None = None
    """The last value of `Presentation.proxy_metric`."""
    fraction: float | None = None
    """The last value of `Presentation.fraction_metric`."""
    rank: int | None = None
    """1 is the best; None if the run is not ranked."""

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def label(self) -> str:
        return self.record.label


@dataclass(frozen=True, kw_only=True)
class RankedTrial(Trial):
    """A ranked trial, which has a value and a rank."""

    value: float = 0.0
    rank: int = 0


@dataclass(frozen=True)
class Progress:
    """A ranked trial in the order of the search: its number, counted from 1, and the best value up to it."""

    number: int
    trial: RankedTrial
    best: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A sweep's trials, classified and ordered.

    With two objectives, trials that no other trial beats in both are ranked first; the first objective orders the rest.
    """

    info: SweepInfo
    presentation: Presentation
    trials: tuple[Trial, ...]
    """All of them, oldest first."""
    ended: tuple[Trial, ...]
    """All but baselines and running trials."""
    ranked: tuple[RankedTrial, ...]
    """The best first."""
    front: tuple[RankedTrial, ...]
    """Trials that no other ranked trial beats in both size and metric, in order of size."""
    progress: tuple[Progress, ...]

    @property
    def best(self) -> RankedTrial | None:
        return self.ranked[0] if self.ranked else None

    @property
    def values(self) -> list[float]:
        """The metric of the ranked trials, best first."""
        return [trial.value for trial in self.ranked]

    def count(self, *kinds: Status) -> int:
        return sum(trial.status in kinds for trial in self.trials)

    def show_fraction(self, trial: Trial) -> str:
        """Return the fraction beside the metric for people, such as `99.35 % val/accuracy`; empty if there is none."""
        if trial.fraction is None:
            return ""
        return f"{show(trial.fraction, fraction=True)} {self.presentation.fraction_metric}"


def rank(info: SweepInfo, records: Iterable[RunRecord]) -> Ranking:
    """Classify the runs and order them. Ties go to the smaller size, then to the older run."""
    runs = sorted(records, key=lambda r: (r.created_at is None, str(r.created_at), r.id))
    presentation = read(info, runs)
    classified = [_trial(record, info, presentation) for record in runs]
    size_goal = info.second.goal if info.second else Goal.MINIMIZE
    order = sorted(
        (trial for trial in classified if isinstance(trial, RankedTrial)),
        key=lambda trial: (info.goal.to_loss(trial.value), size_goal.to_loss(trial.size or 0.0)),
    )
    if info.second:
        first = {trial.id for trial in _front(order, info.goal, size_goal)}
        order.sort(key=lambda trial: trial.id not in first)
    ranked = tuple(replace(trial, rank=place) for place, trial in enumerate(order, start=1))
    placed = {trial.id: trial for trial in ranked}
    trials = tuple(placed.get(trial.id, trial) for trial in classified)
    ended = tuple(trial for trial in trials if not (trial.status.is_live or trial.status is Status.BASELINE))
    return Ranking(
        info=info,
        presentation=presentation,
        trials=trials,
        ended=ended,
        ranked=ranked,
        front=tuple(_front(ranked, info.goal, size_goal)),
        progress=tuple(_progress(ended, info.goal)),
    )


def _trial(record: RunRecord, info: SweepInfo, presentation: Presentation) -> Trial:
    status, reason = classify(record, info.metric)
    value = find_metric(record.summary, info.metric, info.goal) if info.metric else None
    best, best_at = _best(record, info, presentation)
    trial = Trial(
        record=record,
        status=status,
        reason=reason,
        value=value,
        best=best,
        best_at=best_at,
        size=number(record.summary.get(presentation.size)) if presentation.size else None,
        proxy=_last(record, presentation.proxy_metric),
        fraction=_last(record, presentation.fraction_metric),
    )
    if status is Status.FINISHED and value is not None:
        return RankedTrial(**(vars(trial) | {"rank": 0}))
    return trial


def _last(record: RunRecord, key: str) -> float | None:
    """Return the number that the run's summary has under a key, else the last of its history."""
    if not key:
        return None
    rows = (record.summary, *reversed(record.history))
    return next((value for row in rows if (value := number(row.get(key))) is not None), None)


def _best(record: RunRecord, info: SweepInfo, presentation: Presentation) -> tuple[float | None, float | None]:
    """Return the metric's best value, and where on the x axis it was."""
    best = number(record.summary.get(f"best/{info.metric}"))
    if best is not None:
        return best, number(record.summary.get(f"best/{presentation.axis}"))
    seen = [(value, row) for row in record.history if (value := number(row.get(info.metric))) is not None]
    if not seen:
        return None, None
    value, row = min(seen, key=lambda pair: info.goal.to_loss(pair[0]))
    return value, number(row.get(presentation.axis))


def _front(trials: Sequence[RankedTrial], goal: Goal, size_goal: Goal) -> Iterable[RankedTrial]:
    """Yield the trials that no other beats in both size and metric, the best size first."""
    sized = [(size_goal.to_loss(trial.size), trial) for trial in trials if trial.size is not None]
    top: RankedTrial | None = None
    for _, trial in sorted(sized, key=lambda pair: (pair[0], goal.to_loss(pair[1].value))):
        if top is None or goal.better(trial.value, top.value):
            top = trial
            yield trial


def _progress(ended: Iterable[Trial], goal: Goal) -> Iterable[Progress]:
    best: float | None = None
    for place, trial in enumerate(ended, start=1):
        if isinstance(trial, RankedTrial):
            best = trial.value if best is None else min(best, trial.value, key=goal.to_loss)
            yield Progress(place, trial, best)
