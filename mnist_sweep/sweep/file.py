"""Sweep files: read, checked against RunConfig before anything is created, and sampled for their feasible share.

What a sweep file means (distributions, grids, what is allowed where) is the search to say; only what is
special about RunConfig is checked here.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mnist_sweep import search
from mnist_sweep.config import PARAMETER_LIMIT, ConfigError, OverBudgetError, RunConfig, parse, unknown_field
from mnist_sweep.search import grid, sweep_yaml
from mnist_sweep.search.space import Space, read
from mnist_sweep.search.specs import Categorical, Constant

SAMPLES = 4_000


class SweepFileError(ConfigError):
    """A sweep file that cannot be used; the message is one line a problem."""


@dataclass(frozen=True)
class Check:
    """What there is to say about a sweep file before it is used."""

    problems: list[str] = field(default_factory=list)
    feasible: float = math.nan
    """Share of the search space under the parameter limit, 0 … 1; NaN where a scheduler's program decides it."""
    points: int | None = None
    """Size of a grid; None for the other methods."""
    limit: int = PARAMETER_LIMIT
    """The parameter limit; the highest one if the sweep varies it."""


def load(path: Path) -> dict[str, Any]:
    """The sweep's configuration as a mapping. Raises SweepFileError where the file is not one."""
    try:
        return sweep_yaml.read(path.read_text("utf-8"))
    except OSError as error:
        raise SweepFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SweepFileError(f"{path}: not YAML: {error}") from None
    except sweep_yaml.DocumentError as error:
        raise SweepFileError(f"{path}: {error}") from None


def check(config: Mapping[str, Any], *, seed: int = 0) -> Check:
    """Every problem of a sweep's configuration, and the share of its search space that fits the budget."""
    problems = [*_check_use(config)]
    try:
        parsed = search.parse(config)
    except search.ConfigurationError as error:
        return Check(problems + error.problems)
    space = read(parsed)
    problems = problems or [*_check_values(parsed, space)]
    if not problems and parsed.method == "custom":
        problems = [*_check_scheduler(parsed.scheduler)]
    size = search.grid_size(parsed)
    if problems or parsed.method == "custom":
        return Check(problems, points=size)
    drawn = [*_points(parsed, space, size, random.Random(seed))]
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
    limit = max(values.get("parameter_limit", PARAMETER_LIMIT) for values in drawn)
    return Check(problems, fits / len(drawn), size, limit)


def _points(config: search.SweepConfig, space: Space, size: int | None, rng: random.Random) -> Iterator[dict[str, Any]]:
    """A small grid whole, else SAMPLES points at random."""
    if size is None:
        for _ in range(SAMPLES if space.parameters else 1):
            yield space.nest([parameter.draw(rng.random()) for parameter in space.parameters])
    else:
        axes = grid.axes_of(config)
        for number in range(size) if size <= SAMPLES else (rng.randrange(size) for _ in range(SAMPLES)):
            yield space.nest(grid.point(axes, number))


def _check_scheduler(scheduler: Any) -> Iterator[str]:
    """Whether the functions that a scheduler asks are there: their source is read, and not run."""
    scheduler = scheduler if isinstance(scheduler, Mapping) else {}
    source = str(scheduler.get("source"))
    names = [str(scheduler[key]) for key in ("search_space", "optimizer") if scheduler.get(key)]
    try:
        tree = ast.parse(Path(source).read_text("utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not Python: {error}"
        yield f"scheduler: {source}, seen from {Path.cwd()}: {reason}"
        return
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if not names:
        yield f"scheduler: names no search_space and no optimizer of {source}"
    yield from (f"scheduler: no function {name} in {source}" for name in names if name not in there)


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


def _check_values(config: search.SweepConfig, space: Space) -> Iterator[str]:
    """Listed values one by one; of a range, the ends: all others lie between them."""
    searched = {parameter.path: parameter for parameter in space.parameters}
    for (name, *_), spec in config.leaves:
        if isinstance(spec, Constant):
            values = [spec.value]
        elif isinstance(spec, Categorical):
            values = [*spec.values]
        else:
            values = [searched[(name,)].draw(0.0), searched[(name,)].draw(1.0)]
        for value in values:
            try:
                RunConfig.model_validate({"over_budget": True, name: value})
            except ValidationError as error:
                for problem in error.errors():
                    if problem["loc"] == (name,):
                        yield f"{name}: {value!r} {problem['msg'].removeprefix('Input ')}"
