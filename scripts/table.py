"""Record a table of real trainings: random configurations of a sweep, each on several replicates.

Each replicate is trained at 15 and at 5 epochs, and at 5 epochs with 20,000 held-out images.

    python -m scripts.table --configurations 24 --replicates 4 --agents 2      about 4 core-hours (Zen 4)
    python -m scripts.table --configurations 1 --replicates 1 --agents 1       one configuration: two minutes

Each training is one line of JSON in `docs/results/table.jsonl`. The command resumes: it skips the trainings that the
file already holds. The draws have a fixed order, so a larger `--configurations` extends the same table.
`scripts/replay.py` compares searches on the table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mnist_sweep.agents.child import end_with_parent
from mnist_sweep.config import EPOCH_LIMIT, OverBudgetError, RunConfig, parse
from mnist_sweep.search import Trial, suggest
from mnist_sweep.search import parse as parse_sweep
from scripts.objective import rows

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "results" / "table.jsonl"
SWEEP = ROOT / "sweeps" / "onecycle.yaml"
BLOCK = 8
"""Configurations that are trained on all replicates before the next ones begin."""
SEED = 20261129
"""Seed of the random draws."""
PRECISION = "float32"
"""Arithmetic of the table. The file's first rows are in bfloat16, from an earlier training step on CPUs."""
NOT_SEARCHED = ("replicate", "held_out_folds", "epochs", "deskew")
"""Parameters of the sweep file that the table sets itself. `deskew` is newer than the table: its trainings have 0."""


class Kind(NamedTuple):
    """What a training costs, and how it is measured."""

    epochs: int
    held_out_folds: int
    """Each has 5,000 images."""

    def holds_out(self, replicate: int) -> set[int]:
        """Return the folds that a replicate holds out."""
        return set(RunConfig(**self._asdict(), replicate=replicate).folds)


WHOLE, SHORT, SHORT_WIDE = Kind(EPOCH_LIMIT, 1), Kind(5, 1), Kind(5, 4)
KINDS = (WHOLE, SHORT, SHORT_WIDE)
"""The trainings of one replicate. The last one trains on 40,000 images and holds out 20,000."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One cell of the table."""

    configuration: int
    """Number of the draw, from 0."""
    values: Mapping[str, Any]
    """Its RunConfig fields, for the full schedule."""
    replicate: int
    kind: Kind


def sweep_document() -> dict[str, Any]:
    """Return the sweep file as a random search over configurations, without replicate and epochs."""
    document: dict[str, Any] = yaml.safe_load(SWEEP.read_text())
    parameters = {name: spec for name, spec in document["parameters"].items() if name not in NOT_SEARCHED}
    return document | {"method": "random", "parameters": parameters}


def draw_configurations(count: int) -> list[dict[str, Any]]:
    """Return the first `count` random configurations of the sweep that are within the parameter limit."""
    sweep, drawn = parse_sweep(sweep_document()), list[dict[str, Any]]()
    trial, number = Trial("", {}, "finished"), 0
    while len(drawn) < count:
        values = suggest(sweep, [trial] * number, seed=SEED)
        number += 1
        assert values is not None
        try:
            parse(values)
        except OverBudgetError:
            continue
        drawn.append(values)
    return drawn


def list_trainings(count: int, replicates: int) -> Iterator[Training]:
    """Yield every training in the order in which they run: block by block, replicate by replicate."""
    drawn = draw_configurations(count)
    for first in range(0, count, BLOCK):
        for replicate in range(replicates):
            for kind in KINDS:
                for number in range(first, min(first + BLOCK, count)):
                    yield Training(configuration=number, values=drawn[number], replicate=replicate, kind=kind)


def kind_of(row: Mapping[str, Any]) -> Kind:
    """Return the kind of a row. The first rows do not name their held-out folds."""
    return Kind(row["epochs"], row.get("held_out_folds", 1))


def missing_trainings(wanted: Iterable[Training], found: Iterable[Mapping[str, Any]]) -> list[Training]:
    """Return the trainings that none of the rows `found` holds in the table's precision."""
    present = {(row["configuration"], row["replicate"], kind_of(row)) for row in found if row["precision"] == PRECISION}
    return [each for each in wanted if (each.configuration, each.replicate, each.kind) not in present]


def train(training: Training) -> dict[str, Any]:
    """Run one training in this process, on one thread, and return its row.

    Accuracies are fractions. `objective` is the held-out cross-entropy (nats) at the fitted temperature, and
    `objective_standard_error` the standard error of that mean over the held-out images. `plain_train_…` are measured
    on every sixth training image, without augmentation.
    """
    import torch
    import torch.nn.functional as F

    from mnist_sweep.training import engine, mnist
    from mnist_sweep.training.calibration import calibrated_loss, temperature

    measurement = {**training.kind._asdict(), "replicate": training.replicate, "threads": 1, "precision": PRECISION}
    config = engine.resolve(parse({**training.values, **measurement}))
    split = mnist.selection_split(config.folds, config.deskew)
    wall, cpu = time.perf_counter(), time.process_time()
    fit = engine.fit(config, split, say=print)
    row: dict[str, Any] = {
        "configuration": training.configuration,
        "replicate": training.replicate,
        **training.kind._asdict(),
        "values": dict(training.values),
        "parameters": config.parameters,
        "precision": config.precision,
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "core_seconds": round(time.process_time() - cpu, 1),
        "seconds": round(time.perf_counter() - wall, 1),
        "diverged": fit.diverged,
    }
    history = [asdict(epoch) for epoch in fit.history]
    for name in ("train_loss", "train_accuracy", "loss", "accuracy"):
        row[f"{name}_by_epoch"] = [round(epoch[name], 6) for epoch in history]
    if not fit.diverged and fit.evaluation is not None:
        logits, labels = fit.evaluation.logits, split.evaluate.labels
        row |= {"accuracy": fit.evaluation.accuracy, "loss": fit.evaluation.loss}
        row |= {"temperature": temperature(logits, labels), "objective": calibrated_loss(logits, labels)}
        losses = F.cross_entropy(logits.double() / row["temperature"], labels, reduction="none")
        row["objective_standard_error"] = float(losses.std() / len(losses) ** 0.5)
        sample = mnist.Images(split.train.images[::6], split.train.labels[::6])
        plain = engine.evaluate(fit.model, sample, config.precision)
        row |= {"plain_train_loss": plain.loss, "plain_train_accuracy": plain.accuracy}
    return row


def main() -> None:
    """Train what the file lacks, and append each row as it finishes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--configurations", type=int, default=120, help="total number of configurations (default %(default)s)"
    )
    parser.add_argument(
        "--replicates", type=int, default=4, help="replicates of each configuration (default %(default)s)"
    )
    parser.add_argument("--agents", type=int, default=2, help="parallel trainings, one thread each")
    parser.add_argument("--file", type=Path, default=FILE, help="one line per training (default %(default)s)")
    arguments = parser.parse_args()
    wanted = list_trainings(arguments.configurations, arguments.replicates)
    todo = missing_trainings(wanted, rows(arguments.file))
    print(f"{len(todo)} trainings to do")
    context = multiprocessing.get_context("spawn")
    workers = ProcessPoolExecutor(arguments.agents, context, end_with_parent, (signal.SIGTERM,))
    with workers as pool, arguments.file.open("a") as out:
        for future in as_completed([pool.submit(train, training) for training in todo]):
            row = future.result()
            out.write(json.dumps(row) + "\n")
            out.flush()
            print(row["configuration"], row["replicate"], *kind_of(row), row.get("objective"), row["core_seconds"])


if __name__ == "__main__":
    main()
