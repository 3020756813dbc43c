import argparse
import io
import shlex

import pytest
from rich.console import Console

from mnist_sweep.commands.finals import add_arguments, legend, resume_command, table
from mnist_sweep.review.provenance import Difference, Entrant, Finals
from mnist_sweep.search.goal import Goal


@pytest.fixture
def finals() -> Finals:
    def against(difference: float) -> Difference:
        return Difference(difference=difference, half=0.00175, count=6, tie=abs(difference) < 0.00175)

    first = Entrant(
        name="c1=1",
        round=4,
        replicates=6,
        value=0.02113,
        accuracy=0.9941,
        parameters=9_999,
        finalist=True,
        to_next=against(-0.00085),
        to_reference=against(-0.00365),
    )
    reference = Entrant(name="preset=step8", round=4, replicates=6, value=0.02510, finalist=True, reference=True)
    return Finals(
        sweep="abc",
        metric="objective",
        goal=Goal.MINIMIZE,
        claim="val/accuracy",
        schedule="10:3",
        fresh=6,
        reference="preset=step8",
        round=4,
        rounds=4,
        entrants=2,
        missing=0,
        standing=(first, reference),
    )


@pytest.mark.parametrize(
    "options", ["", "--agents 2 --trainings 9", "--rounds 8:2,3:5 --fresh 4 --epochs 5 --reference 'c1=4 max_lr=0.1'"]
)
def test_the_command_to_resume_has_the_options_that_were_given(options: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["a/b/c", *shlex.split(options)]
    resumed = shlex.split(resume_command(parser.parse_args(words)))
    assert resumed[:2] == ["mnist-sweep", "finals"]
    assert parser.parse_args(resumed[2:]) == parser.parse_args(words)
    assert len(resumed) == len(words) + 2


def test_a_row_of_the_table_is_one_line_of_80_columns(finals: Finals) -> None:
    shown = io.StringIO()
    Console(file=shown, width=80).print(table(finals, "ones"))
    rows = [" ".join(line.split()) for line in shown.getvalue().splitlines() if line.startswith(("1", "ref"))]
    assert rows == [
        "1 final 6 99.41 % 0.02113 −0.0008 ± 0.0018 −0.0037 ± 0.0018",
        "ref final 6 0.02510",
    ]


def test_the_legend_gives_whole_configurations_by_their_place(finals: Finals) -> None:
    assert legend(finals) == "1: c1=1  (9,999 parameters)\nref: preset=step8"
