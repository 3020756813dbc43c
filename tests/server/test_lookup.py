"""What an address names."""

import sqlite3
from collections.abc import Callable

import pytest
from starlette.requests import Request

from mnist_sweep.server import lookup
from mnist_sweep.server.errors import NotFound
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.rows import Sweep

GRID = "method: grid\nparameters: {x: {values: [1]}}"


def request(**named: str) -> Request:
    return Request({"type": "http", "path_params": named})


def test_addresses_name_projects_sweeps_and_runs(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "team", "p").id
        sweep = Sweep.by_id(db, sweeps.create(db, project, GRID))
        run = runs.create(db, project, "r", "running")
        place = {"entity": "team", "project": "p"}
        assert lookup.project(db, request(**place)).id == project
        assert lookup.sweep(db, request(**place, sweep=sweep.name)).id == sweep.id
        assert lookup.run(db, request(**place, run="r")).id == run


@pytest.mark.parametrize("find", [lookup.project, lookup.sweep, lookup.run])
def test_what_does_not_exist_is_not_found(store: Store, find: Callable[[sqlite3.Connection, Request], object]) -> None:
    with store.write() as db:
        projects.ensure(db, "team", "p")
        with pytest.raises(NotFound):
            find(db, request(entity="team", project="none", sweep="none", run="none"))
