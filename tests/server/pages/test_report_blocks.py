import json
from typing import Any

import pytest

from mnist_sweep.server.pages.report_blocks import Block, blocks


def read(*given: Any) -> list[Block]:
    return blocks(json.dumps({"blocks": given}))


def test_each_kind_of_block() -> None:
    text = {"children": [{"text": "one "}, {"children": [{"text": "two"}]}]}
    found = read(
        {"type": "heading", **text},
        {"type": "paragraph", **text},
        {"type": "callout-block", **text},
        {"type": "list", "children": [text]},
        {"type": "code-block", "children": [text, text]},
        {"type": "markdown-block", "content": "**bold** <script>"},
        {"type": "panel-grid", "metadata": {"runSets": []}},
        {"type": "unknown"},
    )
    assert [block.kind for block in found] == ["heading", "paragraph", "callout", "list", "code", "markdown", "panels"]
    assert found[0].text == "one two"
    assert found[3].entries == ["one two"]
    assert found[4].text == "one two\none two"
    assert found[5].html == "<p><strong>bold</strong> &lt;script&gt;</p>\n"
    assert found[6].grid == {"runSets": []}


@pytest.mark.parametrize("spec", ["", "[", "3", "null", '{"blocks": 3}', '{"blocks": [3, null, {"type": 5}]}'])
def test_malformed_specifications_have_no_blocks(spec: str) -> None:
    assert blocks(spec) == []


def test_malformed_blocks_lose_what_is_malformed() -> None:
    assert [block.grid for block in read({"type": "panel-grid", "metadata": 7})] == [{}]
    assert [block.entries for block in read({"type": "list", "children": "text"})] == [[]]
