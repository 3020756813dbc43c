"""Another user of the machine tries to put a folder or an announcement of their own in the place of the victim's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_sweep.server.process import folder, launch, shared_server
from tests.server.conftest import clean_environment

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to other users")
ATTACKER = 54321


def program(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mnist_sweep.server", "--port", "0", *arguments]
    return subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60)


def test_a_folder_of_ones_own_is_created_and_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert folder.own_folder(tmp_path / "link" / "data") == tmp_path / "real" / "data"
    assert (tmp_path / "real" / "data").stat().st_mode & 0o777 == 0o700


@needs_root
def test_a_parent_that_another_user_created_first_is_refused(tmp_path: Path) -> None:
    """`/var/tmp/$USER` of somebody who was faster, with an announcement of the attacker's server inside."""
    shared = tmp_path / "tmp"
    data = shared / "victim" / "sweeps"
    data.mkdir(parents=True)
    shared.chmod(0o1777)
    data.chmod(0o777)
    stolen = launch.Announcement(url="http://127.0.0.1:9", key="k" * 40, folder=str(data), pid=1)
    launch.announce(data, stolen)
    for path in (data.parent, data, data / "server.json"):
        os.chown(path, ATTACKER, ATTACKER)
    assert launch.announced(data) is None
    assert shared_server.find(data) is None
    for victims in (data, data.parent / "mine"):
        done = program(tmp_path, "--data", str(victims))
        assert done.returncode == 1
        assert f"belongs to another user (uid {ATTACKER}); use a folder of your own" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        with pytest.raises(launch.StartError, match="belongs to another user"):
            shared_server.find_or_start(victims, print)
    os.chown(data, 0, 0)  # the parent alone is enough: its owner can rename what is in it
    with pytest.raises(folder.UnsafeFolderError, match="victim belongs to another user"):
        folder.own_folder(data)


@needs_root
def test_an_announcement_of_another_user_is_ignored(tmp_path: Path) -> None:
    found = launch.Announcement(url="http://127.0.0.1:9", key="k" * 40, folder=str(tmp_path), pid=1)
    launch.announce(tmp_path, found)
    assert launch.announced(tmp_path) == found
    os.chown(tmp_path / "server.json", ATTACKER, ATTACKER)
    assert launch.announced(tmp_path) is None


def test_a_parent_in_which_everybody_may_rename_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(folder.UnsafeFolderError, match=r"every user can write to .*open; use a folder of your own"):
        folder.own_folder(tmp_path / "open" / "data")
    assert not (tmp_path / "open" / "data").exists()
    (tmp_path / "open").chmod(0o1777)
    assert folder.own_folder(tmp_path / "open" / "data").is_dir()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: ATTACKER)
    with pytest.raises(folder.UnsafeFolderError, match="belongs to another user"):
        folder.own_folder(tmp_path)
