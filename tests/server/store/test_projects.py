"""Projects, by entity and name."""

import pytest

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.rows import Project, Run, Sweep

GRID = "method: grid\nparameters: {x: {values: [1]}}"


def test_a_project_is_created_once(store: Store) -> None:
    with store.write() as db:
        first = projects.ensure(db, "team", "p", "about")
        assert projects.ensure(db, "team", "p").id == first.id
        assert projects.ensure(db, "other", "p").id != first.id
        assert Project.get(db, "team", "p").description == "about"
        assert [row.entity for row in projects.listing(db)] == ["other", "team"]
        assert [row.entity for row in projects.listing(db, "team")] == ["team"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a#b", "a?b", "a%b", "a:b", "a\nb", "x" * 129])
def test_a_name_that_no_address_can_hold_is_refused(store: Store, name: str) -> None:
    with store.write() as db, pytest.raises(BadRequest, match="not usable"):
        projects.ensure(db, "team", name)


def test_activity_counts_and_deletion_removes_everything(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "team", "p").id
        assert projects.activity(db, project) == {"runs": 0, "active": None, "sweeps": 0}
        sweep = sweeps.create(db, project, GRID)
        run = runs.create(db, project, "r", "running", sweep_id=sweep)
        found = projects.activity(db, project)
        assert (found["runs"], found["sweeps"]) == (1, 1)
        assert found["active"] == Run.by_id(db, run).updated_at
        Project.delete(db, project)
        with pytest.raises(NotFound):
            Run.by_id(db, run)
        with pytest.raises(NotFound):
            Sweep.by_id(db, sweep)
