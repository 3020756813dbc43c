"""`python -m mnist_sweep.server`: its command line, and the exit code of what it runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from mnist_sweep.server.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--crash-after", "-1"], "mnist-sweep server: --crash-after must be a number over 0, not -1"),
        (["--data", "FILE"], "FILE"),
    ],
    ids=str,
)
def test_what_the_server_refuses_is_one_line_and_its_exit_code(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main([argument.replace("FILE", str(file)) for argument in arguments]) == 1
    err = capsys.readouterr().err
    assert line.replace("FILE", str(file)) in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("argument", ["--crash=5", "--unknown", "more"])
def test_options_are_not_abbreviated_or_invented(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([argument])
    assert stop.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_the_module_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mnist_sweep.server", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: python -m mnist_sweep.server ")
