"""Sweep files: read, checked against RunConfig before anything is created, and sampled for their feasible share."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mnist_sweep.config import ConfigError, OverBudgetError, RunConfig, parse, unknown_field

SAMPLES = 4_000
METHODS = ("grid", "random", "bayes")
_INTEGER = ("int_uniform", "q_uniform")
_EXPONENTS = ("log_uniform", "inv_log_uniform")
_BOUNDED = (
    *_INTEGER,
    *_EXPONENTS,
    "uniform",
    "log_uniform_values",
    "inv_log_uniform_values",
    "q_log_uniform_values",
    "beta",
)


class SweepFileError(ConfigError):
    """A sweep file that cannot be used; the message is one line a problem."""


@dataclass(frozen=True)
class Check:
    """What there is to say about a sweep file before it is used."""

    problems: list[str] = field(default_factory=list)
    feasible: float = math.nan
    """Share of the search space under the parameter limit, 0 … 1."""
    points: int | None = None
    """Size of a grid; None for the other methods."""


def load(path: Path) -> dict[str, Any]:
    """The sweep's configuration as a mapping. Raises SweepFileError where the file is not one."""
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SweepFileError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SweepFileError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise SweepFileError(f"{path}: a sweep file is a mapping with method, metric and parameters")
    return config


def check(config: Mapping[str, Any], *, seed: int = 0) -> Check:
    """Every problem of a sweep's configuration, and the share of its search space that fits the budget."""
    problems = [*_check_sweep(config)]
    parameters = config.get("parameters")
    if not isinstance(parameters, Mapping) or not parameters:
        return Check([*problems, "parameters: name at least one field of RunConfig and its range"])
    for name, spec in parameters.items():
        problems += _check_parameter(str(name), spec)
    if problems:
        return Check(problems)
    points = _grid(parameters) if config["method"] == "grid" else None
    fits = broken = 0
    rng = random.Random(seed)
    drawn = points or [draw(parameters, rng) for _ in range(SAMPLES)]
    for values in drawn:
        try:
            fits += not parse(values).baseline
        except OverBudgetError:
            pass
        except ConfigError as error:  # fields that are fine alone but not together
            broken += 1
            if broken == 1:
                problems.append(f"some points are invalid, for example: {error}")
    return Check(problems, fits / len(drawn), len(points) if points is not None else None)


def draw(parameters: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """One point of a (checked) search space, at random."""
    return {name: _draw(spec, rng) for name, spec in parameters.items()}


def _check_sweep(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("method") not in METHODS:
        yield f"method: {config.get('method')!r} is not one of {', '.join(METHODS)}"
    metric = config.get("metric")
    name = metric.get("name") if isinstance(metric, Mapping) else None
    if name is None and config.get("method") == "bayes":
        yield "metric: bayes needs a name and a goal"
    if isinstance(name, str) and name.startswith("test/"):
        yield f"metric: {name} is measured on the test images; select by val/accuracy"
    goal = metric.get("goal") if isinstance(metric, Mapping) else None
    if goal not in (None, "minimize", "maximize"):
        yield f"metric: goal {goal!r} is not minimize or maximize"


def _check_parameter(name: str, spec: Any) -> Iterator[str]:
    if name not in RunConfig.model_fields:
        yield f"parameters: {unknown_field(name)}"
        return
    if not isinstance(spec, Mapping):
        yield f"{name}: {spec!r} is not a range; write value:, values: or min: and max:"
        return
    if "parameters" in spec:
        yield f"{name}: nested parameters; RunConfig is flat"
        return
    if not {"value", "values", "min", "mu", "distribution"} & set(spec):
        yield f"{name}: no value:, values: or min: and max:"
        return
    distribution = _distribution(spec)
    if distribution not in ("constant", "categorical", "categorical_w_probabilities", *_BOUNDED):
        yield f"{name}: {distribution} has no bounds and can leave the field's range; use uniform or log_uniform_values"
        return
    values = list(_extremes(spec, distribution))
    adapter = _adapter(name)
    for value in values:
        if isinstance(value, str) and RunConfig.model_fields[name].annotation in (int, float):
            yield f"{name}: {value!r} is text to YAML, not a number (1e-4 needs a point: 1.0e-4)"
            continue
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            yield f"{name}: {value!r} {error.errors()[0]['msg'].removeprefix('Input ')}"
    if "min" in spec and all(isinstance(value, int | float) for value in values) and spec["min"] >= spec.get("max", 1):
        yield f"{name}: min {spec['min']} is not below max {spec.get('max')}"


def _adapter(name: str) -> TypeAdapter[Any]:
    info = RunConfig.model_fields[name]
    return TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]


def _distribution(spec: Mapping[str, Any]) -> str:
    """The distribution of a parameter, inferred as W&B infers it."""
    if "distribution" in spec:
        return str(spec["distribution"])
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    return "int_uniform" if isinstance(spec.get("min"), int) and isinstance(spec.get("max"), int) else "uniform"


def _extremes(spec: Mapping[str, Any], distribution: str) -> Iterator[Any]:
    """Values that a parameter can take and between which all others lie."""
    if distribution == "constant":
        yield spec.get("value")
    elif "values" in spec:
        yield from spec["values"]
    elif distribution == "beta":
        yield from (0.0, 1.0)
    else:
        for bound in (spec.get("min"), spec.get("max")):
            yield math.exp(bound) if distribution in _EXPONENTS and isinstance(bound, int | float) else bound


def _draw(spec: Mapping[str, Any], rng: random.Random) -> Any:
    distribution = _distribution(spec)
    if distribution == "constant":
        return spec["value"]
    if "values" in spec:
        return rng.choices(spec["values"], spec.get("probabilities"))[0]
    if distribution == "beta":
        return rng.betavariate(spec.get("a", 1), spec.get("b", 1))
    low, high = spec["min"], spec["max"]
    if distribution == "int_uniform":
        return rng.randint(low, high)
    if distribution == "q_uniform":
        step = spec.get("q", 1)
        return min(max(round(rng.uniform(low, high) / step) * step, low), high)
    if distribution in _EXPONENTS:
        return math.exp(rng.uniform(low, high))
    if "log" in distribution:
        return min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high)
    return rng.uniform(low, high)


def _grid(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    axes = [spec["values"] if "values" in spec else _steps(spec) for spec in parameters.values()]
    return [dict(zip(parameters, point, strict=True)) for point in itertools.product(*axes)]


def _steps(spec: Mapping[str, Any]) -> list[Any]:
    if "min" not in spec:
        return [spec["value"]]
    step = spec.get("q", 1)
    return [spec["min"] + step * i for i in range(int((spec["max"] - spec["min"]) / step) + 1)]
