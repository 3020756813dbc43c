"""README.md says what the code does."""

from __future__ import annotations

from scripts.readme import README, current


def test_the_table_of_fields_is_current() -> None:
    text = README.read_text()
    assert text == current(text), "run: python scripts/readme.py"
    assert "| `dropout` | from 0 to 0.5 |" in text
