"""Projects, by entity and name."""

import pytest

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import Store, projects, runs, sweeps

GRID = "method: grid\nparameters: {x: {values: [1]}}"


def test_a_project_is_created_once(store: Store) -> None:
    with store.write() as db:
        first = projects.ensure(db, "team", "p", "about")
        assert projects.ensure(db, "team", "p")["id"] == first["id"]
        assert projects.ensure(db, "other", "p")["id"] != first["id"]
        assert projects.get(db, "team", "p")["description"] == "about"
        assert [row["entity"] for row in projects.listing(db)] == ["other", "team"]
        assert [row["entity"] for row in projects.listing(db, "team")] == ["team"]


def test_a_missing_project_or_run_is_named_in_the_error(store: Store) -> None:
    with store.write() as db:
        projects.ensure(db, "team", "p")
        with pytest.raises(NotFound, match="no project 'q' of 'team'"):
            projects.get(db, "team", "q")
        for project in ("p", "q"):
            with pytest.raises(NotFound, match=f"no run 'r' in team/{project}"):
                runs.get(db, "team", project, "r")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a#b", "a?b", "a%b", "a:b", "a\nb", "x" * 129])
def test_a_name_that_no_address_can_hold_is_refused(store: Store, name: str) -> None:
    with store.write() as db, pytest.raises(BadRequest, match="not usable"):
        projects.ensure(db, "team", name)


def test_activity_counts_and_deletion_removes_everything(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "team", "p")["id"]
        assert projects.activity(db, project) == {"runs": 0, "active": None, "sweeps": 0}
        sweep = sweeps.create(db, project, GRID)
        run = runs.create(db, project, "r", "running", sweep_id=sweep)
        found = projects.activity(db, project)
        assert (found["runs"], found["sweeps"]) == (1, 1)
        assert found["active"] == runs.by_id(db, run)["updated_at"]
        projects.delete(db, project)
        with pytest.raises(NotFound):
            runs.by_id(db, run)
        with pytest.raises(NotFound):
            sweeps.by_id(db, sweep)
