from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mnist_sweep.commands import console
from mnist_sweep.errors import UserError


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
