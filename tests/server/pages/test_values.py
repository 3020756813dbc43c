"""Pages of sweeps over any values and with the metric wherever the client puts it, with a real client."""

import requests

from tests.local_server import Served

PROGRAM = """
import wandb
from wandb.agents import pyagent

pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
CONFIG = {
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"p": {"values": [[1, [2]], None, {"a": [3]}]}},
}
made = []

def train():
    with wandb.init() as run:
        run.define_metric("loss", summary="min")
        place = len(made)
        made.append(run.id)
        for loss in (9.0, 10.0 - place, 20.0):
            run.log({"loss": loss, "huge": 2**1024})
        run.config.update({"huge": 2**1024 + place})

sweep = wandb.sweep(CONFIG, project="values")
wandb.agent(sweep, function=train, project="values")
print(sweep, *made)
"""


def test_lists_mappings_huge_integers_and_a_metrics_minimum_have_pages(served: Served) -> None:
    sweep, *runs = served.python(PROGRAM, timeout=240).splitlines()[-1].split()
    pages = [f"sweeps/{sweep}", "", f"compare?runs={','.join(runs)}", *(f"runs/{run}" for run in runs)]
    with requests.Session() as connection:
        connection.headers.update(served.headers)
        for page in pages:
            answer = connection.get(f"{served.url}/local/values/{page}".rstrip("/"))
            assert answer.status_code == 200, page
        assert "8.000 loss" in connection.get(f"{served.url}/local/values/sweeps/{sweep}").text
