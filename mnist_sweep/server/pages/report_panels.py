"""A report's grid of panels: find the runs that it names, and draw its panels from them."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mnist_sweep.review.page_data import Payload
from mnist_sweep.review.palette import SERIES
from mnist_sweep.review.panels import LINE_PLOT, draw, value
from mnist_sweep.review.records import RunRecord, number
from mnist_sweep.search.goal import Goal
from mnist_sweep.server import records
from mnist_sweep.server.pages import media as logged
from mnist_sweep.server.pages.report_blocks import Panel, RunMedia
from mnist_sweep.server.store import runs
from mnist_sweep.server.store.rows import Project, Run

MEDIA_RUNS = 8
LINE_RUNS = 100
"""A line plot reads the histories of at most this many runs; it draws ten unless it says more."""


@dataclass(frozen=True)
class ReportRun:
    """A run that a grid names."""

    row: Run
    record: RunRecord


@dataclass
class Drawings:
    """What the panels of a report draw, by the names that its page uses: figures, and media by run."""

    figures: Payload = field(default_factory=dict)
    run_media: Payload = field(default_factory=dict)

    def figure(self, drawn: Any) -> str:
        """Add a figure and return its name; empty for none."""
        if not drawn:
            return ""
        name = f"panel-{len(self.figures)}"
        self.figures[name] = drawn
        return name

    def add_media(self, run: ReportRun, keys: Payload) -> RunMedia:
        """Add the media of a run."""
        name = f"media-{len(self.run_media)}"
        self.run_media[name] = {"url": f"/api{run.record.url}", "keys": keys, "series": SERIES}
        return RunMedia(name=name, label=run.record.label)


def panels(db: sqlite3.Connection, project: Project, grid: Mapping[str, Any], drawings: Drawings) -> list[Panel]:
    """Return the panels of a grid in their order on the page, and add what they draw to `drawings`."""
    sets = [one for one in grid.get("runSets", ()) if one.get("enabled", True)]
    found: list[ReportRun] = []
    goal = Goal.MINIMIZE
    for one in sets:
        found += _runs(db, project, one)
        goal = Goal.MINIMIZE if all(ascending for _, ascending in _order(one)) else Goal.MAXIMIZE
    asked = grid.get("panelBankSectionConfig", {}).get("panels", ())
    placed = sorted(asked, key=lambda panel: tuple(panel.get("layout", {}).get(name, 0) for name in "yx"))
    return [_panel(db, panel, found, goal, drawings) for panel in placed]


def _panel(
    db: sqlite3.Connection, panel: Mapping[str, Any], found: list[ReportRun], goal: Goal, drawings: Drawings
) -> Panel:
    kind, settings = str(panel.get("viewType", "panel")), panel.get("config", {})
    width = _width(panel.get("layout", {}).get("w"))
    if kind == "Markdown Panel":
        return Panel(width=width, text=str(settings.get("value", "")))
    if kind == "Media Browser":
        run_media = _run_media(db, settings.get("mediaKeys", ()), found, drawings)
        return Panel(width=width, title="Media", media=run_media, text="These runs have logged no such media.")
    if kind == LINE_PLOT:
        runs_drawn = [records.record(db, run.row) for run in found[:LINE_RUNS]]
    else:
        runs_drawn = [run.record for run in found]
    drawn = draw(kind, settings, runs_drawn, goal)
    return Panel(
        width=width,
        title=drawn["title"],
        text=drawn.get("text", ""),
        figure=drawings.figure(drawn.get("figure")),
        parallel=drawings.figure(drawn.get("parallel")),
        columns=drawn.get("columns", ()),
        rows=drawn.get("rows", ()),
    )


def _run_media(
    db: sqlite3.Connection, keys: Sequence[str], found: list[ReportRun], drawings: Drawings
) -> list[RunMedia]:
    run_media = []
    for run in found[:MEDIA_RUNS]:
        media = {key: entries for key, entries in logged.of_run(db, run.row, run.record).items() if key in keys}
        if media:
            run_media.append(drawings.add_media(run, media))
    return run_media


def _runs(db: sqlite3.Connection, project: Project, one: Mapping[str, Any]) -> list[ReportRun]:
    """Return the runs of a set without their histories, filtered and sorted as the set says."""
    named = one.get("project", {})
    meant = Project.find(db, named.get("entityName") or project.entity, named.get("name") or project.name)
    if meant is None:
        return []
    conditions = _conditions(one.get("filters"))
    rows = runs.of_project(db, meant.id, limit=None)
    kept = [ReportRun(row, records.record(db, row, history=False)) for row in rows]
    kept = [run for run in kept if all(_admits(run, condition) for condition in conditions)]
    for key, ascending in reversed(_order(one)):
        known = [(number(value(run.record, key)), run) for run in kept]
        ordered = sorted((pair for pair in known if pair[0] is not None), key=lambda pair: pair[0] or 0.0)
        kept = [run for _, run in (ordered if ascending else ordered[::-1])]
        kept += [run for size, run in known if size is None]
    return kept


def _order(one: Mapping[str, Any]) -> list[tuple[str, bool]]:
    keys = one.get("sort", {}).get("keys", ())
    return [(_name(key.get("key", {})), bool(key.get("ascending"))) for key in keys]


def _conditions(tree: Any) -> list[Mapping[str, Any]]:
    """Return the conditions of a filter, all of which must hold. W&B nests them (`filters`) or lists them."""
    if not isinstance(tree, dict):
        return []
    if isinstance(inner := tree.get("filters"), list):
        return [one for each in inner for one in _conditions(each)]
    return [tree] if "key" in tree and not tree.get("disabled") else []


def _admits(run: ReportRun, condition: Mapping[str, Any]) -> bool:
    """Return whether a run meets a condition. A condition of an unknown kind admits every run."""
    name, op, wanted = _name(condition.get("key", {})), condition.get("op"), condition.get("value")
    own = {"run:sweep": run.row.sweep, "run:jobType": run.row.job_type, "run:group": run.row.run_group}
    has = own[name] if name in own else value(run.record, name)
    if op in ("=", "==", "!="):
        same = has == wanted or str(has) == str(wanted)
        return same if op != "!=" else not same
    if op in ("IN", "NIN") and isinstance(wanted, list):
        return (has in wanted) is (op == "IN")
    low, high = number(has), number(wanted)
    if op not in ("<", "<=", ">", ">=") or high is None:
        return True
    if low is None:
        return False
    return {"<": low < high, "<=": low <= high, ">": low > high, ">=": low >= high}[str(op)]


def _name(key: Mapping[str, Any]) -> str:
    return f"{key.get('section', 'summary')}:{key.get('name', '')}"


def _width(asked: Any) -> int:
    return min(max(asked, 6), 24) if isinstance(asked, int) else 8
