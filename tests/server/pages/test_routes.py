"""The local server's pages in a real browser, with real runs behind them."""

import io
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlencode

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser import KEYS, Opener, brush, draw_everything, row_ids
from tests.local_server import Served

SCRIPT = "<script>document.title='broken'</script>"


@pytest.fixture
def sweep_url(served: Served, sweep_path: str) -> str:
    return f"{served.url}/local/review/sweeps/{sweep_path.split('/')[-1]}"


def test_from_the_projects_to_a_run(served: Served, sweep_path: str, open_page: Opener) -> None:
    page = open_page(served.url + "/")
    page.get_by_role("link", name="local / review").click()
    row = page.locator("#sweeps tbody tr", has_text="A tiny sweep")
    expect(row).to_contain_text("random")
    expect(row).to_contain_text("99.00 %")
    row.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("A tiny sweep")
    draw_everything(page)
    expect(page.locator(".tile-value").first).to_have_text("99.00 %")
    page.get_by_role("link", name="good", exact=True).click()
    expect(page.locator("h1")).to_have_text("good")
    expect(page.locator(".tile-value").first).to_have_text("98.00 %")
    draw_everything(page)
    assert page.locator(".mistake img").count() == 2
    with page.expect_download() as download:
        page.get_by_role("link", name="wandb-summary.json").click()
    assert b"best/val/accuracy" in download.value.path().read_bytes()


def test_a_run_named_like_a_script_stays_text_on_every_page(served: Served, sweep_url: str, open_page: Opener) -> None:
    page = open_page(sweep_url)
    draw_everything(page)
    link = page.get_by_role("link", name=SCRIPT)
    expect(link).to_be_visible()
    link.click()
    expect(page.locator("h1")).to_have_text(SCRIPT)
    draw_everything(page)
    assert page.title().startswith(SCRIPT)
    page.goto(f"{served.url}/local/review")
    expect(page.get_by_role("link", name=SCRIPT).first).to_be_visible()
    assert "broken" not in page.title()


def test_brushing_the_server_page_filters_its_table(sweep_url: str, open_page: Opener) -> None:
    page = open_page(sweep_url)
    assert len(row_ids(page)) >= 4  # those that ran, and perhaps one that was handed out next
    brush(page, "val/accuracy", 0.5, 1.0)
    assert len(row_ids(page)) == 2


def test_the_comparison_has_a_page_of_its_own(sweep_url: str, open_page: Opener) -> None:
    page = open_page(sweep_url)
    page.get_by_role("link", name="on a page of their own").click()
    expect(page.locator("h1")).to_have_text("3 runs side by side")
    draw_everything(page)
    assert page.locator("[data-compare] thead th").count() == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_that_is_wider_than_the_page_shows_on_which_side_it_goes_on(
    sweep_url: str, open_page: Opener, scheme: str
) -> None:
    page = open_page(sweep_url, color_scheme=scheme)
    page.set_viewport_size({"width": 420, "height": 900})
    frame = page.locator("#ranking .table-frame")
    expect(frame.locator("tbody tr").first).to_be_visible()

    def shades() -> tuple[float, float]:
        """How far the left and the right edge of an unmarked row are from the card, in grey levels."""
        row = frame.locator("tbody tr.unranked").first
        row.scroll_into_view_if_needed()
        box = frame.bounding_box()
        line = row.bounding_box()
        assert box is not None
        assert line is not None
        clip = {"x": box["x"] + 2, "y": line["y"] + 2, "width": box["width"] - 4, "height": 3}
        image = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L")
        middle = image.getpixel((image.width // 2, 1))
        return tuple(abs(image.getpixel((x, 1)) - middle) for x in (1, image.width - 2))  # type: ignore[return-value]

    left, right = shades()
    assert left < 5 < 15 < right
    frame.evaluate("place => (place.scrollLeft = place.scrollWidth)")
    left, right = shades()
    assert right < 5 < 15 < left


def test_the_address_of_a_sweeps_page_keeps_filter_sort_and_columns(sweep_url: str, open_page: Opener) -> None:
    page = open_page(sweep_url)
    draw_everything(page)
    page.get_by_role("searchbox").fill("c1 in [4, 8] and status != infeasible")
    page.get_by_role("button", name="max_lr", exact=True).click()
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("time", exact=True).uncheck()
    page.locator("[data-table] tbody input:checked").last.uncheck()
    ids, ticked = row_ids(page), page.locator("[data-table] tbody input:checked").count()
    assert len(ids) == 3

    again = open_page(page.url)
    expect(again.locator("[data-table] tbody tr")).to_have_count(3)
    assert row_ids(again) == ids
    expect(again.locator("[data-table] tbody input:checked")).to_have_count(ticked)
    assert "time" not in again.locator("[data-table] thead th").all_inner_texts()
    expect(again.locator("th[aria-sort=descending]")).to_have_text("max_lr")


def test_a_filter_that_is_not_understood_is_reported(sweep_url: str, open_page: Opener) -> None:
    page = open_page(sweep_url)
    all_rows = len(row_ids(page))
    page.get_by_role("searchbox").fill("nofield > 3")
    expect(page.get_by_role("alert")).to_contain_text("there is no column “nofield”")
    assert len(row_ids(page)) == all_rows
    page.get_by_role("searchbox").fill("")
    expect(page.get_by_role("alert")).to_have_count(0)


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
    sweep = served.python(CREATE.replace("again", "review")).split()[-1]
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
    sweep = served.python(CREATE).split()[-1]
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
    sweep = served.python(CREATE.replace("again", "review")).split()[-1]
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


def post(served: Served, url: str, **form: str) -> tuple[int, str]:
    headers = {"Sec-Fetch-Site": form.pop("site")} if "site" in form else {}
    request = urllib.request.Request(url, urlencode(form).encode(), headers | served.headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.url
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_buttons_change_the_sweep_but_only_from_the_servers_own_pages(
    served: Served, sweep_url: str, open_page: Opener
) -> None:
    page = open_page(sweep_url)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.locator(".tile", has_text="state")).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    token = page.locator("input[name=token]").first.get_attribute("value") or ""
    assert post(served, sweep_url, action="cancel")[0] == 403
    assert post(served, sweep_url, action="cancel", token="guess")[0] == 403
    assert post(served, sweep_url, action="cancel", token=token, site="cross-site")[0] == 403
    assert post(served, sweep_url, action="explode", token=token)[0] == 400
    page.reload()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    other = open_page(sweep_url)
    other.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()  # without a reload
    expect(page.locator(".tile", has_text="state")).to_contain_text("paused")
    other.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_stop_and_cancel_explain_themselves_and_ask(served: Served, open_page: Opener) -> None:
    sweep = served.python(CREATE).split()[-1]
    page = open_page(f"{served.url}/local/again/sweeps/{sweep}")
    state = page.locator(".tile", has_text="state")
    for action, explanation, after in (
        ("Cancel", "Running trials are killed", "canceled"),
        ("Stop", "No new trial starts", "finished"),
    ):
        button = page.get_by_role("button", name=f"{action} the sweep")
        assert not button.is_visible()
        page.locator("summary", has_text=action).click()
        expect(page.locator(".ask[open]")).to_contain_text(explanation)
        expect(state).not_to_contain_text(after)  # nothing has happened yet
        button.click()
        expect(state).to_contain_text(after)
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()


FAIL = """
import wandb
from wandb.agents import pyagent
pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
tries = []
def train():
    with wandb.init() as run:
        tries.append(run.id)
        run.log({{"val/accuracy": 0.5, "epoch": 1}})
        if {fail}:
            raise RuntimeError("as the test wants it")
wandb.agent({sweep!r}, function=train, count=1, project="again")
print(tries[0])
"""
CREATE = """
import wandb
print(wandb.sweep({"method": "random", "metric": {"name": "val/accuracy", "goal": "maximize"},
                   "parameters": {"lr": {"min": 0.0, "max": 1.0}}}, project="again"))
"""


def test_a_failed_run_is_handed_out_again(served: Served, open_page: Opener) -> None:
    sweep = served.python(CREATE).split()[-1]
    failed = served.python(FAIL.format(fail=True, sweep=sweep)).split()[-1]
    page = open_page(f"{served.url}/local/again/runs/{failed}")
    expect(page.locator("[data-facts] div", has_text="state")).to_contain_text("failed")
    page.get_by_role("button", name="Hand out again").click()
    expect(page.locator("[data-facts] div", has_text="state")).to_contain_text("queued")
    assert page.get_by_role("button", name="Hand out again").count() == 0
    assert served.python(FAIL.format(fail=False, sweep=sweep)).split()[-1] == failed
    page.reload()
    expect(page.locator("[data-facts] div", has_text="state")).to_contain_text("finished")


def test_the_link_of_a_stored_report_leads_to_its_page(served: Served, sweep_path: str, open_page: Opener) -> None:
    code = f"""
import wandb
from mnist_sweep.review import api
from mnist_sweep.review.review import build_review
from mnist_sweep.review.wandb_report import publish
print(publish(build_review(api.ranking(wandb.Api().sweep({sweep_path!r})))))
"""
    url = served.python(code).split()[-1]
    page = open_page(url)
    expect(page.locator("h1")).to_have_text("Review of A tiny sweep")
    expect(page.locator(".report")).to_contain_text("Which values of")
    expect(page.locator(".report table td", has_text="99.00 %").first).to_be_visible()
    assert page.locator(".report script").count() == 0
    draw_everything(page)
    titles = page.locator(".panel > figcaption").all_inner_texts()
    assert {"Parallel coordinates", "val/accuracy", "Run Comparer", "Media"} <= set(titles)
    expect(page.locator(".panel .parallel canvas")).to_be_visible()
    comparer = page.locator(".panel", has_text="Run Comparer")
    expect(comparer.locator("tbody th", has_text="config: max_lr")).to_be_visible()
    assert comparer.locator("tbody th", has_text="config: epochs").count() == 0  # the same in all runs
    media = page.locator(".panel .medium[data-key='val/misclassified']").first
    media.scroll_into_view_if_needed()
    expect(media.locator("tbody td img").first).to_have_js_property("naturalWidth", 28)
    page.get_by_role("link", name=re.compile("sweep's page")).first.click()
    expect(page.locator("h1")).to_have_text("A tiny sweep")


def test_unknown_addresses_are_404_and_bad_cursors_400(served: Served, sweep_path: str) -> None:
    base = f"{served.url}/local/review"
    for address, expected in (
        (f"{base}/sweeps/nope", 404),
        (f"{base}/runs/nope", 404),
        (f"{base}/reports/nope", 400),
        (f"{served.url}/-/../app.py", 404),
        (f"{served.url}/-/secrets.txt", 404),
        (f"{served.url}/api/{sweep_path.replace('/review/', '/review/sweeps/')}/review?cursor=x", 400),
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(address, headers=served.headers))
        assert error.value.code == expected, address
        assert json.loads(error.value.read())["error"], address


def test_an_address_that_leads_nowhere_is_a_page_to_people(served: Served, sweep_path: str, browser: Browser) -> None:
    page = browser.new_page()  # not watched: a browser says on its console that an answer was not 200
    assert page.request.post(f"{served.url}/login", form={"key": KEYS[served.url]}).ok
    for path, code, heading, reason in (
        ("/local/review/sweeps/nope", 404, "Not found", "nope"),
        ("/local/nothing", 404, "Not found", "nothing"),
        ("/local/review/reports/%3Cb%3Enope", 400, "That did not work", "<b>nope"),
        ("/local/review/no/such/page/here", 404, "Not found", "Not Found"),
    ):
        answer = page.goto(f"{served.url}{path}")
        assert answer is not None
        assert (answer.status, answer.headers["content-type"]) == (code, "text/html; charset=utf-8")
        expect(page.locator("h1")).to_have_text(heading)
        expect(page.get_by_role("alert")).to_contain_text(reason)
        page.get_by_role("link", name="All projects").click()
        expect(page.locator("h1")).to_have_text("Projects")
    page.close()


def test_a_run_has_an_overview(served: Served, open_page: Opener) -> None:
    code = """
import wandb
with wandb.init(project="overview", id="seen", job_type="measure", tags=["one", "two"], notes="worth a line",
                settings=wandb.Settings(program="fit.py")) as run:
    run.log({"loss": 1})
"""
    served.python(code)
    page = open_page(f"{served.url}/local/overview/runs/seen")
    facts = dict(
        zip(
            page.locator("[data-facts] dt").all_inner_texts(),
            page.locator("[data-facts] dd").all_inner_texts(),
            strict=True,
        )
    )
    assert facts["state"] == "finished"
    assert facts["job type"] == "measure"
    assert facts["tags"] == "one, two"
    assert facts["notes"] == "worth a line"
    assert "fit.py" in facts["command"]
    assert facts["Python"].startswith("CPython 3.")
    assert facts["host"]
    assert facts["duration"].endswith(" s")


def test_a_run_is_described_and_deleted_on_its_page(served: Served, open_page: Opener) -> None:
    code = "import wandb\nwith wandb.init(project='edits', id='gone') as run:\n    run.log({'loss': 1})\n"
    served.python(code + "    run.log_artifact(wandb.Artifact('thing', 'model'))")
    page = open_page(f"{served.url}/local/edits/runs/gone")
    expect(page.get_by_role("link", name="thing:v0")).to_be_visible()
    page.get_by_label("name", exact=True).fill("a better <name>")
    page.get_by_label("tags").fill("one, two")
    page.get_by_label("notes").fill("worth a line")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("a better <name>")
    said = served.python(
        "import wandb; run = wandb.Api().run('local/edits/gone'); print([run.name, run.tags, run.notes, run.group])"
    )
    assert said.splitlines()[-1] == "['a better <name>', ['one', 'two'], 'worth a line', '']"

    button = page.get_by_role("button", name="Yes, delete")
    assert not button.is_visible()  # a question first
    page.get_by_text("Delete this run").click()
    token = page.locator("input[name=token]").first.get_attribute("value") or ""
    assert post(served, page.url, action="explode", token=token)[0] == 400
    button.click()
    expect(page.locator("h1")).to_have_text("edits")
    expect(page.locator("[data-table] tbody tr")).to_have_count(0)
