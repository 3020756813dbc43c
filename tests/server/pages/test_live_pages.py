"""Pages that stay open while runs begin, log and end, in a real browser."""

import re
import subprocess
import sys

from playwright.sync_api import expect

from tests.browser import Opener, draw_everything, row_ids
from tests.local_server import Served

OTHER = "import wandb\nwith wandb.init(project='elsewhere') as run:\n    run.log({'loss': 1})"


def test_the_focus_stays_while_an_ended_sweeps_page_polls(served: Served, sweep_url: str, open_page: Opener) -> None:
    """Another project's run moves the server's cursor, which once rendered every open page again."""
    page = open_page(sweep_url)
    draw_everything(page)
    link = page.get_by_role("link", name="good", exact=True)
    link.focus()
    page.evaluate("document.querySelectorAll('tr, .tile, .main-svg').forEach((node) => (node.known = true))")
    served.python(OTHER)
    for _ in range(3):
        with page.expect_response("**/review?**"):
            pass
    expect(link).to_be_focused()
    assert page.evaluate("[...document.querySelectorAll('tr, .tile, .main-svg')].every((node) => node.known)")


def test_the_focus_stays_on_a_row_that_changes_and_moves(served: Served, open_page: Opener) -> None:
    start = "import wandb\nwith wandb.init(project='moving', id={run!r}) as run:\n    run.log({{'loss': {loss}}})"
    for run, loss in (("first", 1), ("second", 2)):
        served.python(start.format(run=run, loss=loss))
    page = open_page(f"{served.url}/local/moving?sort=summary:loss")
    expect(page.locator("[data-table] tbody tr")).to_have_count(2)
    box = page.locator("[data-table] tr[data-id=second] input")
    box.focus()
    served.python(
        "import wandb\nrun = wandb.Api().run('local/moving/second')\nrun.summary['loss'] = 0\nrun.summary.update()"
    )
    expect(page.locator("[data-table] tbody tr").first).to_have_attribute("data-id", "second", timeout=30_000)
    assert row_ids(page) == ["second", "first"]
    expect(box).to_be_focused()


CONTINUE = """
import time, wandb
from pathlib import Path
run = wandb.init(project="review", id={run!r}, settings=wandb.Settings(
    sweep_id={sweep!r}, x_file_stream_transmit_interval=0.2))
run.name = "a late one"
run.summary.update({{"parameters": 5000, "feasible": True}})
run.define_metric("val/accuracy", step_metric="epoch")
for epoch in (1, 2, 3):
    run.log({{"epoch": epoch, "val/accuracy": 0.99 + 0.002 * epoch, "lr": 0.1}})
    print("working on epoch", epoch)
    if epoch == 1:
        deadline = time.monotonic() + 120
        while not Path({go!r}).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
run.finish()
"""


def test_a_running_sweep_updates_by_itself_and_fetches_only_what_is_new(served: Served, open_page: Opener) -> None:
    sweep = served.create_sweep("review")
    page = open_page(f"{served.url}/local/review/sweeps/{sweep}")
    draw_everything(page)
    expect(page.locator(".tile-value").first).to_have_text("–")
    answers: list[dict[str, object]] = []
    page.on("response", lambda r: answers.append(r.json()) if "/review?" in r.url else None)
    run, go = f"live-{sweep}", served.folder / f"go-{sweep}"  # another sweep's, if the test is repeated
    code = CONTINUE.format(sweep=sweep, run=run, go=str(go))
    process = subprocess.Popen([sys.executable, "-c", code], env=served.env, cwd=served.folder)
    try:
        late = page.locator(f"[data-table] tbody tr[data-id={run}]")
        expect(late).to_contain_text("running")
        expect(late).to_contain_text("99.20 %")
        seen = len(answers)
        go.touch()
        expect(late).to_contain_text("99.60 %")
        expect(page.locator(".tile-value").first).to_have_text("99.60 %")
        draw_everything(page)  # also the figures for which there was nothing to draw before
        assert row_ids(page) == [run]
    finally:
        process.wait(120)
    curves = [points for answer in answers[seen:] for points in (answer.get("curves") or {}).values()]  # type: ignore[attr-defined]
    assert curves
    assert [x for points in curves for x in points["x"]] == [2.0, 3.0]  # not the first epoch again
    late_rows = [row for answer in answers[seen:] for row in (answer.get("table") or {}).get("rows", [])]  # type: ignore[attr-defined]
    assert {row[0] for row in late_rows} == {run}

    run_page = open_page(f"{served.url}/local/review/runs/{run}")
    expect(run_page.locator("[data-log]")).to_contain_text("working on epoch 3")


MISTAKEN = """
import wandb
for run, accuracy in (("worse", 0.98), ("better", 0.99)):
    with wandb.init(project="again", id=run, name=run, settings=wandb.Settings(sweep_id={sweep!r})) as made:
        counts = wandb.Table(["label", "prediction", "count"], [[a, b, 5] for a in "01" for b in "01"])
        made.log({{"val/accuracy": accuracy, "val/confusion": counts, "only": run}})
"""


def test_a_page_opened_before_the_first_result_compares_the_best_and_shows_mistakes(
    served: Served, open_page: Opener
) -> None:
    sweep = served.create_sweep("again")
    page = open_page(f"{served.url}/local/again/sweeps/{sweep}")
    expect(page.locator("[data-compare]")).to_contain_text("Tick two or more runs")
    served.python(MISTAKEN.format(sweep=sweep))
    expect(page.locator("[data-compare] thead th.number")).to_have_text(["better", "worse"])
    expect(page.locator("[data-table] tbody :checked")).to_have_count(2)
    expect(page.locator("#mistakes [data-figure=confusion]")).to_be_visible()
    page.locator("[data-table] tr[data-id=worse] input").uncheck()
    expect(page.locator("[data-compare]")).to_contain_text("Tick two or more runs")


SILENT = """
import time, wandb
from pathlib import Path
with wandb.init(project="review", id="silent", settings=wandb.Settings(sweep_id={sweep!r})) as run:
    deadline = time.monotonic() + 120
    while not Path("enough").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
"""


def test_a_run_that_has_logged_nothing_shows_how_long_it_runs(served: Served, open_page: Opener) -> None:
    (served.folder / "enough").unlink(missing_ok=True)
    sweep = served.create_sweep("review")
    process = subprocess.Popen([sys.executable, "-c", SILENT.format(sweep=sweep)], env=served.env, cwd=served.folder)
    try:
        page = open_page(f"{served.url}/local/review/sweeps/{sweep}")
        cell = page.locator("[data-table] tbody tr[data-id=silent] td.seconds")
        expect(cell).to_have_text(re.compile(r"^\d+(\.\d)? s$"))
        first = cell.inner_text()
        expect(cell).not_to_have_text(first)  # counts on while nothing arrives
        page.wait_for_timeout(2000)
        page.reload()
        draw_everything(page)
        bar = page.locator("[data-figure=timeline]").evaluate("place => Math.max(...place.data.flatMap((t) => t.x))")
        assert bar > 2000  # milliseconds
        page.goto(f"{served.url}/local/review/runs/silent")
        time = page.locator("[data-facts] div", has_text="duration").locator("dd")
        expect(time).to_have_text(re.compile(r" s$"))
        before = time.inner_text()
        expect(time).not_to_have_text(before)
    finally:
        (served.folder / "enough").touch()
        process.wait(120)
