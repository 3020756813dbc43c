"""What `make check` runs, where a sweep ran before."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_folder_that_runs_leave_is_not_taken_for_a_package_of_ours(tmp_path: Path) -> None:
    for path in ("pyproject.toml", "mnist_sweep/tracking.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    (tmp_path / "wandb" / "run-1").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
