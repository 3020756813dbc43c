"""The commands behind `mnist-sweep`: each takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_sweep import flags
from mnist_sweep.config import PARAMETER_LIMIT, parse
from mnist_sweep.signals import Signals

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.sweepfile import Check

PROJECT = "mnist-sweep"

stoppable = Signals({signal.SIGTERM: KeyboardInterrupt})
"""Agents are ended by SIGTERM as by Ctrl-C."""


def sweep(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep import agents as sweeps
    from mnist_sweep import connect, live, sweepfile

    console = Console()
    config = sweepfile.load(arguments.file)
    _report(arguments.file, sweepfile.check(config), console)
    if config["method"] == "custom":
        # agents alone would wait for ever
        raise sweepfile.SweepFileError(
            f"{arguments.file}: needs `wandb sweep-scheduler` beside its agents: see README.md"
        )
    from mnist_sweep.training import mnist  # torch is imported only once the file is known to be good

    mnist.fetch(lambda line: console.print(line, highlight=False, soft_wrap=True))
    with connect.server(lambda line: console.print(line, highlight=False, soft_wrap=True)) as server:
        created = sweeps.create(config, PROJECT)
        logs = Path(os.environ.get("WANDB_DIR", ".")) / "wandb" / f"agents-{created.path.split('/')[-1]}"
        console.print(f"Sweep {created.path}: {created.url}", highlight=False, soft_wrap=True)
        limits = [limit for limit in (arguments.count, config.get("run_cap")) if limit]
        count = min(limits, default=None)
        agents = sweeps.Agents(
            created.path, agents=arguments.agents, count=count, log=lambda number: logs / f"agent-{number}.log"
        )
        code = 0
        try:
            with stoppable.handled():
                live.follow(created, agents, count, console)
        except KeyboardInterrupt:
            console.print("Stopping: the running trials finish their upload …")
            agents.stop()
            code = 130
        live.conclude(created, console)
        if agents.failed:
            console.print(f"An agent gave up; its output is in {logs}", style="red", highlight=False, soft_wrap=True)
            code = code or 1
        if server.started:
            console.print("The local server ends with this command; `mnist-sweep server` opens these pages again.")
    return code


def agent(arguments: argparse.Namespace) -> int:
    from mnist_sweep import agents as sweeps
    from mnist_sweep import connect

    with connect.server(_say) as _:
        found = sweeps.find(arguments.sweep, PROJECT)
        agents = sweeps.Agents(found.path, count=arguments.count)
        try:
            with stoppable.handled():
                agents.join()
        except KeyboardInterrupt:
            agents.stop()
            return 130
        return int(agents.failed)


def report(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep import agents as sweeps
    from mnist_sweep import connect, live
    from mnist_sweep.review import page, records, terminal, wandb_report
    from mnist_sweep.training import augment, mnist

    console = Console(highlight=False, soft_wrap=True)
    with connect.server(_say) as server:
        found = sweeps.find(arguments.sweep, PROJECT)
        info, runs = sweeps.read(found, media=3)
        other = sweeps.read(sweeps.find(arguments.random, PROJECT))[1] if arguments.random else []
        best = [live.best_command(run) for run in records.ranked(runs, info)[:1]]
        commands = [*best, *(line.replace("mnist-sweep train", "mnist-sweep confirm --seeds=10") for line in best)]
        told: dict[str, Any] = {"baseline": other, "evaluated_on": mnist.VALIDATION_IMAGES}
        console.print(terminal.summary(info, runs, **told))
        if arguments.html is not None:
            strips = [
                page.DigitRow(
                    f"strength {strength:g}", augment.strip(mnist.selection_split().train.images[:10], strength)
                )
                for strength in (0.0, 0.5, 1.0, 1.5)
            ]
            arguments.html.parent.mkdir(parents=True, exist_ok=True)
            arguments.html.write_text(page.html_page(info, runs, digits=strips, commands=commands, **told), "utf-8")
            console.print(f"Page:    {arguments.html}")
        url = wandb_report.publish(info, runs, commands=commands, **told)
        console.print(f"Report:  {url}")
        if server.local:
            console.print(f"Sweep:   {found.url}  (the local server draws it on its own page)")
    return 0


def train(arguments: argparse.Namespace) -> int:
    overrides = flags.given(arguments)
    parse(overrides)  # refused before anything is imported or started
    from mnist_sweep import connect
    from mnist_sweep import train as training
    from mnist_sweep.training import mnist

    mnist.fetch(_say)
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return training.run(overrides)
    with connect.server(_say):
        return training.run(overrides)


def confirm(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep import confirm as confirming
    from mnist_sweep.display import percent

    config = parse(flags.given(arguments))
    from mnist_sweep.training import mnist

    mnist.fetch(_say)
    console = Console(highlight=False, soft_wrap=True)

    def say(result: confirming.Confirmed) -> None:
        best = f"best epoch {result.best_epoch}: {percent(result.best_accuracy)}"
        words = "diverged" if result.diverged else f"test {percent(result.accuracy)}  ({best})"
        console.print(f"seed {result.seed:2}  {words}  {result.seconds:.0f} s")

    seeds = range(arguments.seeds)
    results = confirming.confirm(config, seeds, processes=arguments.agents, file=arguments.file, on_result=say)
    told = confirming.summarise(results)
    console.print(
        f"{config.parameters:,} parameters, {told.seeds} seeds: test {percent(told.mean)} "
        f"± {100 * told.interval:.2f} (95 % interval of the mean), deviation {100 * told.deviation:.2f}, "
        f"from {percent(told.lowest)} to {percent(told.highest)}, "
        f"{told.at_target} of {told.seeds} at {percent(confirming.TARGET)} or over"
    )
    return 0


def show(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from mnist_sweep import architecture

    config = parse(flags.given(arguments) | {"over_budget": True})
    table = Table(title=f"{config.preset or config.model}: {config.parameters:,} parameters")
    table.add_column("layer")
    for heading in ("output", "parameters", "receptive field"):
        table.add_column(heading, justify="right")
    for row in architecture.layer_table(config.network):
        count = f"{row.parameters:,}" if row.parameters else ""
        output = " x ".join(map(str, row.output))
        table.add_row(architecture.describe(row.layer), output, count, str(row.receptive_field))
    console = Console()
    console.print(table)
    if config.baseline and not flags.given(arguments).get("over_budget"):
        console.print(f"over the limit of fewer than {PARAMETER_LIMIT:,} parameters", style="red", highlight=False)
        return 1
    return 0


def check(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep import sweepfile

    console, failed = Console(), False
    for path in arguments.files:
        try:
            _report(path, sweepfile.check(sweepfile.load(path)), console)
        except sweepfile.SweepFileError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return int(failed)


def data(arguments: argparse.Namespace) -> int:
    from mnist_sweep.training import mnist

    print(f"MNIST is in {mnist.fetch(_say)}: four files, checked by SHA-256")
    return 0


def server(arguments: argparse.Namespace) -> int:
    from mnist_sweep import connect
    from mnist_sweep.server.__main__ import main

    given = ["--host", arguments.host, "--data", str(arguments.data or connect.local_folder())]
    given += ["--port", str(connect.LOCAL_PORT if arguments.port is None else arguments.port)]
    return main(given + (["--key", arguments.key] if arguments.key else []))


def _report(path: Path, found: Check, console: Console) -> None:
    from mnist_sweep.sweepfile import SweepFileError

    if found.problems:
        raise SweepFileError("\n       ".join(f"{path}: {problem}" for problem in found.problems))
    space = f"grid of {found.points} points" if found.points is not None else "search space"
    line = f"{path}: valid; {found.feasible:.0%} of its {space} is under {PARAMETER_LIMIT:,} parameters"
    console.print(line, highlight=False, soft_wrap=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
