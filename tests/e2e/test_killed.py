"""Agents and their parents are killed: the sweep ends whole, or winds up by itself and can be gone on with."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from filelock import FileLock

from mnist_sweep.server.process.launch import ServerProcess
from tests.e2e.conftest import BIN, LONG_SECONDS, House
from tests.e2e.test_sweep import SMOKE, read
from tests.processes import gone, workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

EPOCHS = 6
SMALL = {"epochs": {"value": EPOCHS}, "batch_size": {"value": 4096}}  # a few seconds a trial
LONG = SMOKE | {"parameters": SMOKE["parameters"] | SMALL, "run_cap": 2}


def start(house: House, *arguments: str) -> subprocess.Popen[bytes]:
    """`mnist-sweep sweep …`, with what it prints in `said`."""
    house.env["MNIST_SWEEP_SERVER"] = str(house.home / "data")
    (house.home / "long.yaml").write_text(yaml.safe_dump(LONG))
    with (house.home / "said").open("wb") as said:
        return subprocess.Popen(
            [str(BIN / "mnist-sweep"), "sweep", *arguments],
            cwd=house.home,
            env=house.env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def agent_of(parent: subprocess.Popen[bytes], house: House, epochs: int) -> int:
    """The process of the parent's agent, once it has trained so many epochs of a trial."""
    deadline = time.monotonic() + LONG_SECONDS
    while True:
        logs = [path.read_text(errors="replace") for path in house.home.glob("wandb/agents-*/agent-1.log")]
        if any(f"epoch  {epochs}/{EPOCHS}" in log for log in logs):
            break
        assert parent.poll() is None, (house.home / "said").read_text()
        assert time.monotonic() < deadline, logs
        time.sleep(0.1)
    (agent,) = workers(parent.pid)
    return agent


def sweep_of(house: House) -> str:
    path = re.search(r"^Sweep (\S+): ", (house.home / "said").read_text(), re.MULTILINE)
    assert path
    return path[1]


@pytest.mark.chaos
def test_a_killed_agent_costs_no_trial(served: House) -> None:
    parent = start(served, "long.yaml", "--count", "2")
    os.kill(agent_of(parent, served, 1), signal.SIGKILL)
    assert parent.wait(LONG_SECONDS) == 0, (served.home / "said").read_text()
    runs = read(served, sweep_of(served))
    assert [run["state"] for run in runs] == ["finished"] * 2  # the trial itself was handed out again
    for run in runs:
        assert [row["epoch"] for row in run["history"]] == [*range(1, EPOCHS + 1)]


@pytest.mark.chaos
def test_a_killed_parent_leaves_nothing_running_and_its_sweep_goes_on(house: House) -> None:
    parent = start(house, "long.yaml", "--count", "2")
    agent = agent_of(parent, house, 1)
    parent.kill()
    parent.wait()
    data = house.home / "data"
    with FileLock(data / "server.lock").acquire(timeout=LONG_SECONDS):  # the server has ended by itself
        assert gone(agent)
    path = sweep_of(house)
    done = house.run("mnist-sweep", "sweep", path, "--count", "1")
    assert f"Sweep {path}: " in done.stdout
    assert "Ranking" in done.stdout
    server = ServerProcess(data, env=house.env)
    facts = server.start()
    house.env |= {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key}
    (run,) = read(house, path)  # the trial that was left is gone on with before another one begins
    server.stop()
    assert run["state"] == "finished"
    assert [row["epoch"] for row in run["history"]] == [*range(1, EPOCHS + 1)]
