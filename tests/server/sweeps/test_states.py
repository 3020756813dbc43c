"""One name for what a sweep and a run are doing, through all they go through."""

from typing import Any

import httpx

from mnist_sweep.server.store import Store, rows, runs
from mnist_sweep.server.sweeps.states import SweepStatus, run_status, sweep_progress
from tests.server.conftest import Ask
from tests.server.sweep_client import GRID, Sweep


def seen(store: Store) -> tuple[str, list[str]]:
    """What a person reads of the store's only sweep and of its runs."""
    with store.read() as db:
        sweep = rows.Sweep.by_id(db, db.execute("SELECT id FROM sweeps").fetchone()[0])
        return sweep_progress(db, sweep).text, [run_status(run).value for run in runs.of_sweep(db, sweep.id)]


def silence_agents(store: Store) -> None:
    with store.write() as db:
        db.execute("UPDATE agents SET heartbeat_at = '2000-01-01T00:00:00.000Z'")


def test_a_grid_from_its_creation_to_its_end(kept: Store, client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"run_cap": 2})
    assert seen(kept) == ("pending", [])
    agent = sweep.agent()
    assert seen(kept) == ("running", [])
    run, _ = sweep.draw(agent)
    assert seen(kept) == ("running", ["starting"])
    sweep.finish(run)
    assert seen(kept) == ("running", ["finished"])
    silence_agents(kept)
    assert seen(kept) == ("idle at 1 of 2 trials", ["finished"])
    run, _ = sweep.draw(agent)
    sweep.start(run)
    assert seen(kept) == ("running", ["finished", "running"])
    sweep.finish(run)
    assert seen(kept) == ("finished", ["finished", "finished"])


def test_pausing_stopping_and_canceling_say_what_still_runs(kept: Store, client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent, other = sweep.agent(), sweep.agent()
    first, second = sweep.draw(agent)[0], sweep.draw(other)[0]
    for run in (first, second):
        sweep.start(run)
    sweep.set("PAUSED")
    assert seen(kept)[0] == "pausing, 2 running"
    sweep.finish(first)
    sweep.finish(second)
    assert seen(kept)[0] == "paused at 2 of 3 trials"
    sweep.set("RUNNING")
    third, _ = sweep.draw(agent)
    sweep.start(third)
    sweep.set("CANCELED")
    assert seen(kept) == ("stopping, 1 running", ["finished", "finished", "stopping"])
    sweep.beat(agent, third)
    assert seen(kept) == ("canceled", ["finished", "finished", "killed"])


def test_a_person_stops_a_sweep_before_its_last_trial(kept: Store, client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    run, _ = sweep.draw(sweep.agent())
    sweep.start(run)
    sweep.set("FINISHED")
    assert seen(kept)[0] == "stopping, 1 running"
    sweep.finish(run)
    assert seen(kept)[0] == "stopped at 1 of 3 trials"


def test_what_waits_for_an_agent_is_queued(kept: Store, client: httpx.Client, ask: Ask) -> None:
    config: dict[str, Any] = {"method": "custom", "run_cap": 1, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    sweep = Sweep(client, ask, config)
    agent = sweep.agent()
    ask('mutation($id: ID!) { enqueueSweepRun(input: {id: $id, config: "{}"}) { id } }', id=sweep.id)
    assert sweep.look()["state"] == "FINISHED", "so the client's scheduler learns that it is done"
    assert seen(kept) == ("running", ["queued"])
    with kept.read() as db:
        progress = sweep_progress(db, rows.Sweep.by_id(db, db.execute("SELECT id FROM sweeps").fetchone()[0]))
    assert (progress.status, progress.active, progress.queued) == (SweepStatus.RUNNING, 0, 1)
    run, _ = sweep.draw(agent)
    sweep.start(run)
    sweep.stream(run, 1.0, preempting=True)
    assert seen(kept)[1] == ["stopping"]
    sweep.stream(run, complete=True, exitcode=75)
    assert seen(kept)[1] == ["preempted"]
