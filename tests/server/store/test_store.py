"""Opening a data folder."""

import random
import stat
from pathlib import Path

import pytest

from mnist_sweep.server.store import Store, StoreError


def test_a_folder_is_created_for_its_owner_alone_and_keeps_its_key_and_secret(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    first = Store(folder)
    first.close()
    again = Store(folder)
    again.close()
    assert (first.key, first.secret) == (again.key, again.secret)
    assert len(first.key) == 40
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_permissions_that_were_open_are_closed(tmp_path: Path) -> None:
    Store(tmp_path).close()
    for name in ("server.sqlite3", "key"):
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o755)
    Store(tmp_path).close()
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("server.sqlite3", "key", "")] == [
        0o600, 0o600, 0o700,
    ]  # fmt: skip


def test_a_folder_that_is_a_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot use the data folder .*file"):
        Store(tmp_path / "file")


@pytest.mark.parametrize("content", [b"no database", random.Random(0).randbytes(5000)])
def test_a_damaged_database_is_an_error_of_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "server.sqlite3").write_bytes(content)
    with pytest.raises(StoreError, match="not a database"):
        Store(tmp_path)


def test_a_store_says_why_it_cannot_be_written(store: Store) -> None:
    assert store.why_unwritable() == ""
    store.folder.rename(store.folder.with_name("elsewhere"))
    assert "is gone" in store.why_unwritable()
    store.folder.with_name("elsewhere").rename(store.folder)
    assert store.why_unwritable() == ""
