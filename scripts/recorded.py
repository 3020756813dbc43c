"""Put a recorded job (docs/history.md) into the data folder of a local server: a sweep and the trainings of its finals.

    python -m scripts.recorded --data DIR           # while no server uses DIR; prints the sweep's path
    export MNIST_SWEEP_SERVER=DIR                   # the following trains nothing: every result is there
    mnist-sweep finals SWEEP --rounds 6:1,4:2,2:4 --fresh 2
    mnist-sweep confirm finals-SWEEP --seeds=10 --threads=1 --file COPY_OF_CONFIRMED_BFLOAT16.jsonl
    mnist-sweep report SWEEP --html review.html

The screenshots of docs/review.md are taken from it. The records have no curves.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from mnist_sweep.config import PARAMETER_LIMIT, PROJECT
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.rows import Sweep

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs/results"
JOB = "onecycle-2"
ROUNDS = {"round-1": {1}, "round-2": {2, 3}, "final": {4, 5}}
"""The replicates that each round of the finals trained."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data folder of a local server")
    print(restore(parser.parse_args().data))


def restore(folder: Path) -> str:
    """Create the sweep and its finals in a data folder. Return the sweep's path: entity/project/id."""
    store = Store(folder)
    config = yaml.safe_load((ROOT / "sweeps/onecycle.yaml").read_text("utf-8"))
    constants = {"epochs": 15, "held_out_folds": 1, "deskew": 0}  # as they were when the trials were trained
    config["parameters"] |= {name: {"value": value} for name, value in constants.items()}
    trials, finals = _read(f"{JOB}.jsonl"), _read(f"{JOB}-finals.jsonl")
    with store.write() as db:
        project = projects.ensure(db, "local", PROJECT).id
        sweep = _add(db, project, config, trials)
        path = f"local/{PROJECT}/{sweep}"
        for title, replicates in ROUNDS.items():
            played = [run for run in finals if run["config"]["replicate"] in replicates]
            grid = {"base": {"values": [run["config"]["base"] for run in played]}}
            about = {"name": f"finals-{sweep}-{title}", "description": f"{title} of the finals of {path}"}
            _add(db, project, {**config, **about, "method": "grid", "parameters": grid}, played)
    store.close()
    return path


def _read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / name).read_text("utf-8").splitlines()]


def _add(db: sqlite3.Connection, project: int, config: dict[str, Any], records: Sequence[dict[str, Any]]) -> str:
    """Create a sweep with its runs, and return its id."""
    sweep = sweeps.create(db, project, yaml.safe_dump(config, sort_keys=False), state="RUNNING")
    for place, record in enumerate(records):
        summary = record["summary"] | {"constraint/parameters": record["summary"]["parameters"] - PARAMETER_LIMIT + 1}
        if not summary["feasible"]:
            summary["reason"] = f"{summary['parameters']:,} parameters, the limit is fewer than {PARAMETER_LIMIT:,}"
        run = runs.create(
            db,
            project,
            record["run"],
            "finished",
            sweep_id=sweep,
            trial=place,
            config={name: {"value": value} for name, value in record["config"].items()},
            summary=summary,
            host="two-cores",
        )
        began = datetime.fromisoformat(record["created"])
        ended = began + timedelta(seconds=record["seconds"])
        times = [f"{moment:%Y-%m-%dT%H:%M:%S.000Z}" for moment in (began, ended)]
        db.execute("UPDATE runs SET created_at = ?, heartbeat_at = ? WHERE id = ?", (*times, run))
        sweeps.count_trial(db, sweep)
    sweeps.update(db, sweep, state="FINISHED")
    return Sweep.by_id(db, sweep).name


if __name__ == "__main__":
    main()
