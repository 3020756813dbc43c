import math
import random
import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mnist_sweep.review import ped_anova
from mnist_sweep.review.ped_anova import Grid
from mnist_sweep.review.records import SweepField

SEARCHED = {
    SweepField(name="rate", kind="float", low=1e-4, high=1.0, log=True): FloatDistribution(1e-4, 1.0, log=True),
    SweepField(name="dropout", kind="float", low=0.0, high=0.5): FloatDistribution(0.0, 0.5),
    SweepField(name="width", kind="int", low=3, high=9): IntDistribution(3, 9),
    SweepField(name="many", kind="int", low=0, high=500): IntDistribution(0, 500),
    SweepField(name="layers", kind="int", low=1, high=300, log=True): IntDistribution(1, 300, log=True),
    SweepField(name="kind", kind="categorical", choices=("a", "b", "c", "d")): CategoricalDistribution(
        ("a", "b", "c", "d")
    ),
}
QUANTILE = 1 / 3


def draw(dice: random.Random) -> dict[str, Any]:
    return {
        "rate": 10 ** dice.uniform(-4, 0),
        "dropout": dice.choice((0.0, 0.5, dice.uniform(0.1, 0.2))),
        "width": dice.randint(3, 9),
        "many": dice.randint(0, 500),
        "layers": round(math.exp(dice.uniform(0, math.log(300)))),
        "kind": dice.choice("abcd"),
    }


@pytest.mark.parametrize("count", [8, 31, 700])
def test_it_finds_what_optuna_finds(count: int) -> None:
    dice = random.Random(count)
    points = [draw(dice) for _ in range(count)]
    points[0]["kind"], points[1]["kind"], points[2]["kind"], points[3]["kind"] = "abcd"  # in the order of the choices
    losses = np.array([math.log10(one["rate"]) ** 2 + (one["kind"] == "b") + dice.choice((0, 1)) for one in points])
    losses[count // 2 :] = np.round(losses[count // 2 :])  # and some that are equal

    study = optuna.create_study()
    space = {field.name: distribution for field, distribution in SEARCHED.items()}
    for point, loss in zip(points, losses, strict=True):
        study.add_trial(optuna.trial.create_trial(params=point, distributions=space, value=loss))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental
        theirs = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=QUANTILE).evaluate(study)

    good = ped_anova.best(losses, QUANTILE)
    ours = {field.name: Grid.of(field, [one[field.name] for one in points]).divergence(good) for field in SEARCHED}
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert len(set(ours.values())) == len(SEARCHED)


def test_a_value_outside_its_range_widens_it() -> None:
    grid = Grid.of(SweepField(name="x", kind="float", low=0.0, high=1.0), [0.0, 0.5, 2.0])
    assert grid.cells.tolist() == [0, 12, 49]
