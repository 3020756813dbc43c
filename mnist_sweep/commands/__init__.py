"""The commands behind `mnist-sweep`: each takes the parsed arguments and returns an exit code.

What a command needs is imported when it runs.
"""

from mnist_sweep.commands.finals import finals
from mnist_sweep.commands.submit import submit
from mnist_sweep.commands.sweep import agent, report, sweep
from mnist_sweep.commands.tools import check, data, doctor, server
from mnist_sweep.commands.train import confirm, show, train

__all__ = [
    "agent",
    "check",
    "confirm",
    "data",
    "doctor",
    "finals",
    "report",
    "server",
    "show",
    "submit",
    "sweep",
    "train",
]
