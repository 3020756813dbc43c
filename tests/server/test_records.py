"""Sweeps and runs as the review needs them, from a real store."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime

import pytest

from mnist_sweep.search.goal import Goal
from mnist_sweep.server import records
from mnist_sweep.server.store import Store, lines, projects, runs, sweeps
from mnist_sweep.server.store.rows import Run, Sweep

CONFIG = "name: given\nmethod: bayes\nmetric: {name: acc, goal: maximize}\nparameters: {x: {min: 0, max: 1}}"


@pytest.fixture
def db(store: Store) -> Iterator[sqlite3.Connection]:
    with store.write() as db:
        project = projects.ensure(db, "my team", "p").id
        sweep = sweeps.create(db, project, CONFIG)
        for i, name in enumerate("abc"):
            config = {"x": {"value": i / 10}, "deep": {"value": {"y": 1}}}
            runs.create(db, project, name, "finished", sweep_id=sweep, config=config, summary={"acc": (5 + i) / 10})
        yield db


def the_sweep(db: sqlite3.Connection) -> Sweep:
    (sweep,) = sweeps.listing(db, projects.ensure(db, "my team", "p").id)
    return sweep


def test_a_sweep_is_described_by_its_configuration(db: sqlite3.Connection) -> None:
    sweep = the_sweep(db)
    found = records.info(sweep)
    assert (found.id, found.name, found.method, found.metric) == (sweep.name, "given", "bayes", "acc")
    assert found.goal is Goal.MAXIMIZE
    assert found.url == f"/my%20team/p/sweeps/{sweep.name}"


def test_a_run_has_flat_names_and_its_history(db: sqlite3.Connection) -> None:
    row = Run.get(db, "my team", "p", "a")
    version = runs.update(db, row.id, display_name="first", run_group="g", tags=["t"])
    lines.put(db, row.id, lines.HISTORY, 0, ['{"_step": 0, "v": {"loss": 1}}'], version)
    later = runs.update(db, row.id, notes="more")
    lines.put(db, row.id, lines.HISTORY, 1, ['{"_step": 1, "v": {"loss": 0.5}}'], later)
    row = Run.by_id(db, row.id)
    found = records.record(db, row)
    assert (found.id, found.name, found.group, found.tags) == ("a", "first", "g", ("t",))
    assert (found.config, found.summary) == ({"x": 0.0, "deep.y": 1}, {"acc": 0.5})
    assert [step["v.loss"] for step in found.history] == [1, 0.5]
    assert [step["v.loss"] for step in records.record(db, row, since=version).history] == [0.5]
    assert list(records.record(db, row, history=False).history) == []
    assert found.url == "/my%20team/p/runs/a"
    assert found.finished_at == datetime.fromisoformat(row.heartbeat_at)
    assert found.read_at is None


def test_a_running_run_has_not_finished_and_was_read_now(db: sqlite3.Connection) -> None:
    row = Run.get(db, "my team", "p", "a")
    runs.update(db, row.id, state="running")
    found = records.record(db, Run.by_id(db, row.id))
    assert found.finished_at is None
    assert found.read_at is not None


def test_the_best_run_is_found_without_histories(db: sqlite3.Connection) -> None:
    ranking, best = records.best(db, the_sweep(db))
    assert best is not None
    assert (best.id, [trial.id for trial in ranking.ranked]) == ("c", ["c", "b", "a"])


def test_a_ranking_follows_the_runs_that_change(store: Store, db: sqlite3.Connection) -> None:
    reviews, sweep = records.Reviews(store), the_sweep(db)
    before = {trial.id: trial.record for trial in reviews.ranking(db, sweep).trials}
    runs.update(db, Run.get(db, "my team", "p", "a").id, summary={"acc": 0.99})
    ranking = reviews.ranking(db, sweep)
    assert ranking.best is not None
    assert (ranking.best.id, ranking.best.value) == ("a", 0.99)
    kept = {trial.id: trial.record for trial in ranking.trials}
    assert [kept[name] is before[name] for name in "abc"] == [False, True, True]  # the others are not read again
    assert reviews.of(db, sweep).ranking.best == ranking.best


def test_finals_of_the_sweep_are_its_chain(db: sqlite3.Connection) -> None:
    sweep = the_sweep(db)
    assert records.chain(db, sweep).empty
    about = {"sweep": sweep.name, "metric": "acc", "claim": "acc"}
    state = {"round": 1, "rounds": 2, "entrants": 3, "missing": 4}
    runs.create(
        db, sweep.project_id, "f", "finished", job_type="finals", config={"finals": {"value": about}}, summary=state
    )
    finals = records.chain(db, sweep).finals
    assert finals is not None
    assert (finals.round, finals.rounds, finals.entrants) == (1, 2, 3)


def test_a_run_without_tables_has_no_media(store: Store, db: sqlite3.Connection) -> None:
    assert records.media_of(store, db, Run.get(db, "my team", "p", "a").id) is None
