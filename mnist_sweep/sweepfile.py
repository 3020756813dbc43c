"""Sweep files: read, checked against RunConfig before anything is created, and sampled for their feasible share.

What a sweep file means (distributions, grids, what is allowed where) is the search to say; only what is
special about RunConfig is checked here.
"""

from __future__ import annotations

import math
import random
import runpy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mnist_sweep import search
from mnist_sweep.config import ConfigError, OverBudgetError, RunConfig, parse, unknown_field
from mnist_sweep.search import grid
from mnist_sweep.search.space import Space, read

SAMPLES = 4_000
SCHEDULED_SAMPLES = 300


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
    problems = [*_check_use(config), *search.check(config)]
    if problems:
        return Check(problems)
    space = read(config)
    problems = [problem for name, spec in config["parameters"].items() for problem in _check_values(name, spec, space)]
    if problems:
        return Check(problems)
    size = search.grid_size(config)
    try:
        custom = config["method"] == "custom"
        drawn = [*(_scheduled(config, seed) if custom else _points(config, space, size, random.Random(seed)))]
    except SweepFileError as error:
        return Check([str(error)])
    fits = broken = 0
    for values in drawn:
        try:
            fits += not parse(values).baseline
        except OverBudgetError:
            pass
        except ConfigError as error:  # fields that are fine alone but not together, or not between their bounds
            broken += 1
            if broken == 1:
                problems.append(f"some points are invalid, for example: {error}")
    return Check(problems, fits / len(drawn), size)


def _points(config: Mapping[str, Any], space: Space, size: int | None, rng: random.Random) -> Iterator[dict[str, Any]]:
    """A small grid whole, else SAMPLES points at random."""
    if size is None:
        for _ in range(SAMPLES if space.parameters else 1):
            yield space.nest([parameter.draw(rng.random()) for parameter in space.parameters])
    else:
        axes = grid.axes_of(config)
        for number in range(size) if size <= SAMPLES else (rng.randrange(size) for _ in range(SAMPLES)):
            yield space.nest(grid.point(axes, number))


def _scheduled(config: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Points of a scheduler's search space: the function that `scheduler` names, asked at random."""
    import optuna

    scheduler = config.get("scheduler") or {}
    source, name = str(scheduler.get("source")), str(scheduler.get("search_space"))
    try:
        function = runpy.run_path(source)[name]
    except (OSError, KeyError) as error:
        raise SweepFileError(f"scheduler: no function {name} in {source}, seen from {Path.cwd()} ({error})") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for _ in range(SCHEDULED_SAMPLES):
        yield dict(function(study.ask()))


def _check_use(config: Mapping[str, Any]) -> Iterator[str]:
    """What W&B would allow and this project has no use for."""
    metrics = config.get("metrics")
    for metric in (config.get("metric"), *(metrics if isinstance(metrics, list) else ())):
        name = metric.get("name") if isinstance(metric, Mapping) else None
        if isinstance(name, str) and name.startswith("test/"):
            yield f"metric: {name} is measured on the test images; select by val/accuracy"
    parameters = config.get("parameters")
    for name, spec in parameters.items() if isinstance(parameters, Mapping) else ():
        if name not in RunConfig.model_fields:
            yield f"parameters: {unknown_field(str(name))}"
        elif isinstance(spec, Mapping):
            if "parameters" in spec:
                yield f"{name}: nested parameters; RunConfig is flat"
            yield from _check_text(name, spec)


def _check_text(name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    if RunConfig.model_fields[name].annotation not in (int, float):
        return
    listed = spec.get("values")
    for value in (spec.get("value"), spec.get("min"), spec.get("max"), *(listed if isinstance(listed, list) else ())):
        if isinstance(value, str):
            yield f"{name}: {value!r} is text to YAML, not a number (1e-4 needs a point: 1.0e-4)"


def _check_values(name: str, spec: Mapping[str, Any], space: Space) -> Iterator[str]:
    """Listed values one by one; of a range, the ends: all others lie between them."""
    if "value" in spec or "values" in spec:
        values = spec["values"] if "values" in spec else [spec["value"]]
    else:
        parameter = next(parameter for parameter in space.parameters if parameter.path == (name,))
        values = [parameter.draw(0.0), parameter.draw(1.0)]
    info = RunConfig.model_fields[name]
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]
    for value in values:
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            yield f"{name}: {value!r} {error.errors()[0]['msg'].removeprefix('Input ')}"
