"""Measure the speed of the review with many runs: the HTML page from disk and the local server's page, in Chromium.

    python -m scripts.review_speed              1,000 synthetic runs, one minute
    python -m scripts.review_speed --runs 100
    python -m scripts.review_speed --fields 60 --metrics 50     wider runs, as in other projects

The runs are synthetic (tests/review/synthetic.py); only the times are meaningful. Each time is the median of the
repetitions, measured from the start of navigation. `shown` is the time until the tiles, the parallel coordinates and
the whole table can be used. `charts` is the time until the first Plotly chart is ready, or all visible charts on a
project's page. Plotly's bundle takes about a second to start.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import yaml
from playwright.sync_api import Browser, sync_playwright

from mnist_sweep.review.page import html_page
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord
from mnist_sweep.review.review import build_review
from mnist_sweep.server.process.launch import ServerProcess
from mnist_sweep.server.store import Store, lines, projects, runs, sweeps
from mnist_sweep.server.store.rows import Sweep
from scripts import chromium
from tests.browser import ARGUMENTS
from tests.review import synthetic

T = TypeVar("T")
FIRST = """[...document.querySelectorAll('[data-figure], .chart')].find(place => place.offsetParent)
    ?.scrollIntoView({ behavior: 'instant' })"""
MARKS = "performance.getEntriesByType('mark').map(mark => [mark.name, mark.startTime])"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="number of synthetic runs")
    parser.add_argument("--fields", type=int, default=0, help="total number of configuration fields")
    parser.add_argument("--metrics", type=int, default=0, help="total number of metrics in each row")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions")
    arguments = parser.parse_args()
    records = widened(synthetic.sweep(arguments.runs), arguments.fields, arguments.metrics)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=ARGUMENTS)
        from_disk(records, browser, Path(folder), arguments.repeat)
        from_server(records, browser, Path(folder) / "data", arguments.repeat)
        browser.close()


def widened(records: list[RunRecord], fields: int, metrics: int) -> list[RunRecord]:
    """Return the runs with random values added, up to `fields` configuration fields and `metrics` metrics."""
    rng = random.Random(0)
    found = []
    for record in records:
        config = {f"more.field{i:02d}": rng.random() for i in range(fields - len(record.config))}
        names = [
            f"{('train', 'val', 'time')[i % 3]}/more{i:02d}" for i in range(metrics - 2)
        ]  # in addition to val/accuracy and lr
        history = [dict(row) | {name: rng.random() for name in names} for row in record.history]
        last = {name: history[-1][name] for name in names} if history else {}
        summary = dict(record.summary) | last
        found.append(replace(record, config=dict(record.config) | config, history=history, summary=summary))
    return found


def from_disk(records: list[RunRecord], browser: Browser, folder: Path, repeat: int) -> None:
    """Measure the HTML page, opened from disk."""
    file = folder / "review.html"
    seconds, text = timed(lambda: html_page(build_review(rank(synthetic.info(), records))))
    print(f"HTML page, {len(records)} runs: built in {seconds:.2f} s (including imports), {len(text) / 1e6:.1f} MB")
    file.write_text(text, "utf-8")
    draw("  opened from disk", browser, file.as_uri(), repeat)


def from_server(records: list[RunRecord], browser: Browser, folder: Path, repeat: int) -> None:
    """Measure the pages of the sweep and of its project, opened from the server."""
    path = fill(folder, records)
    process = ServerProcess(folder)
    facts = process.start()
    url, headers = facts.url, {"Authorization": f"Bearer {facts.key}"}
    try:
        for what, page in (("sweep", path), ("project", path.split("/sweeps/")[0])):
            answers = [timed(partial(get, f"{url}/{page}", headers)) for _ in range(1 + repeat)]
            first, again = answers[0][0], statistics.median(seconds for seconds, _ in answers[1:])
            size = answers[0][1] / 1e6
            print(f"The {what}'s page: first answer in {first:.2f} s, later ones in {again:.2f} s, {size:.1f} MB")
            draw("  opened from the server", browser, f"{url}/{page}", repeat, headers)
        asked = f"{url}/api/{path}/review?cursor=999999999&state=RUNNING"
        news = [timed(lambda: get(asked, headers)) for _ in range(repeat)]
        print(f"  update request without news: {1000 * statistics.median(n[0] for n in news):.0f} ms, {news[0][1]} B")
    finally:
        process.stop()


def draw(what: str, browser: Browser, url: str, repeat: int, headers: dict[str, str] | None = None) -> None:
    """Open a page repeatedly and print the median times."""
    shown, drawn = [], []
    for _ in range(repeat):
        page = browser.new_page(viewport={"width": 1360, "height": 900}, extra_http_headers=headers)
        page.goto(url, wait_until="commit")
        while "review-drawn" not in (marks := dict(page.evaluate(MARKS))):
            page.evaluate(FIRST)  # charts are drawn when they become visible
            time.sleep(0.02)
        shown.append(marks["review-shown"] / 1000)
        drawn.append(marks["review-drawn"] / 1000)
        page.close()
    print(f"{what}: shown after {statistics.median(shown):.2f} s, charts after {statistics.median(drawn):.2f} s")


def fill(folder: Path, records: list[RunRecord]) -> str:
    """Create a store with these runs in one sweep. Return the sweep's path."""
    store = Store(folder)
    with store.write() as db:
        project = projects.ensure(db, "local", "speed")
        sweep = sweeps.create(db, project.id, yaml.safe_dump(synthetic.CONFIG), state="RUNNING")
        for number, record in enumerate(records):
            key = runs.create(
                db,
                project.id,
                record.id,
                record.state,
                trial=number,
                sweep_id=sweep,
                display_name=record.name,
                config={name: {"value": value} for name, value in record.config.items()},
                summary=dict(record.summary),
            )
            lines.put(db, key, lines.HISTORY, 0, [json.dumps(row) for row in record.history], runs.next_version(db))
        name = Sweep.by_id(db, sweep).name
    store.close()
    return f"local/speed/sweeps/{name}"


def get(url: str, headers: dict[str, str]) -> int:
    """Request an address and return the size of the answer in bytes."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return len(answer.read())


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that an action takes, and its result."""
    start = time.perf_counter()
    found = action()
    return time.perf_counter() - start, found


if __name__ == "__main__":
    main()
