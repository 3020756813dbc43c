"""Two objectives: the client's own scheduler with Optuna, against the local server, on real MNIST."""

import yaml

from tests.e2e.conftest import ROOT, House, scheduling
from tests.e2e.test_sweep import read

SPACE = """
from sweeps.pareto import space as whole, study

def space(trial):  # the real one, for one epoch of large batches
    return whole(trial) | {"epochs": 1, "batch_size": 2048}
"""


def test_the_pareto_sweep_runs_and_its_front_can_be_read_back(served: House) -> None:
    config = yaml.safe_load((ROOT / "sweeps/pareto.yaml").read_text())
    (served.home / "space.py").write_text(SPACE)
    with scheduling(served, config | {"run_cap": 2}, "space.py") as path:
        served.run("mnist-sweep", "agent", path)
    runs = read(served, path)
    assert len(runs) == 2
    points = []
    for run in runs:
        assert run["state"] == "finished"
        assert run["summary"]["feasible"] is True
        points.append((run["summary"]["val/accuracy"], run["summary"]["parameters"]))
    front = [p for p in points if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in points)]
    assert front
    assert all(parameters < 10_000 for _, parameters in points)
