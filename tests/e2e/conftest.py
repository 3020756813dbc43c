"""A local server and a clean home for every end-to-end test; the programs are the real ones."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_sweep.server.process.launch import ServerProcess
from mnist_sweep.training import mnist
from tests.processes import ended_afterwards

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LONG_SECONDS = 900.0
"""What takes longer will not end any more, also where other things run."""


@dataclass
class House:
    """A home folder of its own, the environment of a new user in it, and the programs."""

    home: Path
    env: dict[str, str]

    def run(
        self, *command: str, timeout: float = LONG_SECONDS, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `mnist-sweep`, `wandb` or `python` of this environment, in the home folder."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.home,
            env=self.env | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, (
            f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
        return done

    def python(self, code: str, timeout: float = LONG_SECONDS) -> str:
        return self.run("python", "-c", code, timeout=timeout).stdout


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    return mnist.fetch()


@pytest.fixture
def house(tmp_path: Path, mnist_folder: Path) -> Iterator[House]:
    """A new user: no login, no network to W&B, an empty home, but MNIST. Programs started here end with the test."""
    with new_house(tmp_path, mnist_folder) as house:
        yield house


@contextmanager
def new_house(folder: Path, mnist_folder: Path) -> Iterator[House]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "XDG_", "MNIST_SWEEP"))}
    env |= {
        "HOME": str(folder),
        "PATH": f"{BIN}{os.pathsep}{env['PATH']}",
        "MNIST_SWEEP_DATA": str(mnist_folder),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "160",
        "MNIST_SWEEP_IDLE_SECONDS": "20",
        "OMP_NUM_THREADS": "1",  # several threads of one trial wait for each other on a machine that runs other tests
    }
    with ended_afterwards(folder) as mark:
        yield House(folder, env | mark)


@pytest.fixture
def served(house: House) -> Iterator[House]:
    """A house in which `mnist-sweep server` runs and the wandb client is pointed to it, as README.md says."""
    with serving(house):
        yield house


@contextmanager
def serving(house: House) -> Iterator[None]:
    server = ServerProcess(house.home / "server", env=house.env, program=("-m", "mnist_sweep.cli", "server"))
    facts = server.start()
    house.env |= {
        "WANDB_BASE_URL": facts.url,
        "WANDB_API_KEY": facts.key,
        "WANDB_ERROR_REPORTING": "false",
        "MNIST_SWEEP_SERVER": str(server.data),
    }
    try:
        yield
    finally:
        server.stop()


@contextmanager
def scheduling(house: House, config: Mapping[str, Any], source: str) -> Iterator[str]:
    """A sweep of this configuration with the client's own scheduler at work, which asks `source`: yields its path.

    The scheduler must end well once all its runs have.
    """
    scheduler = config["scheduler"] | {"source": source}
    (house.home / "sweep.yaml").write_text(yaml.safe_dump({**config, "scheduler": scheduler}))
    created = house.run("wandb", "sweep", "sweep.yaml")
    path = re.search(r"wandb (?:agent|sweep-scheduler) (\S+)", created.stdout + created.stderr)
    assert path, created.stdout + created.stderr
    process = subprocess.Popen(
        [str(BIN / "wandb"), "sweep-scheduler", "--poll-interval", "1", "--batch-size", "2", path[1]],
        cwd=house.home,
        env=house.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield path[1]
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, said
