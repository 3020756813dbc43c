from __future__ import annotations

from typing import Any

import pytest

from mnist_sweep.commands.sweep import fixed_epochs


@pytest.mark.parametrize(
    ("parameters", "epochs"),
    [({"epochs": {"value": 5}}, 5), ({"epochs": {"values": [5, 15]}}, 15), ({}, 15), (None, 15), ({"epochs": 5}, 15)],
)
def test_the_epochs_of_a_sweep_are_those_it_fixes(parameters: Any, epochs: int) -> None:
    assert fixed_epochs({"parameters": parameters}) == epochs
