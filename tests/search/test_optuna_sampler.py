"""The search as Optuna's sampler: the same proposals, none that its parameters alone refuse."""

from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState

from mnist_sweep.search import Trial, parse, suggest
from mnist_sweep.search.optuna_sampler import Sampler

CONFIG = parse(
    {
        "method": "bayes",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"min": 0.0, "max": 1.0}, "replicate": {"min": 0, "max": 3}},
    }
)
SPACE = {"x": FloatDistribution(0.0, 1.0), "replicate": IntDistribution(0, 3)}


def study(limit: float) -> optuna.Study:
    def limits(params: Mapping[str, Any]) -> dict[str, float]:
        return {"x": params["x"] - limit}

    return optuna.create_study(sampler=Sampler(CONFIG, limits, seed=1))


def test_proposals_are_the_searchs_own_and_know_what_runs_ended_failed_and_are_under_way() -> None:
    found = study(limit=2.0)
    for place in range(13):  # the model begins at the tenth outcome
        trial = found.ask(SPACE)
        if place == 3:
            found.tell(trial, state=TrialState.FAIL)
        elif place != 5:
            found.tell(trial, (trial.params["x"] - 0.7) ** 2)
    trials = []
    for each in found.trials:
        summary = {"constraint/x": each.params["x"] - 2.0} | ({} if each.value is None else {"loss": each.value})
        state = {TrialState.COMPLETE: "finished", TrialState.FAIL: "failed"}.get(each.state, "running")
        trials.append(Trial(str(each.number), each.params, state, (), summary))
    assert found.ask(SPACE).params == suggest(CONFIG, trials, seed=1)
    points = [tuple(each.params.values()) for each in found.trials]
    assert len(set(points)) == len(points)


def test_what_its_parameters_refuse_is_never_a_trial() -> None:
    found = study(limit=0.3)
    for _ in range(12):
        trial = found.ask(SPACE)
        assert trial.params["x"] <= 0.3
        found.tell(trial, 1 - trial.params["x"])


def test_where_nothing_is_feasible_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="no feasible proposal among 50: wider ranges or a higher limit may help"):
        study(limit=-1.0).ask(SPACE)
