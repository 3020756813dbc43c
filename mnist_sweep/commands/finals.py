"""`mnist-sweep finals`: train a sweep's best configurations on more replicates, in rounds, and compare them."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from mnist_sweep.commands.arguments import add_agents, add_number, add_sweep
from mnist_sweep.commands.console import print_sentence, say
from mnist_sweep.commands.local_agents import allowed_agents, train_trials
from mnist_sweep.config import EPOCH_LIMIT, PROJECT

if TYPE_CHECKING:
    from rich.table import Table

    from mnist_sweep.config import RunConfig
    from mnist_sweep.review.provenance import Finals
    from mnist_sweep.search.racing import Stage
    from mnist_sweep.selection.finals import Results
    from mnist_sweep.sweep.remote import Sweep

HELP = "train a sweep's best configurations on more replicates, in rounds, and compare them"
REFERENCE = "preset=step8"
FRESH = 6
"""Replicates of the final, with --rounds."""
EXAMPLE = "mnist-sweep finals local/mnist-sweep/1a2b3c4d --agents 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sweep(parser)
    add_agents(parser, "trainings")
    either = parser.add_mutually_exclusive_group()
    cost = "number of trainings, those of the reference not counted [half of what the trials cost, at least 4]"
    add_number(either, "--trainings", 1_000, cost)
    either.add_argument(
        "--rounds",
        metavar="N:R,…",
        help="for each round, the number of configurations and the total replicates of each, such as 8:2,3:5",
    )
    parser.add_argument(
        "--fresh",
        type=int,
        metavar="R",
        help="with --rounds: fresh replicates, which no round used, for the final of the best two and the reference "
        f"[{FRESH}]",
    )
    parser.add_argument(
        "--reference",
        default=REFERENCE,
        metavar="FIELDS",
        help="configuration to compare the finalists with, as name=value name=value … [%(default)s]",
    )
    epochs = "epochs of every training, even if the sweep's trials were shorter [%(default)s]"
    add_number(parser, "--epochs", EPOCH_LIMIT, epochs, default=EPOCH_LIMIT)


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.review import provenance_text
    from mnist_sweep.review.formatting import counted
    from mnist_sweep.selection import finals, winner
    from mnist_sweep.sweep import remote
    from mnist_sweep.training import mnist

    schedule = None
    if arguments.rounds is not None:
        schedule = finals.parse_schedule(arguments.rounds, FRESH if arguments.fresh is None else arguments.fresh)
    elif arguments.fresh is not None:
        raise finals.FinalsError("--fresh needs --rounds; --trainings sets what the finals cost")
    console = Console(highlight=False, soft_wrap=True)
    mnist.fetch(say)
    agents = allowed_agents(arguments.agents, None, say, oversubscribe=arguments.oversubscribe)
    with connect.connected_server(say) as server:
        policy = server.retry_policy(say)
        sweep = remote.find(arguments.sweep, PROJECT)
        race = finals.Race.of(
            sweep, schedule, reference=arguments.reference, epochs=arguments.epochs, trainings=arguments.trainings
        )
        if race.other_trials:
            print_sentence(
                console,
                f"The sweep chose by {race.other_trials}; the finals train {arguments.epochs} epochs on "
                f"{race.reference.training_images:,} images.",
            )
        print_sentence(console, finals.schedule_sentence(race.schedule))

        def on_stage(stage: Stage[RunConfig], found: Results) -> None:
            title = "Final" if stage.is_final else f"Round {stage.number}"
            entrants = counted(len(stage.entrants), "configuration")
            console.print(f"{title}: {entrants}, trainings to go: {len(stage.missing)}")
            winner.record_finals(race.sweep, finals.describe(race, found))

        def train(sweep: Sweep, count: int) -> int:
            return train_trials(sweep, None, min(agents, count), console, policy, resume=resume_command(arguments))

        with race.lock():
            code = finals.run_race(race, train, on_stage)
            if code:
                console.print(f"To resume: {resume_command(arguments)}")
                return code
            outcome = finals.describe(race, race.results())
            winner.record_finals(race.sweep, outcome)
        console.print(legend(outcome))
        console.print(table(outcome, str(race.sweep.config.get("name") or race.sweep.path)), soft_wrap=False)
        for line in (*provenance_text.finals_sentences(outcome), provenance_text.next_replicate_sentence(outcome)):
            if line:
                print_sentence(console, line)
        if outcome.winner is not None:
            console.print(f"Best of the sweep: {outcome.winner.name}")
            console.print(
                f"Next: mnist-sweep confirm {finals.finals_id(race.sweep.path)} --seeds=20 --agents={arguments.agents}"
            )
    return 0


def resume_command(arguments: argparse.Namespace) -> str:
    """Return the command that continues these finals: other options would make them another race."""
    words = ["mnist-sweep", "finals", arguments.sweep]
    options = {
        "agents": 1,
        "trainings": None,
        "rounds": None,
        "fresh": None,
        "reference": REFERENCE,
        "epochs": EPOCH_LIMIT,
    }
    for name, default in options.items():
        if (value := getattr(arguments, name)) != default:
            words += [f"--{name}", str(value)]
    return shlex.join(words + ["--oversubscribe"] * arguments.oversubscribe)


def legend(finals: Finals) -> str:
    """Return the configurations of the table, one a line and in full, so that each can be given to `--base`."""
    from mnist_sweep.review import provenance_text

    return "\n".join(
        f"{place}: {row.name}" + ("" if row.parameters is None else f"  ({row.parameters:,} parameters)")
        for place, row in zip(provenance_text.places(finals), finals.standing, strict=True)
    )


def table(finals: Finals, name: str) -> Table:
    """Return the finals' table without what the legend has, so that a row fits into one line of 80 columns."""
    from rich import box
    from rich.table import Table

    from mnist_sweep.review import provenance_text

    head, *rows = provenance_text.standing(finals)
    columns = [place for place, heading in enumerate(head) if heading not in ("configuration", "parameters")]
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, title=f"Finals of {name}")
    for column in columns:
        shown.add_column(head[column].replace("/", "/\n"), justify="right" if head[column] else "left")
    for entrant, cells in zip(finals.standing, rows, strict=True):
        shown.add_row(*(cells[column] for column in columns), style=None if entrant.finalist else "dim")
    return shown
