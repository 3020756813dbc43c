"""Compare the speed of a step-8 trial with the study's own pipeline, on this machine.

    python -m scripts.benchmark                                      # about ten minutes; an otherwise idle machine
    python -m scripts.benchmark --batches 20 --trials 0              # a quick check

Both sides do the same work: the same network, batches of 128, policy A at strength 1, dropout, forward, backward and
optimiser step. `study.py` contains the study's side: `torchvision.datasets.MNIST` with per-image PIL transforms in a
`DataLoader`, eager float32. Every row has its own processes, which are warmed up first. One round measures each row
once. A row's result is the median over the rounds. Absolute speeds depend on the machine, so compare the ratios.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from mnist_sweep import config
from mnist_sweep.cluster import task
from mnist_sweep.training import augment, engine, mnist, model
from scripts import overhead, study

BATCH = 128
EPOCH = 60_000
CORES = task.cores()

Measure = Callable[[], float]
"""Do a fixed amount of work and return its duration in seconds."""


@dataclass(frozen=True)
class Row:
    """One line of the table: `processes` copies of the measurement that `prepare` returns, run at the same time."""

    name: str
    prepare: Callable[[int, int], Measure]
    """(threads, batches) -> the measurement."""
    threads: int = CORES
    processes: int = 1
    baseline: bool = False


# --- the study's pipeline ---------------------------------------------------------------------------------------------


def study_batches(workers: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield training batches without end."""
    loader = study.loader(study.POLICY_A, train=True, workers=workers)
    while True:
        yield from loader


def study_trial(workers: int, threads: int, batches: int) -> Measure:
    """Measure training steps with data loading."""
    source, step = study_batches(workers), study.stepper(study.network(), 10**6)
    return lambda: timed(lambda: [step(*next(source)) for _ in range(batches)])


def study_data(threads: int, batches: int) -> Measure:
    """Measure data loading with augmentation."""
    source = study_batches(0)
    return lambda: timed(lambda: [next(source) for _ in range(batches)])


def study_network(threads: int, batches: int) -> Measure:
    """Measure training steps on one fixed batch."""
    images, labels = torch.randn(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))
    step = study.stepper(study.network(), 10**6)
    return lambda: timed(lambda: [step(images, labels) for _ in range(batches)])


def study_evaluation(threads: int, batches: int) -> Measure:
    """Measure evaluation with data loading."""
    source = study.loader(study.PLAIN, train=True)
    network = study.network().eval()

    @torch.no_grad()
    def run() -> None:
        for images, _ in itertools.islice(source, batches):
            network(images).argmax(1)

    return lambda: timed(run)


# --- this project -----------------------------------------------------------------------------------------------------


def project_trial(fields: dict[str, Any], threads: int, batches: int) -> Measure:
    """Measure an epoch of `batches` batches through engine.fit, without its evaluation."""
    chosen = config.parse({"preset": "step8", "epochs": 1, "device": "cpu", "threads": threads} | fields)
    whole = mnist.selection_split()
    train = mnist.Images(*(part[: BATCH * batches] for part in whole.train))
    evaluate = mnist.Images(*(part[:BATCH] for part in whole.evaluate))
    split = mnist.Split(train, evaluate, "val", whole.evaluate_index[:BATCH])
    return lambda: BATCH * batches / engine.fit(chosen, split).history[0].images_per_second


def project_augmentation(threads: int, batches: int) -> Measure:
    """Measure augmentation."""
    images, generator = mnist.selection_split().train.images, torch.Generator().manual_seed(0)

    def run() -> None:
        for _ in range(batches):
            augment.augment(images[torch.randint(len(images), (BATCH,))], 1.0, generator)

    return lambda: timed(run)


def project_evaluation(threads: int, batches: int) -> Measure:
    """Measure evaluation."""
    split = mnist.selection_split()
    images = mnist.Images(*(part[: BATCH * batches] for part in split.train))
    chosen = engine.resolve(config.parse({"preset": "step8", "device": "cpu"}))
    network = model.build(chosen.network)
    return lambda: timed(lambda: engine.evaluate(network, images, chosen.precision))


ROWS = [
    Row("study's pipeline, no worker", partial(study_trial, 0), baseline=True),
    Row("study's pipeline, 1 worker", partial(study_trial, 1), baseline=True),
    Row(f"study's pipeline, {CORES} parallel trials", partial(study_trial, 0), threads=1, processes=CORES),
    Row("ours, one trial", partial(project_trial, {})),
    Row("ours, one trial, one thread", partial(project_trial, {}), threads=1),
    Row(f"ours, {CORES} parallel trials", partial(project_trial, {}), threads=1, processes=CORES),
    Row("  study: only data and augmentation", study_data),
    Row("  study: only the network", study_network),
    Row("  study: only the network, one thread", study_network, threads=1),
    Row("  study: evaluation", study_evaluation),
    Row("  ours: only augmentation, one thread", project_augmentation, threads=1),
    Row("  ours: without augmentation, one thread", partial(project_trial, {"augment_strength": 0.0}), threads=1),
    Row("  ours: without dropout, one thread", partial(project_trial, {"dropout": 0.0}), threads=1),
    Row("  ours: evaluation, one thread", project_evaluation, threads=1),
]

ONE_STEP = """
from mnist_sweep import config
from mnist_sweep.training import engine, mnist
few = mnist.Images(*(part[:128] for part in mnist.selection_split().train))
engine.fit(config.parse({"preset": "step8", "epochs": 1, "device": "cpu"}), mnist.Split(few, few, "val", few.labels))
"""
PROGRAM = str(Path(sys.executable).with_name("mnist-sweep"))
COMMANDS = {
    "a new process, including its first step": [sys.executable, "-c", ONE_STEP],
    "mnist-sweep --help": [PROGRAM, "--help"],
    "mnist-sweep train, a rejected configuration": [PROGRAM, "train", "--c2=128"],
}


# --- measuring --------------------------------------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def serve(row: Row, batches: int, pipe: Connection) -> None:
    """Prepare and warm up, then measure once for every message. Runs in a child process."""
    torch.set_num_threads(row.threads)
    torch.manual_seed(0)
    measure = row.prepare(row.threads, batches)
    measure()
    while True:
        pipe.send(None)  # ready
        if not pipe.recv():
            return
        pipe.send(measure())


class RowBenchmark:
    """The processes of one row and their measurements."""

    def __init__(self, row: Row, batches: int, stack: ExitStack) -> None:
        self.row, self.batches, self.pipes = row, batches, []
        self.seconds: list[float] = []
        """Seconds per 60,000 images of the whole machine: n parallel trials count n times."""
        spawn = multiprocessing.get_context("spawn")
        for _ in range(row.processes):
            parent, child = spawn.Pipe()
            process = spawn.Process(target=serve, args=(row, batches, child))
            process.start()
            stack.callback(process.join)
            stack.callback(parent.send, False)
            self.pipes.append(parent)
        for pipe in self.pipes:
            pipe.recv()

    def measure(self) -> None:
        """Measure once and append the seconds per epoch."""
        for pipe in self.pipes:
            pipe.send(True)
        slowest = max(pipe.recv() for pipe in self.pipes)
        for pipe in self.pipes:
            pipe.recv()
        self.seconds.append(slowest * EPOCH / (BATCH * self.batches * len(self.pipes)))


def command_seconds(command: list[str]) -> float:
    """Return the seconds that a command takes."""
    return timed(lambda: subprocess.run(command, capture_output=True, check=False))


def summary(name: str, seconds: list[float], baseline: float | None) -> dict[str, Any]:
    """Summarise the measurements of one row. `ratio` is the speed relative to the baseline."""
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
    """Return facts about the machine and the installed versions."""
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
    """Return a table of summaries for the terminal."""
    result = Table("", f"median, {unit}", "min … max", "times as fast", title=title, title_justify="left")
    for row in rows:
        ratio = f"{row['ratio']:.1f}" if row["ratio"] else ""
        result.add_row(row["name"], f"{row['median']:.2f}", f"{row['min']:.2f} … {row['max']:.2f}", ratio)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=60, help="batches of 128 per measurement (60)")
    parser.add_argument(
        "--repetitions", type=int, default=5, help="number of rounds; use at least 5 for published figures (5)"
    )
    parser.add_argument(
        "--trials", type=int, default=6, help="trials per agent to measure its overhead; 0 skips it (6)"
    )
    parser.add_argument("--only", default="", help="run only rows whose name contains this text; baselines always run")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"), help="file for the results (%(default)s)")
    arguments = parser.parse_args()

    console, about = Console(), machine()
    chosen = [row for row in ROWS if row.baseline or arguments.only in row.name]
    with ExitStack() as stack:
        benches = []
        for row in chosen:
            console.print(f"[dim]preparing {row.name.strip()}[/dim]")
            benches.append(RowBenchmark(row, arguments.batches, stack))
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
    agents = [
        summary(name, overhead.seconds(command, arguments.trials), None)
        for name, command in overhead.AGENTS.items()
        if arguments.trials
    ]
    console.print(f"{about['cores']} cores, {about['capability']}, torch {about['torch']}, load {about['load']:.1f}")
    console.print(table(epochs, "Step 8: seconds per 60,000 images, whole machine", "s"))
    console.print(table(commands, "Start-up", "s"))
    if agents:
        console.print(table(agents, "Overhead between two trials of a sweep, local server", "s"))
    figures = {"machine": about, "epochs": epochs, "commands": commands, "agents": agents}
    arguments.json.write_text(json.dumps(figures, indent=1))
    console.print(f"Wrote the results to {arguments.json}")


if __name__ == "__main__":
    main()
