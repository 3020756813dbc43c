"""Stop runs early by successive halving: W&B's `early_terminate: hyperband`.

Runs are compared at a few iterations, the brackets. A run continues if it is among the best 1/eta at the last bracket
that it reached. The method is Hyperband (Li et al. 2018, https://arxiv.org/abs/1603.06560) in W&B's form:
https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

from collections.abc import Sequence

from mnist_sweep.search.config import Hyperband, SweepConfig
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.trial import Trial, metric_history

_MAX_BRACKETS = 100  # as in W&B's engine
_MAX_ITERATION = 10**9  # no run logs that many rows


def brackets(early: Hyperband) -> list[int]:
    """Return the iterations at which runs are compared, in ascending order.

    `max_iter` with `s`: max_iter/eta, max_iter/eta², …, s of them, none below 1. `min_iter`: min_iter, min_iter·eta, …
    """
    eta = float(early.eta)
    if early.max_iter is not None and early.s is not None:
        down, count, iteration = True, min(int(early.s), _MAX_BRACKETS), early.max_iter / eta
    else:
        assert early.min_iter is not None  # the model requires one of the two
        down, count, iteration = False, _MAX_BRACKETS, float(early.min_iter)
    found: set[int] = set()
    for _ in range(count):
        if not 1 <= iteration <= _MAX_ITERATION:
            break
        found.add(int(iteration))
        iteration = iteration / eta if down else iteration * eta
    return sorted(found)


def stop(config: SweepConfig, trials: Sequence[Trial]) -> dict[str, str]:
    """Return the names of the runs to stop now, each with the reason as one line for people.

    An iteration is a row of history that carries the metric. A bracket at iteration b looks at the b-th of these rows.
    Its threshold is the value at rank ⌊n/eta⌋ (from the best, counted from 0) of the n runs that reached it, finished
    ones included. A running run is judged at the last bracket that it reached: by its value there if `strict`, else by
    its best value so far. A value equal to the threshold passes.
    """
    early = config.early_terminate
    if early is None or config.metric is None:
        return {}
    metric, goal, eta = config.metric.name, config.metric.goal, float(early.eta)
    losses = {trial.name: [goal.to_loss(value) for value in metric_history(trial, metric)] for trial in trials}
    marks = brackets(early)
    reasons: dict[str, str] = {}
    for trial in trials:
        own_losses = losses[trial.name]
        reached = [bracket for bracket in marks if bracket <= len(own_losses)]
        if trial.state != "running" or not reached:
            continue
        bracket = reached[-1]
        field = sorted(loss[bracket - 1] for loss in losses.values() if len(loss) >= bracket)
        threshold = field[int(len(field) / eta)]
        value = own_losses[bracket - 1] if early.strict else min(own_losses)
        if value > threshold:
            what = f"{metric} at iteration {bracket}" if early.strict else f"best {metric} so far"
            reasons[trial.name] = (
                f"hyperband: {what} is {goal.to_loss(value):.6g}, {'below' if goal is Goal.MAXIMIZE else 'above'} "
                f"{goal.to_loss(threshold):.6g}, "
                f"the mark for the best 1/{eta:g} of {len(field)} runs at iteration {bracket}"
            )
    return reasons
