"""The data of open pages: what is new since a cursor, and nothing else."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from mnist_sweep.server.pages.page_data import PAUSE, Payloads, _objectives, _pause
from mnist_sweep.server.records import info
from mnist_sweep.server.store import Store, lines, projects, runs, sweeps
from mnist_sweep.server.store.rows import Run, Sweep

CONFIG = "method: random\nmetric: {name: loss}\nparameters: {x: {min: 0, max: 1}}"


@pytest.fixture
def db(store: Store) -> Iterator[sqlite3.Connection]:
    """A sweep with three finished runs, `a`, `b` and `c`, the first of which is best."""
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        sweep = sweeps.create(db, project, CONFIG)
        for i, name in enumerate("abc"):
            config = {"x": {"value": i / 10}}
            runs.create(db, project, name, "finished", sweep_id=sweep, config=config, summary={"loss": 0.1 + i / 10})
        yield db


def the_sweep(db: sqlite3.Connection) -> Sweep:
    (sweep,) = sweeps.listing(db, projects.ensure(db, "local", "p").id)
    return sweep


def test_a_sweeps_page_polls_from_the_cursor_of_its_data(store: Store, db: sqlite3.Connection) -> None:
    sweep = the_sweep(db)
    data = Payloads(store).sweep(db, sweep)
    address = f"/api/local/p/sweeps/{sweep.name}/review"
    assert data["live"] == {"url": address, "cursor": str(runs.version(db)), "every": PAUSE}
    assert data["compare_url"] == "/local/p/compare"
    assert sorted(row[0] for row in data["table"]["rows"]) == ["a", "b", "c"]


def test_news_of_a_sweep_are_the_runs_that_changed(store: Store, db: sqlite3.Connection) -> None:
    payloads, sweep = Payloads(store), the_sweep(db)
    data = payloads.sweep(db, sweep)
    cursor, state = int(data["live"]["cursor"]), data["state"]
    assert payloads.sweep_news(db, sweep, cursor, state) == {"cursor": str(cursor), "state": state, "every": PAUSE}
    runs.update(db, Run.get(db, "local", "p", "c").id, summary={"loss": 0.01})
    news = payloads.sweep_news(db, sweep, cursor, state)
    assert [row[0] for row in news["table"]["rows"]] == ["c"]
    assert set(news["order"]) == {"a", "b", "c"}
    assert news["ranks"]["c"] == 1
    assert int(news["cursor"]) > cursor
    assert "offered" not in news


def test_a_state_that_the_page_does_not_show_brings_its_buttons(store: Store, db: sqlite3.Connection) -> None:
    sweep = the_sweep(db)
    sweeps.update(db, sweep.id, state="PAUSED")
    news = Payloads(store).sweep_news(db, the_sweep(db), runs.version(db), "running")
    assert news["offered"] == ["resume", "stop", "cancel"]
    assert news["stats"]


def test_news_of_a_project_are_the_runs_that_changed(store: Store, db: sqlite3.Connection) -> None:
    payloads, project = Payloads(store), projects.ensure(db, "local", "p")
    cursor = int(payloads.project(db, project, None)["live"]["cursor"])
    assert set(payloads.project_news(db, project, None, cursor)) == {"cursor", "every"}
    runs.update(db, Run.get(db, "local", "p", "b").id, notes="new")
    assert [row[0] for row in payloads.project_news(db, project, None, cursor)["table"]["rows"]] == ["b"]
    assert set(payloads.project_news(db, project, "other group", cursor)) == {"cursor", "every"}


def test_curves_are_of_the_runs_that_were_asked_for(store: Store, db: sqlite3.Connection) -> None:
    project = projects.ensure(db, "local", "p")
    for name in "ab":
        run = Run.get(db, "local", "p", name)
        rows = [f'{{"_step": {step}, "loss": {1 / (step + 1)}}}' for step in range(2)]
        lines.put(db, run.id, lines.HISTORY, 0, rows, runs.update(db, run.id, notes="logged"))
    payloads = Payloads(store)
    found = payloads.project_curves(db, project, ["loss", "none"], "_step", ["a", "missing"], 0)
    assert list(found["loss"]) == ["a"]
    assert found["loss"]["a"]["y"] == [1.0, 0.5]
    assert found["none"] == {}
    assert payloads.project_curves(db, project, ["loss"], "_step", ["a"], runs.version(db)) == {"loss": {}}


def test_a_run_that_logged_nothing_new_is_only_a_cursor(store: Store, db: sqlite3.Connection) -> None:
    run, sweep = Run.get(db, "local", "p", "a"), the_sweep(db)
    payloads, cursor = Payloads(store), runs.version(db)
    assert payloads.run_news(db, run, sweep, cursor) == {"cursor": str(cursor)}
    assert {"stats", "figures", "log", "facts"} <= set(payloads.run_news(db, run, sweep, 0))


def test_a_run_keeps_its_colour_on_all_pages_and_trials_of_a_sweep_differ(store: Store, db: sqlite3.Connection) -> None:
    project = projects.ensure(db, "local", "q")
    sweep = Sweep.by_id(db, sweeps.create(db, project.id, CONFIG))
    for number in range(4):
        runs.create(db, project.id, f"t{number}", "running", sweep_id=sweep.id, trial=number)
        runs.create(db, project.id, f"other{number}", "running")

    def colours(data: dict[str, Any]) -> dict[str, str]:
        return {row[0]: row[2] for row in data["table"]["rows"]}

    payloads = Payloads(store)
    first = colours(payloads.sweep(db, sweep))
    assert len({*first.values()}) == 4
    rows = runs.of_sweep(db, sweep.id)
    assert colours(payloads.compare(db, project, rows, sweep)) == first
    assert first.items() <= colours(payloads.project(db, project, None)).items()
    runs.create(db, project.id, "late", "running", sweep_id=sweep.id, trial=4)
    assert first.items() <= colours(payloads.sweep(db, sweep)).items()


def test_a_comparison_selects_its_runs(store: Store, db: sqlite3.Connection) -> None:
    rows = [Run.get(db, "local", "p", name) for name in "ba"]
    data = Payloads(store).compare(db, projects.ensure(db, "local", "p"), rows, the_sweep(db))
    assert data["selected"] == ["b", "a"]
    assert data["workspace"]["url"] == "/api/local/p/curves"


def test_the_objectives_of_sweeps_are_their_metrics(db: sqlite3.Connection) -> None:
    assert _objectives([info(the_sweep(db))]) == ["loss"]


def test_a_slow_answer_is_asked_for_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_sweep.server.pages.page_data.time.perf_counter", lambda: 100.0)
    assert _pause(99.9) == PAUSE
    assert _pause(99.0) == pytest.approx(10.0)
