"""`mnist-sweep confirm`: retrain a configuration with many seeds and evaluate it on the test images."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_sweep import flags
from mnist_sweep.commands.arguments import add_agents, add_number
from mnist_sweep.commands.console import print_sentence, say
from mnist_sweep.commands.local_agents import allowed_agents
from mnist_sweep.config import EPOCH_LIMIT, MACHINE_FIELDS, PROJECT, ConfigError, RunConfig, parse

if TYPE_CHECKING:
    from mnist_sweep.selection.confirm import RunDestination
    from mnist_sweep.selection.confirm_record import SeedResult
    from mnist_sweep.selection.winner import Winner
    from mnist_sweep.training.engine import Step

HELP = "retrain a configuration with many seeds on all training images and evaluate it on the test images"
EXAMPLE = "mnist-sweep confirm local/mnist-sweep/finals-1a2b3c4d --seeds=20"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sweep",
        nargs="?",
        metavar="SWEEP",
        help="id, project/id or entity/project/id: confirm the sweep's best configuration by posterior mean, or, with "
        f"finals- before the id, the winner of its finals; {EPOCH_LIMIT} epochs unless --epochs is given; without "
        "SWEEP, give the fields of a configuration",
    )
    add_number(parser, "--seeds", 1_000, "train seeds 0 to N-1, at most 1,000 [10]", default=10)
    add_agents(parser, "seeds")
    parser.add_argument(
        "--file",
        type=Path,
        default=Path("out/confirm.jsonl"),
        help="file of results, from which an interrupted confirmation resumes [out/confirm.jsonl]",
    )
    flags.add(parser, without=("replicate",))  # it holds out nothing, and sets the seeds itself
    parser.usage = "%(prog)s [SWEEP] [options] [--FIELD VALUE …]"


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.display import TrainingProgress, percent
    from mnist_sweep.environment import environment
    from mnist_sweep.review.provenance import Chain
    from mnist_sweep.review.provenance_text import sentences
    from mnist_sweep.selection import confirm
    from mnist_sweep.selection.winner import find_winner

    fields, mode = flags.given(arguments), os.environ.get("WANDB_MODE")
    config, winner = parse(fields), None
    chosen = [name for name in fields if name not in MACHINE_FIELDS]
    if arguments.sweep is None and not chosen:
        raise ConfigError(f"nothing to confirm: name a sweep, as in `{EXAMPLE}`, or fields, as in `--preset=step8`")
    if arguments.sweep is not None and (others := [name for name in chosen if name != "epochs"]):
        raise ConfigError(f"{', '.join(others)} beside {arguments.sweep}: confirm takes either a sweep or fields")
    from mnist_sweep.training import mnist

    mnist.fetch(say)
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        server = None
        if arguments.sweep is not None:
            with environment({"WANDB_MODE": None}):  # it says where runs go; a sweep is read from its server
                server = stack.enter_context(connect.connected_server(say))
                winner = find_winner(arguments.sweep, PROJECT, epochs=fields.get("epochs", EPOCH_LIMIT))
            config = parse({"base": winner.recipe.as_text(), **fields})
            console.print(f"Chosen by {winner.identifier}: {winner.recipe.as_text()}")
            if winner.claim.note:
                print_sentence(
                    console,
                    f"It was chosen by {winner.claim.note}; the confirmation has {config.epochs} epochs on all images.",
                )
        elif mode not in ("offline", "disabled"):
            server = stack.enter_context(connect.running_server(say))
        config = confirm.resolve_precision(config)
        destination = None
        if mode == "offline" or (server is not None and mode != "disabled"):
            destination = _destination(config, winner)
            if mode == "offline":  # a result that the file holds had its run when it was trained
                destination = replace(destination, finished_seeds=frozenset(range(arguments.seeds)))
            else:
                destination = destination.resolve()
        processes = allowed_agents(arguments.agents, arguments.seeds, say, oversubscribe=arguments.oversubscribe)
        with TrainingProgress(console, config.epochs) as progress:

            def on_progress(seed: int, step: Step | None) -> None:
                name = f"seed {seed:2} "
                progress.start(name) if step is None else progress.update(step, name)

            done: list[int] = []

            def on_result(result: SeedResult) -> None:
                done.append(result.seed)
                progress.remove(f"seed {result.seed:2} ")
                found = "diverged" if result.diverged else f"test {percent(result.accuracy)}"
                console.print(f"seed {result.seed:2}  {found}  {result.seconds:.0f} s")

            try:
                results = confirm.confirm(
                    config,
                    range(arguments.seeds),
                    processes=processes,
                    file=arguments.file,
                    on_result=on_result,
                    on_progress=on_progress,
                    destination=destination,
                )
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"stopped after {len(done)} of {arguments.seeds} seeds: the same command resumes"
                ) from None
    confirmation = confirm.summarise(results, config, destination)
    for sentence in sentences(Chain(confirmations=(confirmation,))):
        print_sentence(console, sentence)
    reached = sum(value >= confirm.TARGET for value in confirmation.values)
    console.print(
        f"{config.parameters:,} parameters; {reached} of {len(results)} seeds have at least {percent(confirm.TARGET)}."
    )
    if confirmation.url:
        console.print(f"Runs: {confirmation.url}")
    return 0


def _destination(config: RunConfig, winner: Winner | None) -> RunDestination:
    """Return the project of the sweep that chose the configuration, or else the user's own project."""
    from mnist_sweep.selection import confirm

    if winner is None:
        entity, project = os.environ.get("WANDB_ENTITY", ""), os.environ.get("WANDB_PROJECT") or PROJECT
        return confirm.RunDestination(entity=entity, project=project, group=confirm.group(config))
    entity, project, _ = winner.sweep.path.split("/")
    group = confirm.group(config, winner.identifier)
    return confirm.RunDestination(entity=entity, project=project, group=group, claim=winner.claim)
