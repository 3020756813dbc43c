"""README.md and docs/ say what the code does, in plain words and short lines."""

import re
from pathlib import Path

import pytest

from scripts import configuration

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
IDIOMS = re.compile(
    r"\bso many\b|\banew\b|\bgo(es)? on with\b|\b(is|are) told\b|\ball the same\b|\bwhom\b|\bsays? so\b|\bas it is\b"
)
LINKS = re.compile(r"\]\(([^)#:\s]+)?(#[^)\s]+)?\)")


def test_the_table_of_fields_is_current() -> None:
    text = configuration.PAGE.read_text()
    assert text == configuration.current(text), "run: python -m scripts.configuration"
    assert "| `dropout` | from 0 to 0.5 |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short_and_words_plain(page: Path) -> None:
    lines = page.read_text().splitlines()
    fenced = False
    for number, line in enumerate(lines, 1):
        fenced ^= line.startswith("```")
        assert fenced or len(line) <= 120, f"{page.name}:{number} has {len(line)} characters"
        assert not IDIOMS.search(line), f"{page.name}:{number}: {line}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for file, fragment in LINKS.findall(page.read_text()):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {file}"
        if fragment:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{page.name} links to {file}{fragment}"
