"""Draw confirmed accuracy against parameters, as in README.md:  python -m scripts.results_figure

Reads the trainings in docs/results: confirmed.jsonl, confirmed-bfloat16.jsonl (an earlier training step) for networks
that are not in the first, and ladder.jsonl. Writes docs/images/accuracy-against-parameters.png. Needs Chromium.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

from mnist_sweep.config import RunConfig, parse_recorded
from mnist_sweep.review.statistics import interval
from scripts import chromium

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PICTURE = ROOT / "docs" / "images" / "accuracy-against-parameters.png"
LIMITS = (1_000, 3_000, 5_000, 10_000)
PUBLIC = {1_000: 99.03, 3_000: 99.10, 5_000: 99.28, 10_000: 99.57}
"""The best public accuracy under each limit that we know of, in per cent; single runs, selected on the test images."""


@dataclass(frozen=True)
class Point:
    """One confirmed configuration."""

    recipe: RunConfig
    mean: float
    """Test accuracy, per cent, mean over seeds."""
    half_width: float
    """Half of the mean's 95 % interval (Student's t)."""
    seeds: int

    @property
    def parameters(self) -> int:
        return self.recipe.parameters


def points(file: Path) -> list[Point]:
    """Return the configurations of `file` that have at least three seeds."""
    accuracies: dict[RunConfig, list[float]] = defaultdict(list)
    for line in file.read_text().splitlines():
        row: dict[str, Any] = json.loads(line)
        if not row["result"]["diverged"]:
            accuracies[parse_recorded(row["config"]).recipe].append(100 * row["result"]["accuracy"])
    return [
        Point(
            config,
            fmean(values),
            interval(values),
            len(values),
        )
        for config, values in accuracies.items()
        if len(values) >= 3
    ]


def figure() -> go.Figure:
    """Return accuracy against parameters: confirmed configurations, the study's steps, and public results."""
    confirmed = points(RESULTS / "confirmed.jsonl")
    winners = [max((p for p in confirmed if p.parameters < limit), key=lambda p: p.mean) for limit in LIMITS]
    present = {point.recipe: point for point in confirmed}
    confirmed += [p for p in points(RESULTS / "confirmed-bfloat16.jsonl") if p.recipe not in present]
    ladder = [point for point in points(RESULTS / "ladder.jsonl") if point.parameters < LIMITS[-1]]
    steps = [present.get(point.recipe, point) for point in ladder]
    others = [point for point in confirmed if point not in winners and point not in steps]
    drawn = go.Figure()
    for name, group, colour, symbol, size in (
        ("the study's steps 2 to 8, retrained", steps, "#9aa3b2", "square", 7),
        ("confirmed, images as they are", [p for p in others if not p.recipe.deskew], "#7aa6e8", "circle-open", 7),
        ("confirmed, images deskewed", [p for p in others if p.recipe.deskew], "#7aa6e8", "circle", 7),
        ("winner of each size", winners, "#1757c2", "circle", 11),
    ):
        drawn.add_scatter(
            x=[p.parameters for p in group],
            y=[p.mean for p in group],
            error_y={"array": [p.half_width for p in group], "thickness": 1.2, "width": 4},
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": size},
            name=name,
        )
    drawn.add_scatter(
        x=list(PUBLIC),
        y=list(PUBLIC.values()),
        mode="markers",
        marker={"color": "#c2410c", "symbol": "triangle-left", "size": 10},
        name="best public single run under the limit",
    )
    for limit in LIMITS:
        drawn.add_vline(x=limit, line={"color": "#c9ced8", "width": 1, "dash": "dot"})
    drawn.update_layout(
        template="plotly_white",
        width=900,
        height=430,
        margin={"l": 70, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        font={"family": "Inter, Helvetica, Arial, sans-serif", "size": 13},
    )
    drawn.update_xaxes(
        title="trainable parameters", type="log", tickvals=[1000, 2000, 3000, 5000, 10000], tickformat=",d"
    )
    drawn.update_yaxes(title="test accuracy", ticksuffix=" %", tickformat=".1f")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PICTURE, help="output file (default %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "figure.html"
        figure().write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 900, "height": 430}, device_scale_factor=1.5)
        window.goto(page.as_uri())
        window.wait_for_selector(".main-svg")
        window.locator(".js-plotly-plot").screenshot(path=arguments.out)
        browser.close()


if __name__ == "__main__":
    main()
