"""How much each searched field mattered, among the trials that were run, and whether the sample is large enough to say.

The measure is PED-ANOVA (Watanabe et al., IJCAI 2023, https://arxiv.org/abs/2304.10255) as Optuna implements it: how
differently a field is distributed among the best third of the trials compared with all of them. Beside it stands what
the same measure finds when the results are shuffled among the trials: a bar that does not rise above that line is
noise. Where the search itself chose the trials (bayes), they are not exchangeable and small bars stay doubtful even
above the line; `docs/review.md` has the measurement behind these rules.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_sweep.review.ranking import Placed, Ranking
from mnist_sweep.review.records import SweepField, number

TARGET_QUANTILE = 1 / 3
SHUFFLES = 40
FEWER_SHUFFLES = 20  # for more than `MANY` trials, where one takes 20 ms
MANY = 300
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
            (tuple(_value(field, trial.record.config.get(field.name)) for field in fields), -info.sign * trial.value)
            for trial in ranking.ranked
        ]
        known = [(point, loss) for point, loss in rows if None not in point]
        points, losses = tuple(point for point, _ in known), tuple(loss for _, loss in known)
        return cls(fields, points, losses, info.method == "bayes")


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
    import optuna  # half a second; only a page with importance needs it
    from optuna.importance import PedAnovaImportanceEvaluator

    optuna.logging.set_verbosity(logging.WARNING)
    columns = list(zip(*sample.points, strict=True))
    space = {field.name: _distribution(field, column) for field, column in zip(sample.fields, columns, strict=True)}
    losses = np.array(sample.losses, dtype=float)
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(params=dict(zip(space, point, strict=True)), distributions=space, value=loss)
        for point, loss in zip(sample.points, losses, strict=True)
    )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=TARGET_QUANTILE)

    def evaluate(values: np.ndarray) -> dict[str, float]:
        found: dict[str, float] = evaluator.evaluate(study, target=lambda trial: float(values[trial.number]))
        return found

    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reminds that a target is minimised, on every call
        raw = evaluate(losses)
        times = SHUFFLES if len(losses) <= MANY else FEWER_SHUFFLES
        shuffled = [evaluate(rng.permutation(losses)) for _ in range(times)]
    return raw, {name: float(np.quantile([one[name] for one in shuffled], 0.95)) for name in raw}


def _distribution(field: SweepField, column: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if field.kind == "categorical":
        return CategoricalDistribution(tuple(dict.fromkeys(column)))
    low = min([*column, *([field.low] if field.low is not None else [])])
    high = max([*column, *([field.high] if field.high is not None else [])])
    log = field.log and low > 0
    if field.kind == "int":
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _value(field: SweepField, value: object) -> Hashable:
    """A value as the measure reads it; None where the run has none."""
    if field.kind == "categorical":
        return None if value is None else str(value)
    known = number(value)
    return int(known) if field.kind == "int" and known is not None else known


def _varies(field: SweepField, trials: Sequence[Placed]) -> bool:
    return len({str(trial.record.config.get(field.name)) for trial in trials}) > 1
