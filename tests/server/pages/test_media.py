"""What a run logs beside numbers, on its page: a PyTorch program as others write it, a real client, a real browser."""

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from mnist_sweep.training import mnist
from tests.browser import Opener
from tests.local_server import Served

PROGRAM = Path(__file__).parents[3] / "scripts/projects/digits.py"


@pytest.fixture(scope="module")
def run_url(served: Served) -> str:
    """The page of a run with images, tables and charts; another one logs a page, and the same table twice."""
    start = f"import runpy, sys; sys.argv[1:] = [{str(mnist.data_folder())!r}]"
    served.python(f"{start}; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')", timeout=400)
    served.python(TWICE, timeout=400)
    return f"{served.url}/local/digits/runs/linear"


TWICE = """
import numpy as np, wandb
image = np.arange(64, dtype=np.uint8).reshape(8, 8)
for _ in range(2):
    with wandb.init(project="digits", id="twice") as run:
        script = "<script>document.title='broken'</script>"
        run.log({"seen": wandb.Table(["image", "<b>"], [[wandb.Image(image), script]])})
        run.log({"page": wandb.Html("<h1>A page</h1>", inject=False)})
"""
WIDE = """
import numpy as np, plotly.graph_objects as go, wandb
figure = go.Figure(go.Bar(x=["a", "b"], y=[1, 3]), layout={"width": 1493, "height": 500, "autosize": False})
points = go.Scatter(x=np.arange(5), y=np.arange(5.0))  # which Plotly writes in base64
arrays = go.Figure(points, layout={"paper_bgcolor": "#fff"})
photo, banner = (np.zeros((300, width, 3), dtype=np.uint8) for width in (400, 2600))
with wandb.init(project="wide", id="wide") as run:
    table = wandb.Table(["step", "height"], [[i, i * i] for i in range(3)])
    run.log({"table": table, "wide": figure, "photo": wandb.Image(photo)})
    run.log({"arrays": arrays, "banner": wandb.Image(banner)})
    run.log({"line": wandb.plot.line(table, "step", "height")})
"""
WIDER = "document.documentElement.scrollWidth - innerWidth"


def test_figures_with_a_width_of_their_own_stay_in_their_cards(served: Served, open_page: Opener) -> None:
    served.python(WIDE)
    page = open_page(f"{served.url}/local/wide/runs/wide")
    for width in (1360, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.reload()
        plot = page.locator(".medium[data-key=wide] .plot")
        plot.scroll_into_view_if_needed()
        expect(plot.locator(".main-svg").first).to_be_visible()
        card = page.locator(".medium[data-key=wide]").bounding_box()
        drawn = plot.locator(".main-svg").first.bounding_box()
        assert card
        assert drawn
        assert card["x"] <= drawn["x"]
        assert drawn["x"] + drawn["width"] <= card["x"] + card["width"]
        assert page.evaluate(WIDER) <= 0
        image = page.locator(".medium[data-key=photo] img").bounding_box()
        frame = page.locator(".medium[data-key=photo]").bounding_box()
        assert image
        assert frame
        assert image["width"] > 0.85 * frame["width"]
        banner = page.locator(".medium[data-key=banner]")
        banner.scroll_into_view_if_needed()
        expect(banner).to_have_class(re.compile(r"\bwide\b"))
        arrays = page.locator(".medium[data-key=arrays] .plot")
        arrays.scroll_into_view_if_needed()
        expect(arrays.locator(".main-svg").first).to_be_visible()
    dark = open_page(page.url, color_scheme="dark").locator(".medium[data-key=arrays] .plot")
    dark.scroll_into_view_if_needed()
    expect(dark.locator(".xtick text").first).to_have_css("fill", "rgb(68, 68, 68)")  # on the figure's own white
    keys = page.locator(".medium").evaluate_all("cards => cards.map((card) => card.dataset.key)")
    assert keys[-1] == "table"  # below the figures
    expect(page.locator(".medium[data-key=line] .xtick text").first).to_be_visible()
    ticks = page.locator(".medium[data-key=line] .xtick text").all_text_contents()
    assert ticks == ["0", "1", "2"]  # whole numbers


def test_media_by_step_tables_and_charts(run_url: str, open_page: Opener) -> None:
    page = open_page(run_url)
    card = page.locator(".medium[data-key=worst]")
    expect(card).to_contain_text("epoch 2")
    images = card.locator("img")
    expect(images).to_have_count(8)
    expect(card.locator("figcaption").nth(1)).to_contain_text(" as ")
    expect(card.locator(".box")).to_have_count(8)
    expect(card.locator("canvas")).to_have_count(8)
    assert re.fullmatch(r"a \d", card.locator(".box").first.get_attribute("title") or "")
    expect(card.locator(".classes")).to_have_text("ink")
    inked = """canvas => canvas.getContext("2d").getImageData(0, 0, 28, 28).data
        .filter((value, i) => i % 4 === 3 && value).length"""
    assert 20 < card.locator("canvas").first.evaluate(inked) < 400  # the digit's own pixels, and no others
    last = images.first.get_attribute("src")
    card.get_by_label("Step of worst").fill("0")
    expect(card).to_contain_text("epoch 0")
    assert images.first.get_attribute("src") != last
    images.first.scroll_into_view_if_needed()
    expect(images.first).to_have_js_property("naturalWidth", 28)

    table = page.locator(".medium[data-key=mistakes]")
    table.scroll_into_view_if_needed()
    expect(table.locator("tbody tr")).to_have_count(8)
    expect(table.locator("tbody td img").first).to_have_js_property("naturalWidth", 28)
    expect(table.locator("td .box")).to_have_count(8)
    expect(table.locator("td canvas")).to_have_count(8)
    table.get_by_role("searchbox").fill("sure > 2")
    expect(table.locator("tbody tr")).to_have_count(0)
    expect(table.locator(".count")).to_have_text("0 of 8 rows")

    for key in ("weights", "confidence", "confusion", "digits"):
        plot = page.locator(f".medium[data-key={key}]")
        plot.scroll_into_view_if_needed()
        expect(plot.locator(".main-svg").first).to_be_visible()
    assert page.locator(".medium[data-key=confidence_table]").count() == 0  # its chart stands for it
    own = page.locator(".medium[data-key=own]")
    expect(own).to_contain_text("Only W&B's servers have the definition")
    expect(own.locator("tbody tr")).to_have_count(20)


def test_what_strangers_log_stays_text_and_runs_no_script(run_url: str, served: Served, open_page: Opener) -> None:
    page = open_page(run_url.replace("linear", "twice"))
    seen = page.locator(".medium[data-key=seen]")
    expect(seen.locator("td", has_text="<script>")).to_be_visible()
    seen.scroll_into_view_if_needed()
    expect(seen.locator("td img")).to_have_js_property("naturalWidth", 8)  # logged twice, kept once
    address = page.locator("iframe").get_attribute("src")
    assert page.locator("iframe").get_attribute("sandbox") == ""
    assert "broken" not in page.title()
    with urllib.request.urlopen(urllib.request.Request(f"{served.url}{address}", headers=served.headers)) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    for path, code in (
        ("media/config.yaml", 404),
        ("media/wandb-summary.json", 404),
        ("media/../../secret", 400),
        ("logged?line=0&key=nope", 404),
        ("logged?line=x", 400),
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(
                urllib.request.Request(f"{served.url}/api/local/digits/runs/linear/{path}", headers=served.headers)
            )
        assert error.value.code == code, path
