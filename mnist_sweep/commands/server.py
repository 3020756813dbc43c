"""`mnist-sweep server`: run the local W&B server."""

from mnist_sweep.server.command import EXAMPLE, HELP, add_arguments, run

__all__ = ["EXAMPLE", "HELP", "add_arguments", "run"]
