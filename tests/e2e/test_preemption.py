"""What a scheduler does to a task: a warning, SIGTERM to all of its processes, a new start, on another node too."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import BIN, LONG_SECONDS, House

TINY = {
    "epochs": 8, "batch_size": 4096, "c1": 1, "c2": 1, "squeeze": 1, "c3": 1, "c4": 1, "c5": 1, "head": 1,
    "augment_strength": 0.0, "dropout": 0.0, "threads": 1, "precision": "float32",
}  # fmt: skip
SWEEP = {
    "method": "grid",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "command": ["${env}", "${interpreter}", "-m", "mnist_sweep.train", "${args}"],
    "program": "train.py",
    "parameters": {name: {"value": value} for name, value in TINY.items()} | {"max_lr": {"values": [0.1]}},
}
READ = """
import json, wandb
sweep = wandb.Api().sweep({path!r})
print(json.dumps([[run.state, list(run.scan_history())] for run in sweep.runs], default=str))
"""
TIMES = ("_timestamp", "_runtime", "images_per_second")


def create(house: House) -> str:
    (house.home / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    code = "import wandb, yaml; print(wandb.sweep(yaml.safe_load(open('sweep.yaml')), project='mnist-sweep'))"
    return f"local/mnist-sweep/{house.python(code).split()[-1]}"


def read(house: House, path: str) -> list[tuple[str, list[dict[str, object]]]]:
    """State and rows of a sweep's runs, without what a clock says."""
    found = json.loads(house.python(READ.format(path=path)).splitlines()[-1])
    return [(state, [{k: v for k, v in row.items() if k not in TIMES} for row in rows]) for state, rows in found]


def start(house: House, path: str, log: str, *command: str, **env: str) -> subprocess.Popen[bytes]:
    """An agent as the first process of a job; its output is in the file `log`."""
    with (house.home / log).open("wb") as file:
        program = command or ("mnist-sweep", "agent")
        return subprocess.Popen(
            [str(BIN / program[0]), *program[1:], path],
            cwd=house.home,
            env=house.env | env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def family(pid: int) -> list[int]:
    """A process and all that it started, as a scheduler finds them."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def send(process: subprocess.Popen[bytes], number: signal.Signals, *, to_all: bool) -> None:
    for pid in family(process.pid) if to_all else [process.pid]:
        os.kill(pid, number)


def job(restart: int) -> dict[str, str]:
    env = {"SLURM_JOB_ID": "812", "SLURM_ARRAY_JOB_ID": "810", "SLURM_ARRAY_TASK_ID": "3"}
    return env | ({"SLURM_RESTART_COUNT": str(restart)} if restart else {})


@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_preempted_trial_goes_on_elsewhere_row_for_row(served: House, number: signal.Signals) -> None:
    """The warning goes to the task's own process, the end to all of them, the client's service too."""
    path = create(served)
    first = start(served, path, "first.log", **job(0))
    wait_for(served.home / "first.log", "epoch  3/8", first)
    send(first, number, to_all=number is signal.SIGTERM)
    said = (served.home / "first.log").read_text
    assert first.wait(LONG_SECONDS) == 75, said()
    assert "Traceback" not in said()
    ((state, rows),) = read(served, path)
    assert state == "preempted"
    assert [row["epoch"] for row in rows][:3] == [1, 2, 3]
    assert len(rows) < 8
    # Another node: what the first one had on its disk is not there.
    second = start(served, path, "second.log", XDG_STATE_HOME=str(served.home / "node2"), **job(1))
    assert second.wait(LONG_SECONDS) == 0, (served.home / "second.log").read_text()
    ((state, rows),) = read(served, path)
    assert state == "finished"
    assert [row["epoch"] for row in rows if "epoch" in row] == [1, 2, 3, 4, 5, 6, 7, 8]
    whole = create(served)
    assert start(served, whole, "whole.log").wait(LONG_SECONDS) == 0
    assert read(served, whole) == [("finished", rows)]
    assert "epoch  1/8" in said()


def test_what_a_person_ends_is_killed(served: House) -> None:
    path = create(served)
    agent = start(served, path, "agent.log")
    wait_for(served.home / "agent.log", "epoch  2/8", agent)
    send(agent, signal.SIGTERM, to_all=True)
    assert agent.wait(LONG_SECONDS) == 130
    ((state, rows),) = read(served, path)
    assert state == "killed"
    assert [row["epoch"] for row in rows][:2] == [1, 2]
