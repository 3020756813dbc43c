"""Only known columns can be set: names become part of the statement."""

import pytest

from mnist_sweep.server.store import Store, projects, runs, sweeps, views
from mnist_sweep.server.store.columns import set_columns

EVIL = "state = 'finished', name"


def test_columns_are_set(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p")
        set_columns(db, "projects", project["id"], {"description"}, {"description": "x"})
        assert projects.by_id(db, project["id"])["description"] == "x"


def test_an_unknown_column_is_a_bug_and_changes_nothing(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p")["id"]
        run = runs.create(db, project, "r", "running")
        sweep = sweeps.create(db, project, "method: grid\nparameters: {x: {values: [1]}}")
        view = views.create(db, project, "runs", "v", "{}")
        for update, row in ((runs.update, run), (sweeps.update, sweep), (views.update, view)):
            with pytest.raises(ValueError, match="no column"):
                update(db, row, **{EVIL: "x"})
        assert runs.by_id(db, run)["state"] == "running"
        assert sweeps.by_id(db, sweep)["state"] == "PENDING"
