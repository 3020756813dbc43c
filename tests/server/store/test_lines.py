"""The numbered lines of a run."""

import sqlite3
from collections.abc import Sequence

import pytest

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import Store, lines, projects, runs


@pytest.fixture
def run(store: Store) -> int:
    with store.write() as db:
        return runs.create(db, projects.ensure(db, "local", "p").id, "r", "running")


def put(db: sqlite3.Connection, run: int, steps: Sequence[int], offset: int = 0, version: int = 1) -> None:
    lines.put(db, run, lines.HISTORY, offset, [f'{{"_step": {step}}}' for step in steps], version)


def steps(db: sqlite3.Connection, run: int) -> list[int]:
    return [row["_step"] for row in lines.rows(db, run, lines.HISTORY)]


def test_a_line_that_is_sent_again_replaces_the_stored_one(store: Store, run: int) -> None:
    with store.write() as db:
        put(db, run, [0, 1, 2])
        put(db, run, [10, 11], offset=1, version=2)
        assert steps(db, run) == [0, 10, 11]
        assert [row.line for row in lines.tail(db, run, lines.HISTORY, 9, since=1)] == [1, 2]
        assert lines.count(db, run, lines.HISTORY) == 3
        assert lines.last_step(db, run) == 11


@pytest.mark.parametrize(
    ("offset", "text"), [(0, "["), (0, "[]"), (-1, "{}"), (2**63, "{}"), (0, "NaN"), (0, '{"a": ' + "[" * 100_000)]
)
def test_what_is_no_line_is_refused(store: Store, run: int, offset: int, text: str) -> None:
    with store.write() as db, pytest.raises(BadRequest):
        lines.put(db, run, lines.HISTORY, offset, [text], 1)


def test_a_step_beyond_all_numbers_is_replaced_by_the_lines_number(store: Store, run: int) -> None:
    with store.write() as db:
        lines.put(db, run, lines.HISTORY, 7, [f'{{"_step": {2**70}}}'], 1)
        assert lines.last_step(db, run) == 7


def test_lines_are_paged_cleared_moved_and_sorted(store: Store, run: int) -> None:
    with store.write() as db:
        put(db, run, [5, 6, 1, 2, 3])
        assert [row.line for row in lines.page(db, run, lines.HISTORY, 1, 2)] == [2, 3]
        before = lines.fingerprint(db, run, lines.HISTORY, 5)
        lines.sort(db, run)
        assert steps(db, run) == [1, 2, 3, 5, 6]
        assert lines.fingerprint(db, run, lines.HISTORY, 5) != before
        lines.clear(db, run, lines.HISTORY, start=1, end=3)
        assert steps(db, run) == [1, 5, 6]
        lines.move(db, run, lines.HISTORY, 3, 1)
        assert lines.texts_at(db, run, lines.HISTORY, 1) == ['{"_step":5}']
        lines.cut(db, run, 5)
        assert steps(db, run) == [1, 5]


def test_missing_rows_are_copied_up_to_a_step(store: Store, run: int) -> None:
    with store.write() as db:
        child = runs.create(db, projects.ensure(db, "local", "p").id, "child", "running")
        put(db, run, [0, 1, 2, 3])
        put(db, child, [1])
        assert lines.copy(db, run, child, 2) == 2
        assert steps(db, child) == [1, 0, 2]
        assert lines.copy(db, run, child, 2) == 0


def test_neighbours_of_a_step_are_found(store: Store, run: int) -> None:
    with store.write() as db:
        put(db, run, [0, 2, 4])
        before, after = lines.around(db, run, 3, below=3)
        assert before is not None
        assert after is not None
        assert (before.step, after.step) == (2, 4)
        assert lines.around(db, run, 0, below=1)[0] is None
