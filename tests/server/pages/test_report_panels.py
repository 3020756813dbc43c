"""A report's grid of panels: which runs it names, in which order, and what its panels become."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from mnist_sweep.server.pages.report_blocks import Panel
from mnist_sweep.server.pages.report_panels import Drawings, panels
from mnist_sweep.server.store import Store, projects, runs

LOSSES = {"a": 0.3, "b": 0.1, "c": 0.2, "d": None}
SCALAR = {"viewType": "Scalar Chart", "config": {"metrics": ["summary:loss"]}}


@pytest.fixture
def db(store: Store) -> Iterator[sqlite3.Connection]:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        for name, loss in LOSSES.items():
            about: dict[str, Any] = {"summary": {} if loss is None else {"loss": loss}, "job_type": f"job-{name}"}
            runs.create(db, project, name, "finished", display_name=f"run {name}", run_group="g", **about)
        yield db


def drawn(db: sqlite3.Connection, *asked: dict[str, Any], **run_set: Any) -> tuple[list[Panel], Drawings]:
    project = projects.ensure(db, "local", "p")
    grid = {"runSets": [run_set], "panelBankSectionConfig": {"panels": list(asked)}}
    drawings = Drawings()
    return panels(db, project, grid, drawings), drawings


def condition(section: str, name: str, op: str, value: Any) -> dict[str, Any]:
    return {"filters": {"filters": [{"key": {"section": section, "name": name}, "op": op, "value": value}]}}


def compared(db: sqlite3.Connection, **run_set: Any) -> list[str]:
    """Return the names of the runs that a comparison shows, in its order."""
    ((panel,), _) = drawn(db, {"viewType": "Run Comparer", "config": {}}, **run_set)
    return [column.removeprefix("run ") for column in panel.columns[1:]]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (condition("run", "displayName", "=", "run b"), "b"),
        (condition("run", "displayName", "!=", "run b"), "acd"),
        (condition("run", "jobType", "IN", ["job-a", "job-c"]), "ac"),
        (condition("run", "jobType", "NIN", ["job-a", "job-c"]), "bd"),
        (condition("summary", "loss", "<=", 0.2), "bc"),
        (condition("summary", "loss", ">", 0.2), "a"),
        (condition("summary", "loss", ">", "much"), "abcd"),
        (condition("run", "group", "=", "other"), ""),
        (condition("summary", "loss", "~", 1), "abcd"),
        ({"filters": {"key": {"section": "run", "name": "name"}, "op": "=", "value": "a", "disabled": True}}, "abcd"),
        ({"project": {"name": "missing"}}, ""),
        ({"enabled": False}, ""),
    ],
    ids=str,
)
def test_a_set_of_runs_is_filtered(db: sqlite3.Connection, filters: dict[str, Any], names: str) -> None:
    assert sorted(compared(db, **filters)) == sorted(names)


@pytest.mark.parametrize(("ascending", "names"), [(True, "bcad"), (False, "acbd")])
def test_a_set_of_runs_is_sorted_and_runs_without_the_value_come_last(
    db: sqlite3.Connection, ascending: bool, names: str
) -> None:
    key = {"key": {"section": "summary", "name": "loss"}, "ascending": ascending}
    assert "".join(compared(db, sort={"keys": [key]})) == names


def test_panels_stand_in_their_places_with_a_width_that_fits(db: sqlite3.Connection) -> None:
    def text(value: str, **layout: Any) -> dict[str, Any]:
        return {"viewType": "Markdown Panel", "config": {"value": value}, "layout": layout}

    found, _ = drawn(
        db, text("third", x=0, y=6, w=99), text("second", x=8, y=0, w=1), text("first", x=0, y=0), text("last", y=7)
    )
    assert [(panel.text, panel.width) for panel in found] == [("first", 8), ("second", 6), ("third", 24), ("last", 8)]


def test_a_figure_is_kept_under_the_name_that_its_panel_has(db: sqlite3.Connection) -> None:
    bars = {"viewType": "Bar Chart", "config": {"metrics": ["loss"]}}
    (first, second), drawings = drawn(db, bars, bars)
    assert [first.figure, second.figure] == list(drawings.figures) == ["panel-0", "panel-1"]
    assert drawings.figures["panel-0"]["data"]


def test_an_unknown_panel_is_a_text_that_says_so(db: sqlite3.Connection) -> None:
    ((panel,), drawings) = drawn(db, {"viewType": "Hologram"})
    assert panel.text == "Hologram: this server does not draw such panels."
    assert (panel.figure, drawings.figures) == ("", {})


def test_a_report_sees_more_runs_than_a_page_shows(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        for number in range(1001):
            about: dict[str, Any] = {"summary": {"loss": float(number)}}
            runs.create(db, project, f"r{number}", "finished", display_name=f"run {number}", **about)
        ((panel,), _) = drawn(db, SCALAR, **condition("run", "displayName", "=", "run 0"))
    assert panel.text == "loss: 0 (the first of 1 runs)"
