"""Measure the overhead between two trials of a sweep on a local server.

The overhead is the time from the last epoch of one trial to the first step of the next. The agent uploads the results,
finishes the run, fetches the next suggestion and starts the next run. Trials of one epoch measure it, because each logs
one row after its evaluation. The overhead is the time between two rows minus the later trial's training. It includes
that trial's evaluation, which takes some tenths of a second.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from mnist_sweep.connection import connect
from mnist_sweep.sweep import remote
from mnist_sweep.training import mnist

BIN = Path(sys.executable).parent
AGENTS = {
    "wandb agent": [str(BIN / "wandb"), "agent"],
    "mnist-sweep agent": [str(BIN / "mnist-sweep"), "agent"],
}


def seconds(command: list[str], trials: int) -> list[float]:
    """Return the overhead in seconds before each trial but the first, for an agent that `command` starts."""
    import wandb

    smoke: dict[str, Any] = yaml.safe_load(Path("sweeps/smoke.yaml").read_text())
    with _local_server():
        made = remote.create(smoke | {"run_cap": trials}, "mnist-sweep")
        # The agent must not share this process's wandb service: an agent in a terminal has none to share.
        fresh = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
        subprocess.run([*command, made.path], check=True, capture_output=True, env=fresh)
        keys = ["_timestamp", "images_per_second"]
        rows = sorted(
            (row["_timestamp"], 55_000 / row["images_per_second"])
            for run in wandb.Api().sweep(made.path).runs
            for row in run.scan_history(keys=keys)
        )
    return [later - earlier - training for (earlier, _), (later, training) in itertools.pairwise(rows)]


@contextmanager
def _local_server() -> Iterator[None]:
    """Run a server in an empty home, so that no login of the user affects it."""
    with patch.dict(os.environ), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        data = str(mnist.fetch())
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            del os.environ[name]
        os.environ |= {
            "HOME": home,
            "MNIST_SWEEP_DATA": data,
            "MNIST_SWEEP_SERVER": f"{home}/server",
            "WANDB_DIR": home,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        with connect.connected_server(lambda line: None):
            yield
