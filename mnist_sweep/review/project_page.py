"""The runs of a project: a table of them, and a chart of every metric that they logged."""

from collections.abc import Iterable, Sequence
from typing import Any

from mnist_sweep.review import figures
from mnist_sweep.review.fields import observed_fields
from mnist_sweep.review.palette import SERIES
from mnist_sweep.review.presentation import HELD_OUT, Presentation, is_counter, metric_words
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.status import CONSTRAINT
from mnist_sweep.review.table import runs_table
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.metric import statistic_names

FIELDS_SHOWN = 6
"""Configuration columns that are visible at first, of those in which the runs differ."""
METRICS_SHOWN = 3
"""Metric columns that are visible at first."""

Payload = dict[str, Any]


def workspace_payload(records: Sequence[RunRecord], objectives: Sequence[str] = ()) -> Payload:
    """Return the table with the newest run first, and the metrics to chart.

    A page asks for the points chart by chart (`curves`). `objectives` are the metrics of the project's sweeps, which
    come first.
    """
    fields = observed_fields(records)
    steps = {axis for record in records for axis in record.step_metrics.values()}
    keys = {logged_name(key) for record in records for key, one in record.summary.items() if number(one) is not None}
    hidden = ("_", "best/", CONSTRAINT)
    metrics = [key for key in keys if not key.startswith(hidden) and key not in steps and not is_counter(key)]
    metrics.sort(key=lambda key: (key not in objectives, not metric_words(key) & HELD_OUT, key))
    columns = [name for metric in metrics[:METRICS_SHOWN] for name in (metric, *statistic_names(metric, Goal.MINIMIZE))]
    table = runs_table(rank(SweepInfo(id="", fields=fields[:FIELDS_SHOWN]), records), columns).as_dict()
    return {
        "table": {"columns": table["columns"], "rows": table["rows"][::-1]},
        "workspace": {
            "metrics": metrics,
            "axes": {"_step": "step", "_runtime": "seconds"} | {axis: axis for axis in sorted(steps)},
            "groups": {f"config:{field.name}": field.name for field in fields},
            "series": SERIES,
        },
    }


def logged_name(key: str) -> str:
    """Return the metric behind a summary key: `loss` for `loss.min`, which `define_metric(summary="min")` leaves."""
    base = key.rpartition(".")[0]
    return base if key in statistic_names(base, Goal.MINIMIZE) else key


def curves(records: Iterable[RunRecord], metric: str, over: str = "") -> dict[str, Any]:
    """Return by run id the x and y of one metric over `over`, or over the run's own step metric."""
    found: dict[str, Any] = {}
    for record in records:
        presentation = Presentation(axis=over or record.axis_of(metric))
        points = figures.curve_points(record, metric, presentation)
        if points["x"]:
            found[record.id] = points
    return found
