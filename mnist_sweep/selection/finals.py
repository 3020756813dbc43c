"""`mnist-sweep finals`: the best configurations of a sweep, played off against each other over replicates.

What is to be trained next follows from what has been trained, so a contest that was broken off goes on by being started
again. Each round is a sweep of its own: a grid over whole configurations (the field `base`), which W&B's cloud and any
agent can work on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from mnist_sweep.config import REPLICATES, parse
from mnist_sweep.errors import UserError
from mnist_sweep.review.records import RunRecord
from mnist_sweep.search.racing import (
    InformationValue,
    Paired,
    Round,
    Schedule,
    Stage,
    next_stage,
    noise,
    paired,
    value_of_information,
)
from mnist_sweep.selection.estimates import estimate_configurations, results
from mnist_sweep.sweep.remote import Sweep, create, fetch_ranking, find_all

PREFIX = "finals"

STEP8 = "preset=step8"
RULES = Schedule((Round(30, 1), Round(10, 3), Round(3, 6)), fresh=6)
"""With a sweep of one replicate each, the first round is the sweep itself: 20, 9 and 18 trainings are added."""


def finals_id(path: str) -> str:
    """By what the finals of the sweep of that path are known: entity/project/finals-id."""
    *place, identifier = path.split("/")
    return "/".join([*place, f"{PREFIX}-{identifier}"])


def parse_finals_id(path: str) -> tuple[str, bool]:
    """The path of the sweep that `path` names, and whether its finals are meant: the inverse of `title`."""
    *place, identifier = path.strip("/").split("/")
    bare = identifier.removeprefix(f"{PREFIX}-")
    return "/".join([*place, bare]), bare != identifier


class FinalsError(UserError, RuntimeError):
    """A contest that cannot be played; the message is one line for people."""


@dataclass
class Results:
    """What has been measured: by configuration (its words, see `RunConfig.words`) and replicate."""

    losses: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """The sweep's metric, turned so that smaller is better; infinity where a training diverged."""
    accuracies: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """On the held-out images after the last epoch, fractions."""
    parameters: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def add(self, records: Iterable[RunRecord], metric: str, sign: float) -> None:
        """Take in the runs that are results."""
        for result in results(records, metric):
            words, replicate = result.config.recipe.as_text(), result.config.replicate
            self.parameters[words] = result.config.parameters
            self.losses[words][replicate] = math.inf if result.value is None else sign * result.value
            if result.accuracy is not None:
                self.accuracies[words][replicate] = result.accuracy
            if result.record.seconds is not None:
                self.seconds.append(result.record.seconds)


@dataclass(frozen=True)
class Contest:
    """The finals of one sweep."""

    sweep: Sweep
    rules: Schedule
    order: tuple[str, ...]
    """Who takes part, the most promising first: by posterior mean, not by the luckiest run."""
    reference: str
    metric: str
    sign: float
    """Times the metric, smaller is better."""

    @classmethod
    def of(cls, sweep: Sweep, rules: Schedule = RULES, reference: str = STEP8) -> Contest:
        """The contest of a sweep's feasible configurations. Raises FinalsError where there is none."""
        ranking = fetch_ranking(sweep)
        info = ranking.info
        promising = estimate_configurations(info, sweep.config, (trial.record for trial in ranking.trials))
        if not promising:
            raise FinalsError(
                f"{sweep.path} has no finished run with {info.metric or 'a metric'}: let it train some first"
            )
        known = parse({"base": reference})
        epochs = promising[0].config.epochs
        if epochs < known.epochs and "epochs=" not in reference:  # a sweep of short trainings is compared with one
            known = known.model_copy(update={"epochs": epochs})
        order = tuple(each.config.as_text() for each in promising)
        return cls(sweep, rules, order, known.recipe.as_text(), info.metric, -info.sign)

    def board(self) -> Results:
        """All that has been trained: in the sweep, and in its finals."""
        board = Results()
        for each in (self.sweep, *self.sweeps()):
            board.add((trial.record for trial in fetch_ranking(each).trials), self.metric, self.sign)
        return board

    def sweeps(self) -> list[Sweep]:
        """The contest's own sweeps, oldest first."""
        return sweeps_of(self.sweep)

    def stage(self, board: Results) -> Stage:
        """Where it stands."""
        return next_stage(board.losses, self.order, self.rules, reference=self.reference)

    def start(self, now: Stage) -> Sweep:
        """A sweep of what is missing."""
        title = "final" if now.is_final else f"round-{now.number}"
        values = [f"{words} replicate={replicate}" for words, replicate in now.missing]
        config = {
            **{name: self.sweep.config[name] for name in ("metric", "program", "command") if name in self.sweep.config},
            "name": f"{_name(self.sweep)}{title}",
            "description": f"{title} of the finals of {self.sweep.path}",
            "method": "grid",
            "parameters": {"base": {"values": values}},
        }
        entity, project, _ = self.sweep.path.split("/")
        return create(config, project, entity)


def sweeps_of(sweep: Sweep) -> list[Sweep]:
    """The sweeps of a sweep's finals, oldest first; they are known by their names."""
    return [found for found in find_all(sweep) if str(found.config.get("name", "")).startswith(_name(sweep))]


def _name(sweep: Sweep) -> str:
    return f"{PREFIX}-{sweep.path.split('/')[-1]}-"


def play(contest: Contest, work: Callable[[Sweep, int], int], enter: Callable[[Stage], None]) -> int:
    """Train what is missing until nothing is; returns 0, or the exit code with which `work` was stopped.

    `work` lets agents train all that a sweep has (so many trainings), and returns an exit code. Sweeps that an earlier
    start left unfinished come first. `enter` is told of every stage before its trainings. Raises FinalsError where
    trainings fail.
    """
    tried: tuple[tuple[str, int], ...] | None = None
    open_sweeps = [each for each in contest.sweeps() if each.state.lower() in ("running", "pending")]
    while (now := contest.stage(contest.board())).missing:
        if not open_sweeps and now.missing == tried:
            raise FinalsError(f"{len(tried)} trainings of the finals end without a result: see their logs")
        enter(now)
        if not open_sweeps:
            tried = now.missing
        code = work(open_sweeps.pop(0) if open_sweeps else contest.start(now), len(now.missing))
        if code == 130:
            return code
    return 0


@dataclass(frozen=True)
class Row:
    """One row of the outcome."""

    words: str
    parameters: int | None
    replicates: int
    loss: float
    """Mean of the metric over the replicates, as it is."""
    accuracy: float | None
    to_next: Paired | None
    """Loss less that of the row below."""
    to_reference: Paired | None
    finalist: bool


@dataclass(frozen=True)
class Outcome:
    """How a contest ended: the finalists on the final's replicates alone, then the others on all they have."""

    rows: tuple[Row, ...]
    reference: str
    next_training: InformationValue | None


def conclude(contest: Contest, board: Results) -> Outcome:
    """The table. Differences are paired over the final's replicates for those in it, else over all that both have.

    How sure they are is learned from all results of everybody in the table, those of earlier rounds included.
    """
    now = contest.stage(board)
    fresh = contest.rules.final
    seen: Mapping[str, Mapping[int, float]] = {
        words: {r: v for r, v in losses.items() if (r in fresh) == (words in now.entrants)}
        for words, losses in board.losses.items()
    }
    rivals = [words for words in now.entrants if words in contest.order]
    rivals.sort(key=lambda words: _mean(seen[words]))
    others = [words for words in contest.order if words not in now.entrants and len(seen.get(words, {})) > 1]
    others.sort(key=lambda words: (-len(seen[words]), _mean(seen[words])))
    final = sorted(now.entrants, key=lambda words: (words not in rivals, _mean(seen[words])))
    rows = [*final, *others]
    scatter = noise({
        (words, of_final): {r: loss for r, loss in board.losses[words].items() if (r in fresh) == of_final}
        for words in rows
        for of_final in (False, True)
    })  # fmt: skip
    standings = tuple(
        Row(
            words=words,
            parameters=board.parameters.get(words),
            replicates=len(seen[words]),
            loss=contest.sign * _mean(seen[words]),
            accuracy=_accuracy(board.accuracies.get(words, {}), seen[words]),
            to_next=paired(seen[words], seen[below], scatter) if below is not None else None,
            to_reference=paired(seen[words], seen[contest.reference], scatter) if words != contest.reference else None,
            finalist=words in now.entrants,
        )
        for words, below in zip(rows, [*rows[1:], None], strict=True)
    )
    decider = paired(seen[rivals[0]], seen[rivals[1]], scatter) if len(rivals) > 1 else None
    return Outcome(standings, contest.reference, value_of_information(decider) if decider else None)


def _mean(losses: Mapping[int, float]) -> float:
    return fmean(losses.values()) if losses else math.inf


def _accuracy(accuracies: Mapping[int, float], of: Mapping[int, float]) -> float | None:
    known = [accuracies[r] for r in of if r in accuracies]
    return fmean(known) if known else None


def rules(text: str, fresh: int) -> Schedule:
    """`10:3,3:6` as rules: 10 configurations at 3 replicates in all, then 3 at 6. Raises FinalsError."""
    try:
        rounds = [Round(*map(int, part.split(":"))) for part in text.split(",")]
    except (TypeError, ValueError):
        raise FinalsError(f"rounds={text!r} should be like 30:1,10:3,3:6 (configurations:replicates in all)") from None
    return check(Schedule(tuple(rounds), fresh))


def check(rules: Schedule) -> Schedule:
    """The rules, if there are replicates enough for them. Raises FinalsError."""
    replicates = [each.replicates for each in rules.rounds]
    if any(each.entrants < 1 or each.replicates < 1 for each in rules.rounds) or rules.fresh < 1:
        raise FinalsError("a round needs at least one configuration and one replicate")
    if replicates != sorted(replicates) or rules.final.stop > REPLICATES:
        raise FinalsError(
            f"rounds need ever more replicates, and with the {rules.fresh} fresh ones at most {REPLICATES}"
        )
    return rules
