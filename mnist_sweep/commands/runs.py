"""Commands about one configuration: train it, confirm it, show it."""

from __future__ import annotations

import argparse
import os

from mnist_sweep import flags
from mnist_sweep.commands.speech import say
from mnist_sweep.config import parse


def train(arguments: argparse.Namespace) -> int:
    overrides = flags.given(arguments)
    parse(overrides)  # refused before anything is imported or started
    from mnist_sweep import connect
    from mnist_sweep import train as training
    from mnist_sweep.training import mnist

    mnist.fetch(say)
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return training.run(overrides)
    with connect.server(say):
        return training.run(overrides)


def confirm(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep import confirm as confirming
    from mnist_sweep.display import percent

    config = parse(flags.given(arguments))
    from mnist_sweep.training import mnist

    mnist.fetch(say)
    console = Console(highlight=False, soft_wrap=True)

    def show_seed(result: confirming.Confirmed) -> None:
        best = f"best epoch {result.best_epoch}: {percent(result.best_accuracy)}"
        words = "diverged" if result.diverged else f"test {percent(result.accuracy)}  ({best})"
        console.print(f"seed {result.seed:2}  {words}  {result.seconds:.0f} s")

    seeds = range(arguments.seeds)
    results = confirming.confirm(config, seeds, processes=arguments.agents, file=arguments.file, on_result=show_seed)
    told = confirming.summarise(results)
    if told.seeds == 1:
        console.print(f"{config.parameters:,} parameters, one seed: test {percent(told.mean)}; more seeds say how sure")
        return 0
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
        console.print(
            f"over the limit of fewer than {config.parameter_limit:,} parameters", style="red", highlight=False
        )
        return 1
    return 0
