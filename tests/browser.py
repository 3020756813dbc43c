"""A real browser for the tests of pages: fixtures (tests/conftest.py loads them) and what tests do with a page."""

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scripts import chromium

ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--metrics-recording-only",
]
PATIENCE = 90_000
"""Milliseconds: a machine that is busy otherwise is no reason to fail."""
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        pytest.skip(chromium.MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


KEYS: dict[str, str] = {}
"""Of the servers that pages are opened from."""

Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """`open_page(url)` logs in and opens a page; an error on its console or a request to another host is a failure."""
    complaints: list[str] = []
    pages: list[Page] = []

    def opened(url: str, **options: object) -> Page:
        page = browser.new_page(viewport={"width": 1360, "height": 900}, **options)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        origin = url.split("/", 3)[:3]

        def watch(request: object) -> None:
            address = request.url  # type: ignore[attr-defined]
            if not address.startswith(("data:", "blob:")) and address.split("/", 3)[:3] != origin:
                complaints.append(f"asked for {address}")

        page.on("request", watch)
        if url.startswith("http"):
            key = KEYS["/".join(origin)]
            assert page.request.post(f"{'/'.join(origin)}/login", form={"key": key}).ok
        page.goto(url)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not complaints, complaints


NEAR = """i => new Promise((seen) => {
  document.querySelectorAll("[data-figure]")[i]?.scrollIntoView({ behavior: "instant" });
  requestAnimationFrame(() => requestAnimationFrame(seen));
})"""
DRAWN = "[...document.querySelectorAll('[data-figure]')].every(p => !p.offsetParent || p.querySelector('.main-svg'))"


def draw_everything(page: Page) -> None:
    """Scroll past every figure, as they are drawn only when they come near, and wait for them."""
    deadline = time.monotonic() + 90
    while not page.evaluate(DRAWN):  # the page's policy forbids what wait_for_function does
        assert time.monotonic() < deadline
        for i in range(page.locator("[data-figure]").count()):
            page.evaluate(NEAR, i)  # none is waited for: the page hides those that it has nothing for


def row_ids(page: Page) -> list[str]:
    ids: list[str] = page.locator("[data-table] tbody tr").evaluate_all("rows => rows.map(r => r.dataset.id)")
    return ids


def brush(page: Page, label: str, start: float, end: float) -> None:
    """Drag along the axis `label`, from one to another share of its height (0 is the bottom)."""
    axis = page.locator(".axis", has=page.locator(f"text='{label}'"))
    axis.scroll_into_view_if_needed()
    rail = axis.locator(".rail").bounding_box()
    assert rail is not None
    x = rail["x"]
    page.mouse.move(x, rail["y"] + rail["height"] * (1 - start))
    page.mouse.down()
    page.mouse.move(x, rail["y"] + rail["height"] * (1 - end), steps=5)
    page.mouse.up()
