"""A real local server with a real sweep of real (tiny) runs in it: fixtures, which tests/conftest.py loads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import wandb

from mnist_sweep.environment import environment
from mnist_sweep.server.process.launch import ServerProcess
from tests.browser import KEYS
from tests.processes import ended_afterwards

CREATE_SWEEP = """
import wandb
print(wandb.sweep({{"method": "random", "metric": {{"name": "val/accuracy", "goal": "maximize"}},
                   "parameters": {{"lr": {{"min": 0.0, "max": 1.0}}}}}}, project={project!r}))
"""


@dataclass(frozen=True)
class Served:
    """A local server in a process of its own, and the environment of a client that talks to it."""

    url: str
    env: dict[str, str]
    folder: Path

    @property
    def headers(self) -> dict[str, str]:
        """What brings the key along."""
        return {"Authorization": f"Bearer {self.env['WANDB_API_KEY']}"}

    def python(self, code: str, timeout: float = 120) -> str:
        """Run code in a new interpreter that is a client of this server; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", code], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def create_sweep(self, project: str) -> str:
        """Create a random search over `lr` and return its id."""
        return self.python(CREATE_SWEEP.format(project=project)).split()[-1]

    @contextmanager
    def client_here(self, home: Path) -> Iterator[None]:
        """Make this process a client of the server inside the block, with a home of its own."""
        names = ("WANDB_BASE_URL", "WANDB_API_KEY", "WANDB_SILENT", "WANDB_ERROR_REPORTING")
        # A client service that an earlier test in this process left may have ended.
        own = {"HOME": str(home), "WANDB_DIR": str(home), "WANDB_SERVICE": None}
        with environment({name: self.env[name] for name in names} | own):
            wandb.teardown()
            yield
            wandb.teardown()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    env = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    env |= {"HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[1])}
    server = ServerProcess(folder / "data", env=env)
    facts = server.start()
    KEYS[facts.url] = facts.key
    env |= {
        "WANDB_BASE_URL": facts.url,
        "WANDB_API_KEY": facts.key,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
    }
    with ended_afterwards(folder) as mark:
        yield Served(facts.url, env | mark, folder)
    server.stop()


RUN_SWEEP = """
import math
import numpy as np
import wandb
from wandb.agents import pyagent

pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
CONFIG = {
    "name": "A tiny sweep",
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": {
        "max_lr": {"distribution": "log_uniform_values", "min": 0.01, "max": 0.3},
        "c1": {"values": [4, 8]},
        "epochs": {"value": 3},
    },
}
made = []

def train():
    with wandb.init() as run:
        lr, place = run.config.max_lr, len(made)
        made.append(run.id)
        run.name = ["<script>document.title='broken'</script>", "good", "refused", "plain"][place]
        run.summary.update({"parameters": 4000 + place, "constraint/parameters": 4000 + place - 9999, "feasible": True})
        if place == 2:
            run.summary.update({"parameters": 12000, "constraint/parameters": 2001, "feasible": False,
                                "reason": "12,000 parameters, the limit is 10,000"})
            return
        run.define_metric("*", step_metric="epoch")
        for epoch in range(1, 4):
            run.log({"epoch": epoch, "val/accuracy": 0.9 + 0.03 * epoch - 0.01 * place, "lr": lr / epoch})
        labels = [str(digit) for digit in range(10)]
        rows = [[a, b, 50 if a == b else 1] for a in labels for b in labels]
        image = np.eye(28, dtype=np.uint8) * 255
        table = wandb.Table(["index", "image", "label", "prediction", "confidence"],
                            [[7, wandb.Image(image), "3", "5", 0.9], [9, wandb.Image(image), "4", "9", 0.97]])
        run.summary.update({"best/val/accuracy": 0.99 - 0.01 * place, "best/epoch": 3,
                            "val/confusion": wandb.Table(["label", "prediction", "count"], rows),
                            "val/misclassified": table})

sweep = wandb.sweep(CONFIG, project="review")
wandb.agent(sweep, function=train, count=4, project="review")
print(sweep)
"""


@pytest.fixture(scope="session")
def sweep_path(served: Served) -> str:
    """entity/project/id of a finished sweep of four runs; one has a script for its name, one is infeasible."""
    return "local/review/" + served.python(RUN_SWEEP, timeout=240).split()[-1]


@pytest.fixture
def sweep_url(served: Served, sweep_path: str) -> str:
    """Address of that sweep's page."""
    return f"{served.url}/local/review/sweeps/{sweep_path.split('/')[-1]}"
