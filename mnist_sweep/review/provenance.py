"""From a question to the number that counts: a sweep, the finals of its best configurations, and their confirmation.

This module is the only schema of finals and confirmations. `mnist-sweep finals` and `mnist-sweep confirm` return it,
W&B stores it, and pages, report and terminal draw it (`provenance_text`).

Finals and confirmations are runs of the sweep's project that belong to no sweep. Their configuration and summary say
what they are. The keys are the fields of the classes below:

    run of the finals      config["finals"] = Finals.stored_config()    summary = Finals.stored_summary()
    run of one seed        config["confirms"] = Claim.stored_config()   summary[Claim.metric] = the result
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean, stdev
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.statistics import interval
from mnist_sweep.review.status import Status, classify
from mnist_sweep.search.goal import Goal

FINALS_JOB_TYPE, CONFIRM_JOB_TYPE = JOB_TYPES = ("finals", "confirm")
"""Job types of the runs that a chain is read from."""

FINALS_KEY, CLAIM_KEY = "finals", "confirms"
"""Keys of a run's configuration under which it says what finals, or which confirmation, it belongs to."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean paired difference of a metric: an entrant's value minus the other entrant's."""

    difference: float
    half: float | None
    """Half the width of the 95 % interval; None if one replicate each says nothing about it."""
    count: int
    """Replicates that both have."""
    tie: bool
    """Whether the interval contains zero."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A row of the finals' table."""

    name: str
    """The configuration as text."""
    round: int | None = None
    """The last round it took part in; the final is `Finals.rounds`. None in data from before this field."""
    replicates: int
    """Replicates of that round, over which `value` and `accuracy` are means."""
    value: float | None
    """The sweep's metric; None if a training diverged."""
    accuracy: float | None = None
    """The metric `Finals.claim`; None if a training diverged."""
    diverged: int = 0
    """Replicates whose training diverged. A configuration with one has no mean and is not compared."""
    parameters: int | None = None
    finalist: bool = False
    reference: bool = False
    to_next: Difference | None = None
    """Compared with the row below."""
    to_reference: Difference | None = None
    to_other_finalist: Difference | None = None
    """Compared with the sweep's other finalist; None for all but the two, and in data from before this field."""


@dataclass(frozen=True, kw_only=True)
class NextReplicate:
    """What one more replicate of the two best entrants is expected to bring."""

    change: float
    """Probability that the other one leads afterwards."""
    gain: float
    """Expected improvement of the metric."""
    seconds: float | None
    """Mean duration of one training."""


@dataclass(frozen=True, kw_only=True)
class Finals:
    """The finals of one sweep: how far they are, or how they ended."""

    sweep: str
    """The sweep's id."""
    metric: str
    goal: Goal
    claim: str
    """The metric by which a confirmation is compared with the finals."""
    schedule: str
    """Configurations and replicates of each round, such as `30:1,10:3`."""
    fresh: int
    """Replicates of the final, which no earlier round used."""
    reference: str
    """The configuration that the finalists are compared with, as text."""
    round: int
    """The round under way; rounds start at 1."""
    rounds: int
    """Number of rounds; the final is the last."""
    entrants: int
    """Configurations in this round."""
    missing: int
    """Trainings that this round lacked when it began."""
    standing: tuple[Entrant, ...] = ()
    """Every entrant, in order of rank; empty until the finals have ended."""
    next_replicate: NextReplicate | None = None
    url: str = ""

    @property
    def complete(self) -> bool:
        return bool(self.standing)

    @property
    def winner(self) -> Entrant | None:
        """The best configuration of the sweep itself; None before the end, or if every finalist diverged.

        The reference only wins if no other finalist is left.
        """
        finalists = (row for row in self.standing if row.finalist and row.value is not None)
        return min(finalists, key=lambda row: row.reference, default=None)

    @property
    def second(self) -> Entrant | None:
        """The sweep's other finalist; None if there is no second one besides the reference."""
        return next((row for row in self.standing if row.finalist and not row.reference and row != self.winner), None)

    @property
    def leader(self) -> Entrant | None:
        """The best finalist, which may be the reference."""
        finalists = [row for row in self.standing if row.finalist and row.value is not None]
        return min(finalists, key=lambda row: self.goal.to_loss(row.value or 0.0), default=None)

    def stored_config(self) -> dict[str, Any]:
        names = ("sweep", "metric", "goal", "claim", "fresh", "reference")
        return {name: getattr(self, name) for name in names} | {"goal": str(self.goal), "rounds": self.schedule}

    def stored_summary(self) -> dict[str, Any]:
        names = ("complete", "round", "rounds", "entrants", "missing")
        summary: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.standing:
            summary["standing"] = [asdict(row) for row in self.standing]
            summary["next_replicate"] = None if self.next_replicate is None else asdict(self.next_replicate)
        return summary


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What chose a configuration, and which result it claims."""

    sweep: str
    """The sweep's id."""
    chosen_by: str
    """`finals` or `sweep`."""
    configuration: str
    """The configuration as text."""
    metric: str
    """The metric that confirms or refutes the claim."""
    claim: str
    """The metric of `claimed` and `observed`."""
    claimed: float | None
    observed: float | None
    """The mean of what was measured; `claimed` is the same number for finals, and a posterior mean for a sweep."""
    runs: int
    """Number of runs behind the claim."""
    note: str = ""
    """How these runs differ from the confirmation, such as `5-epoch trials`; empty if they do not."""

    def stored_config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Fresh seeds of one configuration. Each is judged once, on data by which nothing was chosen."""

    configuration: str
    """The configuration as text."""
    metric: str
    values: tuple[float, ...]
    """One value per seed that did not diverge."""
    diverged: int = 0
    """Number of seeds that diverged."""
    claim: Claim | None = None
    """None if a person chose the configuration."""
    group: str = ""
    """The group of the seeds' runs."""
    url: str = ""

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def deviation(self) -> float:
        """The sample standard deviation over the seeds; NaN for one seed."""
        return stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def half(self) -> float:
        """Half the width of the mean's 95 % interval (Student's t); NaN for one seed."""
        return interval(self.values)

    @property
    def chosen_by(self) -> str:
        return "" if self.claim is None else self.claim.chosen_by


@dataclass(frozen=True)
class Chain:
    """What followed a sweep."""

    finals: Finals | None = None
    confirmations: tuple[Confirmation, ...] = ()
    """Those of the finals' winner come first, then those with most seeds."""

    @property
    def confirmed(self) -> Confirmation | None:
        """The confirmation that counts."""
        return self.confirmations[0] if self.confirmations else None

    @property
    def empty(self) -> bool:
        return self.finals is None and not self.confirmations


def read(info: SweepInfo, records: Iterable[RunRecord]) -> Chain:
    """Read what followed a sweep from runs of its project. Runs that belong to other sweeps are ignored."""
    finals: Finals | None = None
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.config.get(f"{FINALS_KEY}.sweep") == info.id:
            finals = _finals(info, record)
        elif record.config.get(f"{CLAIM_KEY}.sweep") == info.id:
            groups[record.group].append(record)
    winner = finals.winner.name if finals and finals.winner else ""
    found = [_confirmation(info, group, seeds) for group, seeds in groups.items()]
    found = [one for one in found if one.values]
    found.sort(key=lambda one: (one.chosen_by == "finals", one.configuration == winner, len(one.values)), reverse=True)
    return Chain(finals, tuple(found))


def _finals(info: SweepInfo, record: RunRecord) -> Finals:
    config = {name: record.config.get(f"{FINALS_KEY}.{name}") for name in _names(Finals)}
    return Finals(
        sweep=info.id,
        metric=_text(config["metric"]),
        goal=Goal(info.goal),
        claim=_text(config["claim"]),
        schedule=_text(config["rounds"]),
        fresh=_whole(config["fresh"]),
        reference=_text(config["reference"]),
        round=_whole(record.summary.get("round")),
        rounds=_whole(record.summary.get("rounds")),
        entrants=_whole(record.summary.get("entrants")),
        missing=_whole(record.summary.get("missing")),
        standing=_standing(record.summary) if record.summary.get("complete") is True else (),
        next_replicate=_next_replicate(record.summary),
        url=record.url,
    )


_STANDING = TypeAdapter(tuple[Entrant, ...])
_NEXT_REPLICATE = TypeAdapter(NextReplicate)


def _standing(summary: Mapping[str, Any]) -> tuple[Entrant, ...]:
    try:
        return _STANDING.validate_python(summary.get("standing") or ())
    except ValidationError:
        return ()


def _next_replicate(summary: Mapping[str, Any]) -> NextReplicate | None:
    stored = {name: summary.get(f"next_replicate.{name}") for name in _names(NextReplicate)}
    try:
        return _NEXT_REPLICATE.validate_python(stored)
    except ValidationError:
        return None


def _confirmation(info: SweepInfo, group: str, seeds: Sequence[RunRecord]) -> Confirmation:
    config = {name: seeds[-1].config.get(f"{CLAIM_KEY}.{name}") for name in _names(Claim)}  # the newest claim counts
    claim = Claim(
        sweep=info.id,
        chosen_by=_text(config["chosen_by"]),
        configuration=_text(config["configuration"]),
        metric=_text(config["metric"]),
        claim=_text(config["claim"]),
        claimed=number(config["claimed"]),
        observed=number(config["observed"]),
        runs=_whole(config["runs"]),
        note=_text(config["note"]),
    )
    judged = [(record, classify(record, claim.metric)[0]) for record in seeds]
    values = (number(record.summary.get(claim.metric)) for record, kind in judged if kind is Status.FINISHED)
    return Confirmation(
        configuration=claim.configuration,
        metric=claim.metric,
        values=tuple(value for value in values if value is not None),
        diverged=sum(kind is Status.DIVERGED for _, kind in judged),
        claim=claim,
        group=group,
        url=f"{info.url.rsplit('/sweeps/', 1)[0]}/groups/{quote(group)}" if info.url else "",
    )


def _names(kind: type[Any]) -> list[str]:
    return [field.name for field in fields(kind)]


def _text(value: object) -> str:
    return str(value or "")


def _whole(value: object) -> int:
    return int(number(value) or 0)
