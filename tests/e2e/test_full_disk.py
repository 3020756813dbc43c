"""The disk of the server is full in the middle of a sweep, and has room again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnist_sweep.server.process.launch import ServerProcess
from tests.e2e.conftest import LONG_SECONDS, House
from tests.e2e.test_away import wait_for
from tests.e2e.test_killed import EPOCHS, agent_of, start, sweep_of
from tests.e2e.test_sweep import read

pytestmark = pytest.mark.chaos


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass


def test_a_full_disk_is_said_and_the_sweep_goes_on_when_there_is_room(house: House, small: Path) -> None:
    server = ServerProcess(small / "data", env=house.env)
    facts = server.start()
    house.env |= {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key, "WANDB_ERROR_REPORTING": "false"}
    try:
        parent = start(house, "long.yaml", "--count", "2")
        agent_of(parent, house, 1)
        fill(small / "filler")
        wait_for(f"cannot write to {small / 'data'}: No space left on device", house.home / "said", parent)
        (small / "filler").unlink()
        assert parent.wait(LONG_SECONDS) == 0, (house.home / "said").read_text()
        runs = read(house, sweep_of(house))
    finally:
        server.stop()
    assert [run["state"] for run in runs] == ["finished"] * 2
    for run in runs:
        assert [row["epoch"] for row in run["history"]] == [*range(1, EPOCHS + 1)]
