"""What was parsed is kept until it changes."""

import threading
from concurrent.futures import ThreadPoolExecutor

from mnist_sweep.server.store.run_cache import RunCache


def test_only_what_changed_is_read_again() -> None:
    kept: RunCache[str] = RunCache(2)
    read: list[int] = []

    def value(key: int) -> str:
        read.append(key)
        return f"{key}"

    assert kept.of(1, [(5, 1), (3, 1)], value) == ["5", "3"]
    assert kept.of(1, [(3, 1), (5, 2)], value) == ["3", "5"]
    assert read == [5, 3, 5]


def test_the_group_asked_for_longest_ago_is_forgotten() -> None:
    kept: RunCache[int] = RunCache(2)
    read: list[int] = []

    def value(key: int) -> int:
        read.append(key)
        return key

    for group in (1, 2, 1, 3, 1, 2):
        kept.of(group, [(group, 0)], value)
    assert read == [1, 2, 3, 2]


def test_a_group_that_is_being_read_holds_up_no_other() -> None:
    kept: RunCache[int] = RunCache(2)
    begun, go_on = threading.Event(), threading.Event()

    def slow(key: int) -> int:
        begun.set()
        assert go_on.wait(20)
        return key

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.of, 1, [(1, 1)], slow)
        assert begun.wait(20)
        try:
            assert pool.submit(kept.of, 2, [(2, 1)], lambda key: key).result(timeout=20) == [2]
        finally:
            go_on.set()
        assert first.result() == [1]
