"""The search space of a sweep: its parameters, nested or not, and its constants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_sweep.search.config import SweepConfig
from mnist_sweep.search.distributions import Parameter, Path, key, parameter
from mnist_sweep.search.specs import Constant

_MISSING = object()


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep, sorted by name level by level as W&B does; `fixed` holds the constants."""

    parameters: tuple[Parameter, ...]
    fixed: dict[Path, Any]

    def nest(self, values: Sequence[Any]) -> dict[str, Any]:
        """Values in the order of `parameters`, with the constants, as the nested dictionary a run receives."""
        nested: dict[str, Any] = {}
        given = [*self.fixed.items(), *((p.path, v) for p, v in zip(self.parameters, values, strict=True))]
        for path, value in sorted(given, key=lambda leaf: leaf[0]):
            node = nested
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = value
        return nested

    def identity(self, params: Mapping[str, Any]) -> tuple[str, ...] | None:
        """What tells a point from another: the keys of its searched values, or None if one is missing."""
        values = [value_at(params, p.path) for p in self.parameters]
        return None if any(v is _MISSING for v in values) else tuple(map(key, values))

    def identity_at(self, places: Sequence[float]) -> tuple[str, ...]:
        """The same of the point at `places`, one in 0 … 1 for each parameter."""
        return tuple(key(p.decode(place)) for p, place in zip(self.parameters, places, strict=True))


def value_at(params: Mapping[str, Any], path: Path) -> Any:
    """The value at `path` of nested `params`, or, where there is none, an object that is no parameter's value."""
    node: Any = params
    for name in path:
        if not isinstance(node, Mapping) or name not in node:
            return _MISSING
        node = node[name]
    return node


def read(config: SweepConfig) -> Space:
    """The search space of a sweep."""
    parameters: list[Parameter] = []
    fixed: dict[Path, Any] = {}
    for path, spec in config.leaves:
        if isinstance(spec, Constant):
            fixed[path] = spec.value
        else:
            parameters.append(parameter(path, spec))
    return Space(tuple(parameters), fixed)
