"""From a question to the number that counts: a sweep, the finals of its best, and what fresh trainings confirmed.

Finals and confirmations are runs of the sweep's project that stand in no sweep themselves. They say what they are:

    configuration                        summary
    finals: {sweep, metric, reference}   round, rounds, entrants, missing; complete and standing once they have ended
    confirms: {sweep, chosen_by,         the value of `metric`, one run a seed, all of one group
      configuration, metric, claim,
      claimed, observed, runs}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.statistics import interval
from mnist_sweep.review.status import Status, classify

JOB_TYPES = ("finals", "confirm")
"""Of the runs that a chain is read from."""


@dataclass(frozen=True)
class Difference:
    """Of a metric between two entrants: mean over what both were measured on, half its 95 % interval's width."""

    difference: float
    half: float | None
    count: int
    tie: bool


@dataclass(frozen=True)
class Entrant:
    """A row of the finals' standing; `value` is the metric, `accuracy` what is claimed."""

    name: str
    replicates: int
    value: float | None
    accuracy: float | None = None
    parameters: int | None = None
    finalist: bool = False
    reference: bool = False
    to_next: Difference | None = None
    to_reference: Difference | None = None


@dataclass(frozen=True)
class Finals:
    """How the finals of a sweep stand."""

    metric: str
    claim: str
    round: int
    rounds: int
    entrants: int
    missing: int
    standing: tuple[Entrant, ...]
    """The best first; empty until they have ended."""
    url: str

    @property
    def winner(self) -> Entrant | None:
        return next((row for row in self.standing if row.finalist and not row.reference), None)


@dataclass(frozen=True)
class Confirmation:
    """Fresh seeds of one configuration, each judged once on what nothing was chosen by."""

    name: str
    chosen_by: str
    metric: str
    values: tuple[float, ...]
    diverged: int
    claim: str
    """The metric of what was claimed."""
    claimed: float | None
    observed: float | None
    runs: int
    """So many runs were behind the claim."""
    group: str
    url: str

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def half(self) -> float:
        """Half the width of the mean's 95 % interval; NaN for one seed."""
        return interval(self.values)


@dataclass(frozen=True)
class Chain:
    """What came after a sweep, as far as it went."""

    finals: Finals | None = None
    confirmations: tuple[Confirmation, ...] = ()
    """The one that counts first: what finals chose before what the sweep alone did, then the one with most seeds."""

    @property
    def confirmed(self) -> Confirmation | None:
        return self.confirmations[0] if self.confirmations else None

    @property
    def empty(self) -> bool:
        return self.finals is None and not self.confirmations


def read(info: SweepInfo, records: Iterable[RunRecord]) -> Chain:
    """The chain of a sweep, from runs of its project; those that belong to other sweeps are passed over."""
    played: Finals | None = None
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.config.get("finals.sweep") == info.id:
            played = _finals(record)
        elif record.config.get("confirms.sweep") == info.id:
            groups[record.group].append(record)
    winner = played.winner.name if played and played.winner else ""
    found = [_confirmation(info, group, seeds) for group, seeds in groups.items()]
    found = [one for one in found if one.values]
    found.sort(key=lambda one: (one.chosen_by == "finals", one.name == winner, len(one.values)), reverse=True)
    return Chain(played, tuple(found))


def _finals(record: RunRecord) -> Finals:
    def whole(name: str) -> int:
        return int(number(record.summary.get(name)) or 0)

    try:
        standing = _STANDING.validate_python(record.summary.get("standing") or ())
    except ValidationError:
        standing = ()
    return Finals(
        metric=str(record.config.get("finals.metric") or ""),
        claim=str(record.config.get("finals.claim") or ""),
        round=whole("round"),
        rounds=whole("rounds"),
        entrants=whole("entrants"),
        missing=whole("missing"),
        standing=standing if record.summary.get("complete") is True else (),
        url=record.url,
    )


_STANDING = TypeAdapter(tuple[Entrant, ...])


def _confirmation(info: SweepInfo, group: str, seeds: Sequence[RunRecord]) -> Confirmation:
    config = seeds[-1].config  # the newest says what is claimed now
    metric = str(config.get("confirms.metric") or "")
    judged = [(record, classify(record, metric)[0]) for record in seeds]
    values = (number(record.summary.get(metric)) for record, kind in judged if kind is Status.FINISHED)
    return Confirmation(
        name=str(config.get("confirms.configuration") or ""),
        chosen_by=str(config.get("confirms.chosen_by") or ""),
        metric=metric,
        values=tuple(value for value in values if value is not None),
        diverged=sum(kind is Status.DIVERGED for _, kind in judged),
        claim=str(config.get("confirms.claim") or ""),
        claimed=number(config.get("confirms.claimed")),
        observed=number(config.get("confirms.observed")),
        runs=int(number(config.get("confirms.runs")) or 0),
        group=group,
        url=f"{info.url.rsplit('/sweeps/', 1)[0]}/groups/{quote(group)}" if info.url else "",
    )
