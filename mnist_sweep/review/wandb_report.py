"""A W&B report of a sweep, made with `wandb-workspaces`. A new version replaces the older one.

The panels are W&B's own and follow the runs. The sentences and their numbers are from the time of writing.
"""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import wandb
import wandb_workspaces.reports.v2 as _workspaces

from mnist_sweep.review import provenance_text
from mnist_sweep.review.captions import objectives
from mnist_sweep.review.formatting import REPORT_OF
from mnist_sweep.review.presentation import show
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.records import STEP, SweepInfo, value_text
from mnist_sweep.review.review import Review

wr: Any = _workspaces  # type checkers do not follow its re-exports

TOP = 10
TITLE_LIMIT = 128
"""The most characters of a report's title on W&B."""


def publish(review: Review) -> str:
    """Store the report on the server of `wandb.Api()` and return its address.

    An older report of the same sweep is overwritten and keeps its address. The client's errors are passed on.
    """
    report = build(review)
    if older := _older(review.ranking.info):
        report.id = older
    with contextlib.redirect_stderr(io.StringIO()):  # the client prints the address there
        report.save()
    return str(report.url)


def build(review: Review) -> Any:
    """Return a `wandb_workspaces` report that is not yet stored."""
    ranking, info = review.ranking, review.ranking.info
    blocks: list[Any] = [
        wr.TableOfContents(),
        *_result(review),
        wr.H1("Question"),
        wr.P(_question(ranking)),
        wr.H1("Protocol"),
        wr.UnorderedList(items=_protocol(ranking)),
        wr.H1("Findings"),
        wr.UnorderedList(items=list(review.findings)),
    ]
    if review.importance.warning:
        blocks.append(wr.CalloutBlock(text=review.importance.warning))
    blocks += [wr.H2("Ranking"), wr.MarkdownBlock(text=_ranking(ranking))]
    if left := _unranked(ranking):
        blocks += [wr.H2("Not ranked"), wr.MarkdownBlock(text=left)]
    if info.fields and info.metric:
        blocks += [wr.H1("The searched space"), _grid(info, _space_panels(ranking))]
    if info.metric:
        blocks += [wr.H1("Learning curves"), _grid(info, _curve_panels(ranking))]
    panel = wr.RunComparer(diff_only=True, layout=wr.Layout(w=24, h=14))
    blocks += [wr.H1("Runs side by side"), _grid(info, [panel])]
    if media := _media_keys(ranking):
        panel = wr.MediaBrowser(media_keys=media, num_columns=2, layout=wr.Layout(w=24, h=14))
        blocks += [wr.H1("Media"), _grid(info, [panel])]
    again = review.commands or [f"wandb agent {info.entity}/{info.project}/{info.id} --count 4"]
    blocks += [wr.H1("Reproduce"), wr.MarkdownBlock(text="\n".join(["```bash", *again, "```"]))]
    title = f"Review of {info.title}"
    return wr.Report(
        entity=info.entity,
        project=info.project,
        title=title if len(title) <= TITLE_LIMIT else f"{title[: TITLE_LIMIT - 1]}…",
        description=f"{REPORT_OF} {info.id}",
        blocks=blocks,
        width="fluid",
    )


def _result(review: Review) -> list[Any]:
    """Return what followed the sweep, the number that counts first."""
    chain, info = review.chain, review.ranking.info
    if chain.empty:
        return []
    blocks: list[Any] = [wr.H1("Result")]
    if one := chain.confirmed:
        blocks.append(wr.H2(f"{provenance_text.headline(one)} {one.metric}"))
    blocks.append(wr.UnorderedList(items=list(review.sentences)))
    if one := chain.confirmed:
        seeds = wr.Runset(info.entity, info.project, name="Seeds", filters=f"Group = '{one.group}'")
        panel = wr.BarPlot(title=one.metric, metrics=[one.metric], max_bars_to_show=50, layout=wr.Layout(w=24, h=9))
        blocks.append(wr.PanelGrid(runsets=[seeds], panels=[panel]))
    if rows := provenance_text.standing(chain.finals):
        lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        blocks += [wr.H2("Finals"), wr.MarkdownBlock(text=_markdown(lines))]
    return blocks


def _older(info: SweepInfo) -> str:
    """Return the id of an older report of the same sweep, or an empty string."""
    logging.getLogger("wandb").setLevel(logging.ERROR)
    for report in wandb.Api().reports(f"{info.entity}/{info.project}"):
        if (report.description or "").endswith(f"{REPORT_OF} {info.id}"):
            return str(report.id)
    return ""


def _grid(info: SweepInfo, panels: list[Any]) -> Any:
    ascending = info.goal == "minimize"
    best_first = [wr.OrderBy(wr.SummaryMetric(info.metric), ascending=ascending)] if info.metric else []
    runs = wr.Runset(
        entity=info.entity,
        project=info.project,
        name=f"Sweep {info.title}",
        filters=f"Sweep = '{info.id}'",
        order=best_first,
    )
    return wr.PanelGrid(runsets=[runs], panels=panels)


def _space_panels(ranking: Ranking) -> list[Any]:
    info, presentation = ranking.info, ranking.presentation
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(f.name), log=f.log or None) for f in info.fields]
    if presentation.size:
        columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(presentation.size)))
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(info.metric)))
    panels: list[Any] = [
        wr.ParallelCoordinatesPlot(columns=columns, title="Parallel coordinates", layout=wr.Layout(w=24, h=10)),
        wr.ParameterImportancePlot(with_respect_to=info.metric, layout=wr.Layout(y=10, w=12, h=9)),
    ]
    if presentation.size:
        panels.append(
            wr.ScatterPlot(
                title=f"Against {presentation.size}"
                + (f" ({_at_most(ranking)})" if presentation.limit is not None else ""),
                x=wr.SummaryMetric(presentation.size),
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


def _curve_panels(ranking: Ranking) -> list[Any]:
    presentation = ranking.presentation
    x = "Step" if presentation.axis == STEP else presentation.axis
    metric = presentation.proxy_metric or ranking.info.metric
    panels: list[Any] = [wr.LinePlot(title=metric, x=x, y=[metric], max_runs_to_show=50, layout=wr.Layout(w=24, h=9))]
    if presentation.rate:
        layout = wr.Layout(y=9, w=24, h=5)
        panels.append(
            wr.LinePlot(title=presentation.rate, x=x, y=[presentation.rate], max_runs_to_show=50, layout=layout)
        )
    return panels


def _media_keys(ranking: Ranking) -> list[str]:
    """Return the summary keys that hold a table or an image."""
    found = (item for trial in ranking.trials for item in trial.record.summary.items())
    return sorted({key for key, value in found if isinstance(value, Mapping) and "_type" in value})


def _at_most(ranking: Ranking) -> str:
    return f"at most {ranking.presentation.limit:,.6g}" if ranking.presentation.limit is not None else ""


def _question(ranking: Ranking) -> str:
    info, presentation = ranking.info, ranking.presentation
    names = ", ".join(field.name for field in info.fields) or "the configuration"
    under = f" with {_at_most(ranking)} {presentation.size}" if presentation.limit is not None else ""
    return f"Which values of {names} {objectives(info) or 'give the best result'}{under}?"


def _protocol(ranking: Ranking) -> list[str]:
    info, presentation = ranking.info, ranking.presentation
    goal = f"{objectives(info)}, " if info.metric else ""
    items = [f"Search: {info.method}, {goal}over {len(info.fields)} fields."]
    if info.second:
        items.append("Runs that no other run beats in both objectives are ranked first.")
    elif info.metric:
        items += [
            f"Runs are ranked by {info.metric} at their end. The best value of each is beside it.",
            "Runs that broke a constraint, diverged, failed or were stopped early are listed but not ranked.",
        ]
    if presentation.limit is not None:
        items.append(f"A run with more than {presentation.limit:,.6g} {presentation.size} is infeasible.")
    return items


def _ranking(ranking: Ranking) -> str:
    presentation, names = ranking.presentation, [field.name for field in ranking.info.fields]
    fraction = [presentation.fraction_metric] if presentation.fraction_metric else []
    head = ["", "run", ranking.info.metric, *fraction, *([presentation.size] if presentation.size else []), *names]
    lines = [head, ["---"] * len(head)]
    for trial in ranking.ranked[:TOP]:
        beside = [show(trial.fraction, fraction=True)] if presentation.fraction_metric else []
        beside += [presentation.show_size(trial.size)] if presentation.size else []
        values = [_short(trial.record.configured(name)) for name in names]
        lines.append([str(trial.rank), trial.label, presentation.show(trial.value), *beside, *values])
    return _markdown(lines)


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _unranked(ranking: Ranking) -> str:
    said = Counter(trial.reason for trial in ranking.trials if trial.reason)
    return "\n".join(f"- {count} × {_cell(why)}" for why, count in said.most_common(TOP))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else value_text(value)


def _cell(text: str) -> str:
    """Return text that cannot end a Markdown cell, and is not read as HTML."""
    for character, safe in (("|", "\\|"), ("<", "&lt;"), ("\n", " ")):
        text = text.replace(character, safe)
    return text
