"""How much each searched field mattered, among the trials that were run, and whether the sample is large enough to say.

The measure is PED-ANOVA (Watanabe et al., IJCAI 2023, https://arxiv.org/abs/2304.10255) as Optuna implements it: how
differently a field is distributed among the best third of the trials compared with all of them. Beside it stands what
the same measure finds when the results are shuffled among the trials: a bar that does not rise above that line is
noise. Where the search itself chose the trials (bayes), they are not exchangeable and small bars stay doubtful even
above the line; `docs/review.md` has the measurement behind these rules.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_sweep.review.records import RunRecord, SweepField, SweepInfo, number, ranked, value_of

TARGET_QUANTILE = 1 / 3
SHUFFLES = 40
FEWER_SHUFFLES = 20  # for more than `MANY` trials, where one takes 20 ms
MANY = 300
KEPT = 32
FEWEST = 8
ENOUGH = 20
ENOUGH_PER_FIELD = 5


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


def importance(records: Sequence[RunRecord], info: SweepInfo) -> Importance:
    """Importance of each searched field over the ranked runs; no shares at all below `FEWEST` of them."""
    runs = ranked(records, info)
    fields = [f for f in info.fields if _varies(f, runs)]
    runs = [run for run in runs if all(_known(f, run.config.get(f.name)) for f in fields)]
    n = len(runs)
    if n < FEWEST or not fields:
        return Importance({}, {}, n, f"{n} ranked trials: too few to say which field matters (at least {FEWEST}).")

    values = np.array([value_of(run, info.metric) for run in runs], dtype=float) * -info.sign
    raw, noise = _remembered(info, runs, fields, values)
    total = sum(raw.values()) or 1.0
    order = sorted(raw, key=lambda name: -raw[name])
    shares = {name: raw[name] / total for name in order}
    return Importance(shares, {name: noise[name] / total for name in order}, n, _warning(n, len(fields), info))


def _warning(n: int, fields: int, info: SweepInfo) -> str:
    enough = max(ENOUGH, ENOUGH_PER_FIELD * fields)
    if n < enough:
        return (
            f"{n} trials for {fields} fields is a small sample: a hint at most, from about {enough} on the order holds"
        )
    if info.method == "bayes":
        return "The search chose these trials itself: a field it settled early looks smaller than it is."
    return ""


_memory: OrderedDict[tuple[object, ...], tuple[dict[str, float], dict[str, float]]] = OrderedDict()
_memory_lock = threading.Lock()


def _remembered(
    info: SweepInfo, runs: Sequence[RunRecord], fields: Sequence[SweepField], losses: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """`_measure`, kept for the last few samples: a page that is open asks again and again while nothing has ended."""
    key = (info.entity, info.project, info.id, tuple(f.name for f in fields), tuple(r.id for r in runs), tuple(losses))
    with _memory_lock:
        if key in _memory:
            return _memory[key]
    found = _measure(runs, fields, losses)
    with _memory_lock:
        _memory[key] = found
        while len(_memory) > KEPT:
            _memory.popitem(last=False)
    return found


def _measure(
    runs: Sequence[RunRecord], fields: Sequence[SweepField], losses: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """Raw PED-ANOVA values and their 95 % quantile under shuffled `losses` (smaller is better)."""
    import optuna  # half a second; only a page with importance needs it
    from optuna.importance import PedAnovaImportanceEvaluator

    optuna.logging.set_verbosity(logging.WARNING)
    space = {f.name: _distribution(f, runs) for f in fields}
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(
            params={f.name: _value(f, run.config[f.name]) for f in fields}, distributions=space, value=loss
        )
        for run, loss in zip(runs, losses, strict=True)
    )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=TARGET_QUANTILE)

    def evaluate(values: np.ndarray) -> dict[str, float]:
        found: dict[str, float] = evaluator.evaluate(study, target=lambda trial: float(values[trial.number]))
        return found

    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reminds that a target is minimised, on every call
        raw = evaluate(losses)
        times = SHUFFLES if len(runs) <= MANY else FEWER_SHUFFLES
        shuffled = [evaluate(rng.permutation(losses)) for _ in range(times)]
    return raw, {name: float(np.quantile([one[name] for one in shuffled], 0.95)) for name in raw}


def _distribution(field: SweepField, runs: Sequence[RunRecord]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if field.kind == "categorical":
        seen = dict.fromkeys(str(run.config[field.name]) for run in runs)
        return CategoricalDistribution(tuple(seen))
    known = [value for run in runs if (value := number(run.config[field.name])) is not None]
    low = min([*known, *([field.low] if field.low is not None else [])])
    high = max([*known, *([field.high] if field.high is not None else [])])
    log = field.log and low > 0
    if field.kind == "int":
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _value(field: SweepField, value: object) -> object:
    if field.kind == "categorical":
        return str(value)
    known = number(value)
    assert known is not None  # `_known` held
    return int(known) if field.kind == "int" else known


def _known(field: SweepField, value: object) -> bool:
    return value is not None if field.kind == "categorical" else number(value) is not None


def _varies(field: SweepField, runs: Sequence[RunRecord]) -> bool:
    return len({str(run.config.get(field.name)) for run in runs}) > 1
