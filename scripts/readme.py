"""Write the table of RunConfig's fields into README.md:  python scripts/readme.py

A test checks that the table is current.
"""

from __future__ import annotations

from pathlib import Path

from mnist_sweep.flags import markdown

START, END = "<!-- fields -->\n", "\n<!-- /fields -->"
README = Path(__file__).parents[1] / "README.md"


def current(text: str) -> str:
    """`text` with the table between its markers made anew."""
    before, rest = text.split(START)
    return before + START + markdown() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(current(README.read_text()))
