"""Keep a sweep's trials as JSON lines: what each one was told, and what it came to.

    python -m scripts.trials local/mnist-sweep/<id> docs/results/onecycle.jsonl

The server is the one the client is pointed to (WANDB_BASE_URL and WANDB_API_KEY, or `wandb login`). Trials under way
are left out; an earlier file of that name is replaced.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import wandb

NUMBERS = ("epoch", "objective", "val/accuracy", "val/loss", "train/loss", "parameters", "feasible", "diverged")


def line(run: Any) -> dict[str, Any]:
    """One finished run."""
    summary = {name: run.summary.get(name) for name in NUMBERS}
    return {
        "run": run.id,
        "created": run.created_at,
        "seconds": run.summary.get("_runtime"),
        "config": {name: value for name, value in run.config.items() if not name.startswith("_")},
        "summary": {name: value for name, value in summary.items() if value is not None},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sweep", help="entity/project/id")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    runs = [run for run in wandb.Api().sweep(arguments.sweep).runs if run.state == "finished"]
    lines = sorted((line(run) for run in runs), key=lambda row: (row["created"], row["run"]))
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    arguments.file.write_text("".join(json.dumps(row) + "\n" for row in lines))
    print(f"{len(lines)} trials in {arguments.file}")


if __name__ == "__main__":
    main()
