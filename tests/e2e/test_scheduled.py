"""The local server's search on a server that has none: the client's own scheduler asks sweeps/scheduled.py for it."""

from __future__ import annotations

import re
import subprocess

import yaml

from sweeps.scheduled import limits
from tests.e2e.conftest import BIN, ROOT, House
from tests.e2e.test_sweep import read

STUB = """
import sys, wandb
from wandb.agents import pyagent

pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2

def trial():  # what a training of a second would say
    with wandb.init() as run:
        run.log({"objective": 0.02 + abs(run.config.max_lr - 0.1)})

wandb.agent(sys.argv[1], function=trial, count=4)
"""


def test_the_scheduled_sweep_proposes_only_what_fits(served: House) -> None:
    """The random start of its search alone would be over the limit with one proposal in three."""
    config = yaml.safe_load((ROOT / "sweeps/scheduled.yaml").read_text())
    scheduler = config["scheduler"] | {"source": str(ROOT / "sweeps/scheduled.py")}
    (served.home / "sweep.yaml").write_text(yaml.safe_dump(config | {"run_cap": 4, "scheduler": scheduler}))
    created = served.run("wandb", "sweep", "sweep.yaml")
    path = re.search(r"wandb (?:agent|sweep-scheduler) (\S+)", created.stdout + created.stderr)
    assert path, created.stdout + created.stderr
    scheduling = subprocess.Popen(
        [str(BIN / "wandb"), "sweep-scheduler", "--poll-interval", "1", "--batch-size", "2", path[1]],
        cwd=served.home,
        env=served.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        served.run("python", "-c", STUB, path[1])
        said, _ = scheduling.communicate(timeout=120)
    finally:
        scheduling.kill()
    assert scheduling.returncode == 0, said
    runs = read(served, path[1])
    assert len(runs) == 4
    for run in runs:
        assert run["state"] == "finished"
        assert limits({name: run["config"][name] for name in config["parameters"]})["parameters"] <= 0


def test_it_searches_what_the_main_sweep_does() -> None:
    main, scheduled = (yaml.safe_load((ROOT / f"sweeps/{name}.yaml").read_text()) for name in ("onecycle", "scheduled"))
    assert scheduled["parameters"] == main["parameters"]
    assert scheduled["metric"] == main["metric"]
