"""Two objectives: the client's own scheduler with Optuna, against the local server, on real MNIST."""

from __future__ import annotations

import re
import subprocess

import yaml

from tests.e2e.conftest import BIN, ROOT, House
from tests.e2e.test_sweep import read

SPACE = """
from sweeps.pareto import space as whole

def space(trial):  # the real one, for one epoch of large batches
    return whole(trial) | {"epochs": 1, "batch_size": 2048}
"""


def test_the_pareto_sweep_runs_and_its_front_can_be_read_back(served: House) -> None:
    config = yaml.safe_load((ROOT / "sweeps/pareto.yaml").read_text())
    (served.home / "space.py").write_text(SPACE)
    scheduler = config["scheduler"] | {"source": "space.py"}
    (served.home / "pareto.yaml").write_text(yaml.safe_dump(config | {"run_cap": 2, "scheduler": scheduler}))
    created = served.run("wandb", "sweep", "pareto.yaml")
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
        served.run("mnist-sweep", "agent", path[1])
        said, _ = scheduling.communicate(timeout=120)
    finally:
        scheduling.kill()
    assert scheduling.returncode == 0, said
    runs = read(served, path[1])
    assert len(runs) == 2
    points = []
    for run in runs:
        assert run["state"] == "finished"
        assert run["summary"]["feasible"] is True
        points.append((run["summary"]["val/accuracy"], run["summary"]["parameters"]))
    front = [p for p in points if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in points)]
    assert front
    assert all(parameters < 10_000 for _, parameters in points)
