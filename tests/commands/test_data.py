"""`mnist-sweep data`: where the verified files are, or why they cannot be there."""

import re
from pathlib import Path

import pytest

from tests.conftest import RunCommand


def test_data_says_where_it_is(run_command: RunCommand, mnist_folder: Path) -> None:
    assert run_command("data") == (0, f"MNIST is in {mnist_folder}: four files, checked by SHA-256\n", "")


def test_data_that_cannot_be_had_is_one_line(
    run_command: RunCommand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MNIST_SWEEP_DATA", str(tmp_path / "file" / "data"))
    code, out, err = run_command("data")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: cannot write MNIST to .*: set MNIST_SWEEP_DATA to a folder that you own\n", err)
