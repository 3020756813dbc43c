"""The axes of a page's figures (static/figures.js), in a real browser."""

from pathlib import Path

from mnist_sweep.review.page import STATIC
from tests.browser import Opener


def test_a_limit_far_from_few_whole_numbers_gets_no_tick_per_number(tmp_path: Path, open_page: Opener) -> None:
    """Such an axis had 8,600 ticks, and the browser took minutes to draw them."""
    file = tmp_path / "page.html"
    scripts = "".join(f"<script>{(STATIC / name).read_text()}</script>" for name in ("base.js", "figures.js"))
    file.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>axes</title>{scripts}</html>')
    page = open_page(file.as_uri())
    traces = [{"x": [1384, 1384], "y": [0.2, 0.3]}]
    limit = {"type": "line", "x0": 9999, "x1": 9999, "y0": 0, "y1": 1, "yref": "paper"}
    axes = "([traces, shapes]) => Review.wholeAxes(traces, { xaxis: {}, yaxis: {}, shapes })"
    assert page.evaluate(axes, [traces, [limit]]) == {}
    assert page.evaluate(axes, [traces, []])["xaxis"]["dtick"] == 1
