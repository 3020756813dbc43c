"""The search space of pareto.yaml: networks that fit the limit, by construction.

Each width is drawn from what the widths before it leave; the last one takes at most what is left of the limit. So no
suggestion is ever refused, and no trial is spent on finding out where the limit is.
"""

from typing import Any

import optuna

from mnist_sweep import architecture
from mnist_sweep.config import PARAMETER_LIMIT

SMALLEST, WIDEST = 4, 24
EPOCHS = 15


def space(trial: optuna.Trial) -> dict[str, Any]:
    """One feasible configuration, as fields of RunConfig."""
    widths = {
        "c1": trial.suggest_int("c1", SMALLEST, 10),
        "c2": trial.suggest_int("c2", SMALLEST, 16),
        "c3": trial.suggest_int("c3", SMALLEST, 16),
        "c4": trial.suggest_int("c4", SMALLEST, 18),
    }
    most = max(c5 for c5 in range(SMALLEST, WIDEST + 1) if _parameters(widths, c5) < PARAMETER_LIMIT)
    # Drawn as a share: a range whose end depends on other widths would be a new range for the search each time.
    share = trial.suggest_float("c5_share", 0.0, 1.0)
    return widths | {
        "c5": SMALLEST + round(share * (most - SMALLEST)),
        "squeeze": 0,
        "head": 0,
        "pools": 2,
        "max_lr": trial.suggest_float("max_lr", 0.03, 0.3, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.06),
        "epochs": EPOCHS,
    }


def _parameters(widths: dict[str, int], c5: int) -> int:
    network = architecture.tiny(**widths, c5=c5, squeeze=0, head=0, pools=2, dropout=0.0)
    return architecture.count_parameters(network)
