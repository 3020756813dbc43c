"""A W&B report of a sweep, made with `wandb-workspaces`; made again, it replaces its own older version.

The panels are W&B's own (they follow the runs when more arrive); the sentences and their numbers are taken from the
runs at the time of writing.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import wandb
import wandb_workspaces.reports.v2 as _workspaces

from mnist_sweep.review.figures import parameter_limit
from mnist_sweep.review.findings import findings
from mnist_sweep.review.importance import importance
from mnist_sweep.review.records import RunRecord, SweepInfo, number, ranked, reason, value_of

wr: Any = _workspaces  # it re-exports its classes in a way that type checkers do not follow

MARKER = "mnist-sweep review of sweep"
TOP = 10


def publish(
    info: SweepInfo,
    records: Sequence[RunRecord],
    *,
    question: str = "",
    protocol: Sequence[str] = (),
    commands: Sequence[str] = (),
    baseline: Sequence[RunRecord] = (),
    evaluated_on: int | None = None,
) -> str:
    """Store the report on the server of `wandb.Api()` and return its address.

    A report of the same sweep that this function made before is overwritten; it keeps its address.
    Raises what the client raises when the server cannot be reached or refuses.
    """
    report = build(
        info,
        records,
        question=question,
        protocol=protocol,
        commands=commands,
        baseline=baseline,
        evaluated_on=evaluated_on,
    )
    if older := _older(info):
        report.id = older
    with contextlib.redirect_stderr(io.StringIO()):  # the address is returned, the client need not print it too
        report.save()
    return str(report.url)


def build(
    info: SweepInfo,
    records: Sequence[RunRecord],
    *,
    question: str = "",
    protocol: Sequence[str] = (),
    commands: Sequence[str] = (),
    baseline: Sequence[RunRecord] = (),
    evaluated_on: int | None = None,
) -> Any:
    """A `wandb_workspaces` report, not yet stored; `question` and `protocol` replace the default words."""
    mattered = importance(records, info)
    said = findings(records, info, mattered, baseline=baseline, evaluated_on=evaluated_on)
    blocks: list[Any] = [
        wr.TableOfContents(),
        wr.H1("Question"),
        wr.P(question or _question(info, records)),
        wr.H1("Protocol"),
        wr.UnorderedList(items=list(protocol or _protocol(info, records))),
        wr.H1("Findings"),
        wr.UnorderedList(items=said),
    ]
    if mattered.warning:
        blocks.append(wr.CalloutBlock(text=mattered.warning))
    blocks += [wr.H2("Ranking"), wr.MarkdownBlock(text=_ranking(info, records))]
    if left := _unranked(info, records):
        blocks += [wr.H2("Not ranked"), wr.MarkdownBlock(text=left)]
    blocks += [
        wr.H1("The searched space"),
        _grid(info, _space_panels(info, records)),
        wr.H1("Learning curves"),
        _grid(info, _curve_panels(info, records)),
        wr.H1("Runs side by side"),
        _grid(info, [wr.RunComparer(diff_only=True, layout=wr.Layout(w=24, h=14))]),
    ]
    if media := _media_keys(records):
        panel = wr.MediaBrowser(media_keys=media, num_columns=2, layout=wr.Layout(w=24, h=14))
        blocks += [wr.H1("Mistakes"), _grid(info, [panel])]
    again = list(commands) or [f"wandb agent {info.entity}/{info.project}/{info.id} --count 4"]
    blocks += [wr.H1("Reproduce"), wr.MarkdownBlock(text="\n".join(["```bash", *again, "```"]))]
    return wr.Report(
        entity=info.entity,
        project=info.project,
        title=f"Review of {info.title}",
        description=f"{MARKER} {info.id}",
        blocks=blocks,
        width="fluid",
    )


def _older(info: SweepInfo) -> str:
    """The id of the report this module made of the same sweep, or an empty string."""
    logging.getLogger("wandb").setLevel(logging.ERROR)
    wanted = f"{MARKER} {info.id}"
    for report in wandb.Api().reports(f"{info.entity}/{info.project}"):
        if report.description == wanted:
            return str(report.id)
    return ""


def _grid(info: SweepInfo, panels: list[Any]) -> Any:
    best_first = [wr.OrderBy(wr.SummaryMetric(info.metric), ascending=info.goal == "minimize")]
    runs = wr.Runset(
        entity=info.entity,
        project=info.project,
        name=f"Sweep {info.title}",
        filters=f"Sweep = '{info.id}'",
        order=best_first,
    )
    return wr.PanelGrid(runsets=[runs], panels=panels)


def _space_panels(info: SweepInfo, records: Sequence[RunRecord]) -> list[Any]:
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(f.name), log=f.log or None) for f in info.fields]
    sized = any(number(record.summary.get("parameters")) is not None for record in records)
    if sized:
        columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("parameters")))
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(info.metric)))
    panels: list[Any] = [
        wr.ParallelCoordinatesPlot(columns=columns, title="Parallel coordinates", layout=wr.Layout(w=24, h=10)),
        wr.ParameterImportancePlot(with_respect_to=info.metric, layout=wr.Layout(y=10, w=12, h=9)),
    ]
    if sized:
        limit = parameter_limit(records)
        panels.append(
            wr.ScatterPlot(
                title=f"Against size (limit {limit:,})" if limit else "Against size",
                x=wr.SummaryMetric("parameters"),
                y=wr.SummaryMetric(info.metric),
                layout=wr.Layout(x=12, y=10, w=12, h=9),
            )
        )
    for i, field in enumerate(f for f in info.fields if f.kind != "categorical"):
        panels.append(
            wr.ScatterPlot(
                title=field.name,
                x=wr.Config(field.name),
                y=wr.SummaryMetric(info.metric),
                log_x=field.log or None,
                layout=wr.Layout(x=8 * (i % 3), y=19 + 7 * (i // 3), w=8, h=7),
            )
        )
    return panels


def _curve_panels(info: SweepInfo, records: Sequence[RunRecord]) -> list[Any]:
    logged = {key for record in records for row in record.history for key in row}
    x = "epoch" if "epoch" in logged else "Step"
    panels: list[Any] = [
        wr.LinePlot(title=info.metric, x=x, y=[info.metric], max_runs_to_show=50, layout=wr.Layout(w=24, h=9))
    ]
    if "lr" in logged:
        panels.append(
            wr.LinePlot(title="learning rate", x=x, y=["lr"], max_runs_to_show=50, layout=wr.Layout(y=9, w=24, h=5))
        )
    return panels


def _media_keys(records: Sequence[RunRecord]) -> list[str]:
    """Summary keys that hold a table or an image."""
    return sorted(
        {key for r in records for key, value in r.summary.items() if isinstance(value, Mapping) and "_type" in value}
    )


def _question(info: SweepInfo, records: Sequence[RunRecord]) -> str:
    names = ", ".join(field.name for field in info.fields)
    limit = parameter_limit(records)
    under = f" with fewer than {limit:,} parameters" if limit else ""
    return f"Which values of {names} {info.goal} {info.metric}{under}?"


def _protocol(info: SweepInfo, records: Sequence[RunRecord]) -> list[str]:
    items = [
        f"Search: {info.method}, {info.goal} {info.metric}, over {len(info.fields)} fields.",
        f"Runs are ranked by {info.metric} after their last epoch; the best epoch stands beside it.",
        "Runs that broke a constraint, diverged, failed or were stopped early are listed, never ranked.",
    ]
    if limit := parameter_limit(records):
        items.append(f"A network has fewer than {limit:,} parameters; anything larger is refused before training.")
    return items


def _ranking(info: SweepInfo, records: Sequence[RunRecord]) -> str:
    names = [field.name for field in info.fields]
    head = ["", "run", info.metric, "parameters", *names]
    lines = [head, ["---"] * len(head)]
    for place, run in enumerate(ranked(records, info)[:TOP], start=1):
        count = number(run.summary.get("parameters"))
        values = [_short(run.config.get(name)) for name in names]
        size = f"{count:,.0f}" if count is not None else "–"
        lines.append([str(place), run.label, info.show(value_of(run, info.metric)), size, *values])
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _unranked(info: SweepInfo, records: Sequence[RunRecord]) -> str:
    said: dict[str, int] = {}
    for record in records:
        if why := reason(record, info.metric):
            said[why] = said.get(why, 0) + 1
    top = sorted(said.items(), key=lambda item: -item[1])[:TOP]
    return "\n".join(f"- {count} × {_cell(why)}" for why, count in top)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    """Text that cannot break out of a Markdown table, nor be read as HTML."""
    for character, safe in (("|", "\\|"), ("<", "&lt;"), ("\n", " ")):
        text = text.replace(character, safe)
    return text
