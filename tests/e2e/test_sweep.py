"""The main job, as a user types it: real programs, the real wandb client, a real server, real MNIST."""

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import BIN, LONG_SECONDS, ROOT, House

SMOKE = yaml.safe_load((ROOT / "sweeps/smoke.yaml").read_text())


def write(house: House, name: str, config: dict) -> Path:
    path = house.home / name
    path.write_text(yaml.safe_dump(config))
    return path


READ_SWEEP = """
import json, sys, wandb
sweep = wandb.Api().sweep({path!r})
print(json.dumps([
    dict(name=run.name, state=run.state, config=dict(run.config), summary=dict(run.summary.items()),
         history=list(run.scan_history(keys=["epoch", "val/accuracy", "lr"])), files=[f.name for f in run.files()])
    for run in sweep.runs
], default=str))
"""


def read(house: House, path: str) -> list[dict]:
    return json.loads(house.python(READ_SWEEP.format(path=path)).splitlines()[-1])


def test_one_command_from_an_empty_home_to_a_ranking(house: House) -> None:
    done = house.run("mnist-sweep", "sweep", str(ROOT / "sweeps/smoke.yaml"), "--count", "2", "--agents", "2")
    assert "using the local server" in done.stdout
    assert "Ranking" in done.stdout
    assert re.findall(r"^\s+(\d)\s+\w+-sweep-\d", done.stdout, re.MULTILINE) == ["1", "2"]
    command = re.search(r"Retrain the best:\s+(mnist-sweep train .*)", done.stdout)
    assert command
    assert "--max_lr=" in command[1]


def test_wandb_sweep_and_wandb_agent_by_hand(served: House) -> None:
    """`wandb sweep`, `wandb agent`, and the same metrics again from `mnist-sweep train`."""
    shutil.copy(ROOT / "sweeps/smoke.yaml", served.home)
    created = served.run("wandb", "sweep", "smoke.yaml")
    path = re.search(r"wandb agent (\S+)", created.stdout + created.stderr)
    assert path, created.stderr
    served.run("wandb", "agent", path[1], "--count", "2")
    runs = read(served, path[1])
    assert [run["state"] for run in runs] == ["finished", "finished"]
    rates = {run["config"]["max_lr"] for run in runs}
    assert len(rates) == 2
    for run in runs:
        assert run["summary"]["feasible"] is True
        assert run["summary"]["parameters"] < 10_000
        assert [row["epoch"] for row in run["history"]] == [1]
        assert run["history"][0]["val/accuracy"] == run["summary"]["val/accuracy"]
        assert re.fullmatch(r"\w+-sweep-\d+", run["name"])
        assert any("val/misclassified" in name for name in run["files"])
    chosen = runs[0]
    again = served.run(
        "mnist-sweep", "train", *(f"--{k}={v}" for k, v in chosen["config"].items() if v is not None), timeout=200
    )
    accuracy = chosen["summary"]["val/accuracy"]
    assert f"val accuracy {100 * accuracy:.2f} %" in again.stdout
    rate = chosen["config"]["max_lr"]
    both = served.python(
        "import wandb, json\n"
        f"runs = wandb.Api().runs('/'.join({path[1]!r}.split('/')[:2]))\n"
        f"print(json.dumps([run.summary['val/loss'] for run in runs if run.config['max_lr'] == {rate!r}]))"
    )
    losses = json.loads(both.splitlines()[-1])
    assert len(losses) == 2
    assert losses[0] == losses[1]


def test_ten_suggestions_over_budget_do_not_stop_an_agent(served: House) -> None:
    """Each is recorded as infeasible and none trains; the eleventh point fits and does."""
    parameters = {name: spec for name, spec in SMOKE["parameters"].items() if name not in ("c1", "max_lr")}
    config = SMOKE | {
        "method": "grid",
        "run_cap": 11,
        "parameters": parameters | {"c1": {"values": [*range(101, 111), 4]}, "c2": {"value": 12}},
    }
    write(served, "wide.yaml", config)
    created = served.run("wandb", "sweep", "wide.yaml")
    path = re.search(r"wandb agent (\S+)", created.stdout + created.stderr)
    assert path
    done = served.run("mnist-sweep", "agent", path[1])
    runs = read(served, path[1])
    refused = [run for run in runs if run["summary"].get("feasible") is False]
    assert len(refused) == 10, done.stdout + done.stderr
    for run in refused:
        assert run["state"] == "finished"
        assert run["history"] == []
        assert run["summary"]["parameters"] >= 10_000
        assert run["summary"]["constraint/parameters"] > 0
        assert "the limit is fewer than 10,000" in run["summary"]["reason"]
        assert not any(key.startswith(("val/", "train/")) for key in run["summary"])
    trained = [run for run in runs if run["summary"].get("feasible") is True]
    assert [run["config"]["c1"] for run in trained] == [4]
    assert trained[0]["summary"]["val/accuracy"] > 0.2


def test_invalid_suggestions_end_an_agent_with_one_line(served: House) -> None:
    config = SMOKE | {"run_cap": 10, "parameters": SMOKE["parameters"] | {"dropout": {"value": 0.9}}}
    write(served, "invalid.yaml", config)
    refused = served.run("mnist-sweep", "sweep", "invalid.yaml", check=False)
    assert refused.returncode == 1
    assert "dropout=0.9 should be a number from 0 to 0.5" in refused.stderr
    created = served.run("wandb", "sweep", "invalid.yaml")  # wandb does not know our bounds
    path = re.search(r"wandb agent (\S+)", created.stdout + created.stderr)
    assert path
    done = served.run("mnist-sweep", "agent", path[1], check=False)
    assert done.returncode == 1
    assert "dropout=0.9 should be a number from 0 to 0.5" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    runs = read(served, path[1])
    assert [run["state"] for run in runs] == ["failed"] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_agent_keeps_what_was_logged(served: House, number: signal.Signals) -> None:
    """The trial's epochs so far are on the server; the agent says so in one line, and nothing of it lives on."""
    config = SMOKE | {"parameters": SMOKE["parameters"] | {"epochs": {"value": 15}}}
    write(served, "long.yaml", config)
    created = served.run("wandb", "sweep", "long.yaml")
    path = re.search(r"wandb agent (\S+)", created.stdout + created.stderr)
    assert path
    output = served.home / "agent.log"
    with output.open("wb") as log:
        agent = subprocess.Popen(
            [str(BIN / "mnist-sweep"), "agent", path[1]], cwd=served.home, env=served.env, stdout=log, stderr=log
        )
    deadline = time.monotonic() + LONG_SECONDS
    while "epoch  2/15" not in output.read_text():
        assert agent.poll() is None, output.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    agent.send_signal(number)
    assert agent.wait(LONG_SECONDS) == 130
    said = output.read_text()
    assert "stopped: what was logged so far is kept" in said
    assert "Traceback" not in said
    (run,) = read(served, path[1])
    assert run["state"] == "killed"
    assert [row["epoch"] for row in run["history"]][:2] == [1, 2]
