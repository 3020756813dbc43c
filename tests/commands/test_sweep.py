from pathlib import Path
from typing import Any

import pytest

from mnist_sweep.commands.sweep import fixed_epochs
from tests.conftest import RunCommand


@pytest.mark.parametrize(
    ("parameters", "epochs"),
    [({"epochs": {"value": 5}}, 5), ({"epochs": {"values": [5, 15]}}, 15), ({}, 15), (None, 15), ({"epochs": 5}, 15)],
)
def test_the_epochs_of_a_sweep_are_those_it_fixes(parameters: Any, epochs: int) -> None:
    assert fixed_epochs({"parameters": parameters}) == epochs


def test_sweep_refuses_a_wrong_file_before_anything_starts(run_command: RunCommand, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("method: random\nparameters: {dropout: {value: 2}}\n")
    assert run_command("sweep", str(wrong)) == (1, "", f"error: {wrong}: dropout=2 should be a number from 0 to 0.5\n")
