"""The blocks of a stored report: text, and the grids of panels between the texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from mnist_sweep.server.pages import report_spec

_MARKDOWN = MarkdownIt("js-default")
"""The preset for untrusted text: it lets no HTML and no script addresses through."""


@dataclass(frozen=True, kw_only=True)
class RunMedia:
    """The media of one run in a panel; `name` finds their data among those of the page."""

    name: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel of a grid: one of a figure, parallel coordinates, a table, media, or a text that says why there is none.

    `figure` and `parallel` name their data among the page's figures. `width` counts columns of 24.
    """

    width: int
    title: str = ""
    text: str = ""
    figure: str = ""
    parallel: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    media: Sequence[RunMedia] = ()


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a report. `kind` is heading, paragraph, callout, list, code, markdown or panels."""

    kind: str
    text: str = ""
    entries: Sequence[str] = ()
    html: str = ""
    grid: Mapping[str, Any] | None = None
    """The specification of a grid of panels."""
    panels: Sequence[Panel] = ()


def blocks(spec: str) -> list[Block]:
    """Return the blocks of a report's specification. Blocks of unknown types are left out."""
    return [part for block in report_spec.blocks(spec) for part in _block(block)]


def _block(block: Mapping[str, Any]) -> Iterator[Block]:
    kind, children = block.get("type"), block.get("children", ())
    if kind == "heading":
        yield Block(kind="heading", text=_text(block))
    elif kind in ("paragraph", "block-quote", "callout-block") and (text := _text(block)):
        yield Block(kind="paragraph" if kind == "paragraph" else "callout", text=text)
    elif kind == "list":
        yield Block(kind="list", entries=[_text(entry) for entry in children])
    elif kind == "markdown-block":
        yield Block(kind="markdown", html=Markup(_MARKDOWN.render(str(block.get("content", "")))))
    elif kind == "code-block":
        yield Block(kind="code", text="\n".join(_text(line) for line in children))
    elif kind == "panel-grid":
        yield Block(kind="panels", grid=block.get("metadata", {}))


def _text(node: Mapping[str, Any]) -> str:
    return str(node.get("text", "")) + "".join(_text(child) for child in node.get("children", ()))
