"""How runs begin, change and end."""

import sqlite3
from typing import Any

import pytest

from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_STOPPED
from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import Store, lines, projects, runs, sweeps
from mnist_sweep.server.store.rows import Run

ENVIRONMENT = {"_wandb": {"value": {"e": {"w": {"os": "Linux"}}}}}


def create(db: sqlite3.Connection, name: str, state: str = "running", **fields: Any) -> Run:
    project = projects.ensure(db, "local", "p").id
    return Run.by_id(db, runs.create(db, project, name, state, **fields))


def test_an_unnamed_run_gets_a_pronounceable_name(store: Store) -> None:
    with store.write() as db:
        first, second = create(db, "a"), create(db, "b", display_name="mine")
        assert first.display_name.endswith("-1")
        assert second.display_name == "mine"


def test_every_change_has_a_greater_number(store: Store) -> None:
    with store.write() as db:
        run = create(db, "a")
        assert runs.update(db, run.id, notes="x") == runs.version(db) == run.version + 1
        assert runs.update(db, run.id, runs.version(db), notes="y") == run.version + 1
        changed = runs.of_project(db, run.project_id, since=run.version)
        assert [row.notes for row in changed] == ["y"]
        assert runs.of_project(db, run.project_id, since=run.version + 1) == []


def test_an_unknown_state_is_refused(store: Store) -> None:
    with store.write() as db:
        run = create(db, "a")
        for change in (lambda: runs.update(db, run.id, state="lost"), lambda: create(db, "b", "lost")):
            with pytest.raises(BadRequest, match="no such run state: 'lost'"):
                change()


@pytest.mark.parametrize(
    ("state", "exit_code", "stop", "retries", "expected"),
    [
        ("running", 0, 0, 0, "finished"),
        ("running", 1, 0, 0, "failed"),
        ("running", EXIT_STOPPED, 0, 0, "killed"),
        ("running", 1, 1, 0, "killed"),
        ("running", 0, 1, 0, "finished"),
        ("preempting", 1, 0, 0, "preempted"),
        ("preempting", EXIT_NODE_UNFIT, 0, 2, "preempted"),
        ("preempting", EXIT_NODE_UNFIT, 0, runs.MAX_RETRIES, "failed"),
        ("preempting", 0, 0, 0, "finished"),
    ],
)
def test_the_exit_code_decides_how_a_run_ended(
    store: Store, state: str, exit_code: int, stop: int, retries: int, expected: str
) -> None:
    with store.write() as db:
        run = create(db, "a", state, stop_requested=stop, retries=retries)
    assert runs.ending(run, state, exit_code)["state"] == expected


def test_a_run_that_starts_over_drops_its_summary_and_a_resumed_one_keeps_it(store: Store) -> None:
    with store.write() as db:
        run = create(db, "a", "finished", started=1, summary={"x": 1}, exit_code=0)
        runs.begin_or_resume(db, run, None, resume=True)
        resumed = Run.by_id(db, run.id)
        assert (resumed.state, resumed.summary, resumed.exit_code) == ("running", '{"x":1}', None)
        runs.update(db, run.id, state="finished")
        runs.begin_or_resume(db, Run.by_id(db, run.id), None, resume=False)
        assert Run.by_id(db, run.id).summary == "{}"


def test_a_change_while_a_run_is_preempted_keeps_its_state_and_rows(store: Store) -> None:
    with store.write() as db:
        run = create(db, "a", "preempting", started=1, config=ENVIRONMENT)
        lines.put(db, run.id, lines.HISTORY, 0, ['{"x": 1}'], 1)
        runs.begin_or_resume(db, run, None, resume=False, config=ENVIRONMENT | {"lr": {"value": 1}})
        assert Run.by_id(db, run.id).state == "preempting"
        assert lines.count(db, run.id, lines.HISTORY) == 1


def test_runs_are_found_by_what_they_belong_to(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        sweep = sweeps.create(db, project, "method: grid\nparameters: {x: {values: [1]}}")
        agent = sweeps.create_agent(db, sweep, "host", "job_1", 2)
        mine = create(db, "a", sweep_id=sweep, agent_id=agent, job_type="train", run_group="g")
        ended = create(db, "b", "finished", sweep_id=sweep, job_type="confirm")
        assert [row.id for row in runs.of_sweep(db, sweep)] == [mine.id, ended.id]
        assert [row.id for row in runs.alive_at(db, agent)] == [mine.id]
        assert [row.id for row in runs.held_by(db, sweep, "job_1", 2)] == [mine.id]
        assert runs.held_by(db, sweep, "job_1", 1) == []
        assert [row.id for row in runs.of_job_types(db, project, ["confirm", "x"])] == [ended.id]
        assert runs.count(db, project) == 2
        assert runs.count(db, project, "g") == 1
        assert runs.count_unfinished(db, sweep) == (1, 0)
        runs.update(db, mine.id, state="finished")
        assert runs.count_unfinished(db, sweep) == (0, 0)
        Run.delete(db, mine.id)
        with pytest.raises(NotFound):
            Run.by_id(db, mine.id)


def test_a_configuration_is_read_without_the_clients_own_entries() -> None:
    text = '{"lr": {"value": 0.1}, "raw": 2, "wandb_version": 1, "_wandb": {"value": {"m": [1], "visualize": 3}}}'
    assert runs.plain_config(text) == {"lr": 0.1, "raw": 2}
    assert runs.defined_metrics(text) == [1]
    assert runs.charts(text) == runs.mask_classes(text) == {}
