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
        """Return `values`, in the order of `parameters`, with the constants as the nested mapping of a run."""
        nested: dict[str, Any] = {}
        given = [*self.fixed.items(), *((p.path, v) for p, v in zip(self.parameters, values, strict=True))]
        for path, value in sorted(given, key=lambda leaf: leaf[0]):
            node = nested
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = value
        return nested

    def identity(self, params: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return what identifies a configuration: the keys of its searched values, or None if one is missing."""
        values = [value_at(params, p.path) for p in self.parameters]
        return None if any(v is _MISSING for v in values) else tuple(map(key, values))

    def identity_at(self, encoded: Sequence[float]) -> tuple[str, ...]:
        """Return the identity of an encoded configuration, one number per parameter."""
        return tuple(key(p.decode(x)) for p, x in zip(self.parameters, encoded, strict=True))


def value_at(params: Mapping[str, Any], path: Path) -> Any:
    """Return the value at `path` of nested `params`, or an object that equals no value if there is none."""
    node: Any = params
    for name in path:
        if not isinstance(node, Mapping) or name not in node:
            return _MISSING
        node = node[name]
    return node


def read(config: SweepConfig) -> Space:
    """Return the search space of a sweep."""
    parameters: list[Parameter] = []
    fixed: dict[Path, Any] = {}
    for path, spec in config.leaves:
        if isinstance(spec, Constant):
            fixed[path] = spec.value
        else:
            parameters.append(parameter(path, spec))
    return Space(tuple(parameters), fixed)
