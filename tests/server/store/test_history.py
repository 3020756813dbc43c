"""What readers ask of a run's history."""

import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnist_sweep.server.store import Store, history, lines, projects, runs


@pytest.fixture
def run(store: Store) -> int:
    """A run with ten rows."""
    rows = [{"_step": step, "loss": 1 / (step + 1), "nested": {"x": step}} for step in range(10)]
    rows[3]["word"] = "three"  # type: ignore[assignment]
    rows[4]['a "quoted" word'] = 4
    with store.write() as db:
        key = runs.create(db, projects.ensure(db, "local", "p").id, "r", "running")
        lines.put(db, key, lines.HISTORY, 0, map(json.dumps, rows), 1)
    return key


def test_keys_have_types_and_last_values(store: Store, run: int) -> None:
    with store.read() as db:
        keys = store.history_keys.of(db, run)
    assert keys["lastStep"] == 9
    assert keys["keys"]["nested.x"] == {
        "typeCounts": [{"type": "number", "count": 10}], "monotonic": True, "previousValue": 9,
    }  # fmt: skip
    assert keys["keys"]["loss"]["monotonic"] is False
    assert keys["keys"]["word"]["typeCounts"] == [{"type": "string", "count": 1}]


def test_keys_are_of_all_kinds_and_go_on_from_page_to_page(store: Store) -> None:
    rows: list[dict[str, Any]] = [{"up": number // 300, "last": number < 999} for number in range(1000)]
    rows[10] |= {"up": "none", "mixed": {"deep": -5}}
    rows[500] |= {"mixed": {"_type": "table-file"}, "list": [1], "nil": None}
    rows[600] |= {"mixed": {"deep": {"er": -5.5}}}
    rows[999] |= {"up": 2}  # goes down
    with store.write() as db:
        run = runs.create(db, projects.ensure(db, "local", "p").id, "r", "running")
        lines.put(db, run, lines.HISTORY, 0, map(json.dumps, rows), 1)
    with store.read() as db:
        found = store.history_keys.of(db, run)
    assert found["lastStep"] == -1  # no row says its step
    told = {
        key: ({one["type"]: one["count"] for one in of["typeCounts"]}, of["monotonic"], of["previousValue"])
        for key, of in found["keys"].items()
    }
    assert told == {
        "up": ({"number": 999, "string": 1}, False, 2),
        "last": ({"boolean": 1000}, True, -1),
        "mixed": ({"table-file": 1}, True, -1),
        "mixed.deep": ({"number": 1}, True, -5),
        "mixed.deep.er": ({"number": 1}, True, -5.5),
        "list": ({"list": 1}, True, -1),
        "nil": ({"nil": 1}, True, -1),
    }


def test_keys_of_a_run_that_logs_on_are_read_on(store: Store, run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    read = lines.pages_from

    def noted(db: sqlite3.Connection, run_id: int, stream: str, start: int) -> Iterator[tuple[int, Any]]:
        starts.append(start)
        return read(db, run_id, stream, start)

    def asked() -> dict[str, Any]:
        with store.read() as db:
            found = store.history_keys.of(db, run)
            monkeypatch.setattr(lines, "pages_from", read)
            assert found == history.Keys(1).of(db, run)
            monkeypatch.setattr(lines, "pages_from", noted)
        return found

    monkeypatch.setattr(lines, "pages_from", noted)
    asked()
    with store.write() as db:
        lines.put(db, run, lines.HISTORY, 10, ['{"_step": 10, "loss": "none"}'], 2)
    assert asked()["keys"]["loss"]["typeCounts"] == [{"type": "number", "count": 10}, {"type": "string", "count": 1}]
    asked()
    assert starts == [0, 10, 11]
    with store.write() as db:
        lines.put(db, run, lines.HISTORY, 4, ['{"_step": 4, "other": 1}'], 3)  # sent again, changed
    assert asked()["keys"]["loss"]["typeCounts"][0]["count"] == 9
    with store.write() as db:
        lines.cut(db, run, 8)
    assert asked()["lastStep"] == 8
    with store.write() as db:
        lines.put(db, run, lines.HISTORY, 9, ['{"_step": 2.5, "loss": 7}', '{"_step": 2, "loss": 8}'], 3)
    assert asked()["keys"]["loss"]["previousValue"] == 8
    with store.write() as db:
        lines.sort(db, run)
    assert asked()["keys"]["loss"]["previousValue"] != 8
    assert starts[3:] == [0, 0, 9, 0]


def test_two_stores_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    found = []
    for key in ("loss", "accuracy"):
        store = Store(tmp_path / key)
        with store.write() as db:
            run = runs.create(db, projects.ensure(db, "local", "p").id, "r", "running")
            lines.put(db, run, lines.HISTORY, 0, [f'{{"_step": 0, "{key}": 1}}'], 2)
        with store.read() as db:
            keys = store.history_keys.of(db, run)
        found.append(sorted(keys["keys"]))
        store.close()
    assert found == [["_step", "loss"], ["_step", "accuracy"]]


@pytest.mark.parametrize(
    ("spec", "steps"),
    [
        ({}, list(range(10))),
        ({"samples": 4}, [0, 3, 6, 9]),
        ({"samples": 1}, [9]),
        ({"minStep": 2, "maxStep": 5}, [2, 3, 4]),
        ({"minStep": 2, "maxStep": 5, "samples": 4}, [2, 3, 4, 5]),  # a newer client, which counts the last step in
        ({"keys": ["_step", "word"]}, [3]),
        ({"keys": ["_step", "nested.x"], "samples": 2}, [0, 9]),
        ({"keys": ["_step", "nothing"]}, []),
        ({"keys": ["_step", 'a "quoted" word']}, [4]),
    ],
)
def test_rows_are_sampled_evenly_and_have_all_keys(store: Store, run: int, spec: object, steps: list[int]) -> None:
    assert isinstance(spec, dict)
    with store.read() as db:
        assert [row["_step"] for row in history.sampled(db, run, spec)] == steps


def test_lines_are_sampled_over_gaps_and_since_a_change(store: Store, run: int) -> None:
    with store.write() as db:
        lines.clear(db, run, lines.HISTORY, start=1, end=6)
        lines.put(db, run, lines.HISTORY, 8, ['{"_step": 8}', '{"_step": 9}', '{"_step": 10}'], version=2)

    def steps(number: int, **only: int) -> list[int]:
        with store.read() as db:
            return [json.loads(text)["_step"] for text in lines.sampled(db, run, lines.HISTORY, number, **only)]

    assert steps(100) == [0, 6, 7, 8, 9, 10]
    assert steps(3) == [0, 6, 10]
    assert steps(1) == [10]
    assert steps(2, since=1) == [8, 10]
    assert steps(2, min_step=6, max_step=10) == [6, 9]


def test_a_long_history_is_sampled_without_being_read_into_memory(store: Store) -> None:
    row = json.dumps({"loss": 0.5, "word": "w" * 200})
    with store.write() as db:
        key = runs.create(db, projects.ensure(db, "local", "p").id, "long", "running")
        lines.put(db, key, lines.HISTORY, 0, [row] * 20_000, version=1)
    with store.read() as db:
        tracemalloc.start()
        found = history.sampled(db, key, {"keys": ["loss"], "samples": 100})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert found == [{"loss": 0.5}] * 100
    assert peak < 500_000  # bytes; the rows have five million


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-31T09:30:00.125 said", ("2026-01-31T09:30:00.125", "info", "said")),
        ("ERROR 2026-01-31T09:30:00.125 said", ("2026-01-31T09:30:00.125", "error", "said")),
        ("no time", (None, "info", "no time")),
    ],
)
def test_a_line_of_the_console_is_taken_apart(text: str, shown: tuple[str | None, str, str]) -> None:
    line = history.console_line(7, text)
    assert (line["number"], line["timestamp"], line["level"], line["line"]) == (7, *shown)
