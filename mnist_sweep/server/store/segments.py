"""The segments of a run: what its processes logged one after the other, and where the lines of each begin.

A client that resumes a run continues to count its lines; other clients start at 0. `wandb sync` sends each segment of a
resumed run that a client before 0.31 recorded as if it started the run over. The segment's first row tells which it is.
A fork (`fork_from`) has its parent's rows before its own.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mnist_sweep.server import wire_json
from mnist_sweep.server.store import lines
from mnist_sweep.server.store.rows import Run

_OTHERS = (lines.EVENTS, lines.CONSOLE)


@dataclass
class Segment:
    """What is being logged to a run that holds earlier lines."""

    starts: dict[str, int | None]
    """The number of its first line in each stream; None if its lines are stored already."""
    first: int = 0
    """The number that the client gives to its first row. It counts its other lines from 0."""
    undecided: bool = False
    """Whether it is not known yet if the segment continues the run or starts it over."""
    unsorted: bool = False
    """Whether its rows belong between stored rows."""
    rewound: bool = False
    """Whether the client that rewound the run has not started yet."""
    config: dict[str, Any] = field(default_factory=dict)
    """The run's configuration before the segment."""
    summary: dict[str, Any] = field(default_factory=dict)
    """The run's summary before the segment."""


def of(run: Run) -> Segment | None:
    """Return a run's current segment; None if the run held no earlier lines."""
    return None if run.segment is None else Segment(**json.loads(run.segment))


def _save(db: sqlite3.Connection, run_id: int, segment: Segment | None) -> None:
    text = None if segment is None else wire_json.dumps(asdict(segment))
    Run.set(db, run_id, segment=text)


def _next(db: sqlite3.Connection, run_id: int) -> dict[str, int | None]:
    return {stream: lines.count(db, run_id, stream) for stream in lines.STREAMS}


# Start and end


def begin(db: sqlite3.Connection, run: Run) -> None:
    """Start a segment of a run that exists. Its first row will tell whether it continues the run (`_decide`)."""
    close(db, run)
    starts = _next(db, run.id)
    if not starts[lines.HISTORY]:
        return drop(db, run)
    before = {"config": json.loads(run.config), "summary": json.loads(run.summary)}
    _save(db, run.id, Segment(starts, undecided=True, **before))


def drop(db: sqlite3.Connection, run: Run) -> None:
    """Remove what was logged: the run starts over."""
    for stream in lines.STREAMS:
        lines.clear(db, run.id, stream)
    _save(db, run.id, None)


def rewind(db: sqlite3.Connection, run: Run, last_step: int) -> None:
    """Remove the rows after a step. The client continues to count its rows; it counts its other lines from 0."""
    close(db, run)
    lines.cut(db, run.id, last_step)
    if run.awaits is not None and last_step < (run.awaits_step or 0):
        Run.set(db, run.id, awaits=None)  # it gets no more rows of its parent
    _save(db, run.id, Segment(_next(db, run.id) | {lines.HISTORY: 0}, rewound=True))


def resume(db: sqlite3.Connection, run: Run) -> None:
    """Resume a run, whose client continues to count its lines. The client that rewound a run starts now."""
    close(db, run)
    segment = of(run)
    if segment is not None and segment.rewound:
        segment.rewound = False
        _save(db, run.id, segment)
    else:
        _save(db, run.id, None)


def close(db: sqlite3.Connection, run: Run) -> None:
    """End a segment: sort its rows between the others."""
    segment = of(run)
    if segment is not None and segment.unsorted:
        lines.sort(db, run.id)
        _save(db, run.id, None)


# Lines


def shifts(db: sqlite3.Connection, run: Run, offset: int, rows: Sequence[str]) -> Mapping[str, int | None]:
    """Return what to add to the client's line numbers in each stream; None for lines that are stored already.

    Args:
        offset: the client's number of the first new row of the history.
        rows: the new rows of the history.
    """
    segment = of(run)
    if segment is not None and segment.undecided and rows:
        segment = _decide(db, run, segment, offset, wire_json.as_object(rows[0], "history line"))
    if segment is None:
        return dict.fromkeys(lines.STREAMS, 0)
    start = segment.starts[lines.HISTORY]
    return segment.starts | {lines.HISTORY: None if start is None else start - segment.first}


def _decide(db: sqlite3.Connection, run: Run, segment: Segment, offset: int, row: dict[str, Any]) -> Segment:
    """Decide from its first row whether a segment belongs to the run, or starts the run over.

    A segment belongs to the run if steps and times have one order. A run that starts over has a step again that is
    here already, or is later with an earlier step. The step decides alone, because a clock may have been set back.
    """
    step, moment = row.get("_step"), row.get("_timestamp")
    end = segment.starts[lines.HISTORY] or 0
    before, after = lines.around(db, run.id, step if isinstance(step, int) else 0, below=end)
    if after is not None and (after.step, _moment(after)) == (step, moment):
        _repeat(db, run, segment, after.line)
    elif after is None or (after.step != step and _in_order(before, moment, after)):
        segment.unsorted = after is not None
    else:
        segment = _start_over(db, run, segment)
    segment.undecided, segment.first = False, offset
    _save(db, run.id, segment)
    config = wire_json.dumps(merged(segment, json.loads(run.config)))
    Run.set(db, run.id, config=config)
    return segment


def _repeat(db: sqlite3.Connection, run: Run, segment: Segment, line: int) -> None:
    """Let lines that are sent again, from a stored row on, replace the stored ones."""
    for stream in _OTHERS:
        start = segment.starts[stream] or 0
        if line == 0:
            lines.move(db, run.id, stream, start, 0)
        else:
            lines.clear(db, run.id, stream, start=start)
    segment.starts = dict.fromkeys(_OTHERS, 0 if line == 0 else None)
    segment.starts[lines.HISTORY] = line


def _start_over(db: sqlite3.Connection, run: Run, segment: Segment) -> Segment:
    """Keep only the lines of this segment, and the rows that a fork has from its parent."""
    for stream in lines.STREAMS:
        start = segment.starts[stream] or 0
        lines.clear(db, run.id, stream, end=start)
        lines.move(db, run.id, stream, start, 0)
    return fork(db, run) or Segment(dict.fromkeys(lines.STREAMS, 0))


def _moment(row: lines.Line) -> Any:
    return json.loads(row.data).get("_timestamp")


def _in_order(before: lines.Line | None, moment: Any, after: lines.Line) -> bool:
    moments = [0 if before is None else _moment(before), moment, _moment(after)]
    return all(isinstance(one, int | float) for one in moments) and moments == sorted(moments)


def merged(segment: Segment | None, config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration, merged into the one before its segment."""
    return config if segment is None or segment.undecided else segment.config | config


def summed_up(segment: Segment | None, summary: dict[str, Any]) -> dict[str, Any]:
    """Return a summary, merged with the one before its segment. The one with the later step takes precedence."""
    if segment is None or segment.undecided:
        return summary
    pair = [segment.summary, summary]
    first, last = pair[::-1] if _step(summary) < _step(segment.summary) else pair
    return first | last


def _step(summary: dict[str, Any]) -> int:
    step = summary.get("_step")
    return step if isinstance(step, int) else -1


# Forks


def fork(db: sqlite3.Connection, run: Run) -> Segment | None:
    """Copy the stored rows of its parent to a run that is a fork by its configuration.

    More rows may follow: segments that are synced in parallel start and end in any order.
    """
    parent, step = _branch_point(run)
    found = Run.find(db, run.project_id, parent) if parent is not None else None
    count = lines.copy(db, found.id, run.id, step) if found is not None else 0
    starts: dict[str, int | None] = {lines.HISTORY: count, lines.EVENTS: 0, lines.CONSOLE: 0}
    segment = Segment(starts, undecided=True) if count else None
    _save(db, run.id, segment)
    # stored apart: a client that resumes the fork sends a configuration without the branch point
    Run.set(db, run.id, awaits=parent, awaits_step=step)
    return segment


def _branch_point(run: Run) -> tuple[str | None, int]:
    point = wire_json.client_entry(json.loads(run.config)).get("branch_point")
    parent, step = (point.get("run_id"), point.get("step")) if isinstance(point, dict) else (None, None)
    if not isinstance(parent, str) or not isinstance(step, int | float) or parent == run.name:
        return None, 0
    return parent, int(max(-1, min(step, lines.LAST)))


def adopt_parent(db: sqlite3.Connection, run: Run) -> None:
    """Make a stored run a fork if its configuration names a branch point. The segment that resumed it came first."""
    parent, step = _branch_point(run)
    if parent is None or run.awaits is not None:
        return
    Run.set(db, run.id, awaits=parent, awaits_step=step)
    found = Run.find(db, run.project_id, parent) if parent is not None else None
    if found is not None:
        _inherit(db, found, run, step)


def propagate_to_forks(db: sqlite3.Connection, run: Run) -> list[int]:
    """Copy missing rows to a run's forks, and on to theirs; return the row ids of the forks that got any."""
    done: list[int] = []
    for child in Run.all(db, "WHERE runs.project_id = ? AND runs.awaits = ?", run.project_id, run.name):
        if _inherit(db, run, child, child.awaits_step or 0):
            done += [child.id, *propagate_to_forks(db, child)]
    return done


def _inherit(db: sqlite3.Connection, parent: Run, child: Run, step: int) -> bool:
    """Copy to a fork the rows up to a step that it lacks of its parent's; return whether there were any."""
    count = lines.copy(db, parent.id, child.id, step)
    if count:
        lines.sort(db, child.id)
        segment = of(child) or Segment(dict.fromkeys(lines.STREAMS, 0))
        segment.starts[lines.HISTORY] = count + (segment.starts[lines.HISTORY] or 0)
        _save(db, child.id, segment)
    return count > 0
