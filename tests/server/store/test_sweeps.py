"""Sweeps, their configurations and their agents."""

import pytest

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.rows import Agent, Run, Sweep

GRID = "method: grid\nparameters: {x: {values: [1, 2]}}"


def test_a_sweep_is_created_updated_and_deleted(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        key = sweeps.create(db, project, GRID, display_name="mine")
        row = Sweep.by_id(db, key)
        assert (row.state, row.display_name, row.project) == ("PENDING", "mine", "p")
        assert Sweep.get(db, "local", "p", row.name).id == key
        sweeps.update(db, key, state="PAUSED")
        with pytest.raises(BadRequest, match="no such sweep state"):
            sweeps.update(db, key, state="LOST")
        run = runs.create(db, project, "r", "finished", sweep_id=key)
        agent = sweeps.create_agent(db, key, "host")
        Sweep.delete(db, key)
        for gone in (lambda: Sweep.by_id(db, key), lambda: Agent.by_id(db, agent)):
            with pytest.raises(NotFound):
                gone()
        assert Run.by_id(db, run).sweep_id is None


def test_sweeps_are_listed_newest_first_and_filtered(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        old, new = (sweeps.create(db, project, GRID, display_name=name) for name in "ab")
        assert [row.id for row in sweeps.listing(db, project)] == [new, old]
        assert [row.id for row in sweeps.listing(db, project, '{"display_name": "a"}')] == [old]


@pytest.mark.parametrize("text", ["{", "method: [", "method: grid", "- 1"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        sweeps.parse_config(text)


def test_an_agent_is_superseded_by_a_later_start_of_its_task(store: Store) -> None:
    with store.write() as db:
        sweep = sweeps.create(db, projects.ensure(db, "local", "p").id, GRID)
        first = sweeps.create_agent(db, sweep, "host", "job_1", 0)
        other = sweeps.create_agent(db, sweep, "host", "job_2", 0)
        later = sweeps.create_agent(db, sweep, "host", "job_1", 1)
        superseded = {row.id: bool(row.superseded) for row in sweeps.agents(db, sweep)}
        assert superseded == {first: True, other: False, later: False}
