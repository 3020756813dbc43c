"""`mnist-sweep show`: print the layers of a configuration."""

import argparse

from mnist_sweep import flags
from mnist_sweep.config import parse

HELP = "print the layers of a configuration: output shape, parameters, receptive field"
EXAMPLE = "mnist-sweep show --preset=step8"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    flags.add(parser)


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from mnist_sweep import architecture

    config = parse(flags.given(arguments) | {"over_budget": True})
    table = Table(title=f"{config.model}: {config.parameters:,} parameters")
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
