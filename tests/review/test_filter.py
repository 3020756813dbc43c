"""The filter of a table (static/filter.js), in a real browser."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from mnist_sweep.review.page import STATIC
from tests.browser import Opener

COLUMNS = [
    {"key": "name", "label": "run", "kind": "text", "shown": True},
    {"key": "status", "label": "status", "kind": "status", "shown": True},
    {"key": "value", "label": "val/accuracy", "kind": "percent", "shown": True},
    {"key": "config:penalty", "label": "penalty", "kind": "text", "shown": True},
    {"key": "config:a", "label": "a", "kind": "number", "shown": True},
    {"key": "config:learning rate", "label": "learning rate", "kind": "number", "shown": False},
    {"key": "created", "label": "started", "kind": "time", "shown": False},
]
ROWS = [
    {"id": "1", "name": "one", "status": "finished", "value": 0.9912, "config:penalty": "l1", "config:a": 1},
    {"id": "2", "name": "two or so", "status": "finished", "value": 0.9856, "config:penalty": "l2", "config:a": 2},
    {"id": "3", "name": "<b>", "status": "failed", "config:penalty": "l2", "config:a": 0.12345678,
     "config:learning rate": 0.1},
    {"id": "4", "name": "lr=3", "status": "running", "config:a": 2, "created": "2026-03-01T10:00:00"},
]  # fmt: skip


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("filter") / "page.html"
    scripts = "".join(f"<script>{(STATIC / name).read_text()}</script>" for name in ("base.js", "filter.js"))
    file.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>filter</title>{scripts}</html>')
    return file.as_uri()


@pytest.fixture
def page(blank: str, open_page: Opener) -> Page:
    return open_page(blank)


APPLY = """([text, columns, rows]) => {
  const { test, problem } = Review.filter(text, columns);
  return [rows.filter(test).map((row) => row.id).join(""), problem];
}"""


def apply(page: Page, text: str) -> tuple[str, str]:
    passing, problem = page.evaluate(APPLY, [text, COLUMNS, ROWS])
    return passing, problem


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("", "1234"),
        ("penalty = l2", "23"),
        ("penalty != l2", "14"),
        ("a = 1 or a = 2", "124"),
        ("a in [1, 2]", "124"),
        ("penalty in (l1, l3)", "1"),
        ("a not in [1, 2]", "3"),
        ("a = 2 and status = running", "4"),
        ("a = 1 or a = 2, status = finished", "12"),
        ("(a = 1 or a = 2) and penalty = l2", "2"),
        ("a >= 1", "124"),
        ("a == 2", "24"),
        ("a = 0.1235", "3"),  # as its cell shows it
        ("val/accuracy > 99 %", "1"),
        ("val/accuracy > 0.99", "1"),
        ("learning rate = 0.1", "3"),
        ("config:learning rate < 1", "3"),
        ("started > 2026-02-01", "4"),
        ("TWO", "2"),
        ('"two or so"', "2"),
        ('"lr=3"', "4"),
        ("<b>", "3"),
        ('run = "two or so"', "2"),
    ],
)
def test_conditions(page: Page, text: str, passing: str) -> None:
    assert apply(page, text) == (passing, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nofield > 3", "“nofield > 3”: there is no column “nofield”. Put a text to search for in quotes."),
        ("nofield in [3]", "“nofield in [3]”: there is no column “nofield”. Put a text to search for in quotes."),
        ("a <", "“a <”: a value is missing after <."),
        ("a < l2", "“a < l2”: < needs a number, and “l2” is not one."),
        ("a = l2", "“a = l2”: a holds numbers, and “l2” is not one."),
        ("a in [1, 2", "“a in [1, 2”: the list has no closing ]."),
        ("a in []", "“a in []”: the list is empty."),
        ("a = 1 or nofield = 2", "“nofield = 2”: there is no column “nofield”. Put a text to search for in quotes."),
    ],
)
def test_a_filter_that_is_not_understood_says_why_and_hides_nothing(page: Page, text: str, problem: str) -> None:
    assert apply(page, text) == ("1234", problem)
