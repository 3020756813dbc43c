"""`mnist-sweep finals`: race a sweep's best configurations against each other, over replicates."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from mnist_sweep.commands.arguments import MAX_AGENTS, add_sweep, whole_number
from mnist_sweep.commands.console import say
from mnist_sweep.commands.local_agents import work
from mnist_sweep.config import PROJECT
from mnist_sweep.review.formatting import decided

if TYPE_CHECKING:
    from rich.table import Table

    from mnist_sweep.search.racing import Paired, Stage
    from mnist_sweep.selection.finals import Contest, Outcome, Row
    from mnist_sweep.sweep.remote import Sweep


_REFERENCE = "ref"
"""Its number in the table."""


HELP = "race a sweep's best configurations against each other, over replicates"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sweep(parser)
    parser.add_argument(
        "--agents", type=whole_number(MAX_AGENTS), default=1, metavar="N", help="trainings side by side [1]"
    )
    parser.add_argument(
        "--rounds",
        default="30:1,10:3,3:6",
        metavar="N:R,…",
        help="configurations and their replicates in all, round by round [30:1,10:3,3:6]",
    )
    parser.add_argument(
        "--fresh", type=int, default=6, metavar="R", help="further replicates for the last two and the reference [6]"
    )
    parser.add_argument(
        "--reference",
        default="preset=step8",
        metavar="FIELDS",
        help="configuration to compare the finalists with, as name=value name=value … [preset=step8]",
    )


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.selection import finals as playing
    from mnist_sweep.selection import winner as choice
    from mnist_sweep.sweep import remote
    from mnist_sweep.training import mnist

    rules = playing.rules(arguments.rounds, arguments.fresh)
    console = Console(highlight=False, soft_wrap=True)
    mnist.fetch(say)
    with connect.connected_server(say) as server:
        patience = server.patience(say)
        contest = playing.Contest.of(remote.find(arguments.sweep, PROJECT), rules, arguments.reference)

        def enter(now: Stage) -> None:
            title = "Final" if now.is_final else f"Round {now.number}"
            console.print(f"{title}: {len(now.entrants)} configurations, {len(now.missing)} trainings to go")
            choice.record_finals(contest, now)

        def train(sweep: Sweep, count: int) -> int:
            return work(sweep, None, arguments.agents, console, patience)

        code = playing.play(contest, train, enter)
        if code:
            console.print(f"To go on: mnist-sweep finals {arguments.sweep}")
            return code
        board = contest.board()
        outcome = playing.conclude(contest, board)
        choice.record_finals(contest, contest.stage(board), outcome)
        console.print(legend(outcome))
        console.print(table(contest, outcome), soft_wrap=False)
        console.print(verdict(contest, outcome, sum(board.seconds) / max(len(board.seconds), 1)))
        name = playing.finals_id(contest.sweep.path)
        console.print(f"Next:  mnist-sweep confirm {name} --seeds=20 --agents={arguments.agents}")
    return 0


def table(contest: Contest, outcome: Outcome) -> Table:
    """One row a configuration, the best first, by number (see `legend`); losses and differences in thousandths."""
    from rich import box
    from rich.table import Table

    from mnist_sweep.display import percent

    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),  # fits 80 columns
        show_edge=False,
        title=f"Finals of {contest.sweep.config.get('name') or contest.sweep.path}",
        caption=f"{contest.metric} and its paired differences in thousandths, ± 95 % interval",
    )
    headings = ("", "parameters", "folds", "accuracy", contest.metric, "less the next", "less reference")
    for heading in headings:
        shown.add_column(heading, justify="left" if not heading else "right")
    for place, row in enumerate(outcome.rows, start=1):
        shown.add_row(
            _REFERENCE if row.words == outcome.reference else str(place),
            "" if row.parameters is None else f"{row.parameters:,}",
            str(row.replicates),
            percent(row.accuracy),
            f"{1000 * row.loss:.2f}",
            *(_difference(contest, found) for found in (row.to_next, row.to_reference)),
            style=None if row.finalist else "dim",
        )
    return shown


def legend(outcome: Outcome) -> str:
    """The configurations of the table, one a line: whole, so that each can be given to `--base`."""
    return "\n".join(
        f"{_REFERENCE if row.words == outcome.reference else place}: {row.words}"
        for place, row in enumerate(outcome.rows, start=1)
    )


def _difference(contest: Contest, found: Paired | None) -> str:
    if found is None:
        return ""
    if math.isinf(found.half):
        return f"{1000 * contest.sign * found.difference:+.2f}"
    words = f"{1000 * contest.sign * found.difference:+.2f} ± {1000 * found.half:.2f}"
    return f"{words} tie" if found.tie else words


def winner(outcome: Outcome) -> Row:
    """The better of the last two."""
    return next(row for row in outcome.rows if row.finalist and row.words != outcome.reference)


def verdict(contest: Contest, outcome: Outcome, seconds: float) -> str:
    """Who leads, over whom it is decided, and what the next training would buy."""
    best = winner(outcome)
    lines = [f"Best:  {best.words}"]
    if best.to_reference is not None:
        found = best.to_reference
        how = decided(known=math.isfinite(found.half), tie=found.tie, better=found.difference < 0)
        lines.append(f"       {how} the reference ({outcome.reference})")
    if outcome.next_training is None:
        lines.append(
            "What the next training would buy is not known: that takes two finalists, and several replicates of each"
        )
    else:
        bought = outcome.next_training
        lines.append(
            f"One more replicate of the first two (two trainings of {seconds:.0f} s) would change who leads with a "
            f"probability of {bought.change:.0%}, and buys {1000 * bought.gain:.3f} thousandths of "
            f"{contest.metric} on average"
        )
    return "\n".join(lines)
