"""Early termination by successive halving, W&B's `early_terminate: hyperband`.

Runs are compared at a few iterations, the brackets; a run goes on if it is among the best 1/eta at the last bracket it
has passed. Li et al., Hyperband (2018), https://arxiv.org/abs/1603.06560, in the form that W&B gives it:
https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mnist_sweep.search.trial import Trial, metric_history

_MOST = 100  # brackets, as in W&B's engine
_LONGEST = 10**9  # iterations; no run logs that many rows


def brackets(early_terminate: Mapping[str, Any]) -> list[int]:
    """The iterations at which runs are compared, ascending.

    `max_iter` with `s`: max_iter/eta, max_iter/eta², …, s of them, none below 1. `min_iter`: min_iter, min_iter·eta, …
    """
    eta = float(early_terminate.get("eta", 3))
    down = "max_iter" in early_terminate
    count = min(int(early_terminate["s"]), _MOST) if down else _MOST
    iteration = early_terminate["max_iter"] / eta if down else float(early_terminate["min_iter"])
    found: set[int] = set()
    for _ in range(count):
        if not 1 <= iteration <= _LONGEST:
            break
        found.add(int(iteration))
        iteration = iteration / eta if down else iteration * eta
    return sorted(found)


def stop(config: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, str]:
    """Runs to stop now, by name, each with the reason as one line for people.

    An iteration is a row of history that carries the metric. A bracket at iteration b looks at the row after b others,
    and its threshold is the value at rank ⌊n/eta⌋ (from the best, from 0) of the n runs that got there, finished ones
    included. A running run is measured at the last bracket it has reached: by its best value so far, or, if `strict`,
    by its value at that bracket. Equal to the threshold is good enough.
    """
    early = config.get("early_terminate")
    if not early:
        return {}
    metric = config["metric"]["name"]
    maximize = config["metric"].get("goal", "minimize") == "maximize"
    sign = -1.0 if maximize else 1.0
    eta = float(early.get("eta", 3))
    losses = {trial.name: [sign * value for value in metric_history(trial, metric)] for trial in trials}
    marks = brackets(early)
    reasons: dict[str, str] = {}
    for trial in trials:
        mine = losses[trial.name]
        reached = [bracket for bracket in marks if bracket < len(mine)]
        if trial.state != "running" or not reached:
            continue
        bracket = reached[-1]
        field = sorted(loss[bracket] for loss in losses.values() if len(loss) > bracket)
        threshold = field[int(len(field) / eta)]
        value = mine[bracket] if early.get("strict", False) else min(mine)
        if value > threshold:
            what = f"{metric} at iteration {bracket}" if early.get("strict", False) else f"best {metric} so far"
            reasons[trial.name] = (
                f"hyperband: {what} is {sign * value:.6g}, {'below' if maximize else 'above'} {sign * threshold:.6g}, "
                f"the mark for the best 1/{eta:g} of {len(field)} runs at iteration {bracket}"
            )
    return reasons
