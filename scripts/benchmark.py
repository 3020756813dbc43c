"""How fast a trial of step 8 is, against the study's own pipeline, on this machine.

    python scripts/benchmark.py                                      # about ten minutes; an otherwise idle machine
    python scripts/benchmark.py --batches 20 --repetitions 5         # a first look

Both sides do the same work: the same network, batches of 128, policy A at strength 1, dropout, forward, backward and
optimiser step. The study's side is written out below: `torchvision.datasets.MNIST` with per-image PIL transforms in a
`DataLoader`, eager float32. Every row keeps processes of its own, warmed up before; one round measures each row once,
rounds are repeated, and a row's figure is the median over the rounds. A speed means little by itself: read the ratio.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torchvision import datasets, transforms

from mnist_sweep import augment, config, engine, mnist, model

BATCH = 128
EPOCH = 60_000
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Measure = Callable[[], float]
"""Does a fixed amount of work; returns its seconds."""


@dataclass(frozen=True)
class Row:
    """One line of the table: `processes` copies of what `prepare` returns, run at the same time."""

    name: str
    prepare: Callable[[int, int], Measure]
    """(threads, batches) -> the measurement."""
    threads: int = CORES
    processes: int = 1
    baseline: bool = False


PLAIN = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]

# --- the study's pipeline ---------------------------------------------------------------------------------------------


def raw_mnist(policy: Callable[[Any], torch.Tensor]) -> Any:
    """The training images as torchvision reads them."""
    root = Path(tempfile.mkdtemp())
    (root / "MNIST").mkdir()
    (root / "MNIST" / "raw").symlink_to(mnist.fetch())  # torchvision's name for the folder
    return datasets.MNIST(str(root), train=True, transform=policy)


def study_batches(workers: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches as the study's notebook for step 8 makes them, for ever."""
    policy = transforms.Compose(
        [
            transforms.RandomRotation((-6.0, 6.0), fill=1),
            transforms.RandomAffine(degrees=7, shear=10, translate=(0.1, 0.1), scale=(0.8, 1.2)),
            transforms.ColorJitter(brightness=0.4, contrast=0.4),
            *PLAIN,
        ]
    )
    loader = torch.utils.data.DataLoader(raw_mnist(policy), BATCH, shuffle=True, num_workers=workers)
    while True:
        yield from loader


def plain_step() -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Forward, backward and optimiser step of step 8 in PyTorch's plain layers, eager, float32."""
    network = model.build(config.parse({"preset": "step8"}).network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.015, momentum=0.7)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.015, total_steps=10**6)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        scheduler.step()

    return step


def study(workers: int, threads: int, batches: int) -> Measure:
    source, step = study_batches(workers), plain_step()
    return lambda: timed(lambda: [step(*next(source)) for _ in range(batches)])


def study_data(threads: int, batches: int) -> Measure:
    source = study_batches(0)
    return lambda: timed(lambda: [next(source) for _ in range(batches)])


def study_network(threads: int, batches: int) -> Measure:
    images, labels, step = torch.randn(BATCH, 1, 28, 28), torch.randint(10, (BATCH,)), plain_step()
    return lambda: timed(lambda: [step(images, labels) for _ in range(batches)])


def study_evaluation(threads: int, batches: int) -> Measure:
    source = torch.utils.data.DataLoader(raw_mnist(transforms.Compose(PLAIN)), BATCH)
    network = model.build(config.parse({"preset": "step8"}).network).eval()

    @torch.no_grad()
    def run() -> None:
        for images, _ in itertools.islice(source, batches):
            network(images).argmax(1)

    return lambda: timed(run)


# --- ours -------------------------------------------------------------------------------------------------------------


def ours(fields: dict[str, Any], threads: int, batches: int) -> Measure:
    """A whole epoch of `batches` batches through engine.fit, its evaluation not counted."""
    chosen = config.parse({"preset": "step8", "epochs": 1, "device": "cpu", "threads": threads} | fields)
    whole = mnist.selection_split()
    train = mnist.Images(*(part[: BATCH * batches] for part in whole.train))
    judge = mnist.Images(*(part[:BATCH] for part in whole.evaluate))
    split = mnist.Split(train, judge, "val", whole.evaluate_index[:BATCH])
    return lambda: BATCH * batches / engine.fit(chosen, split).history[0].images_per_second


def ours_augmentation(threads: int, batches: int) -> Measure:
    images, generator = mnist.selection_split().train.images, torch.Generator().manual_seed(0)

    def run() -> None:
        for _ in range(batches):
            augment.augment(images[torch.randint(len(images), (BATCH,))], 1.0, generator)

    return lambda: timed(run)


def ours_evaluation(threads: int, batches: int) -> Measure:
    split = mnist.selection_split()
    images = mnist.Images(*(part[: BATCH * batches] for part in split.train))
    chosen = engine.resolve(config.parse({"preset": "step8", "device": "cpu"}))
    network = model.build(chosen.network)
    return lambda: timed(lambda: engine.evaluate(network, images, chosen.precision))


ROWS = [
    Row("study's pipeline, no worker", partial(study, 0), baseline=True),
    Row("study's pipeline, 1 worker", partial(study, 1), baseline=True),
    Row("ours, one trial", partial(ours, {})),
    Row("ours, one trial, one thread", partial(ours, {}), threads=1),
    Row(f"ours, {CORES} trials side by side", partial(ours, {}), threads=1, processes=CORES),
    Row("ours in float32, one thread", partial(ours, {"precision": "float32"}), threads=1),
    Row(
        f"ours in float32, {CORES} trials side by side",
        partial(ours, {"precision": "float32"}),
        threads=1,
        processes=CORES,
    ),
    Row("  study: data and augmentation alone", study_data),
    Row("  study: network alone", study_network),
    Row("  study: network alone, one thread", study_network, threads=1),
    Row("  study: evaluation", study_evaluation),
    Row("  ours: augmentation alone, one thread", ours_augmentation, threads=1),
    Row("  ours: without augmentation, one thread", partial(ours, {"augment_strength": 0.0}), threads=1),
    Row("  ours: without dropout, one thread", partial(ours, {"dropout": 0.0}), threads=1),
    Row("  ours: evaluation, one thread", ours_evaluation, threads=1),
]

PROGRAM = str(Path(sys.executable).with_name("mnist-sweep"))
COMMANDS = {
    "mnist-sweep --help": [PROGRAM, "--help"],
    "mnist-sweep train, a rejected configuration": [PROGRAM, "train", "--c2=128"],
}


# --- measuring --------------------------------------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> float:
    """Seconds `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def serve(row: Row, batches: int, pipe: Connection) -> None:
    """Child process: prepare, warm up, then measure once for every message."""
    torch.set_num_threads(row.threads)
    torch.manual_seed(0)
    measure = row.prepare(row.threads, batches)
    measure()
    while True:
        pipe.send(None)  # ready
        if not pipe.recv():
            return
        pipe.send(measure())


class Bench:
    """The processes of one row, and what they measured."""

    def __init__(self, row: Row, batches: int, stack: ExitStack) -> None:
        self.row, self.batches, self.pipes = row, batches, []
        self.seconds: list[float] = []
        """Per epoch of 60,000 images: the whole machine's, so n trials side by side count n-fold."""
        spawn = multiprocessing.get_context("spawn")
        for _ in range(row.processes):
            mine, theirs = spawn.Pipe()
            process = spawn.Process(target=serve, args=(row, batches, theirs))
            process.start()
            stack.callback(process.join)
            stack.callback(mine.send, False)
            self.pipes.append(mine)
        for pipe in self.pipes:
            pipe.recv()

    def measure(self) -> None:
        for pipe in self.pipes:
            pipe.send(True)
        slowest = max(pipe.recv() for pipe in self.pipes)
        for pipe in self.pipes:
            pipe.recv()
        self.seconds.append(slowest * EPOCH / (BATCH * self.batches * len(self.pipes)))


def command_seconds(command: list[str]) -> float:
    return timed(lambda: subprocess.run(command, capture_output=True, check=False))


def summary(name: str, seconds: list[float], baseline: float | None) -> dict[str, Any]:
    middle = statistics.median(seconds)
    return {
        "name": name.strip(),
        "median": middle,
        "min": min(seconds),
        "max": max(seconds),
        "all": seconds,
        "ratio": baseline / middle if baseline else None,
    }


def machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": CORES,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "precision": engine.resolve(config.parse({"device": "cpu"})).precision,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def table(rows: list[dict[str, Any]], title: str, unit: str) -> Table:
    result = Table("", f"median, {unit}", "min … max", "times as fast", title=title, title_justify="left")
    for row in rows:
        ratio = f"{row['ratio']:.1f}" if row["ratio"] else ""
        result.add_row(row["name"], f"{row['median']:.2f}", f"{row['min']:.2f} … {row['max']:.2f}", ratio)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=60, help="batches of 128 per measurement (60)")
    parser.add_argument("--repetitions", type=int, default=5, help="rounds; at least 5 for a figure to quote (5)")
    parser.add_argument("--only", default="", help="only rows whose name contains this; baselines always run")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"), help="where the figures go")
    arguments = parser.parse_args()

    console, about = Console(), machine()
    chosen = [row for row in ROWS if row.baseline or arguments.only in row.name]
    with ExitStack() as stack:
        benches = []
        for row in chosen:
            console.print(f"[dim]preparing {row.name.strip()}[/dim]")
            benches.append(Bench(row, arguments.batches, stack))
        for number in range(arguments.repetitions):
            console.print(f"[dim]round {number + 1} of {arguments.repetitions}[/dim]")
            for bench in benches:
                bench.measure()
    baseline = min(statistics.median(bench.seconds) for bench in benches if bench.row.baseline)
    epochs = [summary(b.row.name, b.seconds, None if b.row.name.startswith(" ") else baseline) for b in benches]
    commands = [
        summary(name, [command_seconds(command) for _ in range(arguments.repetitions)], None)
        for name, command in COMMANDS.items()
    ]
    console.print(f"{about['cores']} cores, {about['capability']}, torch {about['torch']}, load {about['load']:.1f}")
    console.print(table(epochs, "Step 8: seconds per 60,000 images, whole machine", "s"))
    console.print(table(commands, "Start-up", "s"))
    arguments.json.write_text(json.dumps({"machine": about, "epochs": epochs, "commands": commands}, indent=1))
    console.print(f"figures in {arguments.json}")


if __name__ == "__main__":
    main()
