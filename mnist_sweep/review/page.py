"""A sweep as data for a page, and as one HTML file that opens from disk with no network.

`payload` is what a page shows, as plain JSON; the local server embeds the same data in its own pages and sends later
parts of it to a page that is open. `html_page` puts it, the styles, the scripts and Plotly's bundle into one file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from mnist_sweep.review import figures
from mnist_sweep.review.findings import findings
from mnist_sweep.review.importance import importance
from mnist_sweep.review.media import png_uri
from mnist_sweep.review.records import (
    RunRecord,
    Status,
    SweepInfo,
    best_of,
    number,
    ranked,
    reason,
    status,
    value_of,
)
from mnist_sweep.review.table import runs_table
from mnist_sweep.review.words import duration

STATIC = Path(__file__).parent / "static"
TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("base.js", "parallel.js", "table.js", "review.js")
SECTIONS = (
    ("findings", "Findings"),
    ("space", "Parallel coordinates"),
    ("ranking", "Ranking"),
    ("importance", "Importance"),
    ("tradeoff", "Size"),
    ("progress", "Progress"),
    ("curves", "Curves"),
    ("slices", "Slices"),
    ("timeline", "Timeline"),
    ("compare", "Compare"),
    ("mistakes", "Mistakes"),
    ("digits", "Augmentation"),
    ("reproduce", "Again"),
)


@dataclass(frozen=True)
class DigitRow:
    """One row of the augmentation strip: what it shows (`strength 0.5`) and its images as PNG bytes."""

    label: str
    images: Sequence[bytes]


def html_page(
    info: SweepInfo,
    records: Sequence[RunRecord],
    *,
    baseline: Sequence[RunRecord] = (),
    digits: Sequence[DigitRow] = (),
    commands: Sequence[str] = (),
    evaluated_on: int | None = None,
    footer: str = "",
) -> str:
    """The review of a sweep as one self-contained HTML document (about 5 MB, nearly all of it Plotly).

    `baseline` are the runs of a random search over the same space; `commands` are shown as they are, to reproduce the
    sweep; `evaluated_on` is the number of images behind the metric. Everything a run said is shown as text.
    """
    data = payload(info, records, baseline=baseline, commands=commands, evaluated_on=evaluated_on)
    data["digits"] = [{"label": row.label, "images": [png_uri(png) for png in row.images]} for row in digits]
    data["texts"]["footer"] = footer
    return (
        environment()
        .get_template("page.html")
        .render(
            info=info,
            css=Markup((STATIC / "review.css").read_text("utf-8")),
            scripts=[Markup((STATIC / name).read_text("utf-8")) for name in SCRIPTS],
            plotly=Markup(plotly_bundle().read_text("utf-8")),
            sections=SECTIONS,
            data=script_json(data),
        )
    )


def payload(
    info: SweepInfo,
    records: Sequence[RunRecord],
    *,
    baseline: Sequence[RunRecord] = (),
    commands: Sequence[str] = (),
    evaluated_on: int | None = None,
) -> dict[str, Any]:
    """Everything a page of this sweep shows, ready for JSON (no NaN, no infinities)."""
    mattered = importance(records, info)
    drawn: dict[str, Any] = {
        "tradeoff": figures.tradeoff(records, info),
        "best": figures.best_so_far(records, info, baseline) if ranked(records, info) else None,
        "curves": _without_points(figures.learning_curves(records, info)),
        "timeline": figures.timeline(records, info),
    }
    if ranked(records, info) and info.fields:
        drawn["parallel"] = figures.parallel_coordinates(records, info)
        drawn["slices"] = figures.slices(records, info, list(mattered.shares))
    if mattered.shares:
        drawn["importance"] = figures.importance_bars(mattered)
    return {
        "texts": {"lede": _lede(info)},
        "stats": stats(records, info),
        "notes": notes(records, info, baseline) | {"importance": mattered.warning},
        "findings": findings(records, info, mattered, baseline=baseline, evaluated_on=evaluated_on),
        "table": runs_table(records, info).as_dict(),
        "figures": {name: figure for name, figure in drawn.items() if figure and figure["data"]},
        "curves": {run.id: figures.curve_points(run, info) for run in records if run.history},
        "mistakes": mistakes(records, info),
        "commands": list(commands),
    }


def run_payload(info: SweepInfo, record: RunRecord) -> dict[str, Any]:
    """Everything a page of one run shows; `info` says which metric it was after."""
    curves = figures.run_curves(record)
    value, (best, epoch) = value_of(record, info.metric), best_of(record, info)
    count = number(record.summary.get("parameters"))
    limit = figures.parameter_limit([record])
    kind = status(record, info.metric) if info.metric else None
    tiles = [
        {"label": "state", "value": record.state, "hint": reason(record, info.metric) if kind else ""},
        {"label": "time", "value": duration(record.seconds) if record.seconds is not None else "–", "hint": ""},
    ]
    if info.metric:
        at = f" at epoch {epoch:g}" if epoch is not None else ""
        hint = f"best {info.show(best)}{at}" if best is not None else ""
        tiles.insert(0, {"label": info.metric, "value": info.show(value), "hint": hint})
    if count is not None:
        share = f"{count / limit:.0%} of {limit:,}" if limit else ""
        tiles.insert(1, {"label": "parameters", "value": f"{count:,.0f}", "hint": share})
    return {
        "stats": tiles,
        "figures": {"run": _without_points(curves)} if curves else {},
        "curves": {record.id: figures.logged_points(record)},
        "mistakes": mistakes([record], info),
    }


def mistakes(records: Sequence[RunRecord], info: SweepInfo) -> dict[str, Any]:
    """Confusion matrix and misclassified images of every run that has them, the best run first."""
    order = {run.id: i for i, run in enumerate(ranked(records, info))}
    shown = [run for run in records if run.mistakes or run.confusion]
    shown.sort(key=lambda run: order.get(run.id, len(order)))
    return {
        run.id: {
            "name": f"{run.label} ({info.show(value_of(run, info.metric))})",
            "confusion": figures.confusion_matrix(run.confusion) if run.confusion else None,
            "images": [
                {
                    "src": png_uri(one.png),
                    "label": one.label,
                    "prediction": one.prediction,
                    "confidence": one.confidence,
                    "index": one.index,
                }
                for one in run.mistakes
            ],
        }
        for run in shown
    }


def stats(records: Sequence[RunRecord], info: SweepInfo) -> list[dict[str, str]]:
    """The tiles at the top."""
    runs = ranked(records, info)
    live = sum(status(record, info.metric) is Status.RUNNING for record in records)
    spent = sum(record.seconds or 0.0 for record in records)
    tiles = [
        {"label": f"best {info.metric}", "value": "–", "hint": "nothing ranked yet"},
        {"label": "trials", "value": str(len(records)), "hint": f"{len(runs)} ranked, {live} running"},
        {"label": "training time", "value": duration(spent), "hint": "all trials together"},
        {"label": "search", "value": info.method or "–", "hint": f"{len(info.fields)} fields"},
        {"label": "state", "value": info.state.lower() or "–", "hint": ""},
    ]
    if runs:
        best = runs[0]
        tiles[0] |= {"value": info.show(value_of(best, info.metric)), "hint": best.label}
        if (count := number(best.summary.get("parameters"))) is not None:
            limit = figures.parameter_limit(records)
            hint = f"{count / limit:.0%} of {limit:,}" if limit else "of the best run"
            tiles.insert(1, {"label": "its parameters", "value": f"{count:,.0f}", "hint": hint})
    return tiles


def notes(records: Sequence[RunRecord], info: SweepInfo, baseline: Sequence[RunRecord] = ()) -> dict[str, str]:
    """One line beside each figure that says what it leaves out."""
    kinds = [status(record, info.metric) for record in records]
    left = sum(kind not in (Status.OK, Status.RUNNING) for kind in kinds)
    better = "higher" if info.goal == "maximize" else "lower"
    refused = kinds.count(Status.INFEASIBLE)
    return {
        "ranking": f"By {info.metric} after the last epoch, {better} is better."
        + (f" {left} of {len(records)} runs are marked with the reason why they are not ranked." if left else ""),
        "tradeoff": f"Each point is a ranked run, the line joins those that nothing beats in both{_crosses(refused)}.",
        "best": "Trials in the order the search proposed them; refused ones count, they cost a proposal."
        + ("" if baseline else " Without a random search of the same space there is nothing to compare it with."),
    }


def _crosses(refused: int) -> str:
    what = "the cross is a proposal" if refused == 1 else f"the crosses are {refused} proposals"
    return f"; {what} over the limit, refused before training" if refused else ""


def script_json(data: Mapping[str, Any]) -> Markup:
    """JSON that may stand inside a `<script>` element: no character in it can end the element or start a comment."""
    text = json.dumps(finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def finite(value: Any) -> Any:
    """The same data with None for NaN and infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def plotly_bundle() -> Path:
    """Plotly's browser bundle, as its Python package ships it."""
    spec = find_spec("plotly")  # not imported: that would cost more than the whole page
    assert spec is not None  # a dependency
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


@cache
def environment() -> Environment:
    """The templates of this package; a server adds its own loader beside them."""
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _lede(info: SweepInfo) -> str:
    names = ", ".join(field.name for field in info.fields)
    goal = f"{info.goal} {info.metric}" if info.metric else "no metric"
    return f"{info.method or 'sweep'}: {goal}" + (f" over {names}" if names else "")


def _without_points(figure: figures.Figure) -> figures.Figure:
    """The curves' points travel once, by run (`curves` of the payload); the page joins them."""
    for trace in figure["data"]:
        del trace["x"], trace["y"]
    return figure
