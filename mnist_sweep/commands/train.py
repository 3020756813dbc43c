"""`mnist-sweep train`: train one configuration and report it to W&B."""

import argparse
import os

from mnist_sweep import flags
from mnist_sweep.commands.console import say
from mnist_sweep.config import parse

HELP = "train one configuration and report it to W&B"
EXAMPLE = "mnist-sweep train --preset=step8 --epochs=5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    flags.add(parser)


def run(arguments: argparse.Namespace) -> int:
    overrides = flags.given(arguments)
    parse(overrides)  # refused before anything is imported or started
    from mnist_sweep import train as training
    from mnist_sweep.connection import connect
    from mnist_sweep.training import mnist

    mnist.fetch(say)
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return training.run(overrides)
    with connect.connected_server(say):
        return training.run(overrides)
