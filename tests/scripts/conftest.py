"""A small table of trainings for tests of the replay."""

import json
from pathlib import Path

import pytest

from scripts import replay_table
from scripts.table import KINDS, draw_configurations


@pytest.fixture
def small_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of ten configurations whose objective tells configuration, epochs and replicate."""
    lines = [
        {
            "configuration": number,
            "replicate": replicate,
            **kind._asdict(),
            "precision": "float32",
            "values": values,
            "diverged": number == 9 and replicate == 1,
            "objective": number + kind.epochs / 100 + replicate / 1000,
            "accuracy": 0.99,
            "core_seconds": float(kind.epochs),
        }
        for number, values in enumerate(draw_configurations(10))
        for kind in KINDS
        for replicate in range(3)
    ]
    file = tmp_path / "table.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(replay_table, "FILE", file)
    return file
