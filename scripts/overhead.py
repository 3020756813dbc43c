"""What a sweep costs between two trials: from one's last epoch to the next one's first step, on a local server.

Trials of one epoch tell it: each logs one row, after its evaluation. The time between two rows, less the later trial's
training, is the overhead (and that trial's evaluation, some tenths of a second): results uploaded, the run finished,
the next suggestion fetched, the next run started.
"""

from __future__ import annotations

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
    """Overheads in seconds, one for each trial but the first, of an agent that `command` starts."""
    import wandb

    smoke: dict[str, Any] = yaml.safe_load(Path("sweeps/smoke.yaml").read_text())
    with _local_server():
        made = remote.create(smoke | {"run_cap": trials}, "mnist-sweep")
        # an agent from a terminal has no client's service to share with its parent
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
    """A server in an empty home, whoever is logged in where."""
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
