"""Save a sweep's trials as JSON lines, each with its configuration and its results.

    python -m scripts.trials local/mnist-sweep/<id> docs/results/onecycle.jsonl
    python -m scripts.trials local/mnist-sweep/finals-<id> docs/results/onecycle-finals.jsonl

The script finds the server as `mnist-sweep report` does. It skips unfinished trials and replaces an existing file.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import wandb

from mnist_sweep import metrics
from mnist_sweep.config import PROJECT
from mnist_sweep.connection import connect
from mnist_sweep.errors import UserError
from mnist_sweep.selection import finals
from mnist_sweep.sweep import remote

NUMBERS = (
    metrics.EPOCH,
    metrics.OBJECTIVE,
    metrics.VAL_ACCURACY,
    metrics.VAL_LOSS,
    metrics.TRAIN_LOSS,
    metrics.PARAMETERS,
    metrics.FEASIBLE,
    metrics.DIVERGED,
)


def line(run: Any) -> dict[str, Any]:
    """Return the line of a finished run."""
    summary = {name: run.summary.get(name) for name in NUMBERS}
    return {
        "run": run.id,
        "created": run.created_at,
        "seconds": run.summary.get("_runtime"),
        "config": {name: value for name, value in run.config.items() if not name.startswith("_")},
        "summary": {name: value for name, value in summary.items() if value is not None},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "sweep", help="id, project/id or entity/project/id; use the prefix finals- on the id for all its finals"
    )
    parser.add_argument("file", type=Path, help="file to write")
    arguments = parser.parse_args()
    try:
        with connect.connected_server(partial(print, file=sys.stderr)):
            sweep, all_finals = finals.parse_finals_id(arguments.sweep)
            found = remote.find(sweep, PROJECT)
            chosen = finals.rounds_of(found) if all_finals else [found]
            runs = [run for each in chosen for run in wandb.Api().sweep(each.path).runs if run.state == "finished"]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    lines = sorted((line(run) for run in runs), key=lambda row: (row["created"], row["run"]))
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    arguments.file.write_text("".join(json.dumps(row) + "\n" for row in lines))
    print(f"Wrote {len(lines)} trials to {arguments.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
