"""`mnist-sweep confirm`: retrain a configuration with many seeds and judge it on the test images."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_sweep import flags
from mnist_sweep.commands.arguments import add_agents, whole_number
from mnist_sweep.commands.console import say
from mnist_sweep.commands.local_agents import allowed_agents
from mnist_sweep.config import PROJECT, ConfigError, RunConfig, parse

if TYPE_CHECKING:
    from mnist_sweep.selection.confirm import RunDestination
    from mnist_sweep.selection.winner import Winner

HELP = "retrain a configuration with many seeds on all training images and judge it on the test images"
EXAMPLE = "mnist-sweep confirm local/mnist-sweep/finals-1a2b3c4d --seeds=20"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sweep",
        nargs="?",
        metavar="SWEEP",
        help="what a sweep chose, by posterior mean (its id, project/id or entity/project/id), or its finals "
        "(finals- before the id); without it, the fields below",
    )
    parser.add_argument(
        "--seeds", type=whole_number(1_000), default=10, metavar="N", help="seeds 0 to N-1, at most 1,000 [10]"
    )
    add_agents(parser, "seeds")
    parser.add_argument(
        "--file", type=Path, default=Path("out/confirm.jsonl"), help="results, kept as they come [out/confirm.jsonl]"
    )
    flags.add(parser)


MACHINE = ("device", "precision", "threads")
"""Fields that may stand beside a sweep whose choice is confirmed."""


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.display import percent
    from mnist_sweep.environment import environment
    from mnist_sweep.selection import confirm as confirming
    from mnist_sweep.selection import winner

    fields, mode = flags.given(arguments), os.environ.get("WANDB_MODE")
    config, chosen = parse(fields), None
    if arguments.sweep is not None and (others := [name for name in fields if name not in MACHINE]):
        raise ConfigError(f"{', '.join(others)} beside {arguments.sweep}: confirm takes a sweep's choice or fields")
    from mnist_sweep.training import mnist

    mnist.fetch(say)
    console = Console(highlight=False, soft_wrap=True)

    def show_seed(result: confirming.Confirmed) -> None:
        best = f"best epoch {result.best_epoch}: {percent(result.best_accuracy)}"
        words = "diverged" if result.diverged else f"test {percent(result.accuracy)}  ({best})"
        console.print(f"seed {result.seed:2}  {words}  {result.seconds:.0f} s")

    with ExitStack() as stack:
        server = None
        if arguments.sweep is not None:
            with environment({"WANDB_MODE": None}):  # it says where runs go; a sweep is read from its server
                server = stack.enter_context(connect.connected_server(say))
                chosen = winner.find_winner(arguments.sweep, PROJECT)
            config = parse({"base": chosen.claim.configuration, **fields})
            console.print(f"Chosen by {chosen.identifier}: {chosen.claim.configuration}")
        elif mode not in ("offline", "disabled"):
            server = stack.enter_context(connect.running_server(say))
        reported = None
        if mode == "offline" or (server is not None and mode != "disabled"):
            reported = _reported(config, chosen)
            if mode == "offline":  # what the file holds had its run when it was trained
                reported = replace(reported, finished_seeds=frozenset(range(arguments.seeds)))
            else:
                reported = reported.resolve()
        results = confirming.confirm(
            config,
            range(arguments.seeds),
            processes=allowed_agents(arguments.agents, arguments.seeds, say, oversubscribe=arguments.oversubscribe),
            file=arguments.file,
            on_result=show_seed,
            reported=reported,
        )
    told = confirming.summarise(results)
    if told.seeds == 1:
        console.print(f"{config.parameters:,} parameters, one seed: test {percent(told.mean)}; more seeds say how sure")
    else:
        console.print(
            f"{config.parameters:,} parameters, {told.seeds} seeds: test {percent(told.mean)} "
            f"± {100 * told.interval:.2f} (95 % interval of the mean), deviation {100 * told.deviation:.2f}, "
            f"from {percent(told.lowest)} to {percent(told.highest)}, "
            f"{told.at_target} of {told.seeds} at {percent(confirming.TARGET)} or over"
        )
    if reported is not None and reported.url:
        console.print(f"Runs: {reported.url}")
    return 0


def _reported(config: RunConfig, chosen: Winner | None) -> RunDestination:
    """Where the seeds' runs belong: to the project of what chose them, else to the user's own."""
    from mnist_sweep.selection import confirm as confirming

    if chosen is None:
        entity, project = os.environ.get("WANDB_ENTITY", ""), os.environ.get("WANDB_PROJECT") or PROJECT
        return confirming.RunDestination(entity, project, confirming.group(config))
    entity, project, _ = chosen.sweep.path.split("/")
    return confirming.RunDestination(entity, project, confirming.group(config, chosen.identifier), chosen.claim)
