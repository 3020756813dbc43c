import io
import re
import sys
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from mnist_sweep.commands import console
from mnist_sweep.commands.console import print_sentence
from mnist_sweep.errors import UserError
from mnist_sweep.sweep import remote


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    console.write(tmp_path / "new" / "page.html", "–")
    assert (tmp_path / "new" / "page.html").read_text("utf-8") == "–"


def test_a_file_in_a_shared_place_is_for_its_owner_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    console.write(tmp_path / "page.html", "–")
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^cannot write {re.escape(str(tmp_path))}: Is a directory$"):
        console.write(tmp_path, "text")


@pytest.mark.skipif(sys.platform != "linux", reason="a device of Linux")
def test_a_full_device_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^cannot write /dev/full: No space left on device$"):
        console.write(Path("/dev/full"), "text")


def test_lines_of_a_terminal_end_between_words_and_addresses_stay_whole() -> None:
    address = f"http://127.0.0.1:8080/login?token={'1a' * 30}"
    line = f"Log in a browser with this link, which works [once]: {address} and no more"
    for terminal in (True, False):
        file = io.StringIO()
        print_sentence(Console(file=file, width=40, force_terminal=terminal), line)
        lines = file.getvalue().splitlines()
        if terminal:
            assert lines == ["Log in a browser with this link, which", "works [once]:", address, "and no more"]
        else:
            assert lines == [line]


def test_a_packaged_sweep_file_is_found_by_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("onecycle", "onecycle.yaml", "sweeps/onecycle.yaml"):
        found = console.sweep_path(name)
        assert found is not None
        assert "name: onecycle" in found.read_text("utf-8").splitlines()
    assert console.sweep_path("1a2b3c4d") is None
    assert console.sweep_path("local/mnist-sweep/onecycle") is None
    assert console.sweep_path("missing.yaml") == Path("missing.yaml")


def test_a_file_of_ones_own_comes_before_a_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("onecycle.yaml").write_text("mine")
    assert console.sweep_path("onecycle.yaml") == Path("onecycle.yaml")


def test_the_wheel_contains_the_sweep_files() -> None:
    """`onecycle` is then found inside the package, where `SWEEPS` looks first."""
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"sweeps": "mnist_sweep/sweeps"}
    assert root / "sweeps" == console.SWEEPS


def test_a_sweep_that_is_not_found_may_be_a_packaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(path: str, project: str) -> remote.Sweep:
        raise remote.SweepError(f"there is no sweep {project}/{path}")

    monkeypatch.setattr(remote, "find", find)
    with pytest.raises(remote.SweepError, match=r"^there is no sweep mnist-sweep/smok; did you mean smoke\?$"):
        console.find_sweep("smok")
    with pytest.raises(remote.SweepError, match=r"^there is no sweep mnist-sweep/1a2b3c4d$"):
        console.find_sweep("1a2b3c4d")
