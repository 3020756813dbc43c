"""Repair the entries of a sweep configuration that W&B's engine tolerates.

The engine (package `sweeps`, version 0.3.0) reports such entries as violations of its schema and then runs the sweep.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

IMPUTE = ("worst", "best", "latest")
_TEXTS = ("name", "description", "program", "entity", "project")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
"""A number with an exponent by YAML 1.2. YAML 1.1, which the client reads, takes most of them for text: `1e-5`."""


def repair(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration as the engine runs it, and a warning for each entry that differs."""
    repaired, warnings = dict(config), list[str]()
    for key in _TEXTS:
        if not isinstance(value := config.get(key), str | None):
            warnings.append(f"'{key}' is {value!r}, not text")
    if not isinstance(command := config.get("command"), list | None):
        warnings.append(f"'command' is {command!r}, not a list: agents may be unable to execute it")
    if "parameters" in config:
        repaired["parameters"] = _read_numbers(config["parameters"], ("parameters",), warnings)
    _repair_metric(repaired, warnings)
    _repair_run_cap(repaired, warnings)
    early = config.get("early_terminate")
    if isinstance(early, Mapping) and "type" not in early:
        repaired["early_terminate"] = {"type": "hyperband", **early}
        warnings.append("early_terminate: 'type' is missing and read as hyperband")
    return repaired, warnings


def _repair_metric(config: dict[str, Any], warnings: list[str]) -> None:
    metric = config.get("metric")
    if isinstance(metric, str) and metric:
        metric = {"name": metric, "goal": "minimize"}
        warnings.append(f"metric: '{metric['name']}' is read as {{name: {metric['name']}, goal: minimize}}")
    elif isinstance(metric, Mapping):
        metric = dict(metric)
        for key, known in (("impute", IMPUTE), ("impute_while_running", (*IMPUTE, "false", False))):
            if key in metric and metric[key] not in known:
                warnings.append(f"metric: {key} {metric.pop(key)!r} is not one of {', '.join(IMPUTE)} and is ignored")
        if "target" in metric:
            metric["target"] = _read_numbers(metric["target"], ("metric", "target"), warnings)
    if metric is not None:
        config["metric"] = metric


def _repair_run_cap(config: dict[str, Any], warnings: list[str]) -> None:
    cap = config.get("run_cap")
    if isinstance(cap, str) and re.fullmatch(r"[0-9]{1,9}", cap):
        warnings.append(f"run_cap: '{cap}' is text and read as the number {int(cap)}")
        config["run_cap"] = int(cap)
    elif isinstance(cap, float) and cap.is_integer():
        config["run_cap"] = int(cap)
    elif isinstance(cap, int) and not isinstance(cap, bool) and cap <= 0:
        warnings.append(f"run_cap: {cap} is not above 0 and is ignored: the number of runs has no limit")
        del config["run_cap"]


def _read_numbers(value: Any, path: tuple[str, ...], warnings: list[str]) -> Any:
    """Return `value` with all texts that are floats by YAML 1.2 as numbers. `path` leads to it from the top."""
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        warnings.append(f"{_describe(path)} '{value}' is read as the number {float(value)!r}")
        return float(value)
    if isinstance(value, Mapping):
        return {key: _read_numbers(entry, (*path, str(key)), warnings) for key, entry in value.items()}
    if isinstance(value, list):
        return [_read_numbers(entry, path, warnings) for entry in value]
    return value


def _describe(path: Sequence[str]) -> str:
    """Return a place as people call it: `parameter optimizer.lr: min` or `metric: target`."""
    top, *rest = path
    if top != "parameters":
        return f"{top}: {' '.join(rest)}"
    names = rest[:1]
    del rest[:1]
    while len(rest) > 1 and rest[0] == "parameters":
        names.append(rest[1])
        del rest[:2]
    return f"parameter {'.'.join(names)}: {' '.join(rest)}"
