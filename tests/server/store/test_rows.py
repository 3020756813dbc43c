"""Rows of the database as typed records. Only known columns can be set: names become part of the statement."""

import sqlite3
from dataclasses import fields

import pytest

from mnist_sweep.server.errors import NotFound
from mnist_sweep.server.store import Store, projects, rows, runs, sweeps, views
from mnist_sweep.server.store.rows import Collection, Named, Project, Row, Run, Sweep, View

EVIL = "state = 'finished', name"


def test_each_class_has_the_columns_of_its_table(store: Store) -> None:
    classes = [found for found in vars(rows).values() if isinstance(found, type) and issubclass(found, Row)]
    with store.read() as db:
        for row in set(classes) - {Row, Named}:
            selected = db.execute(row.select).description
            assert {field.name for field in fields(row)} == {name for name, *_ in selected}, row


def test_rows_are_inserted_found_changed_and_deleted(store: Store) -> None:
    with store.write() as db:
        first, second = (Project.insert(db, entity="team", name=name, created_at="now") for name in "ab")
        assert Project.by_id(db, second) == Project(
            id=second, entity="team", name="b", description=None, created_at="now"
        )
        Project.set(db, first, description="x")
        assert Project.get(db, "team", "a").description == "x"
        assert [row.id for row in Project.all(db, "WHERE entity = ? ORDER BY id", "team")] == [first, second]
        Project.delete(db, first)
        assert Project.find(db, "team", "a") is None
        with pytest.raises(NotFound, match="no such project; it may have been deleted"):
            Project.by_id(db, first)


def test_a_missing_row_or_project_is_named_in_the_error(store: Store) -> None:
    with store.write() as db:
        projects.ensure(db, "team", "p")
        with pytest.raises(NotFound, match="no project 'q' of 'team'"):
            Project.get(db, "team", "q")
        for project in ("p", "q"):
            for row, noun in ((Run, "run"), (Sweep, "sweep"), (Collection, "artifact collection")):
                with pytest.raises(NotFound, match=f"no {noun} 'r' in team/{project}; it may have been deleted"):
                    row.get(db, "team", project, "r")


def test_an_unknown_column_is_a_bug_and_changes_nothing(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        run = runs.create(db, project, "r", "running")
        sweep = sweeps.create(db, project, "method: grid\nparameters: {x: {values: [1]}}")
        view = views.create(db, project, "runs", "v", "{}")
        for update, row in ((runs.update, run), (sweeps.update, sweep), (View.set, view)):
            with pytest.raises(ValueError, match="no column"):
                update(db, row, **{EVIL: "x"})
        with pytest.raises(ValueError, match="no column"):
            Run.insert(db, **{EVIL: "x"})
        with pytest.raises(sqlite3.OperationalError):
            runs.update(db, run, entity="x")  # a column of another table
        assert Run.by_id(db, run).state == "running"
        assert Sweep.by_id(db, sweep).state == "PENDING"
