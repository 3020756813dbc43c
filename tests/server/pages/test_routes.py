"""The local server's pages in a real browser, with real runs behind them."""

import io
import json
import re
import urllib.error
import urllib.request

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser import KEYS, Opener, brush, draw_everything, row_ids
from tests.local_server import Served

SCRIPT = "<script>document.title='broken'</script>"


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
