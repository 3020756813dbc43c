"""Take the screenshots of docs/review.md, from a sweep on the local server.

    mnist-sweep server &                                    # and run the two lines that it prints
    mnist-sweep report SWEEP --html review.html
    python -m scripts.screenshots SWEEP --html review.html --out docs/images

SWEEP is entity/project/id; the run page is that of the best run. Needs Chromium. Those in docs/review.md are of a
recorded job (`scripts.recorded`), which has no curves: `--only curves mistakes gallery timeline run-page` takes those
of a sweep that was trained on the server.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import wandb
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from mnist_sweep.config import FOLD_IMAGES
from mnist_sweep.review import api, terminal
from mnist_sweep.review.review import Review, build_review
from mnist_sweep.search.goal import Goal
from scripts import chromium
from scripts.workspace import compress

WIDTH = 1280
SECTIONS = (
    *("ranking", "importance", "tradeoff", "progress", "curves", "slices", "timeline", "compare"),
    *("mistakes", "gallery"),
)
PICTURES = (*SECTIONS, "sweep-page-light", "sweep-page-dark", "run-page", "html-page", "brush", "terminal")
TIMEOUT_SECONDS = 180  # seconds; trials may be running at the same time
DRAWN = (
    "[...document.querySelectorAll('[data-figure]')]"
    ".every(place => !place.offsetParent || place.querySelector('.main-svg'))"
)
TERMINAL = """<!doctype html><meta charset="utf-8"><style>{stylesheet}
body {{ background: #14171f; margin: 0; }} pre {{ color: {foreground}; padding: 22px 26px; width: max-content;
font: 13px/1.42 "DejaVu Sans Mono", Menlo, Consolas, monospace; margin: 0; }}</style><pre>{code}</pre>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", help="entity/project/id")
    parser.add_argument("--html", type=Path, required=True, help="the page that `mnist-sweep report --html` wrote")
    parser.add_argument("--random", help="entity/project/id of a random search, for comparison")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/images"), help="folder for the screenshots (default %(default)s)"
    )
    parser.add_argument("--only", nargs="*", metavar="NAME", help="the pictures to take (default: all)")
    arguments = parser.parse_args()
    only = set(arguments.only or PICTURES)
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    client = wandb.Api()
    ranking = api.ranking(client.sweep(arguments.sweep))
    random = api.ranking(client.sweep(arguments.random)) if arguments.random else None
    best, url = ranking.ranked[0].record, ranking.info.url
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        for theme in ("light", "dark"):
            if f"sweep-page-{theme}" in only:
                open_page(browser, url, theme).screenshot(path=arguments.out / f"sweep-page-{theme}.png")
        if "run-page" in only:
            open_page(browser, best.url, "light", height=1500).screenshot(path=arguments.out / "run-page.png")
        html = open_page(browser, arguments.html.resolve().as_uri(), "light")
        if "html-page" in only:
            html.screenshot(path=arguments.out / "html-page.png")
        for name in only & set(SECTIONS):
            if html.locator(f"#{name}").is_visible():
                html.locator(f"#{name}").screenshot(path=arguments.out / f"{name}.png")
        if "brush" in only:
            take_brushed(html, ranking.info.goal, arguments.out / "brush.png")
        if "terminal" in only:
            chain = api.chain(client.sweep(arguments.sweep))
            review = build_review(ranking, random=random, samples=FOLD_IMAGES, chain=chain)
            take_summary(browser, review, arguments.out / "terminal.png")
        browser.close()
    for picture in arguments.out.glob("*.png"):
        if picture.stat().st_mtime >= began:
            compress(picture)


def open_page(browser: Browser, url: str, theme: str, height: int = 1250) -> Page:
    """Open a page, wait until every figure is drawn, and scroll back to its top."""
    dark = theme == "dark"
    page = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme="dark" if dark else "light")
    page.set_default_timeout(1000 * TIMEOUT_SECONDS)
    if url.startswith("http"):
        server = "/".join(url.split("/", 3)[:3])
        page.request.post(f"{server}/login", form={"key": wandb.Api().api_key or ""})
    page.goto(url)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not page.evaluate(DRAWN) and time.monotonic() < deadline:
        for place in page.locator("[data-figure]:visible").all():
            place.scroll_into_view_if_needed()
    page.evaluate("window.scrollTo({top: 0, behavior: 'instant'})")
    page.wait_for_timeout(500)
    return page


def take_brushed(page: Page, goal: Goal, file: Path) -> None:
    """Take a screenshot of the parallel coordinates with the best third of the metric's axis brushed."""
    axis = page.locator(".axis").last
    axis.scroll_into_view_if_needed()
    rail = axis.locator(".rail").bounding_box()
    assert rail is not None
    low, high = (0.0, 1 / 3) if goal is Goal.MAXIMIZE else (2 / 3, 1.0)  # from the top
    page.mouse.move(rail["x"], rail["y"] + rail["height"] * low + 2)
    page.mouse.down()
    page.mouse.move(rail["x"], rail["y"] + rail["height"] * high - 2, steps=4)
    page.mouse.up()
    page.locator("#space").screenshot(path=file)


def take_summary(browser: Browser, review: Review, file: Path) -> None:
    """Take a screenshot of the output of `mnist-sweep report`."""
    console = Console(record=True, width=116, file=io.StringIO(), force_terminal=True)
    console.print(terminal.summary(review))
    from rich.terminal_theme import MONOKAI

    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "terminal.html"
        html.write_text(console.export_html(theme=MONOKAI, code_format=TERMINAL), "utf-8")
        page = browser.new_page(viewport={"width": 1000, "height": 600})
        page.goto(html.as_uri())
        page.locator("pre").screenshot(path=file)
        page.close()


if __name__ == "__main__":
    main()
