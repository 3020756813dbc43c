"""When each trial ran: a lane for each trial that ran at the same time on a host."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from mnist_sweep.review.figures.style import ABOVE, MARGIN, Figure, escape, label_margin, layout
from mnist_sweep.review.formatting import duration
from mnist_sweep.review.palette import STATES
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import RunRecord
from mnist_sweep.review.status import Status

SHORTEST = 0.5
"""Seconds. A shorter bar could not be seen."""


def timeline(ranking: Ranking) -> Figure | None:
    """Return one bar per trial from its start to its end, coloured by its status; None if no start is known."""
    timed = [trial for trial in ranking.trials if trial.record.created_at is not None]
    if not timed:
        return None
    lane_of = lanes(trial.record for trial in timed)
    names = list(dict.fromkeys(lane_of.values()))
    data: list[dict[str, Any]] = []
    for kind in Status:
        trials = [trial for trial in timed if trial.status is kind]
        if not trials:
            continue
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": kind.value,
                "y": [escape(lane_of[trial.id]) for trial in trials],
                "base": [trial.record.created_at.isoformat() for trial in trials if trial.record.created_at],
                "x": [1000.0 * _seconds(trial.record) for trial in trials],  # a date axis counts milliseconds
                "text": [escape(", ".join(_facts(trial, ranking))) for trial in trials],
                "ids": [trial.id for trial in trials],
                "textposition": "none",
                "marker": {"color": STATES[kind].light, "line": {"width": 0}},
                "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            }
        )
    shape = layout(
        margin=MARGIN | {"t": ABOVE, "l": label_margin(names)},
        barmode="overlay",
        bargap=0.35,
        xaxis={"type": "date", "zeroline": False},
        yaxis={"automargin": True, "categoryarray": [escape(name) for name in names[::-1]], "ticksuffix": "  "},
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=110 + 38 * len(names),
    )
    return {"data": data, "layout": shape}


def lanes(records: Iterable[RunRecord]) -> dict[str, str]:
    """Return each run's lane: the first one of its host that is free when the run starts.

    Lanes are called after the host (`desk 1`, `desk 2`), or `agent` if the host is unknown. Records without a start
    are left out.
    """
    free_at: dict[str, list[datetime]] = {}
    found: dict[str, tuple[str, int]] = {}
    started = [(record.created_at, record) for record in records if record.created_at is not None]
    for start, record in sorted(started, key=lambda pair: pair[0]):
        host = record.host or "agent"
        ends = free_at.setdefault(host, [])
        place = next((place for place, end in enumerate(ends) if end <= start), len(ends))
        ends[place : place + 1] = [start + timedelta(seconds=record.span or record.seconds or 0.0)]
        found[record.id] = (host, place + 1)
    return {
        run: f"{host} {place}" if len(free_at[host]) > 1 else host
        for run, (host, place) in sorted(found.items(), key=lambda item: item[1])
    }


def _facts(trial: Trial, ranking: Ranking) -> Iterable[str]:
    yield trial.label
    yield duration(_seconds(trial.record))
    if trial.value is not None:
        yield ranking.presentation.show(trial.value)


def _seconds(record: RunRecord) -> float:
    return max(record.span or record.seconds or 0.0, SHORTEST)
