"""An agent's requests to a real server."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
import yaml

from mnist_sweep.agents import client as module
from mnist_sweep.agents.client import AgentClient, AgentRefusedError
from mnist_sweep.environment import environment
from mnist_sweep.sweep import remote
from mnist_sweep.sweep.remote import Sweep
from tests.local_server import Served


@pytest.fixture
def sweep(served: Served, tmp_path: Path) -> Iterator[Sweep]:
    """A grid of two trials, with this process as a client of its server."""
    with served.client_here(tmp_path):
        yield remote.create({"method": "grid", "parameters": {"x": {"values": [1, 2]}}}, "client")


def test_trials_come_one_by_one_until_the_sweep_is_over(sweep: Sweep) -> None:
    client = AgentClient(sweep.path)
    trials = [client.next(), client.next()]
    assert [trial and trial.as_text for trial in trials] == ["x=1", "x=2"]
    assert client.next() is None


def test_the_client_reads_a_trial_from_its_environment(sweep: Sweep, tmp_path: Path) -> None:
    trial = AgentClient(sweep.path).next()
    assert trial is not None
    variables = trial.environment()
    file = Path(str(variables.pop("WANDB_SWEEP_PARAM_PATH")))
    entity, project, identifier = sweep.path.split("/")
    assert variables == {
        "WANDB_ENTITY": entity,
        "WANDB_PROJECT": project,
        "WANDB_SWEEP_ID": identifier,
        "WANDB_RUN_ID": trial.run,
    }
    assert file.is_relative_to(tmp_path)
    assert yaml.safe_load(file.read_text()) == {"wandb_version": 1, "x": {"value": 1}}


def test_a_heartbeat_brings_the_order_to_stop(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    client = AgentClient(sweep.path)
    trial = client.next()
    assert trial is not None
    stopped = threading.Event()
    wandb.teardown()  # so that the run reads its own environment
    with environment(trial.environment()), wandb.init(), client.heartbeating(trial, stopped.set):
        cancel(sweep)
        assert stopped.wait(60)
    assert client.next() is None


BEGINS_LATE = """
import time, wandb
with wandb.init() as run:
    for step in range(600):
        run.log({"step": step})
        time.sleep(0.2)
print("to its end")
"""


def test_a_trial_that_was_canceled_before_it_began_ends(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    client = AgentClient(sweep.path)
    trial = client.next()
    assert trial is not None
    cancel(sweep)
    stopped = threading.Event()
    with client.heartbeating(trial, stopped.set):
        assert stopped.wait(60), "its agent learns of it"
    with environment(trial.environment()):
        program = subprocess.run([sys.executable, "-c", BEGINS_LATE], capture_output=True, text=True, timeout=240)
    assert (program.returncode != 0, program.stdout) == (True, ""), "its client learns of it, whatever the agent does"
    assert "KeyboardInterrupt" in program.stderr
    (run,) = wandb.Api().sweep(sweep.path).runs
    assert run.state == "killed"


def cancel(sweep: Sweep) -> None:
    wandb_program = Path(sys.executable).parent / "wandb"
    subprocess.run([wandb_program, "sweep", "--cancel", sweep.path], check=True, capture_output=True)


@pytest.mark.usefixtures("sweep")
def test_a_refused_agent_is_one_line(served: Served) -> None:
    with environment({"WANDB_API_KEY": "x" * 40}), pytest.raises(AgentRefusedError) as raised:
        AgentClient("local/client/nonesuch").next()
    assert str(raised.value) == f"{served.url} refuses this agent of local/client/nonesuch: 401 Unauthorized"
