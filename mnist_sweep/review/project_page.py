"""The runs of a project, side by side: a table of them, and a chart of every metric they logged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mnist_sweep.review import figures
from mnist_sweep.review.fields import observed_fields
from mnist_sweep.review.palette import SERIES
from mnist_sweep.review.presentation import Presentation
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.status import CONSTRAINT
from mnist_sweep.review.table import runs_table

FIELDS_SHOWN = 6
"""Columns of configuration that the table starts with, of those in which runs differ."""
METRICS_SHOWN = 3
"""Columns of metrics that it starts with."""

Payload = dict[str, Any]


def workspace_payload(records: Sequence[RunRecord]) -> Payload:
    """The table, the newest run first, and what may be charted; the points are asked for chart by chart (`curves`)."""
    fields = observed_fields(records)
    table = runs_table(rank(SweepInfo(id="", fields=fields[:FIELDS_SHOWN]), records)).as_dict()
    steps = {axis for record in records for axis in record.step_metrics.values()}
    keys = sorted({key for record in records for key, value in record.summary.items() if number(value) is not None})
    metrics = [key for key in keys if not key.startswith(("_", "best/", CONSTRAINT)) and key not in steps]
    shown = {f"summary:{metric}" for metric in metrics[:METRICS_SHOWN]}
    columns = [column | {"shown": column["shown"] or column["key"] in shown} for column in table["columns"]]
    return {
        "table": {"columns": columns, "rows": table["rows"][::-1]},
        "workspace": {
            "metrics": metrics,
            "axes": {"_step": "step", "_runtime": "seconds"} | {axis: axis for axis in sorted(steps)},
            "groups": {f"config:{field.name}": field.name for field in fields},
            "series": SERIES,
        },
    }


def curves(records: Iterable[RunRecord], metric: str, over: str = "") -> dict[str, Any]:
    """One metric of many runs over `over`, or over the step metric of each: by run id, x and y."""
    found: dict[str, Any] = {}
    for record in records:
        words = Presentation(axis=over or record.axis_of(metric))
        points = figures.curve_points(record, metric, words)
        if points["x"]:
            found[record.id] = points
    return found
