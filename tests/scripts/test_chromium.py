"""Tests on a machine without a browser report that they were skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import chromium

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine without a Chromium, and without a way to get one."""
    for name in ("apt-get", "node"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    paths = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "browsers")}
    unreachable = {"PLAYWRIGHT_DOWNLOAD_HOST": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    return os.environ | paths | unreachable


def test_a_run_without_a_browser_says_at_its_end_what_was_not_tested(bare: dict[str, str]) -> None:
    test = "tests/review/test_static.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", test, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if " tests were skipped: " in line]
    assert line.endswith(chromium.MISSING)


def test_the_set_up_reports_that_no_browser_could_be_installed_and_succeeds(bare: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.chromium"], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].startswith("Chromium could not be installed")
