"""Search space of pareto.yaml: networks that fit the parameter limit by construction.

The ranges come from the sweep file. The last width is drawn from the values that fit the limit together with the
other widths. So no trial is spent on a network that is too large.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from mnist_sweep.config import parse
from mnist_sweep.search import sweep_yaml

LAST_WIDTH = "c5"


def study(sweep: Any) -> optuna.Study:
    """Create the study. Its attributes pass the sweep's ranges to `space`. `sweep` is W&B's SweepInfo."""
    created = optuna.create_study(directions=[metric.get("goal", "minimize") for metric in sweep.config["metrics"]])
    created.set_user_attr("parameters", sweep.config["parameters"])
    return created


def space(trial: optuna.Trial) -> dict[str, Any]:
    """Return one feasible configuration, as fields of RunConfig."""
    ranges = trial.study.user_attrs.get("parameters") or _ranges_from_file()
    values = {name: _suggest(trial, name, spec) for name, spec in ranges.items() if name != LAST_WIDTH}
    low, high = ranges[LAST_WIDTH]["min"], ranges[LAST_WIDTH]["max"]
    widest = max((width for width in range(low, high + 1) if _fits({**values, LAST_WIDTH: width})), default=low)
    # Optuna treats a parameter with another range as a new one. So the study samples a share of the range.
    share = trial.suggest_float(f"{LAST_WIDTH}_share", 0.0, 1.0)
    return {**values, LAST_WIDTH: low + round(share * (widest - low))}


def _ranges_from_file() -> dict[str, Any]:
    """Return the ranges for the scheduler's test call of `space`, whose study is not the sweep's."""
    ranges: dict[str, Any] = sweep_yaml.read(Path(__file__).with_suffix(".yaml").read_text("utf-8"))["parameters"]
    return ranges


def _suggest(trial: optuna.Trial, name: str, spec: Mapping[str, Any]) -> Any:
    if "value" in spec:
        return spec["value"]
    if "values" in spec:
        return trial.suggest_categorical(name, spec["values"])
    if spec["distribution"] == "int_uniform":
        return trial.suggest_int(name, spec["min"], spec["max"])
    return trial.suggest_float(name, spec["min"], spec["max"], log=spec["distribution"] == "log_uniform_values")


def _fits(values: Mapping[str, Any]) -> bool:
    config = parse({**values, "over_budget": True})
    return config.parameters < config.parameter_limit
