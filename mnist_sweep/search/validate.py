"""Whether a sweep configuration can be run: every violation at once, one line each.

The rules are those of W&B's published schema (repository wandb/sweeps) and of its search engine.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mnist_sweep.search.distributions import DISTRIBUTIONS, LARGEST_EXPONENT, distribution
from mnist_sweep.search.grid import GRID_DISTRIBUTIONS
from mnist_sweep.search.space import leaves
from mnist_sweep.search.trial import finite

METHODS = ("grid", "random", "bayes", "custom")
_ABOUT = ("apiVersion", "kind", "name", "description", "entity", "project", "prior_runs", "run_cap")
_SEARCH = ("method", "metric", "metrics", "parameters", "early_terminate", "scheduler", "controller")
_PROGRAM = ("program", "command", "job", "image_uri")
TOP_LEVEL = (*_ABOUT, *_SEARCH, *_PROGRAM)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_EXPONENTS = {name: f"{name}_values" for name in ("log_uniform", "inv_log_uniform", "q_log_uniform")}

# What each distribution needs and what it may have besides.
_BOUNDS, _MOMENTS, _SHAPE = ("min", "max"), ("mu", "sigma"), ("a", "b")
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "normal": ((), _MOMENTS),
    "log_normal": ((), _MOMENTS),
    "q_normal": ((), (*_MOMENTS, "q")),
    "q_log_normal": ((), (*_MOMENTS, "q")),
    "beta": ((), _SHAPE),
    "q_beta": ((), (*_SHAPE, "q")),
    **{name: (_BOUNDS, ("q",) if name.startswith("q_") else ()) for name in DISTRIBUTIONS if "uniform" in name},
}


def check(config: Any) -> list[str]:
    """All reasons why this sweep configuration cannot be run, one line each; none means it is valid."""
    if not isinstance(config, Mapping):
        return [f"a sweep configuration is a mapping of keys to values, not {_show(config)}"]
    return [
        *_method(config),
        *_metric(config),
        *_run_cap(config),
        *_early_terminate(config),
        *_parameters(config),
    ]


def warn(config: Mapping[str, Any]) -> list[str]:
    """What is odd about a valid configuration but does not keep it from running, one line each."""
    lines = [f"'{name}' is not a key of a sweep and is ignored" for name in config if name not in TOP_LEVEL]
    for path, spec in leaves(config.get("parameters") or {}):
        values = _EXPONENTS.get(str(distribution(spec)))
        if values:
            lines.append(
                f"parameter {'.'.join(path)}: the min and max of {distribution(spec)} are exponents of e; "
                f"{values} takes the limits themselves"
            )
    return lines


def _method(config: Mapping[str, Any]) -> Iterator[str]:
    if "method" not in config:
        yield f"'method' is required: one of {', '.join(METHODS)}"
    elif config["method"] not in METHODS:
        yield f"method: {_show(config['method'])} is not one of {', '.join(METHODS)}"


def _metric(config: Mapping[str, Any]) -> Iterator[str]:
    if "metric" in config and "metrics" in config:
        yield "'metric' and 'metrics' exclude each other: one objective or several"
    if "metrics" in config:
        metrics = config["metrics"]
        if config.get("method") != "custom":
            yield f"'metrics' needs method custom, not {_show(config.get('method'))}"
        if not isinstance(metrics, list) or len(metrics) < 2:
            yield f"metrics: {_show(metrics)} is not a list of two or more objectives"
        else:
            for number, metric in enumerate(metrics):
                yield from _objective(f"metrics[{number}]", metric)
    elif "metric" in config:
        yield from _objective("metric", config["metric"])
    else:
        if config.get("method") == "bayes":
            yield "'metric' is required by method bayes: the name and goal of what to optimise"
        if config.get("early_terminate"):
            yield "'metric' is required by early_terminate: the name and goal of what to compare"


def _objective(where: str, metric: Any) -> Iterator[str]:
    if not isinstance(metric, Mapping):
        yield f"{where}: {_show(metric)} is not a mapping with a name and a goal"
        return
    if not isinstance(metric.get("name"), str) or not metric["name"]:
        yield f"{where}: 'name' is required, the key under which runs log it"
    yield from _unknown(where, metric, ("name", "goal", "target", "impute", "impute_while_running"))
    yield from _one_of(where, metric, "goal", ("minimize", "maximize"))
    yield from _one_of(where, metric, "impute", ("worst", "best", "latest"))
    yield from _one_of(where, metric, "impute_while_running", ("false", "worst", "best", "latest", False))
    if "target" in metric and not finite(metric["target"]):
        yield f"{where}: target {_show(metric['target'])} is not a number"


def _run_cap(config: Mapping[str, Any]) -> Iterator[str]:
    if "run_cap" in config and not (_integer(config["run_cap"]) and config["run_cap"] > 0):
        yield f"run_cap: {_show(config['run_cap'])} is not a whole number above 0"


def _early_terminate(config: Mapping[str, Any]) -> Iterator[str]:
    early = config.get("early_terminate")
    if early is None:
        return
    where = "early_terminate"
    if not isinstance(early, Mapping):
        yield f"{where}: {_show(early)} is not a mapping with a type"
        return
    if early.get("type") != "hyperband":
        yield f"{where}: type {_show(early.get('type'))} is not hyperband, the only one there is"
    if config.get("scheduler"):
        yield f"{where} and scheduler exclude each other: a scheduler stops runs itself"
    yield from _unknown(where, early, ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    if "min_iter" not in early and not ("max_iter" in early and "s" in early):
        yield f"{where}: either 'min_iter' or both 'max_iter' and 's' are required"
    for name in ("min_iter", "max_iter", "s"):
        if name in early and not (finite(early[name]) and early[name] == int(early[name]) and early[name] >= 1):
            yield f"{where}: {name} {_show(early[name])} is not a whole number of at least 1"
    if "eta" in early and not (finite(early["eta"]) and early["eta"] > 1):
        yield f"{where}: eta {_show(early['eta'])} is not a number above 1"
    if "strict" in early and not isinstance(early["strict"], bool):
        yield f"{where}: strict {_show(early['strict'])} is not true or false"


def _parameters(config: Mapping[str, Any]) -> Iterator[str]:
    scheduler = config.get("scheduler")
    if "parameters" not in config:
        if not (isinstance(scheduler, Mapping) and scheduler.get("search_space")):
            yield "'parameters' is required: what to search"
        return
    yield from _group("", config["parameters"], config.get("method"))


def _group(prefix: str, parameters: Any, method: Any) -> Iterator[str]:
    where = f"parameter {prefix[:-1]}" if prefix else "parameters"
    if not isinstance(parameters, Mapping) or not parameters:
        yield f"{where}: {_show(parameters)} is not a mapping with at least one parameter"
        return
    for name, spec in parameters.items():
        where = f"parameter {prefix}{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield f"{where}: a name starts with a letter or _ and goes on with letters, digits, _ . or -"
        if not isinstance(spec, Mapping):
            yield f"{where}: {_show(spec)} is not a mapping; a fixed value is written as value: {_show(spec)}"
        elif "parameters" in spec:
            yield from _unknown(where, spec, ("parameters",))
            yield from _group(f"{prefix}{name}.", spec["parameters"], method)
        else:
            yield from _parameter(where, spec, method)


def _parameter(where: str, spec: Mapping[str, Any], method: Any) -> Iterator[str]:
    name = distribution(spec)
    if name is None:
        yield f"{where}: needs value, values, min and max, or a distribution, not {_show(dict(spec))}"
        return
    if name not in _KEYS:
        yield f"{where}: distribution {_show(name)} is not one of {', '.join(sorted(_KEYS))}"
        return
    required, optional = _KEYS[name]
    for key in required:
        if key not in spec:
            yield f"{where}: '{key}' is required by {name}"
    yield from _unknown(where, spec, ("distribution", *required, *optional), name)
    if method == "grid" and name not in GRID_DISTRIBUTIONS:
        yield f"{where}: a grid cannot search {name}, only {', '.join(sorted(GRID_DISTRIBUTIONS))}"
    numbers = [key for key in ("min", "max", "mu", "sigma", "a", "b", "q") if key in spec]
    wrong = [key for key in numbers if not finite(spec[key])]
    yield from (f"{where}: {key} {_show(spec[key])} is not a number" for key in wrong)
    if not wrong:
        yield from _numbers(where, name, spec)
    if "values" in required and "values" in spec:
        yield from _values(where, spec)


def _numbers(where: str, name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    if name == "int_uniform":
        for key in _BOUNDS:
            if key in spec and not _integer(spec[key]):
                yield f"{where}: {key} {_show(spec[key])} is not a whole number, as int_uniform requires"
    if "min" in spec and "max" in spec and spec["min"] >= spec["max"]:
        yield f"{where}: min {_show(spec['min'])} is not less than max {_show(spec['max'])}"
    if name.endswith("_values") and "min" in spec and spec["min"] <= 0:
        yield f"{where}: min {_show(spec['min'])} of {name} is not above 0"
    if name in _EXPONENTS and any(abs(spec.get(key, 0)) > LARGEST_EXPONENT for key in _BOUNDS):
        yield f"{where}: min and max of {name} are exponents of e, and {_show(dict(spec))} leaves all number ranges"
    for key in ("a", "b", "q"):
        if key in spec and spec[key] <= 0:
            yield f"{where}: {key} {_show(spec[key])} is not above 0"
    if "sigma" in spec and spec["sigma"] < 0:
        yield f"{where}: sigma {_show(spec['sigma'])} is below 0"


def _values(where: str, spec: Mapping[str, Any]) -> Iterator[str]:
    values, weights = spec["values"], spec.get("probabilities")
    if not isinstance(values, list | tuple) or not values:
        yield f"{where}: values {_show(values)} is not a list with at least one value"
        return
    if weights is None:
        return
    if not isinstance(weights, list | tuple) or not all(finite(w) and w >= 0 for w in weights):
        yield f"{where}: probabilities {_show(weights)} is not a list of numbers of at least 0"
        return
    if len(weights) != len(values):
        yield f"{where}: {len(values)} values and {len(weights)} probabilities are not the same length"
    if not math.isclose(sum(weights), 1.0, rel_tol=1e-5):
        yield f"{where}: probabilities {_show(weights)} sum to {sum(weights):g}, not to 1"


def _unknown(where: str, given: Mapping[Any, Any], known: tuple[str, ...], of: str = "") -> Iterator[str]:
    for key in given:
        if key not in known:
            yield f"{where}: '{key}' is not a key{f' of {of}' if of else ''}; there are {', '.join(known)}"


def _one_of(where: str, given: Mapping[str, Any], key: str, allowed: tuple[Any, ...]) -> Iterator[str]:
    if key in given and given[key] not in allowed:
        yield f"{where}: {key} {_show(given[key])} is not one of {', '.join(a for a in allowed if isinstance(a, str))}"


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
