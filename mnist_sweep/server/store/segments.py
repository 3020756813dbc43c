"""The segments of a run: what its programs logged one after the other, and where the lines of each begin.

A client that resumes a run counts its lines on. Others do not. `wandb sync` sends every segment of a run that was
resumed, where a client before 0.31 recorded it, as if it began the run anew: its first row tells. And a fork
(`fork_from`) has, before its own rows, those of the run that it came from.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mnist_sweep.server import wire_json
from mnist_sweep.server.store import lines

_OTHERS = (lines.EVENTS, lines.CONSOLE)


@dataclass
class Segment:
    """What is being logged to a run that had something before."""

    starts: dict[str, int | None]
    """Per stream, the number of its first line; None where its lines are here already."""
    first: int = 0
    """The number that the client gives to its first row; its other lines it counts from 0."""
    undecided: bool = False
    """Whether it is still open that it goes on with the run, or begins it anew."""
    unsorted: bool = False
    """Whether its rows belong between others."""
    rewound: bool = False
    """Whether the client that rewound the run has yet to begin."""
    config: dict[str, Any] = field(default_factory=dict)
    """What was configured before."""
    summary: dict[str, Any] = field(default_factory=dict)
    """What the summary was before."""


def of(run: sqlite3.Row) -> Segment | None:
    """A run's present segment, if it had something before."""
    return None if run["segment"] is None else Segment(**json.loads(run["segment"]))


def _save(db: sqlite3.Connection, run_id: int, segment: Segment | None) -> None:
    text = None if segment is None else wire_json.dumps(asdict(segment))
    db.execute("UPDATE runs SET segment = ? WHERE id = ?", (text, run_id))


def _next(db: sqlite3.Connection, run_id: int) -> dict[str, int | None]:
    return {stream: lines.count(db, run_id, stream) for stream in lines.STREAMS}


# How one begins and ends


def begin(db: sqlite3.Connection, run: sqlite3.Row) -> None:
    """A client begins a run that is here already; if it goes on with it, its first row will tell (`decide`)."""
    close(db, run)
    starts = _next(db, run["id"])
    if not starts[lines.HISTORY]:
        return drop(db, run)
    before = {"config": json.loads(run["config"]), "summary": json.loads(run["summary"])}
    _save(db, run["id"], Segment(starts, undecided=True, **before))


def drop(db: sqlite3.Connection, run: sqlite3.Row) -> None:
    """Forget what was logged: a run begins anew."""
    for stream in lines.STREAMS:
        lines.clear(db, run["id"], stream)
    _save(db, run["id"], None)


def rewind(db: sqlite3.Connection, run: sqlite3.Row, last_step: int) -> None:
    """Forget the rows after a step. The client counts its rows on, its system metrics and console lines from 0."""
    close(db, run)
    lines.cut(db, run["id"], last_step)
    if run["awaits"] is not None and last_step < run["awaits_step"]:
        db.execute("UPDATE runs SET awaits = NULL WHERE id = ?", (run["id"],))  # nothing more of its parent
    _save(db, run["id"], Segment(_next(db, run["id"]) | {lines.HISTORY: 0}, rewound=True))


def resume(db: sqlite3.Connection, run: sqlite3.Row) -> None:
    """A client goes on with a run, and counts on; one that has rewound it may begin."""
    close(db, run)
    segment = of(run)
    if segment is not None and segment.rewound:
        segment.rewound = False
        _save(db, run["id"], segment)
    else:
        _save(db, run["id"], None)


def close(db: sqlite3.Connection, run: sqlite3.Row) -> None:
    """A segment has ended: its rows take their places."""
    segment = of(run)
    if segment is not None and segment.unsorted:
        lines.sort(db, run["id"])
        _save(db, run["id"], None)


# What it logs


def shifts(db: sqlite3.Connection, run: sqlite3.Row, offset: int, rows: Sequence[str]) -> Mapping[str, int | None]:
    """What to add to the client's line numbers, per stream; None for lines that are here already.

    Args:
        offset, rows: what comes of the history.
    """
    segment = of(run)
    if segment is not None and segment.undecided and rows:
        segment = _decide(db, run, segment, offset, wire_json.as_object(rows[0], "history line"))
    if segment is None:
        return dict.fromkeys(lines.STREAMS, 0)
    start = segment.starts[lines.HISTORY]
    return segment.starts | {lines.HISTORY: None if start is None else start - segment.first}


def _decide(db: sqlite3.Connection, run: sqlite3.Row, segment: Segment, offset: int, row: dict[str, Any]) -> Segment:
    """Decide from its first row whether a segment belongs to the run, or starts the run over.

    A segment belongs to the run if steps and times have one order. A run that starts over has a step again that is
    here already, or is later with an earlier step. The step decides alone, because a clock may have been set back.
    """
    step, moment = row.get("_step"), row.get("_timestamp")
    end = segment.starts[lines.HISTORY] or 0
    before, after = lines.around(db, run["id"], step if isinstance(step, int) else 0, below=end)
    if after is not None and (after["step"], _moment(after)) == (step, moment):
        _repeat(db, run, segment, after["line"])
    elif after is None or (after["step"] != step and _in_order(before, moment, after)):
        segment.unsorted = after is not None
    else:
        segment = _start_over(db, run, segment)
    segment.undecided, segment.first = False, offset
    _save(db, run["id"], segment)
    config = wire_json.dumps(merged(segment, json.loads(run["config"])))
    db.execute("UPDATE runs SET config = ? WHERE id = ?", (config, run["id"]))
    return segment


def _repeat(db: sqlite3.Connection, run: sqlite3.Row, segment: Segment, line: int) -> None:
    """What was sent before comes again, from a row on: its lines take the places that they have."""
    for stream in _OTHERS:
        start = segment.starts[stream] or 0
        if line == 0:
            lines.move(db, run["id"], stream, start, 0)
        else:
            lines.clear(db, run["id"], stream, start=start)
    segment.starts = dict.fromkeys(_OTHERS, 0 if line == 0 else None)
    segment.starts[lines.HISTORY] = line


def _start_over(db: sqlite3.Connection, run: sqlite3.Row, segment: Segment) -> Segment:
    """Keep only what has come of the segment already, and what a fork has of its parent."""
    for stream in lines.STREAMS:
        start = segment.starts[stream] or 0
        lines.clear(db, run["id"], stream, end=start)
        lines.move(db, run["id"], stream, start, 0)
    return fork(db, run) or Segment(dict.fromkeys(lines.STREAMS, 0))


def _moment(row: sqlite3.Row) -> Any:
    return json.loads(row["data"]).get("_timestamp")


def _in_order(before: sqlite3.Row | None, moment: Any, after: sqlite3.Row) -> bool:
    moments = [0 if before is None else _moment(before), moment, _moment(after)]
    return all(isinstance(one, int | float) for one in moments) and moments == sorted(moments)


def merged(segment: Segment | None, config: dict[str, Any]) -> dict[str, Any]:
    """A configuration, with what was configured before the segment that it came with."""
    return config if segment is None or segment.undecided else segment.config | config


def summed_up(segment: Segment | None, summary: dict[str, Any]) -> dict[str, Any]:
    """A summary, with what the one before the segment has beside it; the one of the later step counts."""
    if segment is None or segment.undecided:
        return summary
    pair = [segment.summary, summary]
    first, last = pair[::-1] if _step(summary) < _step(segment.summary) else pair
    return first | last


def _step(summary: dict[str, Any]) -> int:
    step = summary.get("_step")
    return step if isinstance(step, int) else -1


# Forks


def fork(db: sqlite3.Connection, run: sqlite3.Row) -> Segment | None:
    """Give a run that is a fork, as its configuration says, the rows of its parent that are here.

    More may come: segments that are synced side by side begin and end in any order.
    """
    parent, step = _branch_point(run)
    found = db.execute("SELECT * FROM runs WHERE project_id = ? AND name = ?", (run["project_id"], parent)).fetchone()
    count = lines.copy(db, found["id"], run["id"], step) if found is not None else 0
    starts: dict[str, int | None] = {lines.HISTORY: count, lines.EVENTS: 0, lines.CONSOLE: 0}
    segment = Segment(starts, undecided=True) if count else None
    _save(db, run["id"], segment)
    # kept apart: a client that resumes the fork sends a configuration that does not say this again
    db.execute("UPDATE runs SET awaits = ?, awaits_step = ? WHERE id = ?", (parent, step, run["id"]))
    return segment


def _branch_point(run: sqlite3.Row) -> tuple[str | None, int]:
    point = wire_json.client_entry(json.loads(run["config"])).get("branch_point")
    parent, step = (point.get("run_id"), point.get("step")) if isinstance(point, dict) else (None, None)
    if not isinstance(parent, str) or not isinstance(step, int | float) or parent == run["name"]:
        return None, 0
    return parent, int(max(-1, min(step, lines.LAST)))


def adopt_parent(db: sqlite3.Connection, run: sqlite3.Row) -> None:
    """A run that is here already turns out to be a fork: what came first was the segment that resumed it."""
    parent, step = _branch_point(run)
    if parent is None or run["awaits"] is not None:
        return
    db.execute("UPDATE runs SET awaits = ?, awaits_step = ? WHERE id = ?", (parent, step, run["id"]))
    found = db.execute("SELECT * FROM runs WHERE project_id = ? AND name = ?", (run["project_id"], parent)).fetchone()
    if found is not None:
        _inherit(db, found, run, step)


def propagate_to_forks(db: sqlite3.Connection, run: sqlite3.Row) -> list[int]:
    """Give a run's forks what they lack of its rows; returns the row ids of those that got any, and of their forks."""
    done: list[int] = []
    waiting = "SELECT * FROM runs WHERE project_id = ? AND awaits = ?"
    for child in db.execute(waiting, (run["project_id"], run["name"])).fetchall():
        if _inherit(db, run, child, child["awaits_step"]):
            done += [child["id"], *propagate_to_forks(db, child)]
    return done


def _inherit(db: sqlite3.Connection, parent: sqlite3.Row, child: sqlite3.Row, step: int) -> bool:
    """Give a fork what it lacks of its parent's rows up to a step; returns whether there was anything."""
    count = lines.copy(db, parent["id"], child["id"], step)
    if count:
        lines.sort(db, child["id"])
        segment = of(child) or Segment(dict.fromkeys(lines.STREAMS, 0))
        segment.starts[lines.HISTORY] = count + (segment.starts[lines.HISTORY] or 0)
        _save(db, child["id"], segment)
    return count > 0
