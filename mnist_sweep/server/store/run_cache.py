"""A cache of what was read from runs, which is valid until the run changes."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


@dataclass
class _Group(Generic[Value]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    values: dict[int, tuple[int, Value]] = field(default_factory=dict)
    """Version and value, by row id."""


class RunCache(Generic[Value]):
    """Values computed from runs, in groups (a sweep's runs); a value is computed again once its run has a new version.

    Groups do not wait for each other while one of them is read from the database.

    Args:
        groups: how many groups are kept; the least recently used ones are dropped.
    """

    def __init__(self, groups: int) -> None:
        self._lock = threading.Lock()
        self._groups: LRUCache[int, _Group[Value]] = LRUCache(groups)

    def of(self, group: int, versions: Iterable[tuple[int, int]], read: Callable[[int], Value]) -> list[Value]:
        """Return the values of a group's runs, in the order of `versions`.

        Args:
            versions: row id and version of each run of the group.
            read: computes the value of a run from its row id.
        """
        with self._lock:
            known = self._groups.setdefault(group, _Group())
        with known.lock:
            before, known.values = known.values, {}
            for key, version in versions:
                kept = before.get(key)
                known.values[key] = kept if kept is not None and kept[0] == version else (version, read(key))
            return [value for _, value in known.values.values()]
