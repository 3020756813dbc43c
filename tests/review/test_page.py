import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mnist_sweep.review import page as pages
from mnist_sweep.review.page import Gallery, html_page, plotly_bundle, script_json
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.review import build_review
from tests.review import synthetic

INFO = synthetic.info()
RUNS = synthetic.sweep(40)


class Addresses(HTMLParser):
    """Everything a browser would fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [
            value or "" for name, value in attributes if name in ("src", "srcset") or (name, tag) == ("href", "link")
        ]


def test_the_page_is_one_file_that_fetches_nothing() -> None:
    page = html_page(synthetic.reviewed(40), Gallery("Digits", "", {"strength 0": [synthetic.png()]}))
    without_plotly = page.replace(plotly_bundle(), "")
    assert len(without_plotly) < len(page) - 3_000_000
    seen = Addresses()
    seen.feed(without_plotly)
    assert seen.found == []
    assert re.search(r"default-src 'none'", page)


@pytest.mark.parametrize("scripts", [pages.SCRIPTS, pages.REPORT_SCRIPTS, pages.RUN_SCRIPTS, pages.WORKSPACE_SCRIPTS])
def test_a_page_has_each_script_once(scripts: tuple[str, ...]) -> None:
    assert len(set(scripts)) == len(scripts)
    assert all((pages.STATIC / name).is_file() for name in scripts)


def test_whatever_a_run_says_cannot_leave_its_script_element() -> None:
    evil = "</script><script>alert(1)</script><!--\u2028"
    text = script_json({"name": evil, "value": float("nan"), "deep": [float("inf"), {"a": 1.5}]})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"name": evil, "value": None, "deep": [None, {"a": 1.5}]}
    found = build_review(rank(replace(INFO, name=evil), [replace(run, name=evil) for run in RUNS]))
    page = html_page(replace(found, commands=(evil,)), Gallery(evil, evil, {evil: []}))
    assert "alert(1)</script>" not in page
