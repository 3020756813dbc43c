"""`mnist-sweep data`: download MNIST and verify it."""

import argparse

from mnist_sweep.commands.console import say

HELP = "download MNIST and verify it"
EXAMPLE = "MNIST_SWEEP_DATA=/data/mnist mnist-sweep data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments."""


def run(arguments: argparse.Namespace) -> int:
    from mnist_sweep.training import mnist

    print(f"MNIST is in {mnist.fetch(say)}: four files, checked by SHA-256")
    return 0
