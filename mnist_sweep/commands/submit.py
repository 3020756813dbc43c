"""`mnist-sweep submit`: run agents of a sweep as a job on a cluster, and follow it."""

from __future__ import annotations

import argparse
import os
import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_sweep.commands.arguments import MAX_TRIALS, add_number
from mnist_sweep.commands.console import find_sweep, load_sweep_file, print_sentence, say, write
from mnist_sweep.commands.local_agents import agent_logs, trial_limit
from mnist_sweep.config import PROJECT
from mnist_sweep.errors import INTERRUPTED, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.cluster.job import Job
    from mnist_sweep.cluster.slurm import Queue
    from mnist_sweep.connection.waiting import RetryPolicy
    from mnist_sweep.sweep.remote import Sweep


HELP = "run agents of a sweep as a job on a cluster, and follow it"
EXAMPLE = "mnist-sweep submit onecycle --count 200 --agents 20 --time 2:00:00"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sweep", metavar="FILE", help="a sweep file, the name of a packaged one, or the id of an existing sweep"
    )
    add_number(
        parser,
        "--count",
        MAX_TRIALS,
        "run_cap of a new sweep: its number of trials, with those over the parameter limit",
    )
    add_number(
        parser,
        "--agents",
        100_000,
        "tasks of the job, each with one agent, or with the agents of its GPUs [1]",
        default=1,
    )
    add_number(parser, "--cpus", 1024, "CPUs per task [1]", default=1)
    add_number(parser, "--gpus", 64, "GPUs per task, each with one agent or more [0]", default=0)
    add_number(parser, "--agents-per-gpu", 64, "agents that share a GPU [1]", default=1)
    parser.add_argument("--mem", type=_memory, metavar="SIZE", help="memory per task, as in 4G [the cluster's default]")
    parser.add_argument("--time", metavar="T", help="time limit per task, as in 2:30:00 [the partition's default]")
    parser.add_argument("--partition", metavar="NAME", help="partition [the cluster's default]")
    parser.add_argument("--account", metavar="NAME", help="account to charge [your default]")
    parser.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTION",
        help="option of sbatch, as in --sbatch=--qos=low; repeatable",
    )
    parser.add_argument(
        "--setup",
        action="append",
        default=[],
        metavar="LINE",
        help="shell command before the agent, as in --setup='module load cuda'; repeatable",
    )
    parser.add_argument(
        "--kubernetes",
        metavar="IMAGE",
        help="submit nothing; print the manifest of a Kubernetes Indexed Job whose pods run this image",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be submitted; create and submit nothing"
    )
    parser.add_argument("--follow", action="store_true", help="submit nothing; follow the jobs that are running")


def _memory(text: str) -> str:
    """Check an argument that is a size as Slurm writes it, in MiB without a unit."""
    if not re.fullmatch(r"[1-9]\d{0,9}[KMGT]?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 4G or 512M")
    return text


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.cluster import kubernetes, slurm
    from mnist_sweep.cluster.job import JobError, write_server
    from mnist_sweep.connection import connect
    from mnist_sweep.sweep import remote

    user_environment = dict(os.environ)  # before the server and the client add their variables
    only_print = arguments.dry_run or arguments.kubernetes is not None
    console = Console(stderr=only_print, highlight=False, soft_wrap=True)
    config = load_sweep_file(arguments.sweep, console)
    if arguments.count and config is None:
        raise UserError("--count only applies to a new sweep; agents of an existing one work until it ends")
    preview = _text(arguments, _job(arguments, arguments.sweep if config is None else "SWEEP_ID"))
    if arguments.dry_run:
        print(preview, end="")
        return 0
    with connect.connected_server(say, lasting=True) as server:
        if config is not None:
            limit = trial_limit(arguments.count, config)
            sweep = remote.create(config | ({"run_cap": limit} if limit else {}), PROJECT)
        else:
            sweep = find_sweep(arguments.sweep)
        job = _job(arguments, sweep.path)
        if not arguments.follow:
            if server.loopback:
                say(f"Other nodes cannot reach {server.url}, which is this machine only: see docs/cluster.md")
            write_server(job.server, connect.variables(server), kubernetes.SERVER if only_print else None)
            if only_print:
                print(_text(arguments, job), end="")
                return 0
            file = job.output / "job.sh"
            write(file, _text(arguments, job))
            try:
                number = slurm.submit(file, user_environment)
            except JobError as error:
                raise JobError(f"{error}; the sweep exists: mnist-sweep submit {sweep.path}") from None
            console.print(f"Job {number}: {file}, logs beside it; `scancel {number}` ends it")
        return _follow(sweep, slurm.Queue(job.name), arguments.count, console, server.retry_policy(say))


def _job(arguments: argparse.Namespace, sweep: str) -> Job:
    from mnist_sweep.cluster.job import Job

    return Job(
        sweep=sweep,
        folder=Path.cwd(),
        output=agent_logs(sweep).absolute(),
        tasks=arguments.agents,
        cpus=arguments.cpus,
        gpus=arguments.gpus,
        agents_per_gpu=arguments.agents_per_gpu,
        memory=arguments.mem,
        setup=arguments.setup,
        time=arguments.time,
    )


def _text(arguments: argparse.Namespace, job: Job) -> str:
    """Return the text of the job: a batch script or a manifest."""
    from mnist_sweep.cluster import kubernetes, slurm

    if arguments.kubernetes:
        return kubernetes.manifest(job, arguments.kubernetes)
    program = Path(sysconfig.get_path("scripts")) / "mnist-sweep"
    return slurm.script(job, program, partition=arguments.partition, account=arguments.account, more=arguments.sbatch)


def _follow(sweep: Sweep, queue: Queue, count: int | None, console: Console, retry: RetryPolicy) -> int:
    """Show the sweep until its tasks are done. Ctrl-C ends the view, not the job."""
    from mnist_sweep.sweep import live_view

    print_sentence(console, f"Sweep {sweep.path}: {sweep.url}")
    try:
        live_view.follow(sweep, queue, count, console, retry)
    except KeyboardInterrupt:
        console.print(f"The job continues. Follow it again:  mnist-sweep submit {sweep.path} --follow")
        return INTERRUPTED
    live_view.conclude(sweep, console, retry)
    console.print(f"Next:              mnist-sweep finals {sweep.path}")
    return 0
