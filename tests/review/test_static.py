"""The scripts and styles of the pages in a real browser: the self-contained page, opened from disk."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from mnist_sweep.review.page import Gallery, html_page
from mnist_sweep.review.palette import run_colour
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.review import build_review
from tests.browser import Opener, brush, draw_everything, row_ids
from tests.review import synthetic

INFO = synthetic.info()
EVIL = "<script>document.title='broken'</script><img src=x onerror=document.title='broken'>"
RUNS = synthetic.sweep(40)
RANKING = synthetic.ranking(40)
RANKED = RANKING.ranked
BEST = RANKED[0]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    records = [replace(run, name=EVIL) if run.id == BEST.id else run for run in RUNS]
    shown = {trial.id: synthetic.mistakes() for trial in RANKED[:2]}
    found = build_review(rank(INFO, records), random=synthetic.ranking(30, seed=7), media=shown, samples=5000)
    rows = {f"strength {s}": [synthetic.png(k) for k in range(6)] for s in (0, 0.5, 1, 1.5)}
    page = html_page(replace(found, commands=("train --max_lr 0.1",)), Gallery("Augmented", "At four strengths.", rows))
    file = tmp_path_factory.mktemp("page") / "review.html"
    file.write_text(page, "utf-8")
    return file.as_uri()


def test_the_page_shows_the_sweep_and_draws_every_figure(open_page: Opener, address: str) -> None:
    page = open_page(address)
    draw_everything(page)
    expect(page.locator(".tile-value").first).to_have_text(RANKING.presentation.show(BEST.value))
    names = page.locator("[data-figure]").evaluate_all("all => all.map(p => p.dataset.figure)")
    assert names == ["importance", "tradeoff", "best", "curves", "slices", "timeline", "confusion"]
    assert page.locator("section:visible h2").count() == 13
    assert page.locator(".mistake img").count() == 18
    assert page.locator(".strip").count() == 4
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth === 28)")
    assert row_ids(page)[: len(RANKED)] == [run.id for run in RANKED]


@pytest.mark.parametrize("width", [420, 1280])
def test_the_hints_of_tiles_are_whole(open_page: Opener, address: str, width: int) -> None:
    page = open_page(address)
    page.set_viewport_size({"width": width, "height": 900})
    page.locator(".tile-hint").first.evaluate("hint => (hint.textContent = '89 % of 9,999 allowed, replicate 0 to 5')")
    clipped = "all => all.filter(hint => hint.scrollWidth > hint.clientWidth).map(hint => hint.textContent)"
    assert page.locator(".tile-hint").evaluate_all(clipped) == []


def test_a_name_that_is_a_script_stays_text(open_page: Opener, address: str) -> None:
    page = open_page(address)
    draw_everything(page)
    expect(page.locator("[data-table] tbody tr").first).to_contain_text(EVIL)
    assert page.title() == "Synthetic sweep – sweep review"
    assert page.locator("img[src=x]").count() == 0


def test_brushing_an_axis_filters_the_table(open_page: Opener, address: str) -> None:
    page = open_page(address)
    brush(page, "dropout", 0.0, 0.5)
    inside = [run.id for run in RANKED if run.record.config["dropout"] <= 0.075]
    assert 0 < len(inside) < len(RANKED)
    assert row_ids(page) == inside
    brush(page, "augment_strength", 0.5, 1.0)
    both = [run.id for run in RANKED if run.id in inside and run.record.config["augment_strength"] >= 0.75]
    assert row_ids(page) == both
    page.get_by_text("Clear the brush").click()
    assert len(row_ids(page)) == len(RUNS)


def test_parallel_axes_keep_their_room_on_a_narrow_screen(open_page: Opener, address: str) -> None:
    page = open_page(address)
    page.set_viewport_size({"width": 320, "height": 900})
    page.locator("[data-parallel]").scroll_into_view_if_needed()
    expect(page.locator(".parallel canvas")).to_be_visible()
    axes = page.locator(".parallel .axes > *").count()
    assert axes >= 8
    page.wait_for_function("count => document.querySelector('.parallel').clientWidth >= 42 * count", arg=axes)
    place = page.locator(".scrolls").evaluate("place => [place.clientWidth, place.scrollWidth]")
    assert place[0] < 320 < place[1]  # the figure scrolls within its card


def test_the_table_sorts_filters_chooses_columns_and_saves_csv(open_page: Opener, address: str) -> None:
    page = open_page(address)
    page.get_by_role("button", name="parameters", exact=True).click()
    counts = [r.summary["parameters"] for r in RUNS if "parameters" in r.summary]
    first = page.locator("[data-table] tbody tr").first
    expect(first.locator("td").nth(5)).to_have_text(f"{min(counts):,}")
    page.get_by_role("button", name="parameters", exact=True).click()
    expect(first.locator("td").nth(5)).to_have_text(f"{max(counts):,}")

    search = page.get_by_role("searchbox")
    search.fill("parameters < 7000, status = finished")
    small = {r.id for r in RANKED if (r.size or 0) < 7000}
    assert set(row_ids(page)) == small
    expect(page.locator(".table-foot .count")).to_have_text(f"{len(small)} of {len(RUNS)} runs")

    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("batch_size").uncheck()
    page.get_by_label("model", exact=True).check()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    lines = Path(download.value.path()).read_bytes().decode().split("\r\n")
    header = lines[0].split(",")
    assert "model" in header
    assert "batch_size" not in header
    assert len(lines) == len(small) + 2  # a header, and nothing after the last line's end
    assert lines[1].split(",")[header.index("model")] == "tiny"


def test_the_comparison_shows_only_what_differs(open_page: Opener, address: str) -> None:
    page = open_page(address)
    rows = page.locator("[data-compare] tbody tr")
    heads = page.locator("[data-compare] thead th")
    assert heads.count() == 4  # at first, the three best
    page.locator("[data-table] tbody tr").nth(2).locator("input").uncheck()
    assert heads.count() == 3
    labels = rows.locator("th").all_inner_texts()
    assert "max_lr" in labels
    assert "epochs" not in labels
    assert "status" not in labels


def test_a_run_is_highlighted_everywhere_in_one_colour(open_page: Opener, address: str) -> None:
    page = open_page(address)
    draw_everything(page)
    row = page.locator(f"[data-table] tbody tr[data-id='{BEST.id}']")
    dot = row.locator(".dot.run").evaluate("dot => dot.style.background")
    names = "place => place.data.map(t => [t.meta?.runs?.join(), t.line?.color])"
    drawn = dict(page.locator("[data-figure=curves]").evaluate(names))
    assert drawn[BEST.id] == run_colour(BEST.record.number)
    assert dot == "rgb({}, {}, {})".format(*(int(run_colour(BEST.record.number)[i : i + 2], 16) for i in (1, 3, 5)))

    row.hover()  # from the table to the charts
    faded = "place => [...place.querySelectorAll('.scatterlayer .trace')].map(t => t.style.opacity)"
    opacities = page.locator("[data-figure=curves]").evaluate(faded)
    assert opacities.count("") == 2  # its metric and its learning rate
    assert set(opacities) == {"", "0.12", "0.3"}

    page.locator("[data-parallel]").scroll_into_view_if_needed()  # from the lines to the table
    rail = page.locator(".axis", has=page.locator("text='val/accuracy'")).locator(".rail").bounding_box()
    assert rail is not None
    page.mouse.move(rail["x"] - 3, rail["y"] + 1)
    expect(page.locator(".parallel .tip")).to_be_visible()
    expect(row).to_have_class(re.compile("highlighted"))
    page.mouse.move(rail["x"] + 300, 5)
    expect(page.locator("tr.highlighted")).to_have_count(0)


def test_light_and_dark(open_page: Opener, address: str) -> None:
    page = open_page(address, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_label("Light or dark").click()
    light = page.evaluate(background)
    assert dark == "rgb(15, 18, 24)"
    assert light == "rgb(246, 247, 249)"
    draw_everything(page)


def test_mistakes_of_another_run_can_be_chosen(open_page: Opener, address: str) -> None:
    page = open_page(address)
    choice = page.get_by_label("Run", exact=True)
    assert choice.locator("option").count() == 2
    choice.select_option(index=1)
    assert page.locator(".mistake").count() == 18


def test_a_sweep_without_runs(open_page: Opener, tmp_path: Path) -> None:
    file = tmp_path / "empty.html"
    file.write_text(html_page(build_review(rank(INFO, []))), "utf-8")
    page = open_page(file.as_uri())
    expect(page.locator(".findings li")).to_have_text("No run has reported val/accuracy yet. 0 trials: none.")
