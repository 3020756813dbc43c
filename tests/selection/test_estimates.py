"""Beliefs about invented figures: one lucky run among steady ones."""

import math
from statistics import fmean
from typing import Any

import pytest

from mnist_sweep.config import parse
from mnist_sweep.metrics import VAL_ACCURACY
from mnist_sweep.review.fields import sweep_info
from mnist_sweep.review.records import RunRecord
from mnist_sweep.selection.estimates import Estimate, describe_trials, estimate_configurations

SWEEP: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "objective", "goal": "minimize"},
    "parameters": {"max_lr": {"min": 0.01, "max": 0.5}, "replicate": {"min": 0, "max": 5}},
}
INFO = sweep_info(SWEEP, id="s", entity="e", project="p")


def run(max_lr: float, replicate: int, objective: float | None, *, state: str = "finished", **said: Any) -> RunRecord:
    config = parse({"max_lr": max_lr, "replicate": replicate}).model_dump(exclude_none=True)
    summary = said | ({} if objective is None else {"objective": objective, "val/accuracy": 1 - objective})
    return RunRecord(id=f"{max_lr}-{replicate}", state=state, config=config, summary=summary)


STEADY = [run(0.1, r, 0.020 + 0.0005 * (-1) ** r) for r in range(6)]
POOR = [run(0.3, r, 0.030 + 0.008 * (-1) ** r) for r in range(6)]
LUCKY = run(0.29, 0, 0.0195)


def test_the_most_promising_is_not_the_luckiest_run() -> None:
    found = estimate_configurations(INFO, SWEEP, [*POOR, *STEADY, LUCKY])
    steady, lucky = found[0], next(each for each in found if each.recipe.max_lr == 0.29)
    assert steady.recipe.max_lr == 0.1
    assert lucky.observed is not None
    assert lucky.accuracy is not None
    assert lucky.accuracy < lucky.observed - 0.002  # its luck is taken off
    assert lucky.value > 0.0195 + 0.002
    assert (len(lucky.trials), len(steady.trials)) == (1, 6)
    assert steady.value == pytest.approx(0.020, abs=0.001)
    assert steady.observed == pytest.approx(fmean(1 - 0.020 - 0.0005 * (-1) ** r for r in range(6)))


def test_what_diverged_is_not_promising_and_what_is_no_result_says_nothing() -> None:
    diverged = run(0.2, 0, None, diverged=True)
    stopped = run(0.1, 5, 0.001, complete=False)
    killed = run(0.05, 0, 0.001, state="killed")
    refused = run(0.02, 0, None, feasible=False)
    found = estimate_configurations(INFO, SWEEP, [*STEADY[:5], diverged, stopped, killed, refused])
    assert [(each.recipe.max_lr, len(each.trials)) for each in found] == [(0.1, 5)]


def test_the_last_good_epoch_of_a_diverged_run_is_not_its_result() -> None:
    def accuracy(*more: RunRecord) -> float | None:
        return estimate_configurations(INFO, SWEEP, [*STEADY, *POOR, *more])[0].accuracy

    assert accuracy(run(0.2, 0, None, diverged=True)) == accuracy(
        run(0.2, 0, None, diverged=True, **{VAL_ACCURACY: 0.9})
    )


def test_trials_say_how_they_differ_from_whole_trainings() -> None:
    whole, short, wide = {"epochs": 15}, {"epochs": 5}, {"epochs": 5, "held_out_folds": 4}
    for trials, text in (
        ([whole], ""),
        ([short], "5-epoch trials"),
        ([wide, wide], "5-epoch trials on 40,000 images"),
        ([{"held_out_folds": 4}], "trials on 40,000 images"),
        ([short, whole], "5-epoch, 15-epoch trials"),
    ):
        assert describe_trials(map(parse, trials), 15) == text


def test_a_run_outside_the_ranges_stands_behind_with_what_was_measured() -> None:
    outside = run(0.9, 0, 0.001)
    found = estimate_configurations(INFO, SWEEP, [outside, *STEADY])
    assert [each.recipe.max_lr for each in found] == [0.1, 0.9]
    assert found[1].value == 0.001


def test_without_a_model_means_decide() -> None:
    several = {key: value for key, value in SWEEP.items() if key != "metric"} | {"method": "custom", "metrics": ["x"]}
    found = estimate_configurations(INFO, several, [LUCKY, *STEADY])
    assert [each.recipe.max_lr for each in found] == [0.29, 0.1]
    assert math.isclose(found[0].value, 0.0195)


LOSSES = {
    0.1: [0.0200, 0.0204, 0.0196, 0.0202, 0.0198, 0.0201],
    0.3: [0.0320, 0.0330, 0.0150, 0.0310, 0.0325, 0.0315],  # one lucky run
}


def estimated(parameters: dict[str, Any], points: dict[str, tuple[dict[str, Any], float]]) -> dict[float, Estimate]:
    """Estimates by learning rate, of runs that each have a point of the sweep's space and a loss."""
    records = [
        RunRecord(
            id=name,
            config=parse(point).model_dump(exclude_none=True) | point,
            summary={"objective": loss, "val/accuracy": 1 - loss},
        )
        for name, (point, loss) in points.items()
    ]
    sweep = SWEEP | {"method": "grid", "parameters": parameters}
    return {each.recipe.max_lr: each for each in estimate_configurations(INFO, sweep, records)}


def check_pooled(found: dict[float, Estimate]) -> None:
    assert {rate: len(each.trials) for rate, each in found.items()} == {0.1: 6, 0.3: 6}
    assert list(found) == [0.1, 0.3]
    assert found[0.1].value == pytest.approx(fmean(LOSSES[0.1]), abs=0.001)
    assert found[0.3].value == pytest.approx(fmean(LOSSES[0.3]), abs=0.001)
    assert found[0.3].accuracy == pytest.approx(1 - fmean(LOSSES[0.3]), abs=0.001)


def test_runs_that_differ_in_the_seed_are_pooled() -> None:
    points = {f"{rate}-{s}": ({"max_lr": rate, "seed": s}, LOSSES[rate][s]) for rate in LOSSES for s in range(6)}
    check_pooled(estimated({"max_lr": {"values": [0.1, 0.3]}, "seed": {"values": list(range(6))}}, points))


def test_replicates_that_a_base_names_are_pooled() -> None:
    points = {
        f"{rate}-{r}": ({"base": f"max_lr={rate} replicate={r}"}, LOSSES[rate][r]) for rate in LOSSES for r in range(6)
    }
    check_pooled(estimated({"base": {"values": [point["base"] for point, _ in points.values()]}}, points))


def test_a_sweep_over_seeds_alone_has_the_mean_of_its_runs() -> None:
    found = estimated(
        {"seed": {"values": list(range(6))}},
        {str(seed): ({"max_lr": 0.3, "seed": seed}, loss) for seed, loss in enumerate(LOSSES[0.3])},
    )
    assert found[0.3].value == pytest.approx(fmean(LOSSES[0.3]))
