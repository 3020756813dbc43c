"""Which of several configurations is best, where every training of one gives another number.

A contest is played over replicates that are the same for all: what a replicate makes easy or hard, it makes so for
everybody, and cancels in differences. What is left is taken to be alike for everybody, and is learned from all of them
at once: two replicates of one pair say next to nothing about it. Rounds halve the field; the last two meet once more on
replicates that had no part in choosing them, so that what these say is not the luck that brought them there.
"""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

EntrantT = TypeVar("EntrantT", bound=Hashable)
"""Whatever identifies a configuration."""

Results = Mapping[EntrantT, Mapping[int, float]]
"""Entrant -> replicate -> loss: smaller is better, infinity for a training that failed by itself."""


@dataclass(frozen=True)
class Round:
    """So many entrants, each with so many replicates in all."""

    entrants: int
    replicates: int


@dataclass(frozen=True)
class Schedule:
    """How a contest is played."""

    rounds: Sequence[Round]
    fresh: int
    """Replicates of the final, which no round had."""

    @property
    def final(self) -> range:
        """The final's replicates."""
        first = max((each.replicates for each in self.rounds), default=0)
        return range(first, first + self.fresh)


@dataclass(frozen=True)
class Stage(Generic[EntrantT]):
    """Where a contest stands: what is still to be trained for this round, and who is in it."""

    number: int
    """From 1; the final is the last."""
    is_final: bool
    entrants: tuple[EntrantT, ...]
    missing: tuple[tuple[EntrantT, int], ...]
    """Entrant and replicate; empty where the contest is over."""
    reached: Mapping[EntrantT, int] = field(default_factory=dict)
    """The last round that each entrant took part in."""


def next_stage(
    results: Results[EntrantT],
    order: Sequence[EntrantT],
    rules: Schedule,
    *,
    reference: EntrantT | None = None,
) -> Stage[EntrantT]:
    """The first round with something left to train; the final where nothing is.

    A round is decided by the means over its replicates. One replicate each is one number each, and decides nothing but
    who failed: the order, which has seen more, stands.

    Args:
        order: who takes part, the most promising first.
        reference: whom the finalists are compared with, in the final alone.
    """
    left = list(order)
    reached: dict[EntrantT, int] = {}
    for number, each in enumerate(rules.rounds, start=1):
        left = left[: each.entrants]
        reached |= dict.fromkeys(left, number)
        replicates = range(each.replicates)
        if missing := _missing(results, left, replicates):
            return Stage(number, False, tuple(left), missing, reached)
        # The sort is stable: entrants with equal results keep their order.
        left.sort(key=lambda entrant: _standing(results[entrant], replicates))
    final = [*left[:2], *([reference] if reference is not None and reference not in left[:2] else [])]
    number = len(rules.rounds) + 1
    reached |= dict.fromkeys(final, number)
    return Stage(number, True, tuple(final), _missing(results, final, rules.final), reached)


def _standing(losses: Mapping[int, float], replicates: Sequence[int]) -> float:
    found = mean(losses, replicates)
    return found if len(replicates) > 1 or math.isinf(found) else 0.0


def _missing(
    results: Results[EntrantT], entrants: Sequence[EntrantT], replicates: Sequence[int]
) -> tuple[tuple[EntrantT, int], ...]:
    """Replicate by replicate, so that a contest broken off has some for everybody."""
    return tuple((entrant, r) for r in replicates for entrant in entrants if r not in results.get(entrant, {}))


def mean(losses: Mapping[int, float], replicates: Sequence[int]) -> float:
    """Over `replicates`, all of which are there."""
    return statistics.fmean(losses[r] for r in replicates)


@dataclass(frozen=True)
class Noise:
    """What one training scatters by, besides what its entrant and its replicate make of it."""

    deviation: float
    """Standard deviation, in the results' unit; NaN where it is not known."""
    freedom: int
    """Degrees of freedom it is known with."""


def noise(results: Mapping[Any, Mapping[int, float]]) -> Noise:
    """What `entrant + replicate`, fitted to all finite results at once, leaves over: a two-way layout with holes.

    Who has one replicate alone adds nothing, and who diverged is passed over. Student's t wants a difference and its
    noise independent: give a finalist twice, once for the final and once for what was before.
    """
    import numpy as np

    cells = [(who, r, x) for who, losses in results.items() for r, x in losses.items() if math.isfinite(x)]
    entrants, replicates = (
        {name: i for i, name in enumerate(dict.fromkeys(cell[axis] for cell in cells))} for axis in (0, 1)
    )
    design = np.zeros((len(cells), len(entrants) + len(replicates)))
    for row, (who, r, _) in zip(design, cells, strict=True):
        row[[entrants[who], len(entrants) + replicates[r]]] = 1.0
    losses = np.array([x for _, _, x in cells])
    levels, _, rank, _ = np.linalg.lstsq(design, losses)
    freedom = len(cells) - int(rank)
    if not freedom:
        return Noise(math.nan, 0)
    return Noise(float(np.linalg.norm(losses - design @ levels)) / math.sqrt(freedom), freedom)


@dataclass(frozen=True)
class Paired:
    """The mean of `mine - theirs` over the replicates both have, with its 95 % interval (Student's t)."""

    count: int
    difference: float
    noise: Noise

    @property
    def deviation(self) -> float:
        """Of a single difference."""
        return math.sqrt(2) * self.noise.deviation

    @property
    def half(self) -> float:
        """Half the interval's width; infinite where the noise is not known."""
        if not self.noise.freedom:
            return math.inf
        from scipy.special import stdtrit

        return float(stdtrit(self.noise.freedom, 0.975)) * self.deviation / math.sqrt(self.count)

    @property
    def tie(self) -> bool:
        """Whether the interval holds zero."""
        return not abs(self.difference) > self.half


def paired(mine: Mapping[int, float], theirs: Mapping[int, float], noise: Noise) -> Paired | None:
    """Compare two entrants; None where no replicate has a finite number of both."""
    common = mine.keys() & theirs.keys()
    differences = [mine[r] - theirs[r] for r in common if math.isfinite(mine[r]) and math.isfinite(theirs[r])]
    return Paired(len(differences), statistics.fmean(differences), noise) if differences else None


@dataclass(frozen=True)
class InformationValue:
    """What one more replicate of two entrants would buy."""

    change: float
    """Probability that the other one leads afterwards."""
    gain: float
    """Expected loss that is saved by choosing anew (the knowledge gradient), in the results' unit."""


def value_of_information(found: Paired) -> InformationValue | None:
    """What one more replicate of both would buy; None where the noise is known with fewer than two degrees of freedom.

    After n differences with mean d and a deviation s known with v degrees of freedom, and no opinion beforehand, the
    next one is d + s sqrt(1 + 1/n) T with T of Student's t with v degrees of freedom, and moves the mean by an
    (n + 1)-th part of what is new in it. The gain is the expectation of what the mean then falls short of zero:
    Frazier, Powell and Dayanik 2009 (INFORMS Journal on Computing 21:4), here with a t in the place of the normal
    distribution, as in Chick, Branke and Schmidt 2010 (INFORMS Journal on Computing 22:1).
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
