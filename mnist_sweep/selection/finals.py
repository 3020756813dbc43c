"""Race a sweep's best configurations against each other, over replicates.

A race has rounds. Each trains fewer configurations on more replicates, and the last one is called the final. An entrant
is a configuration that takes part. A recipe is a RunConfig that identifies a configuration: it has default values for
replicate, seed and machine (`RunConfig.recipe`).

Which trainings are missing follows from the runs on the server, so an interrupted race resumes when it is started
again. Each round is a sweep of its own: a grid over whole configurations (the field `base`). So W&B's cloud and any
agent can work on it.
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Self

from platformdirs import user_state_path

from mnist_sweep.config import EPOCH_LIMIT, REPLICATES, RunConfig, parse
from mnist_sweep.errors import INTERRUPTED, UserError
from mnist_sweep.metrics import VAL_ACCURACY
from mnist_sweep.review.formatting import counted
from mnist_sweep.review.provenance import Difference, Entrant, Finals, NextReplicate
from mnist_sweep.review.records import RunRecord
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.racing import (
    Paired,
    Round,
    Schedule,
    Stage,
    next_stage,
    noise,
    paired,
    plan,
    value_of_information,
)
from mnist_sweep.selection.estimates import (
    Result,
    check_fields,
    describe_trials,
    estimate_configurations,
    results,
)
from mnist_sweep.selection.lock import exclusive_lock
from mnist_sweep.sweep.remote import Sweep, create, fetch_ranking, find_all

PREFIX = "finals"

LEAST_TRAININGS = 4
"""Trainings of the finals of a small sweep: two finalists on two replicates."""
LEAST_REPLICATES = 6
"""The finals use replicates that no trial used if there are as many as this."""
SHARE = 1 / 3
"""The share of the cost of a search, finals included, that its finals have."""


class FinalsError(UserError, RuntimeError):
    """A race that cannot be run; the message is one line for people."""


def finals_id(path: str) -> str:
    """Return the path of a sweep's finals: entity/project/finals-id."""
    *place, identifier = path.split("/")
    return "/".join([*place, f"{PREFIX}-{identifier}"])


def parse_finals_id(path: str) -> tuple[str, bool]:
    """Return the path of the sweep that `path` names, and whether `path` means its finals. Inverse of `finals_id`."""
    *place, identifier = path.strip("/").split("/")
    bare = identifier.removeprefix(f"{PREFIX}-")
    return "/".join([*place, bare]), bare != identifier


def round_of(sweep: Sweep) -> str:
    """Return the path of the sweep to whose finals the round `sweep` belongs, or "" if `sweep` is not a round.

    A round has the name and the description that `Race.create_round` gives it. A name alone proves nothing: people
    may call a sweep `finals-…`.
    """
    match = re.fullmatch(r"(round-\d+|final) of the finals of (\S+)", str(sweep.config.get("description", "")))
    if match is None or sweep.config.get("name") != _round_name(match[2], match[1]):
        return ""
    return match[2]


def rounds_of(sweep: Sweep) -> list[Sweep]:
    """Return the sweeps that are rounds of a sweep's finals, oldest first."""
    return [found for found in find_all(sweep) if round_of(found) == sweep.path]


def _round_name(path: str, title: str) -> str:
    return f"{PREFIX}-{path.split('/')[-1]}-{title}"


@dataclass
class Results:
    """What has been measured, for each recipe and replicate."""

    losses: dict[RunConfig, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """The sweep's metric as a loss; infinity if a training diverged."""
    accuracies: dict[RunConfig, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """Accuracy on the held-out images after the last epoch, fractions."""
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[RunRecord], metric: str, goal: Goal) -> Self:
        """Return the results of the runs that completed their training or diverged. Ignore all others.

        Runs that held out more than one fold are ignored, too: they trained on fewer images than the finals do.

        A replicate that was trained several times, on other machines or with other seeds, has the mean of its runs.
        """
        found = cls()
        groups: dict[tuple[RunConfig, int], list[Result]] = defaultdict(list)
        for result in results(records, metric):
            if result.config.held_out_folds > 1:
                continue
            groups[result.config.recipe, result.config.replicate].append(result)
            if result.record.seconds is not None:
                found.seconds.append(result.record.seconds)
        for (recipe, replicate), group in groups.items():
            found.losses[recipe][replicate] = fmean(
                math.inf if each.value is None else goal.to_loss(each.value) for each in group
            )
            if accuracies := [each.accuracy for each in group if each.accuracy is not None]:
                found.accuracies[recipe][replicate] = fmean(accuracies)
        return found


@dataclass(frozen=True, kw_only=True)
class Race:
    """The finals of one sweep."""

    sweep: Sweep
    schedule: Schedule
    entrants: tuple[RunConfig, ...]
    """Recipes, the most promising first: by posterior mean, not by the luckiest run."""
    reference: RunConfig
    """The recipe that the finalists are compared with."""
    other_trials: str = ""
    """How the sweep's trials differ from the trainings of the finals: `5-epoch trials on 40,000 images`, or empty."""
    metric: str
    goal: Goal

    @classmethod
    def of(
        cls,
        sweep: Sweep,
        schedule: Schedule | None = None,
        *,
        reference: str,
        epochs: int = EPOCH_LIMIT,
        trainings: int | None = None,
    ) -> Self:
        """Return the race among a sweep's feasible configurations. Raise FinalsError if there are none.

        Raise ForeignSweepError if the sweep is one of another program.

        Every entrant is trained for `epochs`, even if its trials were shorter. So is the reference unless its text
        names other epochs. A reference over the parameter limit is refused: such runs are never ranked.

        Without a schedule, the race is planned for `trainings`, the reference's not counted. By default, the finals
        have a `SHARE` of the cost of the whole search. They use replicates that no trial used, if there are enough, so
        that luck with the images that a trial held out does not count twice.
        """
        check_fields(sweep.path, sweep.config)
        ranking = fetch_ranking(sweep)
        info = ranking.info
        promising = estimate_configurations(info, sweep.config, (trial.record for trial in ranking.trials))
        if not promising:
            raise FinalsError(
                f"{sweep.path} has no finished run with {info.metric or 'a metric'}: let it train some first"
            )
        known = parse({"base": reference})
        if known.baseline:
            raise FinalsError(
                f"the reference has {known.parameters:,} parameters, over its limit: such a run is never ranked; name "
                "another --reference"
            )
        if "epochs" not in {word.split("=")[0] for word in reference.split()}:
            known = known.model_copy(update={"epochs": epochs})
        recipes = [each.recipe.model_copy(update={"epochs": epochs}) for each in promising]
        entrants = tuple(dict.fromkeys(recipes))
        trials = [result.config for result in results((trial.record for trial in ranking.trials), info.metric)]
        if trainings is None:
            cost = sum(trial.images_trained for trial in trials) / entrants[0].images_trained
            trainings = max(LEAST_TRAININGS, round(cost * SHARE / (1 - SHARE)))
        first, count = _unused_replicates(trials)
        return cls(
            sweep=sweep,
            schedule=schedule or plan(trainings, len(entrants), count, first),
            entrants=entrants,
            reference=known.recipe,
            metric=info.metric,
            goal=Goal(info.goal),
            other_trials=describe_trials((trial for each in promising for trial in each.trials), epochs),
        )

    def results(self) -> Results:
        """Return everything that was measured in the sweep and in its finals."""
        sweeps = (self.sweep, *rounds_of(self.sweep))
        records = (trial.record for sweep in sweeps for trial in fetch_ranking(sweep).trials)
        return Results.of(records, self.metric, self.goal)

    def stage(self, found: Results) -> Stage[RunConfig]:
        """Return the current round."""
        return next_stage(found.losses, self.entrants, self.schedule, reference=self.reference)

    def create_round(self, stage: Stage[RunConfig]) -> Sweep:
        """Create a sweep of the trainings that `stage` still needs."""
        title = "final" if stage.is_final else f"round-{stage.number}"
        values = [f"{recipe.as_text()} replicate={replicate}" for recipe, replicate in stage.missing]
        config = {
            **{name: self.sweep.config[name] for name in ("metric", "program", "command") if name in self.sweep.config},
            "name": _round_name(self.sweep.path, title),
            "description": f"{title} of the finals of {self.sweep.path}",  # `round_of` reads it
            "method": "grid",
            "parameters": {"base": {"values": values}},
        }
        entity, project, _ = self.sweep.path.split("/")
        return create(config, project, entity)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock these finals inside the block. Raise FinalsError if another process of this user has locked them."""
        key = hashlib.sha256(self.sweep.url.encode()).hexdigest()[:16]  # the address tells servers apart
        folder = user_state_path("mnist-sweep", ensure_exists=True)
        busy = FinalsError(f"another process runs the finals of {self.sweep.path}: wait for it, or stop it")
        with exclusive_lock(folder / f"finals-{key}.lock", busy):
            yield


def run_race(
    race: Race, work: Callable[[Sweep, int], int], on_stage: Callable[[Stage[RunConfig], Results], None]
) -> int:
    """Train until no result is missing. Return 0, or the exit code INTERRUPTED if `work` was interrupted.

    Unfinished rounds of an earlier start come first. Raise FinalsError if trainings end without a result.

    Args:
        work: trains all trials of a round, given its sweep and their number, and returns an exit code.
        on_stage: called before the trainings of each round.
    """
    tried: tuple[tuple[RunConfig, int], ...] | None = None
    unfinished = [each for each in rounds_of(race.sweep) if each.state.lower() in ("running", "pending")]
    while (stage := race.stage(found := race.results())).missing:
        if not unfinished and stage.missing == tried:
            raise FinalsError(f"{len(tried)} trainings of the finals end without a result: see their logs")
        on_stage(stage, found)
        if not unfinished:
            tried = stage.missing
        code = work(unfinished.pop(0) if unfinished else race.create_round(stage), len(stage.missing))
        if code == INTERRUPTED:
            return code
    return 0


def describe(race: Race, found: Results) -> Finals:
    """Return the progress of the finals. Once they are over, add their table and the worth of another replicate."""
    stage = race.stage(found)
    rows, decider = ((), None) if stage.missing else _standing(race, found, stage)
    worth = None if decider is None else value_of_information(decider)
    return Finals(
        sweep=race.sweep.path.split("/")[-1],
        metric=race.metric,
        goal=race.goal,
        claim=VAL_ACCURACY,
        schedule=",".join(f"{each.entrants}:{each.replicates}" for each in race.schedule.rounds),
        fresh=race.schedule.fresh,
        reference=race.reference.as_text(),
        round=stage.number,
        rounds=len(race.schedule.rounds) + 1,
        entrants=len(stage.entrants),
        missing=len(stage.missing),
        standing=rows,
        next_replicate=None
        if worth is None
        else NextReplicate(
            change=worth.change, gain=worth.gain, seconds=fmean(found.seconds) if found.seconds else None
        ),
    )


def _standing(race: Race, found: Results, stage: Stage[RunConfig]) -> tuple[tuple[Entrant, ...], Paired | None]:
    """Return the table, and the comparison of the two finalists, the better one first.

    Each configuration is judged on the replicates of the last round that it reached. So finalists are judged on the
    final's fresh replicates alone. The noise of a difference is estimated from all results of every row.
    """
    final = len(race.schedule.rounds) + 1

    def judged(recipe: RunConfig) -> Mapping[int, float]:
        return {r: found.losses[recipe][r] for r in race.schedule.replicates(stage.reached[recipe])}

    compared = {recipe: judged(recipe) for recipe in stage.reached}
    rows = [recipe for recipe in compared if stage.reached[recipe] == final or len(compared[recipe]) > 1]
    rows.sort(key=lambda recipe: (-stage.reached[recipe], _mean(compared[recipe])))
    scatter = noise(
        {
            (recipe, fresh): {r: x for r, x in found.losses[recipe].items() if (r in race.schedule.final) == fresh}
            for recipe in rows
            for fresh in (False, True)
        }
    )

    finalists = [recipe for recipe in rows if recipe in stage.finalists]
    others = dict(zip(finalists, reversed(finalists), strict=True))

    def difference(recipe: RunConfig, other: RunConfig | None) -> Difference | None:
        if other is None or other == recipe or (pair := paired(compared[recipe], compared[other], scatter)) is None:
            return None
        return Difference(
            difference=race.goal.to_loss(pair.difference), half=_finite(pair.half), count=pair.count, tie=pair.tie
        )

    def entrant(recipe: RunConfig, below: RunConfig | None) -> Entrant:
        losses = compared[recipe]
        diverged = sum(map(math.isinf, losses.values()))
        accuracies = [found.accuracies[recipe][r] for r in losses if r in found.accuracies.get(recipe, {})]
        return Entrant(
            name=recipe.as_text(),
            round=stage.reached[recipe],
            replicates=len(losses),
            value=_finite(race.goal.to_loss(_mean(losses))),
            accuracy=fmean(accuracies) if accuracies and not diverged else None,
            diverged=diverged,
            parameters=recipe.parameters,
            finalist=stage.reached[recipe] == final,
            reference=recipe == race.reference,
            to_next=difference(recipe, below),
            to_reference=difference(recipe, race.reference),
            to_other_finalist=difference(recipe, others.get(recipe)),
        )

    decider = paired(compared[finalists[0]], compared[finalists[1]], scatter) if len(finalists) == 2 else None
    return tuple(entrant(recipe, below) for recipe, below in zip(rows, [*rows[1:], None], strict=True)), decider


def _mean(losses: Mapping[int, float]) -> float:
    return fmean(losses.values())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _unused_replicates(trials: Iterable[RunConfig]) -> tuple[int, int]:
    """Return the longest run of consecutive replicates that no trial held out: the first one, and how many.

    All replicates if there are fewer than `LEAST_REPLICATES` of them.
    """
    used = {fold for trial in trials for fold in trial.folds}
    bounds = [-1, *sorted(used), REPLICATES]
    first, count = max(((low + 1, high - low - 1) for low, high in pairwise(bounds)), key=lambda run: run[1])
    return (first, count) if count >= LEAST_REPLICATES else (0, REPLICATES)


def parse_schedule(text: str, fresh: int) -> Schedule:
    """Read `10:3,3:6`: 10 configurations on 3 replicates, then 3 on 6. Raise FinalsError if it cannot be run."""
    try:
        rounds = [Round(*map(int, part.split(":"))) for part in text.split(",")]
    except (TypeError, ValueError):
        raise FinalsError(f"rounds={text!r} should be like 10:3,3:6 (configurations:replicates in all)") from None
    return check_schedule(Schedule(tuple(rounds), fresh))


def check_schedule(schedule: Schedule) -> Schedule:
    """Return the schedule if there are enough replicates for it. Raise FinalsError otherwise."""
    replicates = [each.replicates for each in schedule.rounds]
    if any(each.entrants < 1 or each.replicates < 1 for each in schedule.rounds) or schedule.fresh < 1:
        raise FinalsError("a round needs at least one configuration and one replicate")
    if replicates != sorted(replicates):
        raise FinalsError(f"rounds={replicates} replicates: no round may have fewer replicates than the one before")
    if schedule.final.stop > REPLICATES:
        raise FinalsError(
            f"rounds need {schedule.final.stop} replicates with the {schedule.fresh} fresh ones; there are {REPLICATES}"
        )
    return schedule


def schedule_sentence(schedule: Schedule) -> str:
    """Return one sentence about the rounds of a race, for people."""
    rounds = [f"{each.entrants} configurations on {counted(each.replicates, 'replicate')}" for each in schedule.rounds]
    final = f"the best 2 and the reference on {counted(schedule.fresh, 'fresh replicate')}"
    return f"Rounds: {', then '.join([*rounds, final])}."
