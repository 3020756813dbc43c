"""A sweep as one HTML file with data, styles, scripts and Plotly's bundle, which opens from disk without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from pydantic_core import to_json

from mnist_sweep.review import palette
from mnist_sweep.review.mistakes import png_uri
from mnist_sweep.review.page_data import sweep_payload
from mnist_sweep.review.review import Review

STATIC = Path(__file__).parent / "static"
TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("base.js", "figures.js", "provenance.js", "parallel.js", "filter.js", "table.js", "review.js")
REPORT_SCRIPTS = (
    "base.js",
    "figures.js",
    "parallel.js",
    "filter.js",
    "table.js",
    "overlay.js",
    "media.js",
    "review.js",
)
RUN_SCRIPTS = ("base.js", "figures.js", "filter.js", "table.js", "overlay.js", "media.js", "review.js")
WORKSPACE_SCRIPTS = ("base.js", "figures.js", "filter.js", "table.js", "workspace.js", "review.js")
SECTIONS = (
    ("result", "Result"),
    ("findings", "Findings"),
    ("space", "Parallel coordinates"),
    ("ranking", "Ranking"),
    ("importance", "Importance"),
    ("tradeoff", "Trade-off"),
    ("progress", "Progress"),
    ("curves", "Curves"),
    ("slices", "Slices"),
    ("timeline", "Timeline"),
    ("compare", "Compare"),
    ("mistakes", "Mistakes"),
    ("gallery", "Gallery"),
    ("reproduce", "Reproduce"),
)


@dataclass(frozen=True)
class Gallery:
    """Rows of small images that a project adds to its page: a heading, a line below it, and PNG bytes by label."""

    title: str
    note: str
    rows: Mapping[str, Sequence[bytes]]


def html_page(review: Review, gallery: Gallery | None = None) -> str:
    """Return the review as one self-contained HTML document of about 5 MB, nearly all of it Plotly.

    Everything that a run logged is shown as text, never as HTML.
    """
    data = sweep_payload(review)
    if gallery:
        data["texts"] |= {"gallery": gallery.title}
        data["notes"] |= {"gallery": gallery.note}
        data["gallery"] = [
            {"label": label, "images": [png_uri(png) for png in images]} for label, images in gallery.rows.items()
        ]
    return (
        environment()
        .get_template("page.html")
        .render(
            info=review.ranking.info,
            css=Markup(stylesheet()),
            scripts=[Markup((STATIC / name).read_text("utf-8")) for name in SCRIPTS],
            plotly=Markup(plotly_bundle()),
            sections=SECTIONS,
            data=script_json(data),
        )
    )


def as_json(data: Mapping[str, Any]) -> bytes:
    """Return a page's data as JSON, with null for NaN and infinities."""
    return to_json(data, inf_nan_mode="null")


def script_json(data: Mapping[str, Any]) -> Markup:
    """Return JSON for a `<script>` element: no character in it can end the element or start a comment."""
    text = as_json(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def stylesheet() -> str:
    """Return the styles of all pages, with the colours."""
    return palette.stylesheet() + (STATIC / "review.css").read_text("utf-8")


def plotly_bundle() -> str:
    """Return Plotly's browser bundle from its Python package, with the outer function in parentheses.

    Browsers compile a function in parentheses at once. Without them, they read all of it twice.
    """
    spec = find_spec("plotly")  # not imported: that would cost more than the whole page
    assert spec is not None  # a dependency
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_text("utf-8")
    start, before, inside = text.partition(", () => {")
    inside, after, end = inside.rpartition("}));")
    return f"{start}, (() => {{{inside}}})));{end}" if before and after else text


@cache
def environment() -> Environment:
    """Return the environment of this package's templates. A server adds its own loader."""
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
