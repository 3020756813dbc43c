"""A stored report as a page shows it: its words, and the grids of panels between them."""

from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from mnist_sweep.server.pages import report_spec

Block = dict[str, Any]
_MARKDOWN = MarkdownIt("js-default")
"""The preset for texts of strangers: no HTML passes, no script addresses."""


def blocks(spec: str) -> list[Block]:
    """The blocks of a report's specification with a `kind` each; what is unknown is left out."""
    return [shown for block in report_spec.blocks(spec) for shown in _shown(block)]


def _shown(block: Block) -> Iterator[Block]:
    kind = block.get("type")
    if kind == "heading":
        yield {"kind": "heading", "text": _text(block)}
    elif kind in ("paragraph", "block-quote", "callout-block") and (text := _text(block)):
        yield {"kind": "paragraph" if kind == "paragraph" else "callout", "text": text}
    elif kind == "list":
        yield {"kind": "list", "entries": [_text(item) for item in block.get("children", [])]}
    elif kind == "markdown-block":
        yield {"kind": "markdown", "html": Markup(_MARKDOWN.render(str(block.get("content", ""))))}
    elif kind == "code-block":
        yield {"kind": "code", "text": "\n".join(_text(line) for line in block.get("children", []))}
    elif kind == "panel-grid":
        yield {"kind": "panels", "metadata": block.get("metadata") or {}}


def _text(node: Any) -> str:
    if not isinstance(node, dict):
        return ""
    return str(node.get("text", "")) + "".join(_text(child) for child in node.get("children") or ())
