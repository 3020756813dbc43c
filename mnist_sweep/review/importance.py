"""How much each searched field mattered, among the trials that were run, and whether the sample is large enough to say.

The measure is PED-ANOVA (`review.ped_anova`): how differently a field is distributed among the best third of the
trials compared with all of them. Beside it stands what the same measure finds when the results are shuffled among the
trials: a bar that does not rise above that line is noise. Where the search itself chose the trials (bayes), they are
not exchangeable and small bars stay doubtful even above the line; `docs/review.md` has the measurement behind these
rules.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from mnist_sweep.review import ped_anova
from mnist_sweep.review.fields import field_value
from mnist_sweep.review.ped_anova import Grid
from mnist_sweep.review.ranking import RankedTrial, Ranking
from mnist_sweep.review.records import SweepField

TARGET_QUANTILE = 1 / 3
SHUFFLES = 40
FEWEST = 8
ENOUGH = 20
ENOUGH_PER_FIELD = 5


@dataclass(frozen=True)
class Sample:
    """What there is to measure, hashable: who asks again with the same sample may remember the answer.

    `points` has one row a trial with a value per field, `losses` (smaller is better) one number a trial.
    """

    fields: tuple[SweepField, ...]
    points: tuple[tuple[Hashable, ...], ...]
    losses: tuple[float, ...]
    adaptive: bool
    """The search chose the trials by the results of earlier ones."""

    @classmethod
    def of(cls, ranking: Ranking) -> Sample:
        """The ranked trials, in the searched fields that vary."""
        info = ranking.info
        fields = tuple(field for field in info.fields if _varies(field, ranking.ranked))
        rows = [
            (tuple(_value(field, trial) for field in fields), info.goal.to_loss(trial.value))
            for trial in ranking.ranked
        ]
        known = [(point, loss) for point, loss in rows if None not in point]
        return cls(
            fields=fields,
            points=tuple(point for point, _ in known),
            losses=tuple(loss for _, loss in known),
            adaptive=info.method == "bayes",
        )


@dataclass(frozen=True)
class Importance:
    """Shares of 1 by field, largest first; `noise` has the 95 % quantile under shuffling, in the same unit."""

    shares: dict[str, float]
    noise: dict[str, float]
    trials: int
    warning: str = ""

    def says_something(self, name: str) -> bool:
        """Whether the field's share rises above what shuffled results give."""
        return self.shares[name] > self.noise[name]


def measure(sample: Sample) -> Importance:
    """Importance of each field; no shares at all below `FEWEST` trials."""
    n = len(sample.losses)
    if not sample.fields or n < FEWEST:
        few = f"{n} ranked trials: too few to say which field matters (at least {FEWEST})." if n else ""
        return Importance({}, {}, n, few)
    raw, noise = _measure(sample)
    total = sum(raw.values()) or 1.0
    order = sorted(raw, key=lambda name: -raw[name])
    shares = {name: raw[name] / total for name in order}
    return Importance(shares, {name: noise[name] / total for name in order}, n, _warning(sample))


def _warning(sample: Sample) -> str:
    n, fields = len(sample.losses), len(sample.fields)
    enough = max(ENOUGH, ENOUGH_PER_FIELD * fields)
    if n < enough:
        return (
            f"{n} trials for {fields} fields is a small sample: a hint at most, from about {enough} on the order holds"
        )
    if sample.adaptive:
        return "The search chose these trials itself: a field it settled early looks smaller than it is."
    return ""


def _measure(sample: Sample) -> tuple[dict[str, float], dict[str, float]]:
    """Raw PED-ANOVA values and their 95 % quantile under shuffled losses."""
    losses, rng = np.array(sample.losses, dtype=float), np.random.default_rng(0)
    found = ped_anova.best(losses, TARGET_QUANTILE)
    shuffled = [ped_anova.best(rng.permutation(losses), TARGET_QUANTILE) for _ in range(SHUFFLES)]
    raw: dict[str, float] = {}
    noise: dict[str, float] = {}
    for field, column in zip(sample.fields, zip(*sample.points, strict=True), strict=True):
        grid = Grid.of(field, column)
        raw[field.name] = grid.divergence(found)
        noise[field.name] = float(np.quantile([grid.divergence(one) for one in shuffled], 0.95))
    return raw, noise


def _value(field: SweepField, trial: RankedTrial) -> Hashable:
    """Return a trial's value as the measure reads it, or None if it has none."""
    value = field_value(trial.record, field)
    return int(value) if field.kind == "int" and isinstance(value, float) else value


def _varies(field: SweepField, trials: Sequence[RankedTrial]) -> bool:
    return len({field_value(trial.record, field) for trial in trials}) > 1
