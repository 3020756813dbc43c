"""The local server's search on a server that has none: the client's own scheduler asks sweeps/scheduled.py for it."""

import yaml

from sweeps.scheduled import limits
from tests.e2e.conftest import ROOT, House, scheduling
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
    with scheduling(served, config | {"run_cap": 4}, str(ROOT / "sweeps/scheduled.py")) as path:
        served.run("python", "-c", STUB, path)
    runs = read(served, path)
    assert len(runs) == 4
    for run in runs:
        assert run["state"] == "finished"
        assert limits({name: run["config"][name] for name in config["parameters"]})["parameters"] <= 0


def test_it_searches_what_the_main_sweep_does() -> None:
    main, scheduled = (yaml.safe_load((ROOT / f"sweeps/{name}.yaml").read_text()) for name in ("onecycle", "scheduled"))
    assert scheduled["parameters"] == main["parameters"]
    assert scheduled["metric"] == main["metric"]
