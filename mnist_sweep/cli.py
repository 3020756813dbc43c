"""`mnist-sweep …`: arguments in, calls out, tables back. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import io
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mnist_sweep import commands, flags
from mnist_sweep.errors import UserError
from mnist_sweep.signals import Signals

TRIALS, AGENTS, SEEDS, TASKS = 1_000_000, 256, 1_000, 100_000
"""At most so many of each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors meant for people are one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 lacks some of our signs
    arguments = parser().parse_args(argv)
    try:
        with Signals({signal.SIGTERM: KeyboardInterrupt}).handled():  # what ends on Ctrl-C ends on SIGTERM the same way
            return int(arguments.command(arguments))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = flags.Parser(
        prog="mnist-sweep",
        description="Constrained hyperparameter sweeps with Weights & Biases: MNIST, under 10,000 parameters.",
    )
    commands_ = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, help: str) -> argparse.ArgumentParser:
        sub = commands_.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(command=getattr(commands, name))
        return sub

    sub = add("sweep", "create a sweep or go on with one, train its trials and rank them")
    sub.add_argument("sweep", metavar="FILE", help="a sweep file, or the id of a sweep to go on with")
    sub.add_argument("--count", type=_up_to(TRIALS), metavar="N", help="trials to train, those over budget not counted")
    sub.add_argument("--agents", type=_up_to(AGENTS), default=1, metavar="N", help="trials side by side [1]")

    sub = add("report", "review a sweep: a W&B report, an HTML page, a summary here")
    sub.add_argument("sweep", metavar="SWEEP", help="id, project/id or entity/project/id")
    sub.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page that opens from disk")
    sub.add_argument("--random", metavar="SWEEP", help="a random search over the same space, to compare with")

    sub = add("agent", "work on an existing sweep in warm processes")
    sub.add_argument("sweep", metavar="SWEEP", help="id, project/id or entity/project/id")
    sub.add_argument("--count", type=_up_to(TRIALS), metavar="N", help="trials to train, those over budget not counted")
    beside = sub.add_mutually_exclusive_group()
    beside.add_argument("--agents", type=_up_to(AGENTS), default=1, metavar="N", help="trials side by side [1]")
    beside.add_argument(
        "--agents-per-gpu", type=_up_to(64), metavar="N", help="so many for each GPU in CUDA_VISIBLE_DEVICES"
    )

    sub = add("submit", "have agents work on a sweep as a job of a cluster, and follow it")
    sub.add_argument("sweep", metavar="FILE", help="a sweep file, or the id of a sweep to go on with")
    sub.add_argument("--count", type=_up_to(TRIALS), metavar="N", help="trials of a new sweep (its run_cap)")
    sub.add_argument(
        "--agents", type=_up_to(TASKS), default=1, metavar="N", help="tasks side by side, each an agent [1]"
    )
    sub.add_argument("--cpus", type=_up_to(1024), default=1, metavar="N", help="CPUs of a task [1]")
    sub.add_argument("--gpus", type=_up_to(64), default=0, metavar="N", help="GPUs of a task, each with an agent [0]")
    sub.add_argument("--agents-per-gpu", type=_up_to(64), default=1, metavar="N", help="agents that share a GPU [1]")
    sub.add_argument("--mem", type=_memory, metavar="SIZE", help="memory of a task, 4G [the cluster's own]")
    sub.add_argument("--time", metavar="T", help="time of a task as sbatch reads it, 2:30:00 [the partition's]")
    sub.add_argument("--partition", metavar="NAME", help="partition [the cluster's default]")
    sub.add_argument("--account", metavar="NAME", help="account to charge [your own]")
    sub.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTION",
        help="more for sbatch, --sbatch=--qos=low; repeatable",
    )
    sub.add_argument(
        "--setup",
        action="append",
        default=[],
        metavar="LINE",
        help="shell before the agent, --setup='module load cuda'; repeatable",
    )
    sub.add_argument(
        "--kubernetes", metavar="IMAGE", help="print a Kubernetes manifest, an Indexed Job whose pods run this image"
    )
    sub.add_argument("--dry-run", action="store_true", help="print what would be submitted, and do nothing")
    sub.add_argument("--follow", action="store_true", help="submit nothing: back to the jobs that are there")

    sub = add("finals", "play off a sweep's best configurations against each other, over replicates")
    sub.add_argument("sweep", metavar="SWEEP", help="id, project/id or entity/project/id")
    sub.add_argument("--agents", type=_up_to(AGENTS), default=1, metavar="N", help="trainings side by side [1]")
    sub.add_argument(
        "--rounds",
        default="30:1,10:3,3:6",
        metavar="N:R,…",
        help="configurations and their replicates in all, round by round [30:1,10:3,3:6]",
    )
    sub.add_argument(
        "--fresh", type=int, default=6, metavar="R", help="further replicates for the last two and the reference [6]"
    )
    sub.add_argument(
        "--reference",
        default="preset=step8",
        metavar="FIELDS",
        help="whom the last two are compared with, as name=value name=value … [preset=step8]",
    )

    sub = add("train", "train one configuration and report it to W&B")
    flags.add(sub)

    sub = add(
        "confirm", "retrain a configuration with many seeds on all training images and judge it on the test images"
    )
    sub.add_argument(
        "sweep",
        nargs="?",
        metavar="SWEEP",
        help="what a sweep chose, by posterior mean (its id, project/id or entity/project/id), or its finals "
        "(finals- before the id); without it, the fields below",
    )
    sub.add_argument("--seeds", type=_up_to(SEEDS), default=10, metavar="N", help="seeds 0 to N-1, at most 1,000 [10]")
    sub.add_argument("--agents", type=_up_to(AGENTS), default=1, metavar="N", help="seeds side by side [1]")
    sub.add_argument(
        "--file", type=Path, default=Path("out/confirm.jsonl"), help="results, kept as they come [out/confirm.jsonl]"
    )
    flags.add(sub)

    sub = add("show", "print the layers of a configuration: output shape, parameters, receptive field")
    flags.add(sub)

    sub = add("check", "check sweep files before they are used")
    sub.add_argument("files", type=Path, nargs="+", metavar="FILE", help="sweep files")

    sub = add("data", "fetch MNIST and check it")

    sub = add("doctor", "check this machine: packages, folders, data, device, arithmetic, speed, server")

    sub = add("server", "run the local W&B server")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    sub.add_argument(
        "--port", type=int, default=None, help="port, 0 for a free one [8080, or a free one where that is taken]"
    )
    sub.add_argument(
        "--data", type=Path, default=None, metavar="DIR", help="folder of its data [the user's data folder]"
    )
    sub.add_argument(
        "--key-file", type=Path, default=None, metavar="FILE", help="the key clients must give [the data folder's own]"
    )
    sub.add_argument("--entity", default=None, metavar="NAME", help="whose runs are meant where none is named [local]")
    sub.add_argument(
        "--crash-after", type=float, metavar="SECONDS", help="silence after which a running run counts as crashed [300]"
    )
    sub.add_argument("--certificate", type=Path, metavar="FILE", help="serve TLS with this certificate, PEM")
    sub.add_argument("--private-key", type=Path, metavar="FILE", help="the certificate's private key, PEM")
    sub.add_argument("--self-signed", action="store_true", help="serve TLS with a pair made for this data folder")
    sub.add_argument("--env", action="store_true", help="say how to reach the server that runs, for a shell's eval")
    return top


def _memory(text: str) -> str:
    """An argument that is a size as Slurm writes it, in MiB without a unit."""
    if not re.fullmatch(r"[1-9]\d{0,9}[KMGT]?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 4G or 512M")
    return text


def _up_to(limit: int) -> Callable[[str], int]:
    """An argument that is a whole number from 1 to `limit`."""

    def number(text: str) -> int:
        if not (text.isdecimal() and len(text) <= len(str(limit)) and 1 <= int(text) <= limit):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {limit:,}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
