"""`mnist-sweep sweep`: create or resume a sweep, train its trials and rank them."""

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

from mnist_sweep.commands.arguments import add_agents, add_count
from mnist_sweep.commands.console import find_sweep, load_sweep_file, print_sentence
from mnist_sweep.commands.local_agents import allowed_agents, train_trials, trial_limit
from mnist_sweep.config import EPOCH_LIMIT, PROJECT

HELP = "create or resume a sweep, train its trials and rank them"
EXAMPLE = "mnist-sweep sweep onecycle --count 20 --agents 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sweep", metavar="FILE", help="a sweep file, the name of a packaged one, or the id of a sweep to resume"
    )
    add_count(parser)
    add_agents(parser)


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.sweep import live_view, remote

    console = Console(highlight=False, soft_wrap=True)
    say = partial(print_sentence, console)
    config = load_sweep_file(arguments.sweep, console)
    from mnist_sweep.training import mnist  # imports torch, which is not needed to refuse a file

    mnist.fetch(say)
    with connect.connected_server(say) as server:
        sweep = remote.create(config, PROJECT) if config is not None else find_sweep(arguments.sweep)
        count = trial_limit(arguments.count, sweep.config)
        agents = allowed_agents(arguments.agents, count, say, oversubscribe=arguments.oversubscribe)
        retry = server.retry_policy(say)
        code = train_trials(sweep, count, agents, console, retry)
        live_view.conclude(sweep, console, retry)
        if (epochs := fixed_epochs(sweep.config)) < EPOCH_LIMIT:
            say(f"These are {epochs}-epoch trials; finals and confirm train {EPOCH_LIMIT} epochs.")
        console.print(f"Resume:            mnist-sweep sweep {sweep.path}")
        console.print(f"Next:              mnist-sweep finals {sweep.path}")
        if server.temporary:
            say("The local server ends some minutes after its last use; `mnist-sweep server` keeps it running.")
    return code


def fixed_epochs(config: Mapping[str, Any]) -> int:
    """Return the epochs of a sweep's trials, if the sweep fixes them; otherwise those of the task."""
    parameters = config.get("parameters")
    spec = parameters.get("epochs") if isinstance(parameters, Mapping) else None
    value = spec.get("value") if isinstance(spec, Mapping) else None
    return value if isinstance(value, int) else EPOCH_LIMIT
