"""The server is stopped, killed, or gone for good in the middle of a sweep."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnist_sweep.server.process import launch
from mnist_sweep.server.process.launch import ServerProcess
from tests.e2e.conftest import LONG_SECONDS, House
from tests.e2e.test_killed import EPOCHS, agent_of, start, sweep_of
from tests.e2e.test_sweep import read

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


def wait_for(words: str, file: Path, parent: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while words not in file.read_text(errors="replace"):
        assert parent.poll() is None, file.read_text()
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.1)


def check_whole(house: House, trials: int) -> None:
    """The rows of the sweep, read from a server over the same data."""
    server = ServerProcess(house.home / "data", env=house.env)
    facts = server.start()
    house.env |= {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key}
    runs = read(house, sweep_of(house))
    server.stop()
    assert [run["state"] for run in runs] == ["finished"] * trials
    for run in runs:
        assert [row["epoch"] for row in run["history"]] == [*range(1, EPOCHS + 1)]


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_server_that_comes_back_is_waited_for(house: House, number: signal.Signals) -> None:
    """Killed, it is started again by the command that uses it."""
    parent = start(house, "long.yaml", "--count", "2")
    agent_of(parent, house, 1)
    facts = launch.announced(house.home / "data")
    assert facts is not None
    os.kill(facts.pid, number)
    wait_for("does not answer; waiting for it", house.home / "said", parent)
    if number is signal.SIGSTOP:
        (log,) = house.home.glob("wandb/agents-*/agent-1.log")
        wait_for("does not answer; waiting for it", log, parent)
        os.kill(facts.pid, signal.SIGCONT)
    assert parent.wait(LONG_SECONDS) == 0, (house.home / "said").read_text()
    assert f"{facts.url} answers again" in (house.home / "said").read_text()
    check_whole(house, 2)


def test_a_server_that_stays_away_ends_the_sweep_with_one_line(served: House) -> None:
    served.env["MNIST_SWEEP_PATIENCE"] = "8"
    parent = start(served, "long.yaml", "--count", "2")
    agent_of(parent, served, 1)
    facts = launch.announced(served.home / "server")
    assert facts is not None
    os.kill(facts.pid, signal.SIGKILL)
    assert parent.wait(LONG_SECONDS) == 1
    said = (served.home / "said").read_text()
    last = said.splitlines()[-1]
    assert re.match(rf"error: {facts.url} does not answer, for \d+ s now: stopped; the runs are on", last)
    assert f"mnist-sweep sweep {sweep_of(served)}" in last
    (log,) = served.home.glob("wandb/agents-*/agent-1.log")
    assert "Traceback" not in said + log.read_text()
    (run,) = served.home.glob("wandb/run-*/*.wandb")
    assert b"train/accuracy" in run.read_bytes()


def test_ctrl_c_while_agents_start_is_no_agent_that_gave_up(house: House) -> None:
    parent = start(house, "long.yaml", "--count", "2", "--agents", "2")
    wait_for("Sweep local/", house.home / "said", parent)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(LONG_SECONDS) == 130
    said = (house.home / "said").read_text()
    assert "Stopping: " in said
    assert "gave up" not in said
    logs = "".join(log.read_text() for log in house.home.glob("wandb/agents-*/agent-*.log"))
    assert "Traceback" not in said + logs
