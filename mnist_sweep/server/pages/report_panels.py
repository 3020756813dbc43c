"""A report's grid of panels: the runs that it names, and what each of its panels shows of them."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from mnist_sweep.review.panels import LINE_PLOT, draw, value
from mnist_sweep.review.records import RunRecord, number
from mnist_sweep.search.goal import Goal
from mnist_sweep.server import records
from mnist_sweep.server.pages import media as logged
from mnist_sweep.server.store import projects, runs

MEDIA_RUNS = 8
LINE_RUNS = 100
"""Of so many runs the histories are read for a line plot; it draws ten unless it says more."""
Shown = dict[str, Any]
Held = tuple[sqlite3.Row, RunRecord]


def panels(db: sqlite3.Connection, project: sqlite3.Row, metadata: Mapping[str, Any]) -> list[Shown]:
    """What the panels of a grid show, in their order on the page, each with the `width` it asks for (of 24)."""
    sets = [one for one in metadata.get("runSets") or () if isinstance(one, dict) and one.get("enabled", True)]
    found: list[Held] = []
    goal = Goal.MINIMIZE
    for one in sets:
        found += _runs(db, project, one)
        goal = Goal.MINIMIZE if all(ascending for _, ascending in _order(one)) else Goal.MAXIMIZE
    asked = (metadata.get("panelBankSectionConfig") or {}).get("panels") or ()
    places = [(panel, panel.get("layout") or {}) for panel in asked if isinstance(panel, dict)]
    places.sort(key=lambda place: (place[1].get("y", 0), place[1].get("x", 0)))
    return [_panel(db, panel, found, goal) | {"width": _width(place.get("w"))} for panel, place in places]


def _panel(db: sqlite3.Connection, panel: Shown, found: list[Held], goal: Goal) -> Shown:
    kind, settings = str(panel.get("viewType", "panel")), panel.get("config") or {}
    if kind == "Markdown Panel":
        return {"title": "", "text": str(settings.get("value", ""))}
    if kind == "Media Browser":
        keys = set(settings.get("mediaKeys") or ())
        media = []
        for row, record in found[:MEDIA_RUNS]:
            held = {key: shown for key, shown in logged.of_run(db, row, record).items() if key in keys}
            if held:
                media.append({"label": record.label, "url": f"/api{record.url}", "keys": held})
        return {"title": "Media"} | ({"media": media} if media else {"text": "These runs have logged no such media."})
    if kind == LINE_PLOT:
        return draw(kind, settings, [records.record(db, row) for row, _ in found[:LINE_RUNS]], goal)
    return draw(kind, settings, [record for _, record in found], goal)


def _runs(db: sqlite3.Connection, project: sqlite3.Row, one: Mapping[str, Any]) -> list[Held]:
    """The runs of a set without their histories, filtered and sorted as it says."""
    named = one.get("project") or {}
    meant = projects.find(db, named.get("entityName") or project["entity"], named.get("name") or project["name"])
    if meant is None:
        return []
    conditions = _conditions(one.get("filters"))
    kept = [(row, records.record(db, row, history=False)) for row in runs.of_project(db, meant["id"], limit=None)]
    kept = [held for held in kept if all(_admits(held, condition) for condition in conditions)]
    for name, ascending in reversed(_order(one)):
        known = [(number(value(record, name)), (row, record)) for row, record in kept]
        ordered = sorted((pair for pair in known if pair[0] is not None), key=lambda pair: pair[0] or 0.0)
        kept = [held for _, held in (ordered if ascending else ordered[::-1])]
        kept += [held for size, held in known if size is None]
    return kept


def _order(one: Mapping[str, Any]) -> list[tuple[str, bool]]:
    keys = (one.get("sort") or {}).get("keys") or ()
    return [(_name(key.get("key") or {}), bool(key.get("ascending"))) for key in keys if isinstance(key, dict)]


def _conditions(tree: Any) -> list[Shown]:
    """The conditions of a filter, all of which must hold; W&B nests them (`filters`) or lists them."""
    if not isinstance(tree, dict):
        return []
    if isinstance(inner := tree.get("filters"), list):
        return [one for each in inner for one in _conditions(each)]
    return [tree] if "key" in tree and not tree.get("disabled") else []


def _admits(held: Held, condition: Shown) -> bool:
    """Whether a run meets a condition; one that is not known here admits every run."""
    row, record = held
    name, op, wanted = _name(condition.get("key") or {}), condition.get("op"), condition.get("value")
    own = {"run:sweep": row["sweep"], "run:jobType": row["job_type"], "run:group": row["run_group"]}
    has = own[name] if name in own else value(record, name)
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
