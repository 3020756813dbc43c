"""Run a small version of `python -m scripts.chaos`, with a fixed seed."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.chaos
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_disturbed_sweep_loses_nothing(mnist_folder: Path) -> None:
    command = [sys.executable, "-m", "scripts.chaos", "--trials", "12", "--agents", "2", "--seed", "5"]
    command += ["--pause", "1", "4"]  # seconds: a trial takes a few
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("12 trials: each finished once with all its rows")
