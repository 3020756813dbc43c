"""The commands behind `mnist-sweep`: each takes the parsed arguments and returns an exit code.

What a command needs is imported when it runs.
"""

from mnist_sweep.commands.files import check, data, doctor, server
from mnist_sweep.commands.finals import finals
from mnist_sweep.commands.runs import confirm, show, train
from mnist_sweep.commands.submit import submit
from mnist_sweep.commands.sweeps import agent, report, sweep

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
