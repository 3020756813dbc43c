"""Read a sweep file, check it against RunConfig, and estimate which share of its space is feasible.

`search` defines what a sweep file means. This module only checks what is special about RunConfig.
"""

import ast
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mnist_sweep import search
from mnist_sweep.config import (
    PARAMETER_LIMIT,
    ConfigError,
    OverBudgetError,
    RunConfig,
    known_fields,
    nearest_fields,
    parse,
    wrong_value,
)
from mnist_sweep.metrics import OBJECTIVE
from mnist_sweep.protocol import RETRY_CRASHED
from mnist_sweep.search import grid, sweep_yaml
from mnist_sweep.search.space import Space, read
from mnist_sweep.search.specs import Categorical, Constant

SAMPLES = 4_000


class SweepFileError(ConfigError):
    """A sweep file cannot be used. The message has one line for each problem."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of checking a sweep file."""

    problems: list[str] = field(default_factory=list)
    """Why the sweep cannot be run, one line each."""
    warnings: list[str] = field(default_factory=list)
    """What was read differently from how it is written, or may be unintended; one line each."""
    feasible: float = math.nan
    """Share of the search space under the parameter limit, 0 … 1; NaN if a scheduler's program decides it."""
    points: int | None = None
    """Size of a grid; None for the other methods."""
    limit: int = PARAMETER_LIMIT
    """The parameter limit; the highest one if the sweep varies it."""


def load(path: Path) -> dict[str, Any]:
    """Return the file's configuration.

    Raise SweepFileError if the file cannot be read or is not a sweep's configuration.
    """
    try:
        return sweep_yaml.read(path.read_text("utf-8"))
    except OSError as error:
        raise SweepFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SweepFileError(f"{path}: not YAML: {error}") from None
    except sweep_yaml.DocumentError as error:
        raise SweepFileError(f"{path}: {error}") from None


def check(config: Mapping[str, Any], *, seed: int = 0) -> Check:
    """Find every problem of a sweep's configuration, and the share of its search space that fits the budget."""
    problems = [*_check_use(config)]
    try:
        parsed = search.parse(config)
    except search.ConfigurationError as error:
        return Check(problems=problems + error.problems)
    warnings = search.warn(parsed, known=(RETRY_CRASHED,))
    space = read(parsed)
    problems = problems or [*_check_values(parsed, space)]
    if not problems and parsed.method == "custom":
        problems = [*_check_scheduler(parsed.scheduler)]
    size = search.grid_size(parsed)
    if problems or parsed.method == "custom":
        return Check(problems=problems, warnings=warnings, points=size)
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
    return Check(problems=problems, warnings=warnings, feasible=fits / len(drawn), points=size, limit=limit)


def _points(config: search.SweepConfig, space: Space, size: int | None, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield all points of a small grid, else SAMPLES random points."""
    if size is None:
        for _ in range(SAMPLES if space.parameters else 1):
            yield space.nest([parameter.draw(rng.random()) for parameter in space.parameters])
    else:
        axes = grid.axes_of(config)
        for number in range(size) if size <= SAMPLES else (rng.randrange(size) for _ in range(SAMPLES)):
            yield space.nest(grid.point(axes, number))


def _check_scheduler(scheduler: Any) -> Iterator[str]:
    """Check that a scheduler's functions exist. Their source is parsed, not executed."""
    scheduler = scheduler if isinstance(scheduler, Mapping) else {}
    source = str(scheduler.get("source"))
    names = [str(scheduler[key]) for key in ("search_space", "optimizer") if scheduler.get(key)]
    try:
        tree = ast.parse(Path(source).read_text("utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not Python: {error}"
        yield f"scheduler: {source} in {Path.cwd()}: {reason}"
        return
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if not names:
        yield f"scheduler: 'search_space' or 'optimizer' is required: a function of {source}"
    yield from (f"scheduler: {source} has no function {name}" for name in names if name not in defined)


def _check_use(config: Mapping[str, Any]) -> Iterator[str]:
    """Check what is valid for W&B but useless in this project."""
    metrics = config.get("metrics")
    for metric in (config.get("metric"), *(metrics if isinstance(metrics, list) else ())):
        name = metric.get("name") if isinstance(metric, Mapping) else None
        if isinstance(name, str) and name.startswith("test/"):
            yield f"metric: {name} is measured on the test images; use {OBJECTIVE}, measured on held-out images"
    parameters = config.get("parameters")
    far = []
    for name, spec in parameters.items() if isinstance(parameters, Mapping) else ():
        if name not in RunConfig.model_fields:
            if near := nearest_fields(str(name)):
                yield f"parameters: unknown field {name!r}: did you mean {', '.join(near)}?"
            else:
                far.append(repr(name))
        elif isinstance(spec, Mapping) and "parameters" in spec:
            yield f"{name}: has nested parameters, but the fields of RunConfig are flat"
    if far:
        yield f"parameters: unknown field{'s' * (len(far) > 1)} {', '.join(far)}; {known_fields()}"


def _check_values(config: search.SweepConfig, space: Space) -> Iterator[str]:
    """Check each listed value and both ends of each range; the other values lie between them."""
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
                if any(problem["loc"] == (name,) for problem in error.errors()):
                    yield wrong_value(name, value)
