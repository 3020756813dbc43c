"""The pages of programs that know nothing of this project (scripts/projects), in a real browser."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import Opener, draw_everything, row_ids
from tests.local_server import Served

PROGRAMS = Path(__file__).parents[3] / "scripts/projects"
RUN = """
import json, runpy, sys
import wandb
from wandb.agents import pyagent

pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
wine, diabetes, report = (runpy.run_path(f"{sys.argv[1]}/{name}.py") for name in ("wine", "diabetes", "report"))
sweep = wandb.sweep(wine["SWEEP"] | {"run_cap": 3}, project="wine")
wandb.agent(sweep, function=wine["train"], project="wine")
diabetes["main"](seeds=1)
address = report["main"]("wine", sweep)
api = wandb.Api()
print(json.dumps({
    "sweep": sweep,
    "report": address,
    "losses": {run.id: run.summary["loss"] for run in api.sweep(f"local/wine/{sweep}").runs},
    "fits": [run.id for run in api.runs("local/diabetes")],
}))
"""
FINALS = """
import wandb
about = {{"sweep": {sweep!r}, "metric": "loss", "claim": "loss"}}
with wandb.init(project="wine", job_type="finals", config={{"finals": about}}) as run:
    run.summary.update({{"round": 1, "rounds": 2, "entrants": 3, "missing": 4}})
"""
WIDER = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def told(served: Served) -> dict[str, Any]:
    """What the programs left on the server: a sweep of three boostings with its report, and three fits in groups."""
    code = f"import sys; sys.argv[1:] = [{str(PROGRAMS)!r}]\n{RUN}"
    said: dict[str, Any] = json.loads(served.python(code, timeout=280).splitlines()[-1])
    return said


def names(page: Page, place: str) -> list[str]:
    """Of the lines that a chart draws, those with a name."""
    found: list[str] = page.locator(place).evaluate("place => place.data.map(trace => trace.name).filter(Boolean)")
    return found


def test_a_loss_to_be_minimised_and_nested_parameters(served: Served, told: dict[str, Any], open_page: Opener) -> None:
    page = open_page(f"{served.url}/local/wine/sweeps/{told['sweep']}", color_scheme="dark")
    draw_everything(page)
    best_first = sorted(told["losses"], key=lambda run: told["losses"][run])
    assert row_ids(page) == best_first
    expect(page.locator(".tile-value").first).to_have_text(f"{told['losses'][best_first[0]]:#.4g}")
    expect(page.locator(".search")).to_have_attribute(
        "placeholder", re.compile(r"^Filter: a name, or (model|optimizer)\..* < ")
    )
    labels = page.locator(".axis-label").all_inner_texts()
    assert sorted(labels) == ["loss", "model.depth", "model.trees", "optimizer.rate"]
    page.set_viewport_size({"width": 420, "height": 900})
    page.reload()
    place = page.locator("[data-parallel]").bounding_box()
    assert place is not None
    for label in page.locator(".axis-label").all():
        box = label.bounding_box()
        assert box is not None
        assert place["x"] <= box["x"] <= box["x"] + box["width"] <= place["x"] + place["width"]
    page.set_viewport_size({"width": 1360, "height": 900})

    page.get_by_role("link", name="on a page of their own").click()
    chart = page.locator(".chart[data-metric=loss]")
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".scatterlayer .trace")).to_have_count(3)
    # The rate is continuous. The runs may have equal numbers of trees, and equal fields are hidden.
    assert page.locator("[data-compare] tbody th", has_text="optimizer.rate").count() == 1


def test_an_ended_sweeps_page_shows_the_finals_that_follow_it(
    served: Served, told: dict[str, Any], open_page: Opener
) -> None:
    page = open_page(f"{served.url}/local/wine/sweeps/{told['sweep']}")
    expect(page.locator(".tile", has_text="state")).to_contain_text("finished")
    assert page.locator("#result").is_hidden()
    with page.expect_response("**/review?**"):  # the first news of an ended sweep once were the last
        pass
    served.python(FINALS.format(sweep=told["sweep"]))
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("[data-chain] .steps")).to_contain_text("3")


def test_pr_and_roc_charts_and_curves_one_below_the_other_on_a_phone(
    served: Served, told: dict[str, Any], open_page: Opener
) -> None:
    page = open_page(f"{served.url}/local/wine/runs/{next(iter(told['losses']))}")
    page.set_viewport_size({"width": 420, "height": 900})
    page.reload()
    draw_everything(page)
    assert page.locator("[data-figure=run]").evaluate(
        "place => [place.layout.grid.rows, place.layout.grid.columns]"
    ) == [2, 1]
    for key, axis in (("roc", "False positive rate"), ("pr", "Recall")):
        card = page.locator(f".medium[data-key={key}]")
        card.scroll_into_view_if_needed()
        expect(card.locator(".main-svg").first).to_be_visible()
        assert names(page, f".medium[data-key={key}] .plot") == ["class_0", "class_1", "class_2"]
        expect(card.locator(".xtitle")).to_have_text(axis)
    assert page.evaluate(WIDER) <= 0

    page.get_by_label("X axis").select_option(label="seconds")
    titles = page.locator("[data-figure=run]").evaluate(
        "place => [place.layout.xaxis, place.layout.xaxis2].map(x => x.title.text)"
    )
    assert "seconds" in titles
    assert "step" not in titles


def test_runs_in_groups_and_compared_without_a_sweep(served: Served, told: dict[str, Any], open_page: Opener) -> None:
    page = open_page(f"{served.url}/local/diabetes?by=group")
    chart = ".chart[data-metric='test/l2']"
    expect(page.locator(f"{chart} .main-svg").first).to_be_visible()
    assert sorted(names(page, chart)) == ["31 leaves (1)", "4 leaves (1)", "8 leaves (1)"]
    page.goto(f"{served.url}/local/diabetes/compare?runs={','.join(told['fits'][:2])}")
    expect(page.locator("h1")).to_have_text("2 runs side by side")
    expect(page.locator(f"{chart} .scatterlayer .trace")).to_have_count(2)
    assert page.locator("[data-compare] tbody th", has_text="num_leaves").count() == 1
    assert page.locator("[data-table] tbody td.status").all_inner_texts() == ["finished", "finished"]


def test_every_panel_of_a_report_is_drawn(told: dict[str, Any], open_page: Opener) -> None:
    page = open_page(told["report"])
    draw_everything(page)
    panels = page.locator(".panel")
    titles = panels.locator("> figcaption").all_inner_texts()
    asked = ["Loss", "Loss by rate", "The search", "Loss of each run", "Best loss", "Run Comparer", "Media"]
    assert [title for title in titles if title in asked] == asked
    assert len(names(page, ".panel:has-text('Loss') .figure >> nth=0")) == 3
    assert "does not draw" not in page.locator(".report").inner_text()
    media = page.locator(".panel .medium[data-key=roc]")
    expect(media).to_have_count(3)
    media.first.scroll_into_view_if_needed()
    expect(media.first.locator(".main-svg").first).to_be_visible()
