"""What was read and parsed, kept until it changes."""

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


class RunCache(Generic[Value]):
    """Values made of runs, in groups (a sweep's runs); a value is made again once its run has another version.

    Args:
        groups: how many groups are kept; of more, those asked for longest ago are forgotten.
    """

    def __init__(self, groups: int) -> None:
        self._lock = threading.Lock()
        self._groups: LRUCache[int, dict[int, tuple[int, Value]]] = LRUCache(groups)

    def of(self, group: int, versions: Iterable[tuple[int, int]], read: Callable[[int], Value]) -> list[Value]:
        """The values of a group's runs, given as pairs of row id and version, in that order.

        Args:
            read: makes the value of a run, by its row id.
        """
        with self._lock:
            before = self._groups.get(group, {})
            now = {}
            for key, version in versions:
                known = before.get(key)
                now[key] = known if known is not None and known[0] == version else (version, read(key))
            self._groups[group] = now
            return [value for _, value in now.values()]
