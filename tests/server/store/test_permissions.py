"""Files that only their owner can read."""

import stat
from pathlib import Path

import pytest

from mnist_sweep.server.store import permissions


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "open").write_text("kept")
    (tmp_path / "open").chmod(0o644)
    assert mode(permissions.folder(tmp_path)) == mode(permissions.folder(tmp_path / "new" / "deep")) == 0o700
    assert mode(permissions.file(tmp_path / "open")) == mode(permissions.file(tmp_path / "new" / "file")) == 0o600
    assert (tmp_path / "open").read_text() == "kept"


def test_a_key_is_created_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = permissions.key(path)
    assert len(key) == 40
    assert permissions.key(path) == key
    assert mode(path) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("text", ["", "short\n", "x" * 39])
def test_a_key_that_the_client_would_refuse_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    assert len(permissions.key(tmp_path / "key")) == 40


def test_a_key_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe" * 30)
    with pytest.raises(OSError, match="is not text"):
        permissions.key(tmp_path / "key")
