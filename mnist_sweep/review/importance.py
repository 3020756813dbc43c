"""How much each searched field mattered in a sweep, and whether the sample is large enough to tell.

The measure is PED-ANOVA (`review.ped_anova`): how differently a field is distributed among the best third of the
trials compared with all of them. The noise level is what the same measure finds after the results are shuffled among
the trials. A share that does not exceed it is noise. A bayesian search chooses its trials by earlier results. They are
then not exchangeable, and a small share above the noise level stays doubtful. `docs/review.md` has the measurements
behind these rules.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mnist_sweep.review import ped_anova
from mnist_sweep.review.fields import field_value
from mnist_sweep.review.formatting import counted
from mnist_sweep.review.ped_anova import Grid
from mnist_sweep.review.ranking import RankedTrial, Ranking
from mnist_sweep.review.records import SweepField

TARGET_QUANTILE = 1 / 3
SHUFFLES = 40
FEWEST = 8
ENOUGH = 20
ENOUGH_PER_FIELD = 5


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The input of `measure`. It is hashable, so that a caller can cache the answer."""

    fields: tuple[SweepField, ...]
    points: tuple[tuple[Hashable, ...], ...]
    """One row per trial, with a value for each field."""
    losses: tuple[float, ...]
    """One number per trial; smaller is better."""
    adaptive: bool
    """Whether the search chose the trials by the results of earlier ones."""

    @classmethod
    def of(cls, ranking: Ranking) -> Self:
        """Return the sample of the ranked trials and the searched fields that vary."""
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


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The importance of each field."""

    shares: dict[str, float]
    """Shares of 1 by field, the largest first."""
    noise: dict[str, float]
    """The 95 % quantile of the share under shuffling."""
    trials: int
    warning: str = ""

    def above_noise(self, name: str) -> bool:
        """Return whether the field's share exceeds what shuffled results reach."""
        return self.shares[name] > self.noise[name]


def measure(sample: Sample) -> Importance:
    """Measure the importance of each field. With fewer than `FEWEST` trials, there are no shares."""
    n = len(sample.losses)
    if not sample.fields or n < FEWEST:
        few = f"{n} ranked trials are too few to tell which field matters; it takes {FEWEST}." if n else ""
        return Importance(shares={}, noise={}, trials=n, warning=few)
    raw, noise = _measure(sample)
    total = sum(raw.values()) or 1.0
    order = sorted(raw, key=lambda name: -raw[name])
    shares = {name: raw[name] / total for name in order}
    return Importance(
        shares=shares, noise={name: noise[name] / total for name in order}, trials=n, warning=_warning(sample)
    )


def _warning(sample: Sample) -> str:
    n, fields = len(sample.losses), len(sample.fields)
    enough = max(ENOUGH, ENOUGH_PER_FIELD * fields)
    if n < enough:
        return (
            f"{n} trials are a small sample for {counted(fields, 'field')}: this is a hint at most. "
            f"The order is reliable from about {enough} trials."
        )
    if sample.adaptive:
        return "The search chose these trials itself, so a field that it settled early looks less important than it is."
    return ""


def _measure(sample: Sample) -> tuple[dict[str, float], dict[str, float]]:
    """Return raw PED-ANOVA values, and their 95 % quantile under shuffled losses."""
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
