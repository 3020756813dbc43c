"""What was parsed is kept, for its own store, until it changes."""

from pathlib import Path

from mnist_sweep.server.store import Store, history, lines, projects, runs
from mnist_sweep.server.store.kept import Kept


def test_only_what_changed_is_read_again() -> None:
    kept: Kept[str] = Kept(2)
    read: list[int] = []

    def value(key: int) -> str:
        read.append(key)
        return f"{key}"

    assert kept.of(1, [(5, 1), (3, 1)], value) == ["5", "3"]
    assert kept.of(1, [(3, 1), (5, 2)], value) == ["3", "5"]
    assert read == [5, 3, 5]


def test_the_group_asked_for_longest_ago_is_forgotten() -> None:
    kept: Kept[int] = Kept(2)
    read: list[int] = []

    def value(key: int) -> int:
        read.append(key)
        return key

    for group in (1, 2, 1, 3, 1, 2):
        kept.of(group, [(group, 0)], value)
    assert read == [1, 2, 3, 2]


def test_two_stores_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    found = []
    for key in ("loss", "accuracy"):
        store = Store(tmp_path / key)
        with store.write() as db:
            run = runs.create(db, projects.ensure(db, "local", "p")["id"], "r", "running")
            lines.put(db, run, lines.HISTORY, 0, [f'{{"_step": 0, "{key}": 1}}'], 2)
        with store.read() as db:
            (keys,) = store.history_keys.of(run, [(run, 2)], lambda key, db=db: history.keys(db, key))  # type: ignore[misc]
        found.append(sorted(keys["keys"]))
        store.close()
    assert found == [["_step", "loss"], ["_step", "accuracy"]]
