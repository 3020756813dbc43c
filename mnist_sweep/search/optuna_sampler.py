"""The local server's search as an Optuna sampler, for programs that drive a study, such as W&B's sweep scheduler."""

from collections.abc import Callable, Mapping
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from mnist_sweep import search
from mnist_sweep.search.trial import CONSTRAINT_PREFIX

Constraints = Callable[[Mapping[str, Any]], Mapping[str, float]]
"""Parameters -> constraints that are known before a run, by name; above zero is infeasible."""

_STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "killed",
    TrialState.FAIL: "failed",
}
_MAX_REFUSED = 50  # infeasible proposals in a row


class Sampler(BaseSampler):
    """Proposes what `search.suggest` returns for the trials of the study, running ones included.

    Constraints are computed before a trial starts. The search learns from an infeasible proposal as from a run, and
    proposes another one.
    """

    def __init__(self, config: search.SweepConfig, constraints: Constraints, *, seed: int) -> None:
        """Create a sampler.

        Args:
            config: a sweep with one metric and the parameters of the study.
            constraints: what is known of a configuration before it runs.
            seed: of the search; the same study and seed give the same proposals.
        """
        self._config, self._constraints, self._seed = config, constraints, seed
        self._proposed: tuple[int, Mapping[str, Any]] = (-1, {})

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return one parameter of the trial's proposal, which the first call computes."""
        if self._proposed[0] != trial.number:
            self._proposed = (trial.number, self._propose(study, trial.number))
        return self._proposed[1][param_name]

    def _propose(self, study: Study, number: int) -> Mapping[str, Any]:
        known = [self._trial(each) for each in study.get_trials(deepcopy=False) if each.number != number]
        trials = [trial for trial in known if trial is not None]
        for refused in range(_MAX_REFUSED):
            params = search.suggest(self._config, trials, seed=self._seed)
            if params is None:
                break
            broken = self._limits(params)
            if all(over <= 0 for over in broken.values()):
                return params
            trials.append(search.Trial(f"refused-{refused}", params, "finished", (), broken))
        raise RuntimeError(f"no feasible proposal among {_MAX_REFUSED}: wider ranges or a higher limit may help")

    def _trial(self, each: FrozenTrial) -> search.Trial | None:
        if each.state not in _STATES or not each.params:
            return None
        summary: dict[str, Any] = self._limits(each.params)
        if each.state == TrialState.COMPLETE and self._config.metric is not None:
            summary[self._config.metric.name] = each.value
        return search.Trial(str(each.number), each.params, _STATES[each.state], (), summary)

    def _limits(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{CONSTRAINT_PREFIX}{name}": over for name, over in self._constraints(params).items()}
