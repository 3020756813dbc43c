"""Race configurations over replicates to find the best one when repeated trainings give different numbers.

All configurations of a round train the same replicates. What a replicate makes easier or harder cancels in differences
between two configurations. The remaining noise is assumed to be equal for all configurations and is estimated from all
of them together, because two replicates of one pair say little about it. Each round drops configurations. The last two
are compared on fresh replicates, which had no part in their selection, so the final is free of selection bias.
"""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

MOST_ENTRANTS = 16
"""Most configurations that a planned race begins with."""
TRAININGS_PER_ENTRANT = 4
"""Trainings of a planned race for each configuration that it begins with."""

EntrantT = TypeVar("EntrantT", bound=Hashable)
"""Whatever identifies a configuration."""

Results = Mapping[EntrantT, Mapping[int, float]]
"""Configuration -> replicate -> loss. Smaller is better; a training that diverged has infinity."""


@dataclass(frozen=True)
class Round:
    """One round of a race."""

    entrants: int
    """Number of configurations."""
    replicates: int
    """Replicates of each in total, those of earlier rounds included."""


@dataclass(frozen=True)
class Schedule:
    """The rounds of a race and its final."""

    rounds: Sequence[Round]
    fresh: int
    """Number of replicates of the final; no round uses them."""
    first: int = 0
    """The first replicate of the race."""

    def replicates(self, number: int) -> range:
        """Return the replicates of a round, numbered from 1. The final is the one after the last round."""
        before = max((each.replicates for each in self.rounds), default=0)
        if number > len(self.rounds):
            return range(self.first + before, self.first + before + self.fresh)
        return range(self.first, self.first + self.rounds[number - 1].replicates)

    @property
    def final(self) -> range:
        """Return the replicates of the final."""
        return self.replicates(len(self.rounds) + 1)


def plan(trainings: int, entrants: int, replicates: int, first: int = 0) -> Schedule:
    """Return the schedule of a race that trains about `trainings` times, without the trainings of a reference.

    Each round halves the field, and all rounds cost about the same (sequential halving: Karnin, Koren and Somekh 2013).

    Args:
        trainings: what the race may cost; at least 2.
        entrants: number of configurations; at least 1.
        replicates: number of replicates that the race may use; at least 1.
        first: the first of them.
    """
    # The first round needs two replicates to order its entrants, each further round and the final at least one more.
    sizes = [min(entrants, MOST_ENTRANTS, 2 ** max(1, replicates - 1), max(2, trainings // TRAININGS_PER_ENTRANT))]
    while sizes[-1] > 2:
        sizes.append((sizes[-1] + 1) // 2)
    rounds: list[Round] = []
    left, used = trainings, 0
    for following, size in zip(range(len(sizes) - 1, 0, -1), sizes, strict=False):
        more = max(1 if rounds else 2, round(left / (following + 1) / size))
        more = min(more, replicates - used - following)
        used, left = used + more, left - more * size
        rounds.append(Round(size, used))
    return Schedule(tuple(rounds), max(1, min(left // sizes[-1], replicates - used)), first)


@dataclass(frozen=True)
class Stage(Generic[EntrantT]):
    """The state of a race: the current round, its configurations and the trainings it still needs."""

    number: int
    """Number of the round, from 1; the final is the last."""
    is_final: bool
    entrants: tuple[EntrantT, ...]
    missing: tuple[tuple[EntrantT, int], ...]
    """Pairs of configuration and replicate; empty when the race is over."""
    reached: Mapping[EntrantT, int] = field(default_factory=dict)
    """The last round that each entrant took part in."""
    finalists: tuple[EntrantT, ...] = ()
    """The two entrants, or the only one, that the rounds left for the final; empty before it.

    The reference is among them only if the rounds left it.
    """


def next_stage(
    results: Results[EntrantT],
    order: Sequence[EntrantT],
    rules: Schedule,
    *,
    reference: EntrantT | None = None,
) -> Stage[EntrantT]:
    """Return the first round that still needs trainings, or the final.

    The means over a round's replicates decide which configurations continue. A round of one replicate only drops
    diverged configurations. It keeps the given order, which uses more information than one number per configuration.

    Args:
        results: what was trained so far.
        order: all configurations, the most promising first.
        rules: the rounds.
        reference: a configuration that only the final trains, for comparison.
    """
    left = list(order)
    reached: dict[EntrantT, int] = {}
    for number, each in enumerate(rules.rounds, start=1):
        left = left[: each.entrants]
        reached |= dict.fromkeys(left, number)
        replicates = rules.replicates(number)
        if missing := _missing(results, left, replicates):
            return Stage(number, False, tuple(left), missing, reached)
        # The sort is stable: entrants with equal results keep their order.
        left.sort(key=lambda entrant: _standing(results[entrant], replicates))
    finalists = tuple(left[:2])
    final = finalists if reference is None or reference in finalists else (*finalists, reference)
    number = len(rules.rounds) + 1
    reached |= dict.fromkeys(final, number)
    return Stage(number, True, final, _missing(results, final, rules.final), reached, finalists)


def _standing(losses: Mapping[int, float], replicates: Sequence[int]) -> float:
    found = mean(losses, replicates)
    return found if len(replicates) > 1 or math.isinf(found) else 0.0


def _missing(
    results: Results[EntrantT], entrants: Sequence[EntrantT], replicates: Sequence[int]
) -> tuple[tuple[EntrantT, int], ...]:
    """Return the missing trainings replicate by replicate, so that an interrupted race has some of every entrant."""
    return tuple((entrant, r) for r in replicates for entrant in entrants if r not in results.get(entrant, {}))


def mean(losses: Mapping[int, float], replicates: Sequence[int]) -> float:
    """Return the mean loss over `replicates`, all of which must be present."""
    return statistics.fmean(losses[r] for r in replicates)


@dataclass(frozen=True)
class Noise:
    """The noise of one training after the effects of its configuration and its replicate."""

    deviation: float
    """Standard deviation in the unit of the losses; NaN if unknown."""
    freedom: int
    """Degrees of freedom of that estimate."""


def noise(results: Mapping[Any, Mapping[int, float]]) -> Noise:
    """Return the residual noise of the model `configuration + replicate`, fitted to all finite results.

    This is a two-way layout with missing cells. Configurations with one replicate carry no information; diverged ones
    are skipped. Student's t needs a noise estimate that is independent of the difference it scales. So pass a finalist
    twice: once with the final's replicates, once with the earlier ones.
    """
    cells = [(entrant, r, x) for entrant, losses in results.items() for r, x in losses.items() if math.isfinite(x)]
    entrants, replicates = (
        {name: i for i, name in enumerate(dict.fromkeys(cell[axis] for cell in cells))} for axis in (0, 1)
    )
    design = np.zeros((len(cells), len(entrants) + len(replicates)))
    for row, (entrant, r, _) in zip(design, cells, strict=True):
        row[[entrants[entrant], len(entrants) + replicates[r]]] = 1.0
    losses = np.array([x for _, _, x in cells])
    levels, _, rank, _ = np.linalg.lstsq(design, losses)
    freedom = len(cells) - int(rank)
    if not freedom:
        return Noise(math.nan, 0)
    return Noise(float(np.linalg.norm(losses - design @ levels)) / math.sqrt(freedom), freedom)


@dataclass(frozen=True)
class Paired:
    """The mean of `first - second` over common replicates, with its 95 % interval (Student's t)."""

    count: int
    difference: float
    noise: Noise

    @property
    def deviation(self) -> float:
        """Return the standard deviation of a single difference."""
        return math.sqrt(2) * self.noise.deviation

    @property
    def half(self) -> float:
        """Return half the width of the interval; infinity if the noise is unknown."""
        if not self.noise.freedom:
            return math.inf
        from scipy.special import stdtrit

        return float(stdtrit(self.noise.freedom, 0.975)) * self.deviation / math.sqrt(self.count)

    @property
    def tie(self) -> bool:
        """Return whether the interval contains zero."""
        return not abs(self.difference) > self.half


def paired(first: Mapping[int, float], second: Mapping[int, float], noise: Noise) -> Paired | None:
    """Compare two configurations; return None if they have no common replicate, or if a training of either diverged.

    Without its diverged trainings, a configuration would lead that lost: {0: 0.015, 1: inf} against {0: 0.02, 1: 0.02}.
    """
    differences = [first[r] - second[r] for r in first.keys() & second.keys()]
    if not differences or any(map(math.isinf, (*first.values(), *second.values()))):
        return None
    return Paired(len(differences), statistics.fmean(differences), noise)


@dataclass(frozen=True)
class InformationValue:
    """The value of one more replicate of two configurations."""

    change: float
    """Probability that the other configuration leads afterwards."""
    gain: float
    """Expected reduction of the loss by choosing again (the knowledge gradient), in the unit of the losses."""


def value_of_information(found: Paired) -> InformationValue | None:
    """Return the value of one more replicate of both; None with fewer than two degrees of freedom.

    Let n differences have the mean d and a deviation s with v degrees of freedom, and let the prior be flat. The next
    difference is distributed as d + s sqrt(1 + 1/n) T, with T from Student's t with v degrees of freedom. It moves the
    mean by 1/(n + 1) of its surprise. The gain is the expected amount by which the mean then crosses zero: Frazier,
    Powell and Dayanik 2009 (INFORMS Journal on Computing 21:4), with a t instead of the normal distribution, as in
    Chick, Branke and Schmidt 2010 (INFORMS Journal on Computing 22:1).
    """
    freedom = found.noise.freedom
    if freedom < 2:
        return None
    scale = found.deviation * math.sqrt(1 + 1 / found.count) / (found.count + 1)
    if not scale:
        return InformationValue(0.0, 0.0)
    from scipy.stats import t

    z = abs(found.difference) / scale
    tail = float(t.sf(z, freedom))
    density = float(t.pdf(z, freedom))
    return InformationValue(tail, scale * ((freedom + z * z) / (freedom - 1) * density - z * tail))
