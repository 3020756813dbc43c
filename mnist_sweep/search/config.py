"""Parse a sweep's configuration into a typed `SweepConfig`, or report every reason why that is impossible.

The rules are those of W&B's published schema (repository wandb/sweeps) and of its search engine. A violation of the
schema that the engine tolerates is a warning: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mnist_sweep.search.goal import Goal
from mnist_sweep.search.metric import finite
from mnist_sweep.search.repair import IMPUTE, repair
from mnist_sweep.search.specs import (
    SPECS,
    Number,
    Spec,
    Weighted,
    before,
    distribution,
    entry_error,
    integer,
    rule,
    show,
)

METHODS = ("grid", "random", "bayes", "custom")
GRID_DISTRIBUTIONS = frozenset({"constant", "categorical", "int_uniform", "q_uniform"})
FINITE_DISTRIBUTIONS = GRID_DISTRIBUTIONS | {"categorical_w_probabilities"}
_ABOUT = ("apiVersion", "kind", "name", "description", "entity", "project", "prior_runs", "run_cap")
_SEARCH = ("method", "metric", "metrics", "parameters", "early_terminate", "scheduler", "controller")
_PROGRAM = ("program", "command", "job", "image_uri")
TOP_LEVEL = (*_ABOUT, *_SEARCH, *_PROGRAM)
REPLICATE = "replicate"
"""Name of the parameter by which a sweep says that its runs are noisy and repeated."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_EXPONENTS = {name: f"{name}_values" for name in ("log_uniform", "inv_log_uniform", "q_log_uniform")}


class ConfigurationError(ValueError):
    """A sweep configuration cannot be run. `problems` holds all reasons, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def _one_of(*allowed: Any) -> PlainValidator:
    words = ", ".join(a for a in allowed if isinstance(a, str))
    return rule(lambda v: any(v is a or (v == a and type(v) is type(a)) for a in allowed), f"is not one of {words}")


def _node(value: Any) -> "Group | Spec":
    """Return the description of a parameter, or of a group of parameters."""
    if not isinstance(value, Mapping):
        raise entry_error(f"{show(value)} is not a mapping; a fixed value is written as value: {show(value)}")
    if "parameters" in value:
        return Group.model_validate(value)
    name = distribution(value)
    if name is None:
        raise entry_error(f"needs value, values, min and max, or a distribution, not {show(dict(value))}")
    if name not in SPECS:
        raise entry_error(f"distribution {show(name)} is not one of {', '.join(sorted(SPECS))}")
    return SPECS[name].model_validate({**value, "distribution": name})


_Name = Annotated[str, rule(lambda v: isinstance(v, str) and v != "", "a parameter's name is a text")]
_Parameters = Annotated[
    dict[_Name, Annotated[Any, PlainValidator(_node)]],
    before(lambda v: isinstance(v, Mapping) and len(v) > 0, "is not a mapping with at least one parameter"),
]
_Iterations = Annotated[
    int | float, rule(lambda v: finite(v) and v == int(v) and v >= 1, "is not a whole number of at least 1")
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(_Part):
    """The metric to optimise: the key under which runs log it, and its goal."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, rule(lambda v: isinstance(v, str) and v != "", "is not the name of a logged metric")]
    goal: Annotated[Goal, before(lambda v: v in tuple(Goal), f"is not one of {', '.join(Goal)}")] = Goal.MINIMIZE
    target: Number | None = None
    impute: Annotated[Literal["worst", "best", "latest"], _one_of(*IMPUTE)] = "worst"
    impute_while_running: Annotated[
        Literal["false", "worst", "best", "latest", False], _one_of("false", *IMPUTE, False)
    ] = "false"


_OBJECTIVE = before(lambda v: isinstance(v, Mapping), "is not a mapping with a name and a goal")


class Hyperband(_Part):
    """Rules for stopping runs early: `min_iter`, or `max_iter` with `s`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Annotated[
        Literal["hyperband"] | None, rule(lambda v: v == "hyperband", "is not hyperband, the only known type")
    ] = Field(None, validate_default=True)
    min_iter: _Iterations | None = None
    max_iter: _Iterations | None = None
    s: _Iterations | None = None
    eta: Annotated[float, rule(lambda v: finite(v) and v > 1, "is not a number above 1")] = 3
    strict: Annotated[bool, rule(lambda v: isinstance(v, bool), "is not true or false")] = True

    @model_validator(mode="after")
    def _has_brackets(self) -> Self:
        if self.min_iter is None and (self.max_iter is None or self.s is None):
            raise entry_error("either 'min_iter' or both 'max_iter' and 's' are required")
        return self


class Group(_Part):
    """A group of nested parameters."""

    parameters: _Parameters


class SweepConfig(BaseModel):
    """A sweep's configuration that can be run."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    method: Annotated[Literal["grid", "random", "bayes", "custom"], _one_of(*METHODS)]
    metric: Annotated[Metric | None, _OBJECTIVE] = None
    metrics: Annotated[
        tuple[Annotated[Metric, _OBJECTIVE], ...],
        before(lambda v: isinstance(v, list) and len(v) >= 2, "is not a list of two or more objectives"),
    ] = ()
    parameters: _Parameters = Field(default_factory=dict)
    early_terminate: Hyperband | None = None
    run_cap: Annotated[int, rule(lambda v: integer(v) and v > 0, "is not a whole number above 0")] | None = None
    scheduler: Any = None
    controller: Any = None
    name: Any = None
    program: Any = None
    _given: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    _repairs: list[str] = PrivateAttr(default_factory=list)

    @property
    def given(self) -> Mapping[str, Any]:
        """The whole configuration, repaired, with the keys that this model does not know."""
        return self._given

    @property
    def repeats_runs(self) -> bool:
        """Whether the sweep says that its runs are noisy, so that the search may repeat a configuration."""
        return REPLICATE in self.parameters

    @property
    def suggests(self) -> bool:
        """Whether the server searches. A scheduler or the user's own controller may do it instead."""
        local = isinstance(self.controller, Mapping) and self.controller.get("type") == "local"
        return self.method != "custom" and not local and self.scheduler is None

    @property
    def leaves(self) -> list[tuple[tuple[str, ...], Spec]]:
        """The paths and descriptions of all parameters, nested ones included, sorted by name at each level."""
        return list(_leaves(self.parameters, ()))


def _leaves(parameters: Mapping[str, Any], prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Spec]]:
    for name, node in sorted(parameters.items()):
        if isinstance(node, Group):
            yield from _leaves(node.parameters, (*prefix, name))
        else:
            yield (*prefix, name), node


def parse(config: Any) -> SweepConfig:
    """Return the configuration, repaired and typed.

    Raises:
        ConfigurationError: no engine can run it. The error holds all reasons.
    """
    if not isinstance(config, Mapping):
        raise ConfigurationError([f"a sweep configuration is a mapping of keys to values, not {show(config)}"])
    given, warnings = repair(config)
    if unusable := list(_unusable_early_termination(given)):
        warnings += [f"{line}; no run is stopped early" for line in unusable]
        given["early_terminate"] = None
    problems: list[str] = []
    try:
        parsed = SweepConfig.model_validate(given)
    except ValidationError as error:
        problems = [_line(given, details) for details in error.errors(include_url=False)]
    problems += _contradictions(given)
    if problems:
        raise ConfigurationError(problems)
    parsed._given, parsed._repairs = given, warnings
    return parsed


def _unusable_early_termination(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield why `early_terminate` cannot be used; W&B's engine then runs the sweep without it."""
    early = config.get("early_terminate")
    if early is None or config.get("scheduler"):
        return
    if "metric" not in config and "metrics" not in config:
        yield "early_terminate: needs 'metric', the name and goal of what to compare"
    if not isinstance(early, Mapping):
        yield f"early_terminate: {show(early)} is not a mapping with a type"
        return
    try:
        Hyperband.model_validate(early)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            details["loc"] = ("early_terminate", *details["loc"])
            yield _line(config, details)


def check(config: Any) -> list[str]:
    """Return all reasons why a sweep configuration cannot be run, one line each. A valid one has none."""
    try:
        parse(config)
    except ConfigurationError as error:
        return error.problems
    return []


def warn(config: SweepConfig, known: Sequence[str] = ()) -> list[str]:
    """Return warnings about a configuration that can be run, one line each.

    `known` are keys that W&B does not know, but the caller does.
    """
    unknown = [name for name in config.given if name not in (*TOP_LEVEL, *known)]
    lines = [f"'{name}' is not a key of a sweep and is ignored{_meant(name, TOP_LEVEL)}" for name in unknown]
    lines += config._repairs
    parts: tuple[tuple[str, type[BaseModel]], ...] = (("metric", Metric), ("early_terminate", Hyperband))
    for part, model in parts:
        given = config.given.get(part) or {}
        lines += [
            f"{part}: '{key}' is not a key and is ignored{_meant(key, model.model_fields)}"
            for key in given
            if key not in model.model_fields
        ]
    for path, spec in config.leaves:
        where = f"parameter {'.'.join(path)}"
        if not all(_NAME.fullmatch(name) for name in path):
            lines.append(f"{where}: W&B's schema wants a name of letters, digits, _, . and -, with no digit first")
        if isinstance(spec, Weighted) and not math.isclose(total := sum(spec.probabilities), 1.0, rel_tol=1e-5):
            lines.append(f"{where}: probabilities {show(spec.probabilities)} sum to {total:g} and are divided by that")
        if values := _EXPONENTS.get(spec.distribution):
            lines.append(
                f"{where}: the min and max of {spec.distribution} are exponents of e; {values} takes the limits"
            )
    if config.method == "bayes" and config.repeats_runs:
        lines.append(
            f"parameter {REPLICATE}: this name tells the search that runs are noisy "
            "and that a configuration may be trained again with another value of it"
        )
    return lines


def _required(given: Mapping[str, Any], key: str, why: str) -> str:
    """Return a line about a key that is missing from `given`, or about one that looks like it."""
    if near := get_close_matches(key, [name for name in given if name not in TOP_LEVEL], n=1):
        return f"'{near[0]}' is not a key: did you mean '{key}'?"
    return f"'{key}' is required{why}"


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f": did you mean '{near[0]}'?" if near else ""


def _contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield problems between keys, each of which may be valid alone."""
    method, early, scheduler = config.get("method"), config.get("early_terminate"), config.get("scheduler")
    if "metric" in config and "metrics" in config:
        yield "'metric' and 'metrics' exclude each other: one objective or several"
    elif method == "bayes" and "metric" not in config and "metrics" not in config:
        yield _required(config, "metric", " by method bayes: the name and goal of what to optimise")
    if "metrics" in config and method != "custom":
        yield f"'metrics' needs method custom, not {show(method)}"
    if early and scheduler:
        yield "early_terminate and scheduler exclude each other: a scheduler stops runs itself"
    if "parameters" not in config and not (isinstance(scheduler, Mapping) and scheduler.get("search_space")):
        yield _required(config, "parameters", ": what to search")
    if method == "grid":
        for where, name in _distributions(config.get("parameters"), ""):
            if name in SPECS and name not in GRID_DISTRIBUTIONS:
                yield f"parameter {where}: a grid cannot search {name}, only {', '.join(sorted(GRID_DISTRIBUTIONS))}"
    if method == "bayes" and (kind := _not_finite(config.get("parameters"), REPLICATE)):
        yield (
            f"parameter {REPLICATE}: method bayes needs a finite number of replicates, not {kind}: "
            "use values, or whole numbers as min and max"
        )


def _not_finite(parameters: Any, name: str) -> str:
    """Return what a parameter is if it has no finite list of values; empty for others, and for one that is invalid."""
    spec = parameters.get(name) if isinstance(parameters, Mapping) else None
    if not isinstance(spec, Mapping):
        return ""
    kind = distribution(spec)
    if "parameters" in spec:
        return "a group of parameters"
    return kind if kind in SPECS and kind not in FINITE_DISTRIBUTIONS else ""


def _distributions(parameters: Any, prefix: str) -> Iterator[tuple[str, str | None]]:
    for name, spec in parameters.items() if isinstance(parameters, Mapping) else ():
        if isinstance(spec, Mapping):
            nested = spec.get("parameters")
            yield from (
                _distributions(nested, f"{prefix}{name}.") if nested else ((f"{prefix}{name}", distribution(spec)),)
            )


def _line(config: Mapping[str, Any], error: ErrorDetails) -> str:
    """Return a violation as one line with its place, key, value and reason."""
    where, key, of = _place(config, error["loc"])
    kind, message = error["type"], f"{show(error['input'])} {error['msg']}"
    if kind == "missing":
        needed = {"method": f": one of {', '.join(METHODS)}", "name": ", the key under which runs log it"}
        message = _required(error["input"], key, needed.get(key) or f" by {of}")
    elif kind == "extra_forbidden":
        parts: dict[str, type[BaseModel]] = {"metric": Metric, "early_terminate": Hyperband, "group": Group, **SPECS}
        message = (
            f"'{key}' is not a key{f' of {of}' if of in SPECS else ''}; known are {', '.join(parts[of].model_fields)}"
        )
    elif kind == "entry" or key == "[key]":
        message = error["msg"]
    elif key:
        message = f"{key} {message}"
    return f"{where}: {message}" if where else message


def _place(config: Mapping[str, Any], loc: Sequence[int | str]) -> tuple[str, str, str]:
    """Return where an error is: the entry as people call it, the key in it, and the kind of entry."""
    head, *rest = (str(part) for part in loc)
    if head == "parameters" and rest:
        names, node = [rest.pop(0)], config[head]
        while len(rest) > 1 and rest[0] == "parameters":
            node = node[names[-1]]["parameters"]
            names.append(rest[1])
            del rest[:2]
        key = "" if rest == ["parameters"] else "".join(rest[:1])
        spec = node[names[-1]] if key not in ("", "[key]") else {}
        return f"parameter {'.'.join(names)}", key, "group" if "parameters" in spec else str(distribution(spec))
    if head == "metrics" and rest:
        return f"metrics[{rest[0]}]", "".join(rest[1:2]), "metric"
    if head in config:
        return head, "".join(rest[:1]), head
    return "", head, ""
